package chanws_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// Every kind of malformed frame, against both sides: the peer gets the right close
// code, the user an Error that names what was wrong, and what came before is kept.
var malformed = []struct {
	name  string
	bytes func(p *rawPeer) []byte
	code  chanws.StatusCode
	want  string
}{
	{"RSV1 without compression", first(0xc1), 1002, "RSV1"},
	{"RSV2", first(0xa1), 1002, "RSV2"},
	{"RSV3", first(0x91), 1002, "RSV3"},
	{"reserved data opcode", first(0x83), 1002, "reserved opcode 0x3"},
	{"reserved control opcode", first(0x8b), 1002, "reserved opcode 0xb"},
	{"fragmented ping", first(0x09), 1002, "fragmented ping"},
	{"fragmented close", first(0x08), 1002, "fragmented close"},
	{"continuation of nothing", first(0x80), 1002, "continuation"},
	{"ping of 126 bytes", whole(frame.Ping, strings.Repeat("p", 126)), 1002, "ping frame of more than 125 bytes"},
	{"close of 126 bytes", whole(frame.Close, "\x03\xe8"+strings.Repeat("r", 124)), 1002, "close frame of more than 125 bytes"},
	{"new message inside a message", func(p *rawPeer) []byte {
		return append(p.encode(false, frame.Text, []byte("a")), p.encode(true, frame.Text, []byte("b"))...)
	}, 1002, "text frame"},
	{"wrong masking for the role", func(p *rawPeer) []byte {
		other := rawPeer{client: !p.client}
		return other.encode(true, frame.Text, []byte("x"))
	}, 1002, "mask"},
	{"16-bit length of 125", func(p *rawPeer) []byte { return []byte{0x82, 126 | p.maskBit(), 0, 125, 0, 0, 0, 0} }, 1002, "length 125 not in its shortest form"},
	{"64-bit length of 65535", func(p *rawPeer) []byte {
		return []byte{0x82, 127 | p.maskBit(), 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}
	}, 1002, "not in its shortest form"},
	{"64-bit length with the top bit", func(p *rawPeer) []byte { return []byte{0x82, 127 | p.maskBit(), 0x80} }, 1002, "top bit"},
	{"text that is not UTF-8", whole(frame.Text, "a\xffb"), 1007, "not valid UTF-8"},
	{"text that ends inside a character", whole(frame.Text, "a\xe2\x82"), 1007, "not valid UTF-8"},
	{"text with a surrogate over fragments", func(p *rawPeer) []byte {
		return append(p.encode(false, frame.Text, []byte("\xed")), p.encode(false, frame.Continuation, []byte("\xa0"))...)
	}, 1007, "not valid UTF-8"},
	{"large text that fails fast", func(p *rawPeer) []byte {
		b := p.encode(true, frame.Text, []byte(strings.Repeat("\xc0", 1<<19)))
		return b[:100] // the rest never comes
	}, 1007, "not valid UTF-8"},
	{"close of one byte", whole(frame.Close, "x"), 1002, "close"},
	{"close code 0", whole(frame.Close, "\x00\x00"), 1002, "0"},
	{"close code 1004", whole(frame.Close, "\x03\xec"), 1002, "1004"},
	{"close code 1005", whole(frame.Close, "\x03\xed"), 1002, "1005"},
	{"close code 1006", whole(frame.Close, "\x03\xee"), 1002, "1006"},
	{"close code 1015", whole(frame.Close, "\x03\xf7"), 1002, "1015"},
	{"close code 2999", whole(frame.Close, "\x0b\xb7"), 1002, "2999"},
	{"close code 5000", whole(frame.Close, "\x13\x88"), 1002, "5000"},
	{"close reason that is not UTF-8", whole(frame.Close, "\x03\xe8\xff"), 1007, "UTF-8"},
	{"frame above MaxFrameSize", whole(frame.Binary, strings.Repeat("f", 1<<19+1)), 1009, "frame of 524289 bytes, more than Options.MaxFrameSize 524288"},
	{"message above MaxMessageSize", func(p *rawPeer) []byte {
		half := p.encode(false, frame.Binary, make([]byte, 1<<19))
		return append(append(half, p.encode(false, frame.Continuation, make([]byte, 1<<19))...),
			p.encode(true, frame.Continuation, []byte("x"))...)
	}, 1009, "message of 1048577 bytes, more than Options.MaxMessageSize 1048576"},
	{"length of 2^62 bytes", func(p *rawPeer) []byte {
		return []byte{0x82, 127 | p.maskBit(), 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	}, 1009, "frame of 4611686018427387904 bytes"},
}

func first(b byte) func(*rawPeer) []byte {
	return func(p *rawPeer) []byte { return []byte{b, p.maskBit(), 0, 0, 0, 0} }
}

func whole(op frame.Opcode, payload string) func(*rawPeer) []byte {
	return func(p *rawPeer) []byte { return p.encode(true, op, []byte(payload)) }
}

func (p *rawPeer) maskBit() byte {
	if p.client {
		return 0x80
	}
	return 0
}

func TestMalformedFramesAreAnsweredAndNamed(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, c := range malformed {
			t.Run(fmt.Sprintf("%s/server=%v", c.name, server), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, bare := openMemory(t, server, chanws.Options{MaxFrameSize: 1 << 19})
					peer := newRawPeer(t, bare, server)
					go func() {
						peer.send(frame.Text, "before")
						peer.write(c.bytes(peer))
					}()
					var got []chanws.Event
					for ev := range conn.Events() {
						got = append(got, ev)
					}
					require.Len(t, got, 2)
					require.Equal(t, chanws.Text("before"), got[0])
					var p *chanws.ProtocolError
					require.ErrorAs(t, got[1].(chanws.Error), &p)
					require.Equal(t, c.code, p.Code)
					require.Contains(t, p.Reason, c.want)
					require.EqualValues(t, -1, chanws.CloseStatus(conn.Err()))
					peer.expectClose(int(c.code), p.Reason)
					peer.expectEOF()
					require.NoError(t, conn.CloseNow())
				})
			})
		}
	}
}

func TestFramesMayBeChoppedAnywhere(t *testing.T) {
	var want []chanws.Event
	var stream []byte
	encoder := rawPeer{client: true}
	add := func(ev chanws.Event, op frame.Opcode, payload string) {
		want = append(want, ev)
		stream = append(stream, encoder.encode(true, op, []byte(payload))...)
	}
	add(chanws.Text("grüße €𝄞"), frame.Text, "grüße €𝄞")
	add(chanws.Ping("ping"), frame.Ping, "ping")
	add(chanws.Binary(bytes.Repeat([]byte{7}, 300)), frame.Binary, strings.Repeat("\a", 300))
	stream = append(stream, encoder.encode(false, frame.Text, []byte("\xe2"))...)
	add(chanws.Pong("pong"), frame.Pong, "pong")
	stream = append(stream, encoder.encode(true, frame.Continuation, []byte("\x82\xac"))...)
	want = append(want, chanws.Text("€"))
	add(chanws.Close{Code: 1000, Reason: "€"}, frame.Close, "\x03\xe8€")
	for _, chop := range []int{1, 2, 3, 5, 7, 13, 64, 101} {
		t.Run(fmt.Sprint(chop, " bytes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, chanws.Options{})
				go func() {
					for b := stream; len(b) > 0; {
						n := min(chop, len(b))
						peer.write(b[:n])
						b = b[n:]
						synctest.Wait()
					}
				}()
				var got []chanws.Event
				for ev := range conn.Events() {
					got = append(got, ev)
				}
				require.Equal(t, want, got)
			})
		})
	}
}

func TestAClaimedLengthSetsNoMemoryAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const huge = 1 << 40
		conn, peer := rawPair(t, chanws.Options{MaxMessageSize: -1})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h := frame.Header{Fin: true, Opcode: frame.Binary, Length: huge, Masked: true}
		peer.write(append(h.Append(nil), "little"...))
		synctest.Wait()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		peer.drop()
		require.ErrorIs(t, (<-conn.Events()).(error), io.ErrUnexpectedEOF)
	})
}
