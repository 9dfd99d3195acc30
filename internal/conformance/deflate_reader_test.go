package conformance

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
	"github.com/stretchr/testify/require"
)

// reader returns a reader of the messages of one direction.
func (d direction) reader() *deflatetest.Reader {
	return &deflatetest.Reader{Window: d.window(), NoTakeover: d.fresh}
}

// The tests' own reader is held against the standard library's compressor, and the writer
// against the RFC.
func TestTheTestsOwnDeflate(t *testing.T) {
	t.Parallel()
	require.Equal(t, "\xf2\x48\xcd\xc9\xc9\x07\x00", new(packer).fixed().literals("Hello").end().message())
	require.Equal(t, "\xf2\x00\x11\x00\x00", new(packer).fixed().literals("H").match(4, 5).end().message())
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		require.NoError(t, err)
		u := direction{}.reader()
		for n := range 40 {
			b.Reset()
			s := content(n * n * n)
			_, err := io.WriteString(w, s)
			require.NoError(t, err)
			require.NoError(t, w.Flush())
			got, ok := u.Message(string(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))))
			require.True(t, ok)
			require.Equal(t, s, string(got))
		}
	}
}
