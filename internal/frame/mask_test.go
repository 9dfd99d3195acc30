package frame_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

// naiveMask is the loop of RFC 6455, section 5.3.
func naiveMask(b []byte, key [4]byte) []byte {
	masked := make([]byte, len(b))
	for i, c := range b {
		masked[i] = c ^ key[i%4]
	}
	return masked
}

// keyOf reads a key from the wire as Parse does.
func keyOf(wire [4]byte) uint32 {
	return uint32(wire[0]) | uint32(wire[1])<<8 | uint32(wire[2])<<16 | uint32(wire[3])<<24
}

// rotated returns the key for the bytes that follow n others.
func rotated(wire [4]byte, n int) uint32 {
	return keyOf([4]byte{wire[n%4], wire[(n+1)%4], wire[(n+2)%4], wire[(n+3)%4]})
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var wireKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func TestMaskUnmasksTheExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	b := []byte{0x7f, 0x9f, 0x4d, 0x51, 0x58} // RFC 6455, section 5.7
	frame.Mask(b, keyOf(wireKey))
	require.Equal(t, "Hello", string(b))
}

func TestMaskEqualsTheNaiveLoopAtEveryOffsetAndLength(t *testing.T) {
	t.Parallel()
	lengths := []int{1023, 1024, 1025, 4096, 65539}
	for n := range 301 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		for offset := range 8 {
			buf := noise(n + 16)
			src := buf[offset : offset+n]
			want := bytes.Clone(buf)
			copy(want[offset:], naiveMask(src, wireKey))

			to := bytes.Repeat([]byte{0xAA}, n+16)
			before := bytes.Clone(buf)
			next := frame.MaskTo(to[8-offset:], src, keyOf(wireKey))
			require.Equal(t, rotated(wireKey, n), next)
			require.Equal(t, before, buf, "MaskTo changed its source")
			require.Equal(t, want[offset:offset+n], to[8-offset:8-offset+n])
			require.Equal(t, bytes.Repeat([]byte{0xAA}, 8-offset), to[:8-offset], "MaskTo wrote before its destination")
			require.Equal(t, bytes.Repeat([]byte{0xAA}, 8+offset), to[8-offset+n:], "MaskTo wrote behind the source's length")

			require.Equal(t, rotated(wireKey, n), frame.Mask(src, keyOf(wireKey)))
			require.Equal(t, want, buf, "offset %d, length %d", offset, n)
		}
	}
}

func TestMaskToMayWriteWhereItReads(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		b := noise(n)
		want := naiveMask(b, wireKey)
		frame.MaskTo(b, b, keyOf(wireKey))
		require.Equal(t, want, b)
	}
}

func TestMaskToPanicsRatherThanMaskHalf(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 20, 200} {
		dst := make([]byte, n+8)
		require.Panics(t, func() { frame.MaskTo(dst[:n-1], noise(n), 1) })
		require.Equal(t, make([]byte, n+8), dst)
	}
}

func TestMaskingInPiecesEqualsMaskingAtOnce(t *testing.T) {
	t.Parallel()
	for first := range 80 {
		for second := range 20 {
			b := noise(150)
			want := naiveMask(b, wireKey)
			key := frame.Mask(b[:first], keyOf(wireKey))
			key = frame.MaskTo(b[first:first+second], b[first:first+second], key)
			frame.Mask(b[first+second:], key)
			require.Equal(t, want, b, "cut at %d and %d", first, first+second)
		}
	}
}

func TestMaskingTwiceGivesThePayloadBack(t *testing.T) {
	t.Parallel()
	b := noise(1000)
	want := bytes.Clone(b)
	frame.Mask(b, 0xdeadbeef)
	require.NotEqual(t, want, b)
	frame.Mask(b, 0xdeadbeef)
	require.Equal(t, want, b)
}
