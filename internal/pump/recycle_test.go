package pump

import (
	"fmt"
	"net"
	"testing"
	"unsafe"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestRoomForAPayload(t *testing.T) {
	for _, size := range []int{0, 1, minRecycled - 1, minRecycled, 5000, skewed, 100_000, 1 << 20, maxRecycled, maxRecycled + 1} {
		for range 3 {
			b := newPayload(size)
			require.NotNil(t, b)
			require.Empty(t, b)
			require.GreaterOrEqual(t, cap(b), size)
			require.LessOrEqual(t, cap(b), size+size/4)
			if size >= skewed {
				require.False(t, copiesSlowly(b, 10), "%d", size)
			}
			Recycle(b)
		}
	}
	for _, odd := range [][]byte{nil, {}, make([]byte, 10), make([]byte, maxRecycled+1)} {
		Recycle(odd) // goes nowhere, harms nothing
	}
}

// A class holds what is at least as large as its smallest size.
func TestPayloadsAreKeptByClass(t *testing.T) {
	require.Equal(t, minClass, classOf(minRecycled))
	require.Equal(t, minClass+classes-1, classOf(maxRecycled))
	last := minClass
	for size := minRecycled; size <= maxRecycled; size += 512 {
		class := classOf(size)
		require.LessOrEqual(t, last, class)
		require.LessOrEqual(t, class, last+1, "%d", size)
		last = class
	}
}

func TestSlowCopiesAreKnownByTheirAddresses(t *testing.T) {
	page := make([]byte, 3*4096)
	start := -int(uintptr(unsafe.Pointer(&page[0]))%4096) + 4096
	require.True(t, copiesSlowly(page[start:], 10))
	require.False(t, copiesSlowly(page[start:], 0))
	require.False(t, copiesSlowly(page[start:], 32))
	require.True(t, copiesSlowly(page[start:], 4096+10))
	require.True(t, copiesSlowly(page[start+100:], 110))
	require.False(t, copiesSlowly(page[start+100:], 90))
}

// Whether a large payload is copied on its way or not, the same bytes come.
func TestLargePayloadsFromAnyAddress(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	const size = 150_000
	memory := make([]byte, size+8192)
	for i := range memory {
		memory[i] = byte(i * i >> 8)
	}
	start := -int(uintptr(unsafe.Pointer(&memory[0]))%4096) + 4096
	for _, offset := range []int{0, 5, 64, 2048} {
		payload := memory[start+offset:][:size]
		p.Send() <- bin(payload)
		h, got, err := peer.receive()
		require.NoError(t, err)
		require.Equal(t, frame.Binary, h.Opcode)
		require.True(t, string(payload) == string(got), "%d", offset)
	}
}

// BenchmarkVectoredWrite shows what it costs to write a payload that begins a page, and
// why payloads that are made here do not: see skew.
func BenchmarkVectoredWrite(b *testing.B) {
	for _, skew := range []int{0, skew} {
		b.Run(fmt.Sprintf("skew=%d", skew), func(b *testing.B) {
			to, from := tcpPair(b)
			page := make([]byte, 1<<20)
			start := -int(uintptr(unsafe.Pointer(&page[0]))%4096) + 4096 + skew
			payload := page[start : start+64<<10]
			header, in := make([]byte, 10), make([]byte, 1<<20)
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				buffers := net.Buffers{header, payload}
				n, err := buffers.WriteTo(to)
				require.NoError(b, err)
				for n > 0 {
					k, err := from.Read(in)
					require.NoError(b, err)
					n -= int64(k)
				}
			}
		})
	}
}
