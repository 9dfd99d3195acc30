package rawpeer

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// The examples of RFC 6455, section 5.7, have another masking key; unmasked they are
// the same bytes.
func TestEncodeGivesAFrameAsItGoesOverTheWire(t *testing.T) {
	require.Equal(t, []byte("\x81\x05Hello"), Encode(false, true, frame.Text, []byte("Hello")))
	require.Equal(t, []byte("\x01\x03Hel"), Encode(false, false, frame.Text, []byte("Hel")))
	require.Equal(t, []byte("\x80\x02lo"), Encode(false, true, frame.Continuation, []byte("lo")))
	masked := Encode(true, true, frame.Text, []byte("Hello"))
	require.Equal(t, []byte{0x81, 0x85}, masked[:2])
	key := masked[2:6]
	for i, c := range masked[6:] {
		require.Equal(t, "Hello"[i], c^key[i%4])
	}
}

func TestNextGivesFramesHoweverTheirBytesCome(t *testing.T) {
	var wire []byte
	wire = append(wire, Encode(true, true, frame.Text, []byte("one"))...)
	wire = append(wire, Encode(false, false, frame.Binary, bytes.Repeat([]byte("x"), 100_000))...)
	wire = append(wire, Encode(true, true, frame.Ping, nil)...)
	for name, r := range map[string]io.Reader{
		"at once":           bytes.NewReader(wire),
		"byte by byte":      iotest.OneByteReader(bytes.NewReader(wire)),
		"with the error":    iotest.DataErrReader(bytes.NewReader(wire)),
		"some at each read": iotest.HalfReader(bytes.NewReader(wire)),
	} {
		t.Run(name, func(t *testing.T) {
			var ahead []byte
			h, payload, err := Next(r, &ahead)
			require.NoError(t, err)
			require.True(t, h.Fin && h.Masked && h.Opcode == frame.Text)
			require.Equal(t, "one", string(payload))
			h, payload, err = Next(r, &ahead)
			require.NoError(t, err)
			require.True(t, !h.Fin && !h.Masked && h.Opcode == frame.Binary)
			require.True(t, bytes.Equal(payload, bytes.Repeat([]byte("x"), 100_000)))
			h, payload, err = Next(r, &ahead)
			require.NoError(t, err)
			require.Equal(t, frame.Ping, h.Opcode)
			require.Empty(t, payload)
			require.Empty(t, ahead)
			_, _, err = Next(r, &ahead)
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestNextTellsWhatIsWrong(t *testing.T) {
	var ahead []byte
	_, _, err := Next(bytes.NewReader([]byte{0xff, 0xff}), &ahead)
	var breach *frame.Error
	require.ErrorAs(t, err, &breach)
	require.Equal(t, 1002, breach.Code)

	ahead = nil
	broken := errors.New("broken")
	_, _, err = Next(io.MultiReader(bytes.NewReader([]byte("\x81\x05Hel")), iotest.ErrReader(broken)), &ahead)
	require.ErrorIs(t, err, broken)
	require.Equal(t, "\x81\x05Hel", string(ahead), "half a frame stays")
}
