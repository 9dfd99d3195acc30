package pump

import "sync"

// bufferSize is the size of the buffers that a pump reads into and gathers frames
// in: what one call to the operating system moves when there is much to move.
const bufferSize = 32 << 10

// buffers holds those that no connection needs at the moment.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

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
