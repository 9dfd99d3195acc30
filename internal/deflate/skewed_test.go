package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// normalOf returns bytes that are normally distributed around 128, as the samples of
// sound, of pictures and of sensors are. Hardly anything repeats, and the code words of
// the rare bytes are as long as they can be.
func normalOf(seed uint64, size int, deviation float64) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(128 + r.NormFloat64()*deviation)
	}
	return b
}

// TestNormallyDistributedMessagesComeBack covers messages with the longest code words:
// several of them in a row fill the bit writer's accumulator to its last bit.
func TestNormallyDistributedMessagesComeBack(t *testing.T) {
	for _, level := range []int{1, 6} {
		for _, takeover := range []bool{false, true} {
			e := NewEncoder(15, takeover, level)
			var wire bytes.Buffer
			reader := flate.NewReader(&wire)
			for i := range uint64(30) {
				message := normalOf(i, 64<<10, 10+float64(i))
				compressed, smaller := encode(e, message)
				require.True(t, smaller)
				wire.Write(compressed)
				wire.WriteString(tail)
				got := make([]byte, len(message))
				_, err := io.ReadFull(reader, got)
				require.NoError(t, err, "level %d, takeover %v, message %d", level, takeover, i)
				require.True(t, bytes.Equal(message, got), "level %d, takeover %v, message %d", level, takeover, i)
				if !takeover {
					wire.Reset()
					require.NoError(t, reader.(flate.Resetter).Reset(&wire, nil))
				}
			}
		}
	}
}
