package chanws_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// noise gives bytes that nothing can compress.
func noise(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// report gives text of size bytes that looks like others of its kind.
func report(i, size int) []byte {
	var b bytes.Buffer
	for n := i; b.Len() < size; n++ {
		fmt.Fprintf(&b, `{"id":%d,"state":"größer","tags":["a","b"],"value":%d},`, n, n*n%977)
	}
	return bytes.ToValidUTF8(b.Bytes()[:size], []byte("?"))
}

func TestCompressionIsNegotiatedByTheMode(t *testing.T) {
	for _, tc := range []struct {
		client, server chanws.Compression
		offer, answer  string
	}{
		{chanws.CompressionDefault, takeover, "", ""},
		{chanws.CompressionDisabled, takeover, "", ""},
		{takeover, chanws.CompressionDefault, "permessage-deflate; client_max_window_bits", ""},
		{takeover, takeover, "permessage-deflate; client_max_window_bits", "permessage-deflate"},
		{takeover, noTakeover, "permessage-deflate; client_max_window_bits",
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{noTakeover, takeover, "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, s := wsPipe(t, chanws.Options{Compression: tc.client}, chanws.Options{Compression: tc.server})
			require.Equal(t, tc.offer, s.Request().Header.Get("Sec-WebSocket-Extensions"))
			require.Equal(t, tc.answer, c.Response().Header.Get("Sec-WebSocket-Extensions"))
			for i := range 3 {
				message := chanws.Text(report(i, 1000))
				c.Send <- message
				require.Equal(t, message, <-s.Events())
				s.Send <- message
				require.Equal(t, message, <-c.Events())
			}
			synctest.Wait() // counters are brought up to date when the pumps wait
			compressed := tc.answer != ""
			require.Equal(t, compressed, c.Stats().BytesSent < 3000)
			require.Equal(t, compressed, s.Stats().BytesSent < 3000)
		})
	}
}

// TestEveryMessageArrivesAsItWas sends what compresses well, badly and not at all,
// from nothing to 4 MiB, both ways at once.
func TestEveryMessageArrivesAsItWas(t *testing.T) {
	big := noise(1, 1<<20)
	messages := [][]byte{
		{}, {'a'}, report(1, 127), report(1, 128), report(1, 511), report(1, 512), report(2, 1024),
		big[:1024], report(3, 1024), big[:20_000], report(4, 20_000), big[:70_000], report(5, 70_000),
		big, report(6, 1<<20), append(report(7, 9000), big...), append(big[:9000:9000], report(8, 70_000)...),
		make([]byte, 4<<20), report(9, 600),
	}
	for _, mode := range []chanws.Compression{noTakeover, takeover} {
		for _, level := range []int{1, 6} {
			for _, fragment := range []int{-1, 1000} {
				messages := messages
				if level > 1 || fragment > 0 {
					messages = messages[:13] // the large ones take their time
				}
				synctest.Test(t, func(t *testing.T) {
					opts := chanws.Options{Compression: mode, CompressionLevel: level, FragmentSize: fragment, MaxMessageSize: -1}
					c, s := pipe(t, opts)
					go func() {
						for _, m := range messages {
							s.Send <- chanws.Binary(m)
						}
					}()
					go func() {
						for _, m := range messages {
							c.Send <- chanws.Binary(m)
						}
					}()
					for i, m := range messages {
						for _, conn := range []*chanws.Conn{s, c} {
							got, ok := (<-conn.Events()).(chanws.Binary)
							require.True(t, ok && bytes.Equal(m, got), "message %d", i)
						}
					}
				})
			}
		}
	}
}

func TestOnlyWhatIsWorthItIsCompressed(t *testing.T) {
	for _, tc := range []struct {
		mode             chanws.Compression
		threshold, least int
	}{
		{noTakeover, 0, 512}, {takeover, 0, 128}, {noTakeover, 700, 700}, {takeover, 700, 700}, {takeover, -1, 60},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := deflatePair(t, true, chanws.Options{Compression: tc.mode, CompressionThreshold: tc.threshold})
			for _, size := range []int{0, 59, tc.least - 1, tc.least, tc.least + 1} {
				message := strings.Repeat("ab", size)[:size]
				conn.Send <- chanws.Text(message)
				got, frames := peer.nextMessage(size)
				require.Equal(t, message, string(got))
				require.Equal(t, size >= tc.least || size > 0 && tc.threshold < 0, frames[0].RSV1, "%d bytes", size)
			}
			conn.Send <- chanws.Ping(strings.Repeat("p", 125))
			require.False(t, peer.next().RSV1, "a control frame is never compressed")
		})
	}
}

// TestAMessageThatWouldGrowIsSentAsItIs mixes it with others: the window of the peer
// does not have it.
func TestAMessageThatWouldGrowIsSentAsItIs(t *testing.T) {
	eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
		for _, level := range []int{1, 6, 9} {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := deflatePair(t, server, chanws.Options{Compression: mode, CompressionLevel: level, CompressionThreshold: -1})
				for i := range 20 {
					size := 200 + 300*i
					conn.Send <- chanws.Text(report(i%7, size))
					got, frames := peer.nextMessage(size)
					require.Equal(t, string(report(i%7, size)), string(got))
					require.True(t, frames[0].RSV1)

					random := noise(uint64(i), 1+i*i*70)
					conn.Send <- chanws.Binary(random)
					got, frames = peer.nextMessage(len(random))
					require.True(t, bytes.Equal(random, got))
					require.False(t, frames[0].RSV1)
				}
			})
		}
	})
}

func TestACompressedMessageIsOneFrameUnlessFragmentSizeIsSet(t *testing.T) {
	eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
		for _, fragment := range []int{-1, 1, 100, 16_000} {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := deflatePair(t, server, chanws.Options{Compression: mode, FragmentSize: fragment})
				for i, size := range []int{600, 20_000, 300_000} {
					if fragment == 1 && size > 20_000 {
						continue
					}
					message := report(i, size)
					conn.Send <- chanws.Text(message)
					got, frames := peer.nextMessage(size)
					require.True(t, bytes.Equal(message, got))
					require.True(t, frames[0].RSV1)
					if fragment < 0 {
						require.Len(t, frames, 1)
					}
					for _, f := range frames[:len(frames)-1] {
						require.Len(t, f.payload, fragment)
					}
				}
			})
		}
	})
}

func TestManyCompressedMessagesGoOutWithOneCall(t *testing.T) {
	for _, mode := range []chanws.Compression{noTakeover, takeover} {
		synctest.Test(t, func(t *testing.T) {
			flushes := 0
			conn, peer := deflatePair(t, true, chanws.Options{Compression: mode, Trace: &chanws.Trace{
				Flushed: func(int, time.Duration, error) { flushes++ },
			}})
			// The pipe holds 64 KiB: while this one waits, the others gather behind it.
			conn.Send <- chanws.Binary(noise(1, 100<<10))
			synctest.Wait()
			for i := range 50 {
				conn.Send <- chanws.Text(report(i, 1000))
			}
			_, frames := peer.nextMessage(100 << 10)
			require.False(t, frames[0].RSV1)
			synctest.Wait()
			before := flushes
			for i := range 50 {
				got, frames := peer.nextMessage(1000)
				require.Equal(t, string(report(i, 1000)), string(got))
				require.True(t, frames[0].RSV1)
			}
			synctest.Wait()
			require.Equal(t, before, flushes, "nothing is left to write")
			require.LessOrEqual(t, flushes, 5)
		})
	}
}

func TestAWriteOfACompressedMessageLeavesTheCallersBytesAlone(t *testing.T) {
	eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
		for _, size := range []int{1000, 30_000, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := deflatePair(t, server, chanws.Options{Compression: mode})
				blocker := noise(1, 100<<10)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				message := append(report(1, size), noise(2, size/2)...)
				payload := chanws.Binary(bytes.Clone(message))
				wrote := make(chan error, 1)
				conn.Send <- chanws.Binary(blocker)
				go func() { wrote <- conn.Write(ctx, payload) }()
				got, _ := peer.nextMessage(len(blocker))
				require.True(t, bytes.Equal(blocker, got))
				if err := <-wrote; size < 1<<20 {
					require.NoError(t, err)
				} else { // more than the pipe holds
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				clear(payload) // the caller's again
				conn.Send <- chanws.Text("next")
				got, frames := peer.nextMessage(len(message))
				require.True(t, frames[0].RSV1)
				require.True(t, bytes.Equal(message, got), "the message was harmed")
				peer.expect(frame.Text, "next")
			})
		}
	})
}

func TestControlFramesGoBetweenTheFragmentsOfACompressedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := deflatePair(t, true, chanws.Options{Compression: takeover, FragmentSize: 10_000})
		message := append(report(1, 100_000), noise(1, 200_000)...)
		conn.Send <- chanws.Binary(message)
		synctest.Wait()
		peer.send(frame.Ping, "now")
		synctest.Wait()
		var payload []byte
		pongs := 0
		for fin := false; !fin; {
			f := peer.next()
			if f.Opcode == frame.Pong {
				pongs++
				continue
			}
			require.Equal(t, len(payload) == 0, f.RSV1)
			payload = append(payload, f.payload...)
			fin = f.Fin
		}
		require.Equal(t, 1, pongs, "amid the message")
		require.True(t, bytes.Equal(message, peer.inflate(payload, len(message))))
	})
}

func TestCompressedMessagesAreReceived(t *testing.T) {
	eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := deflatePair(t, server, chanws.Options{Compression: mode, MaxMessageSize: 4 << 20})
			for i, message := range [][]byte{{}, []byte("Hello"), report(1, 1000), noise(1, 1000), report(2, 1000), noise(2, 200_000), report(3, 500_000), report(1, 1000)} {
				peer.sendDeflated(frame.Binary, message)
				got, ok := (<-conn.Events()).(chanws.Binary)
				require.True(t, ok && bytes.Equal(message, got), "binary message %d", i)
			}
			for _, message := range [][]byte{{}, []byte("größer"), report(1, 5000), report(2, 100_000)} {
				peer.sendDeflated(frame.Text, message)
				require.Equal(t, chanws.Text(message), <-conn.Events())
				peer.send(frame.Text, "not compressed") // is not in the window
				require.Equal(t, chanws.Text("not compressed"), <-conn.Events())
			}
			// In fragments, with pings between them, and characters that they cut.
			message := report(5, 3000)
			compressed := peer.deflate(message)
			for at := 0; at < len(compressed); at += 7 {
				end := min(at+7, len(compressed))
				if at == 0 {
					peer.write(peer.encodeBit(false, frame.Text, compressed[:end]))
				} else {
					peer.write(peer.encode(end == len(compressed), frame.Continuation, compressed[at:end]))
				}
				if at == 14 {
					peer.send(frame.Ping, "amid")
				}
			}
			require.Equal(t, chanws.Ping("amid"), <-conn.Events())
			require.Equal(t, chanws.Text(message), <-conn.Events())
			// Empty fragments around all of it.
			peer.write(peer.encodeBit(false, frame.Text, nil))
			peer.write(peer.encode(false, frame.Continuation, peer.deflate([]byte("Hello"))))
			peer.send(frame.Continuation, "")
			require.Equal(t, chanws.Text("Hello"), <-conn.Events())
		})
	})
}

// TestWhatEveryDecoderMustTakeIsTaken is about RFC 7692 section 7.2.3; internal/deflate
// has more of it.
func TestWhatEveryDecoderMustTakeIsTaken(t *testing.T) {
	for name, compressed := range map[string]string{
		"BFINAL":            "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"a stored block":    "\x00\x05\x00\xfa\xffHello\x00",
		"two blocks":        "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		"the tail is there": "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
	} {
		eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := deflatePair(t, server, chanws.Options{Compression: mode})
				for range 2 {
					peer.write(peer.encodeBit(true, frame.Text, []byte(compressed)))
					require.Equal(t, chanws.Text("Hello"), <-conn.Events(), name)
				}
			})
		})
	}
}

func TestBadCompressedMessagesEndTheConnection(t *testing.T) {
	whole := func(op frame.Opcode, payload string) func(*deflatePeer) []byte {
		return func(p *deflatePeer) []byte { return p.encodeBit(true, op, []byte(payload)) }
	}
	deflated := func(op frame.Opcode, message []byte) func(*deflatePeer) []byte {
		return func(p *deflatePeer) []byte { return p.encodeBit(true, op, p.deflate(message)) }
	}
	const limit = 10_000
	for _, tc := range []struct {
		name   string
		frames func(*deflatePeer) []byte
		code   chanws.StatusCode
		reason string
	}{
		{"RSV1 on a ping", whole(frame.Ping, ""), 1002, "RSV1 set on a ping frame"},
		{"RSV1 on a close frame", whole(frame.Close, ""), 1002, "RSV1 set on a close frame"},
		{"RSV1 on a continuation", func(p *deflatePeer) []byte {
			return append(p.encodeBit(false, frame.Text, nil), p.encodeBit(true, frame.Continuation, nil)...)
		}, 1002, "RSV1 set on a continuation frame"},
		{"RSV1 on a continuation of what is not compressed", func(p *deflatePeer) []byte {
			return append(p.encode(false, frame.Text, nil), p.encodeBit(true, frame.Continuation, nil)...)
		}, 1002, "RSV1 set on a continuation frame"},
		{"a reserved block type", whole(frame.Binary, "\x06"), 1007, "corrupt compressed data"},
		{"a block that ends early", whole(frame.Text, "\xf2\x48\xcd"), 1007, "corrupt compressed data"},
		{"a distance beyond what was sent", whole(frame.Text, "\xf2\x00\x11\x00\x00"), 1007, "invalid block, code or distance"},
		{"corrupt data over fragments", func(p *deflatePeer) []byte {
			return append(p.encodeBit(false, frame.Text, []byte("\xf2\x48")), p.encode(true, frame.Continuation, []byte("\xcd"))...)
		}, 1007, "corrupt compressed data"},
		{"text that is not UTF-8", deflated(frame.Text, []byte("a\xffb")), 1007, "not valid UTF-8"},
		{"text that ends inside a character", deflated(frame.Text, append(report(1, 5000), 0xe2)), 1007, "not valid UTF-8"},
		{"one byte too many", deflated(frame.Binary, make([]byte, limit+1)), 1009, "decompressed message of more than Options.MaxMessageSize 10000 bytes"},
		{"compressed bytes that no message can have", func(p *deflatePeer) []byte {
			return p.encodeBit(true, frame.Binary, make([]byte, limit+limit/8+1025))[:20]
		}, 1009, "decompressed message of more than Options.MaxMessageSize 10000 bytes"},
		{"the same in fragments", func(p *deflatePeer) []byte {
			return append(p.encodeBit(false, frame.Binary, make([]byte, limit)), p.encode(false, frame.Continuation, make([]byte, limit/8+1025))...)
		}, 1009, "decompressed message of more than Options.MaxMessageSize 10000 bytes"},
	} {
		eachDeflate(t, func(t *testing.T, server bool, mode chanws.Compression) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := deflatePair(t, server, chanws.Options{Compression: mode, MaxMessageSize: limit})
				peer.sendDeflated(frame.Binary, make([]byte, limit))
				require.Len(t, <-conn.Events(), limit, "what is within the limits")
				if mode == takeover && tc.reason == "invalid block, code or distance" {
					return // now there is a window
				}
				peer.write(tc.frames(peer))
				var broken *chanws.ProtocolError
				require.ErrorAs(t, (<-conn.Events()).(error), &broken, tc.name)
				require.Equal(t, tc.code, broken.Code, tc.name)
				require.Contains(t, broken.Reason, tc.reason, tc.name)
				peer.finish()
				require.EqualValues(t, tc.code, peer.closeCode(), tc.name)
			})
		})
	}
}

// TestABombIsDefused sends a kibibyte that stands for a mebibyte and more, and a
// mebibyte that stands for a gibibyte.
func TestABombIsDefused(t *testing.T) {
	unit := zeros(4 << 20) // with its tail, so that more can follow
	for name, bomb := range map[string][]byte{"of 4 MiB": unit, "of 1 GiB": bytes.Repeat(unit, 256)} {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := deflatePair(t, true, chanws.Options{Compression: noTakeover})
			wire := peer.encodeBit(true, frame.Binary, bomb[:min(len(bomb), 1<<20)])
			go peer.write(wire[:8]) // the header and the first bytes
			synctest.Wait()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			go peer.write(wire[8:])
			end, failed := (<-conn.Events()).(chanws.Error)
			runtime.ReadMemStats(&after)
			require.True(t, failed)
			var broken *chanws.ProtocolError
			require.ErrorAs(t, end, &broken, name)
			require.Equal(t, chanws.StatusMessageTooBig, broken.Code)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, 2<<20+2*uint64(len(bomb)), name)
		})
	}
}

func TestMaxFrameSizeCountsWhatIsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := deflatePair(t, true, chanws.Options{Compression: noTakeover, MaxFrameSize: 1000})
		peer.sendDeflated(frame.Binary, make([]byte, 100_000))
		require.Len(t, <-conn.Events(), 100_000)
		peer.sendDeflated(frame.Binary, noise(1, 1001))
		var broken *chanws.ProtocolError
		require.ErrorAs(t, (<-conn.Events()).(error), &broken)
		require.Contains(t, broken.Reason, "frame of")
	})
}

func TestTraceAndStatsSeeWhatIsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent, received []chanws.FrameInfo
		conn, peer := deflatePair(t, true, chanws.Options{Compression: takeover, Trace: &chanws.Trace{
			FrameSent:     func(f chanws.FrameInfo) { sent = append(sent, f) },
			FrameReceived: func(f chanws.FrameInfo) { received = append(received, f) },
		}})
		conn.Send <- chanws.Binary(make([]byte, 5000))
		_, frames := peer.nextMessage(5000)
		peer.sendDeflated(frame.Text, make([]byte, 5000))
		<-conn.Events()
		synctest.Wait()
		wire := int64(len(frames[0].payload))
		require.Less(t, wire, int64(100))
		require.Equal(t, []chanws.FrameInfo{{Opcode: 2, Fin: true, Payload: wire, Compressed: true}}, sent)
		require.EqualValues(t, wire+2, conn.Stats().BytesSent)
		require.Len(t, received, 1)
		require.True(t, received[0].Compressed)
		require.EqualValues(t, received[0].Payload+6, conn.Stats().BytesReceived)
	})
}
