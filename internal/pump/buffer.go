package pump

import (
	"math/bits"
	"sync"
)

// bufferSize is the size of the buffers that a pump reads into and gathers frames
// in: what one call to the operating system moves when there is much to move.
const bufferSize = 32 << 10

// buffers holds those that no connection needs at the moment.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Payloads from 4 KiB to 16 MiB that the receiver gives back are kept by size class,
// a power of two each.
const (
	minRecycled = 12
	maxRecycled = 24
)

var payloads [maxRecycled - minRecycled + 1]sync.Pool

// newPayload gives a slice of length 0 that has room for size bytes.
func newPayload(size int) []byte {
	class := bits.Len(uint(size - 1))
	if size < 1<<minRecycled || class > maxRecycled {
		return make([]byte, 0, size)
	}
	if b, ok := payloads[class-minRecycled].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

// Small messages that one read has brought share an allocation. It is no larger than
// what that read brought, so a lone message has its own, and a message that is kept for
// long keeps little else from being collected.
const (
	smallPayload = 256
	slabSize     = 1 << 10
)

// keep gives the receiver's own copy of a payload that has just been decoded.
func (in *input) keep(payload []byte) []byte {
	n := len(payload)
	if n > smallPayload {
		return append(newPayload(n), payload...)
	}
	if in.slab == nil || len(in.slab) < n {
		in.slab = make([]byte, min(slabSize, n+in.end-in.start))
	}
	own := in.slab[:n:n]
	in.slab = in.slab[n:]
	copy(own, payload)
	return own
}

// Recycle takes back the bytes of a received message. It keeps only those whose
// capacity is that of a size class.
func Recycle(b []byte) {
	class := bits.Len(uint(cap(b) - 1))
	if cap(b) != 1<<class || class < minRecycled || class > maxRecycled {
		return
	}
	payloads[class-minRecycled].Put(&b)
}
