package frame_test

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

// FuzzParse requires that a header comes back as the bytes it was, and that more
// bytes never change an answer but from "more are needed".
func FuzzParse(f *testing.F) {
	for _, tt := range wires {
		f.Add(tt.wire)
	}
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Add([]byte{0x89, 126, 0, 126})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := frame.Parse(b)
		switch {
		case err != nil:
			var violation *frame.Error
			require.ErrorAs(t, err, &violation)
			require.Equal(t, 1002, violation.Code)
			require.Zero(t, n)
			require.Zero(t, h)
		case n == 0:
			require.Less(t, len(b), frame.MaxHeaderSize)
		default:
			require.Equal(t, b[:n], h.Append(nil))
			require.Equal(t, n, h.Size())
			require.GreaterOrEqual(t, h.Length, int64(0))
		}
		decided := false
		for i := range min(len(b), frame.MaxHeaderSize) + 1 {
			ph, pn, perr := frame.Parse(b[:i])
			if perr == nil && pn == 0 {
				require.False(t, decided, "more bytes took a decision back")
				continue
			}
			decided = true
			require.Equal(t, h, ph)
			require.Equal(t, n, pn)
			require.Equal(t, err, perr)
		}
		require.Equal(t, decided, err != nil || n > 0)
	})
}

// FuzzUTF8 requires that text chopped anyhow is judged like the whole, and at
// the byte where the reference finds the violation.
func FuzzUTF8(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text.sample), []byte{1, 2, 3, 17})
	}
	f.Add([]byte("\xed\xa0\x80 and \xf4\x90\x80\x80"), []byte{2})
	f.Fuzz(func(t *testing.T, p, sizes []byte) {
		at, _ := violatesAt(p)
		var u frame.UTF8
		for done, i := 0, 0; done < len(p); i++ {
			size := len(p) - done
			if i < len(sizes) {
				size = min(size, int(sizes[i]))
			}
			done += size
			require.Equal(t, at == 0 || done < at, u.Valid(p[done-size:done]))
		}
		require.Equal(t, utf8.Valid(p), u.Complete())
	})
}

// FuzzClose requires that a close payload comes back as the bytes it was.
func FuzzClose(f *testing.F) {
	for _, seed := range []string{"", "\x03", "\x03\xe8", "\x03\xe8bye", "\x03\xe8\xff", "\x03\xed", "\x13\x87Grüße"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		code, reason, err := frame.ParseClose(payload)
		if err == nil {
			require.True(t, code == frame.NoStatus || frame.ValidCode(code))
			require.True(t, utf8.ValidString(reason))
			require.Equal(t, string(payload), string(frame.AppendClose(nil, code, reason)))
			return
		}
		var violation *frame.Error
		require.True(t, errors.As(err, &violation))
		require.Equal(t, violation.Code == 1007, len(payload) >= 2 && frame.ValidCode(int(payload[0])<<8|int(payload[1])))
	})
}

// FuzzMask requires that a payload masked in two pieces equals the naive loop.
func FuzzMask(f *testing.F) {
	f.Add([]byte("Hello"), keyOf(wireKey), uint16(2))
	f.Add(noise(300), uint32(0xdeadbeef), uint16(131))
	f.Fuzz(func(t *testing.T, payload []byte, key uint32, at uint16) {
		want := naiveMask(payload, [4]byte{byte(key), byte(key >> 8), byte(key >> 16), byte(key >> 24)})
		cut := min(int(at), len(payload))
		before, dst := bytes.Clone(payload), make([]byte, len(payload))
		frame.MaskTo(dst[cut:], payload[cut:], frame.MaskTo(dst, payload[:cut], key))
		require.Equal(t, want, dst)
		require.True(t, bytes.Equal(before, payload))
		frame.Mask(payload[cut:], frame.Mask(payload[:cut], key))
		require.True(t, bytes.Equal(want, payload))
	})
}
