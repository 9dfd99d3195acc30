package pump

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// requireBreach expects the end by a breach of the peer's, and its close frame.
func requireBreach(t *testing.T, p *Pump[any, any], peer *peer, code int, reason string) {
	t.Helper()
	peer.expectClose(code, reason)
	var breach *frame.Error
	require.ErrorAs(t, asFailed(t, requireEnd(t, p)), &breach)
	require.Equal(t, code, breach.Code)
	require.Equal(t, reason, breach.Reason)
}

func TestABreachByThePeerEndsTheConnectionWithItsCode(t *testing.T) {
	euro := "\u20ac"
	client := peer{mask: true}
	part := func(fin bool, op frame.Opcode, payload string) string {
		return string(client.frame(fin, op, []byte(payload)))
	}
	for name, c := range map[string]struct {
		sent   string
		code   int
		reason string
	}{
		"a large message": {part(true, frame.Binary, string(make([]byte, 1001))), 1009, "message of 1001 bytes, more than Options.MaxMessageSize 1000"},
		"a large message in fragments": {
			part(false, frame.Binary, string(make([]byte, 400))) + part(false, frame.Continuation, string(make([]byte, 400))) +
				part(true, frame.Continuation, string(make([]byte, 201))), 1009, "message of 1001 bytes, more than Options.MaxMessageSize 1000"},
		"a large frame":                 {part(false, frame.Binary, string(make([]byte, 501))), 1009, "frame of 501 bytes, more than Options.MaxFrameSize 500"},
		"text":                          {part(true, frame.Text, "\xff"), 1007, errInvalidUTF8.Reason},
		"text in a fragment":            {part(false, frame.Text, euro[:1]) + part(false, frame.Continuation, "x"), 1007, errInvalidUTF8.Reason},
		"text that ends in a character": {part(false, frame.Text, euro[:1]) + part(true, frame.Continuation, euro[1:2]), 1007, errInvalidUTF8.Reason},
		"too many messages":             {strings.Repeat(part(true, frame.Text, "m"), 4), 1008, "more messages than Options.MessageRate 1 a second, burst 3"},
		"too many binary messages":      {strings.Repeat(part(true, frame.Binary, "m"), 4), 1008, "more messages than Options.MessageRate 1 a second, burst 3"},
		"too many messages in fragments": {
			strings.Repeat(part(false, frame.Text, "m")+part(true, frame.Continuation, ""), 4), 1008, "more messages than Options.MessageRate 1 a second, burst 3"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions()
			opts.MaxMessageSize, opts.MaxFrameSize, opts.Rate, opts.Burst = 1000, 500, 1, 3
			if name == "a large message" {
				opts.MaxFrameSize = None
			}
			inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
				_, err := peer.conn.Write([]byte(c.sent))
				require.NoError(t, err)
				requireBreach(t, p, peer, c.code, c.reason)
			})
		})
	}
}

func TestACloseFrameWithABadPayloadIsABreach(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Close, "x")
		requireBreach(t, p, peer, 1002, "close frame of 1 byte, half a close code")
	})
}

func TestFragmentsBecomeOneMessageWithControlFramesBetween(t *testing.T) {
	opts := testOptions()
	opts.ManualPong = true
	var headers []frame.Header
	opts.Trace.FrameReceived = func(h frame.Header) { headers = append(headers, h) }
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		sent := peer.frame(false, frame.Text, []byte("\xe2\x82"))
		sent = append(sent, peer.frame(true, frame.Ping, []byte("p"))...)
		sent = append(sent, peer.frame(true, frame.Continuation, []byte("\xac"))...)
		sent = append(sent, peer.frame(false, frame.Binary, nil)...)
		sent = append(sent, peer.frame(true, frame.Continuation, nil)...)
		for _, b := range sent { // however they come
			_, err := peer.conn.Write([]byte{b})
			require.NoError(t, err)
		}
		require.Equal(t, ping("p"), <-p.Events())
		require.Equal(t, text("\u20ac"), <-p.Events())
		require.Equal(t, bin{}, <-p.Events())
		synctest.Wait()
		require.Len(t, headers, 5)
		s := p.Stats()
		require.EqualValues(t, []uint64{2, 5, 1, 0}, []uint64{s.MessagesReceived, s.FramesReceived, s.PingsReceived, s.PongsSent})
		require.EqualValues(t, len(sent), s.BytesReceived)
	})
}

func TestWhatCameWithTheHandshakeComesFirst(t *testing.T) {
	opts := testOptions()
	large := strings.Repeat("x", 3*bufferSize)
	client := peer{mask: true}
	early := client.frame(true, frame.Text, []byte("early"))
	early = append(early, client.frame(true, frame.Text, []byte(large))...)
	cut := len(early) - 1000
	bubbleOf(t, testConfig{Options: &opts, Buffered: early[:cut]}, func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.Equal(t, text("early"), <-p.Events())
		_, err := peer.conn.Write(early[cut:])
		require.NoError(t, err)
		require.Equal(t, text(large), <-p.Events())
		peer.send(frame.Text, "then")
		require.Equal(t, text("then"), <-p.Events())
	})
}

func TestARateIsKeptOverTime(t *testing.T) {
	opts := testOptions()
	opts.Rate, opts.Burst = 1, 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		for range 10 {
			peer.send(frame.Text, "m")
			require.Equal(t, text("m"), <-p.Events())
			time.Sleep(time.Second)
		}
		peer.send(frame.Text, "m")
		require.Equal(t, text("m"), <-p.Events())
		peer.send(frame.Text, "one too many")
		requireBreach(t, p, peer, 1008, "more messages than Options.MessageRate 1 a second, burst 1")
	})
}

func TestAConnectionThatBreaksInsideAMessageIsDropped(t *testing.T) {
	for name, n := range map[string]int{"in its header": 1, "in a small rest": 90_000, "in a large rest": 10_000} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
				_, err := peer.conn.Write(peer.frame(true, frame.Binary, make([]byte, 100_000))[:n])
				require.NoError(t, err)
				peer.conn.Close()
				require.ErrorContains(t, asFailed(t, requireEnd(t, p)), "dropped by the peer")
			})
		})
	}
	t.Run("in a control frame", func(t *testing.T) {
		inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
			_, err := peer.conn.Write(peer.frame(true, frame.Ping, []byte("ping"))[:8])
			require.NoError(t, err)
			peer.conn.Close()
			require.ErrorContains(t, asFailed(t, requireEnd(t, p)), "dropped by the peer")
		})
	})
}

func TestAResetIsADroppedConnection(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	require.NoError(t, peer.conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.conn.Close())
	err := asFailed(t, <-p.Events())
	require.ErrorContains(t, err, "chanws: connection dropped: ")
	require.NotNil(t, errors.Unwrap(err))
}

// compressing gives a configuration with compression both ways, and the peer's ends of it.
func compressing() (testConfig, *deflate.Encoder, *deflate.Decoder) {
	opts := testOptions()
	opts.MaxMessageSize = 100_000
	return testConfig{Options: &opts, Compression: &Compression{
		Encoder: deflate.NewEncoder(15, true, 1), Decoder: deflate.NewDecoder(15, true), Threshold: 10,
	}}, deflate.NewEncoder(15, true, 1), deflate.NewDecoder(15, true)
}

// deflated gives a masked frame whose payload is compressed.
func deflated(fin bool, op frame.Opcode, payload []byte) []byte {
	b := (&peer{mask: true}).frame(fin, op, payload)
	b[0] |= 0x40
	return b
}

func TestBadCompressedMessagesAreBreaches(t *testing.T) {
	_, e, _ := compressing()
	pack := func(s string) []byte {
		b, smaller := e.Encode(make([]byte, 0, deflate.Bound(len(s))), []byte(s))
		require.True(t, smaller)
		return b
	}
	for name, c := range map[string]struct {
		payload []byte
		op      frame.Opcode
		code    int
	}{
		"a bomb":                     {pack(strings.Repeat("0", 100_001)), frame.Binary, 1009},
		"no deflate":                 {[]byte{0xff, 0xff, 0xff}, frame.Binary, 1007},
		"no UTF-8":                   {pack(strings.Repeat("\xff", 1000)), frame.Text, 1007},
		"over its limit on the wire": {make([]byte, compressedLimit(100_000)+1), frame.Binary, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, _ := compressing()
			bubbleOf(t, cfg, func(t *testing.T, p *Pump[any, any], peer *peer) {
				go peer.conn.Write(deflated(true, c.op, c.payload))
				h, payload, err := peer.receive()
				require.NoError(t, err)
				require.Equal(t, frame.Close, h.Opcode)
				code, _, err := frame.ParseClose(payload)
				require.NoError(t, err)
				require.Equal(t, c.code, code)
				require.Error(t, asFailed(t, requireEnd(t, p)))
			})
		})
	}
}

func TestCompressedFragmentsBecomeOneMessage(t *testing.T) {
	cfg, e, _ := compressing()
	cfg.Options.Rate, cfg.Options.Burst = 1, 2
	bubbleOf(t, cfg, func(t *testing.T, p *Pump[any, any], peer *peer) {
		message := strings.Repeat("hello ", 100)
		for range 3 {
			b, smaller := e.Encode(make([]byte, 0, 2000), []byte(message))
			require.True(t, smaller)
			sent := append(deflated(false, frame.Text, b[:3]), peer.frame(true, frame.Continuation, b[3:])...)
			_, err := peer.conn.Write(sent)
			require.NoError(t, err)
		}
		requireBreach(t, p, peer, 1008, "more messages than Options.MessageRate 1 a second, burst 2")
	})
}

func TestMessagesAreCompressedWhereItIsWorthIt(t *testing.T) {
	noise := func(size int) string {
		b := make([]byte, size)
		r := rand.NewChaCha8([32]byte{1})
		r.Read(b)
		return string(b)
	}
	for name, client := range map[string]bool{"by a server": false, "by a client": true} {
		t.Run(name, func(t *testing.T) {
			cfg, _, d := compressing()
			cfg.Client = client
			cfg.Options.FragmentSize = 30_000
			bubbleOf(t, cfg, func(t *testing.T, p *Pump[any, any], peer *peer) {
				ctx, cancel := context.WithCancel(t.Context()) // what it gives Write is copied
				defer cancel()
				for _, c := range []struct {
					message string
					smaller bool
				}{
					{"small", false},
					{strings.Repeat("small, yet worth it ", 10), true},
					{strings.Repeat("in a message of its own ", 1000), true},
					{strings.Repeat("larger than a buffer ", 3000), true},
					{noise(1000), false},
					{noise(20_000), false},
					{noise(60_000), false},
					{strings.Repeat("x", 50_000) + noise(50_000), true},
				} {
					for _, send := range []func() error{
						func() error { p.Send() <- bin(c.message); return nil },
						func() error { return p.Write(ctx, bin(c.message)) },
					} {
						sent := later(send)
						var payload []byte
						first, b, err := peer.receive()
						require.NoError(t, err)
						require.Equal(t, c.smaller, first.RSV1, "%.20q", c.message)
						payload = append(payload, b...)
						for h := first; !h.Fin; payload = append(payload, b...) {
							h, b, err = peer.receive()
							require.NoError(t, err)
							require.False(t, h.RSV1)
						}
						require.NoError(t, <-sent)
						if first.RSV1 {
							payload, err = d.Decode(payload, 200_000, newPayload)
							require.NoError(t, err)
						}
						require.True(t, c.message == string(payload), "%.20q", c.message)
					}
				}
			})
		})
	}
}

func TestAFrameThatIsNotMaskedIsABreach(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.mask = false
		peer.send(frame.Text, "bare")
		requireBreach(t, p, peer, 1002, "unmasked text frame from a client")
	})
}

// What is left at the end of the buffer moves to its beginning when more comes.
func TestAFrameThatBeginsAtTheEndOfTheBuffer(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		for begun := range 10 {
			first := strings.Repeat("x", bufferSize-8-begun)
			sent := append(peer.frame(true, frame.Text, []byte(first)), peer.frame(true, frame.Text, []byte("second"))...)
			for _, part := range [][]byte{sent[:bufferSize], sent[bufferSize:]} {
				_, err := peer.conn.Write(part)
				require.NoError(t, err)
			}
			require.Equal(t, text(first), <-p.Events())
			require.Equal(t, text("second"), <-p.Events())
		}
	})
}

func TestAMessageKeepsLittleRoomBehindIt(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write(peer.frame(false, frame.Binary, make([]byte, 8000)))
		require.NoError(t, err)
		_, err = peer.conn.Write(peer.frame(true, frame.Continuation, []byte("!")))
		require.NoError(t, err)
		got := (<-p.Events()).(bin)
		require.Len(t, got, 8001)
		require.Equal(t, byte('!'), got[8000])
		require.LessOrEqual(t, cap(got), 8001*5/4)
	})
}
