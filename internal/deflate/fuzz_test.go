package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
	"github.com/stretchr/testify/require"
)

// FuzzDecode compares what becomes of arbitrary data with the tests' own reader, which
// accepts the same, and with the standard library: what it can read to the end reads the
// same here.
func FuzzDecode(f *testing.F) {
	for _, message := range conversation()[:10] {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6} {
			f.Add(byStandard(f, level, message), byte(15))
		}
		compressed, _ := encode(NewEncoder(9, false, 6), message)
		f.Add(compressed, byte(9))
	}
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), byte(8))
	f.Fuzz(func(t *testing.T, compressed []byte, bits byte) {
		bits = MinWindowBits + bits%8
		const limit = 1 << 20
		got, err := NewDecoder(int(bits), false).Decode(compressed, limit, none)
		if err == nil {
			require.LessOrEqual(t, len(got), limit)
		} else if err != ErrTooLarge {
			require.ErrorIs(t, err, ErrCorrupt)
		}
		if err != ErrTooLarge {
			own := deflatetest.Reader{Window: 1 << bits, NoTakeover: true, Lax: true}
			message, ok := own.Message(string(compressed))
			require.Equal(t, ok, err == nil)
			require.True(t, err != nil || bytes.Equal(message, got))
		}
		const end = "\x01\x00\x00\xff\xff" // an empty final block
		wire := bytes.NewReader(append(append([]byte(nil), compressed...), tail+end...))
		theirs, theirErr := io.ReadAll(io.LimitReader(flate.NewReader(wire), limit+1))
		if theirErr != nil || len(theirs) > limit {
			return
		}
		if err == nil {
			require.True(t, bytes.HasPrefix(got, theirs), "more may follow what ends a stream there")
		}
		before, _ := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(compressed)), limit+1))
		if len(before) < len(theirs) {
			return // a block cut short, which the tail that is added happens to complete
		}
		if wire.Len() == 0 && bits == MaxWindowBits {
			require.NoError(t, err)
			require.Len(t, got, len(theirs))
		}
	})
}

// FuzzRoundTrip sends two messages through one encoder, several times, and back.
func FuzzRoundTrip(f *testing.F) {
	for i, message := range conversation()[:10] {
		f.Add(message, jsonOf(uint64(i), 300), byte(i), byte(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, bits, level byte, takeover bool) {
		bits, level = MinWindowBits+bits%8, MinLevel+level%9
		e, d := NewEncoder(int(bits), takeover, int(level)), NewDecoder(int(bits), takeover)
		var stream bytes.Buffer
		reader := flate.NewReader(&stream)
		for _, message := range [][]byte{one, two, one, append(append([]byte(nil), two...), one...), two} {
			compressed, smaller := encode(e, message)
			if !smaller {
				continue
			}
			got, err := d.Decode(compressed, 1<<30, none)
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, got))

			stream.Write(compressed)
			stream.WriteString(tail)
			got = make([]byte, len(message))
			_, err = io.ReadFull(reader, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, got), "as the standard library sees it")
		}
	})
}
