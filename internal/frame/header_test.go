package frame_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

// requireViolation requires that err is the *frame.Error with that code and
// reason.
func requireViolation(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var violation *frame.Error
	require.ErrorAs(t, err, &violation)
	require.Equal(t, frame.Error{Code: code, Reason: reason}, *violation)
}

func TestOpcodesKnowTheirNamesAndWhichOfThemControl(t *testing.T) {
	t.Parallel()
	for i, want := range []string{
		"continuation", "text", "binary", "opcode 0x3", "opcode 0x4", "opcode 0x5", "opcode 0x6", "opcode 0x7",
		"close", "ping", "pong", "opcode 0xb", "opcode 0xc", "opcode 0xd", "opcode 0xe", "opcode 0xf",
	} {
		require.Equal(t, want, frame.Opcode(i).String())
		require.Equal(t, i >= 8, frame.Opcode(i).Control(), want)
	}
}

func TestErrorTextGivesReasonAndCloseCode(t *testing.T) {
	t.Parallel()
	err := &frame.Error{Code: 1002, Reason: "reserved opcode 0x3"}
	require.EqualError(t, err, "frame: reserved opcode 0x3 (close code 1002)")
}

// wires are headers and the bytes that RFC 6455, section 5.2 gives them.
var wires = []struct {
	name   string
	header frame.Header
	wire   []byte
}{
	{"an unmasked text frame", frame.Header{Fin: true, Opcode: frame.Text, Length: 5}, []byte{0x81, 0x05}},
	{"a masked text frame, its key little-endian", frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: 0x3d21fa37, Length: 5}, []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d}},
	{"a masked frame whose key is zero", frame.Header{Fin: true, Opcode: frame.Text, Masked: true}, []byte{0x81, 0x80, 0, 0, 0, 0}},
	{"a first fragment", frame.Header{Opcode: frame.Text, Length: 3}, []byte{0x01, 0x03}},
	{"a middle fragment", frame.Header{Opcode: frame.Continuation, Length: 3}, []byte{0x00, 0x03}},
	{"a last fragment", frame.Header{Fin: true, Opcode: frame.Continuation, Length: 2}, []byte{0x80, 0x02}},
	{"a compressed message", frame.Header{Fin: true, RSV1: true, Opcode: frame.Binary, Length: 7}, []byte{0xc2, 0x07}},
	{"a close frame", frame.Header{Fin: true, Opcode: frame.Close, Length: 2}, []byte{0x88, 0x02}},
	{"a ping", frame.Header{Fin: true, Opcode: frame.Ping, Length: 5}, []byte{0x89, 0x05}},
	{"a pong of the largest size", frame.Header{Fin: true, Opcode: frame.Pong, Length: 125}, []byte{0x8a, 0x7d}},
	{"length 0", frame.Header{Fin: true, Opcode: frame.Binary}, []byte{0x82, 0x00}},
	{"length 1", frame.Header{Fin: true, Opcode: frame.Binary, Length: 1}, []byte{0x82, 0x01}},
	{"length 125, the last of 7 bits", frame.Header{Fin: true, Opcode: frame.Binary, Length: 125}, []byte{0x82, 0x7d}},
	{"length 126, the first of 16 bits", frame.Header{Fin: true, Opcode: frame.Binary, Length: 126}, []byte{0x82, 0x7e, 0, 126}},
	{"length 127", frame.Header{Fin: true, Opcode: frame.Binary, Length: 127}, []byte{0x82, 0x7e, 0, 127}},
	{"length 256", frame.Header{Fin: true, Opcode: frame.Binary, Length: 256}, []byte{0x82, 0x7e, 1, 0}},
	{"length 65535, the last of 16 bits", frame.Header{Fin: true, Opcode: frame.Binary, Length: 65535}, []byte{0x82, 0x7e, 0xff, 0xff}},
	{"length 65536, the first of 64 bits", frame.Header{Fin: true, Opcode: frame.Binary, Length: 65536}, []byte{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0}},
	{"length 2^31", frame.Header{Fin: true, Opcode: frame.Binary, Length: 1 << 31}, []byte{0x82, 0x7f, 0, 0, 0, 0, 0x80, 0, 0, 0}},
	{"length 2^63-1, the last of all", frame.Header{Fin: true, Opcode: frame.Binary, Length: math.MaxInt64}, []byte{0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	{"16 bits and a mask", frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: 0x04030201, Length: 256}, []byte{0x82, 0xfe, 1, 0, 1, 2, 3, 4}},
	{"64 bits and a mask, the largest header", frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: 0x04030201, Length: 65536}, []byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}},
}

func TestHeaderGoesOnTheWireAndComesBack(t *testing.T) {
	t.Parallel()
	for _, tt := range wires {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.wire, tt.header.Append(nil))
			require.Equal(t, append([]byte("before"), tt.wire...), tt.header.Append([]byte("before")))
			require.Equal(t, len(tt.wire), tt.header.Size())
			require.LessOrEqual(t, len(tt.wire), frame.MaxHeaderSize)

			h, n, err := frame.Parse(append(tt.wire[:len(tt.wire):len(tt.wire)], "payload"...))
			require.NoError(t, err)
			require.Equal(t, len(tt.wire), n)
			require.Equal(t, tt.header, h)
		})
	}
}

func TestParseNeedsMoreUntilTheHeaderIsWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range wires {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i := range tt.wire {
				h, n, err := frame.Parse(tt.wire[:i])
				require.NoError(t, err, "%d bytes", i)
				require.Zero(t, n, "%d bytes", i)
				require.Zero(t, h, "%d bytes", i)
			}
			_, n, err := frame.Parse(tt.wire)
			require.NoError(t, err)
			require.Equal(t, len(tt.wire), n)
		})
	}
}

func TestParseTakesEveryOpcodeThatIsNotReserved(t *testing.T) {
	t.Parallel()
	for _, o := range []frame.Opcode{frame.Continuation, frame.Text, frame.Binary, frame.Close, frame.Ping, frame.Pong} {
		for _, rsv1 := range []bool{false, true} {
			want := frame.Header{Fin: true, RSV1: rsv1, Opcode: o, Length: 3}
			h, n, err := frame.Parse(want.Append(nil))
			require.NoError(t, err)
			require.Equal(t, 2, n)
			require.Equal(t, want, h)
		}
	}
}

func TestParseReportsAViolationAtItsEarliestByte(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		wire   []byte
		at     int // the bytes that show the violation
		reason string
	}{
		{"RSV2", []byte{0xa1, 0x00}, 1, "RSV2 set without an extension"},
		{"RSV3", []byte{0x91, 0x00}, 1, "RSV3 set without an extension"},
		{"RSV2 before all else", []byte{0x33, 0x00}, 1, "RSV2 set without an extension"},
		{"a fragmented close frame", []byte{0x08, 0x00}, 1, "fragmented close frame"},
		{"a fragmented ping", []byte{0x09, 0x80, 1, 2, 3, 4}, 1, "fragmented ping frame"},
		{"a fragmented pong", []byte{0x0a, 0x00}, 1, "fragmented pong frame"},
		{"a reserved control opcode, fragmented", []byte{0x0b, 0x00}, 1, "reserved opcode 0xb"},
		{"a close frame of 126 bytes", []byte{0x88, 126, 0, 126}, 2, "close frame of more than 125 bytes (16-bit length)"},
		{"a masked ping of 126 bytes", []byte{0x89, 0xfe, 0, 126, 1, 2, 3, 4}, 2, "ping frame of more than 125 bytes (16-bit length)"},
		{"a pong of 65536 bytes", []byte{0x8a, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 2, "pong frame of more than 125 bytes (64-bit length)"},
		{"length 0 in 16 bits", []byte{0x82, 126, 0, 0}, 4, "length 0 not in its shortest form (16 bits)"},
		{"length 125 in 16 bits", []byte{0x82, 126, 0, 125}, 4, "length 125 not in its shortest form (16 bits)"},
		{"length 125 in 16 bits, masked", []byte{0x82, 0xfe, 0, 125, 1, 2, 3, 4}, 4, "length 125 not in its shortest form (16 bits)"},
		{"length 0 in 64 bits", []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0}, 8, "length below 65536 not in its shortest form (64 bits)"},
		{"length 126 in 64 bits", []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 126}, 8, "length below 65536 not in its shortest form (64 bits)"},
		{"length 65535 in 64 bits", []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 8, "length below 65536 not in its shortest form (64 bits)"},
		{"length 2^63", []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, 3, "64-bit length with its top bit set"},
		{"length 2^64-1", []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 3, "64-bit length with its top bit set"},
	}
	for _, o := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		tests = append(tests, struct {
			name   string
			wire   []byte
			at     int
			reason string
		}{fmt.Sprintf("reserved opcode %d", o), []byte{0x80 | o, 0x00}, 1, fmt.Sprintf("reserved opcode 0x%x", o)})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i := range len(tt.wire) + 1 {
				h, n, err := frame.Parse(tt.wire[:i])
				require.Zero(t, n, "%d bytes", i)
				require.Zero(t, h, "%d bytes", i)
				if i < tt.at {
					require.NoError(t, err, "%d bytes", i)
					continue
				}
				requireViolation(t, err, 1002, tt.reason)
			}
		})
	}
}

func TestEveryReasonFitsACloseFrame(t *testing.T) {
	t.Parallel()
	for first := range 256 {
		for second := range 256 {
			for _, fill := range []byte{0, 0xff} {
				_, _, err := frame.Parse([]byte{byte(first), byte(second), fill, fill, fill, fill, fill, fill, fill, fill, fill, fill, fill, fill})
				if err == nil {
					continue
				}
				if reason := err.(*frame.Error).Reason; reason == "" || len(reason) > frame.MaxControlPayload-2 {
					t.Fatalf("%#x %#x: reason %q", first, second, reason)
				}
			}
		}
	}
}

func TestHeadersAllocateNothing(t *testing.T) {
	buf := make([]byte, 0, frame.MaxHeaderSize)
	s := frame.Sequence{}
	for _, tt := range wires {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			buf = tt.header.Append(buf[:0])
			h, _, _ := frame.Parse(buf)
			h.Masked, h.RSV1 = false, false
			h.Opcode, h.Fin = frame.Text, true
			_ = s.Next(h)
		}), tt.name)
	}
}
