package pump

import "sync"

// bufferSize is the size of the buffers that a pump reads into and gathers frames in. It
// bounds what one call to the operating system moves.
const bufferSize = 32 << 10

// buffers holds the buffers that no connection needs at the moment.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Small messages that arrive in one read share an allocation. It is never larger than what
// the read has brought, so a single message has its own, and a message that is kept for
// long keeps little other memory alive.
const (
	smallPayload = 256
	slabSize     = 1 << 10
)

// ownCopy returns a copy of a decoded payload for the receiver.
func (in *reader) ownCopy(payload []byte) []byte {
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
