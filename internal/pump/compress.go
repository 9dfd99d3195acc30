package pump

import (
	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
)

// Compression is what the handshake has negotiated, RFC 7692. The write pump owns the
// encoder, the read pump the decoder.
type Compression struct {
	Encoder *deflate.Encoder
	Decoder *deflate.Decoder
	// Threshold is the smallest size of a message to compress, in bytes.
	Threshold int
}

// maxInBatch is the largest message that is compressed into the batch itself, so that many
// small messages are still written with one call.
const maxInBatch = bufferSize / 2

// compresses reports whether to compress a message. An empty one could only grow.
func (p *pump) compresses(m *Outgoing) bool {
	return p.compression != nil && !m.Opcode.Control() && len(m.Payload) >= max(p.compression.Threshold, 1)
}

// writeCompressed gathers a message compressed. If compression does not make it smaller,
// done is false, and neither the batch nor the encoder's window has changed.
func (p *pump) writeCompressed(m *Outgoing, w *writeRequest) (done bool, err error) {
	if p.controlPending() {
		if err := p.writeControl(); err != nil {
			return false, err
		}
	}
	source := m.Payload
	if w != nil && w.cancellable {
		if n := len(source); n <= bufferSize {
			lent := buffers.Get().(*[bufferSize]byte)
			defer buffers.Put(lent)
			source = lent[:n]
		} else {
			source = newPayload(n)[:n]
			defer Recycle(source)
		}
		p.borrow(source, w)
	}
	if n := len(source); n <= maxInBatch && int64(n) <= p.opts.FragmentSize {
		return p.compressIntoBatch(m.Opcode, source)
	}
	room := newPayload(deflate.Bound(len(source)))
	defer Recycle(room)
	compressed, smaller := p.compression.Encoder.Encode(room, source)
	if !smaller {
		return false, nil
	}
	return true, p.writeFragments(m.Opcode, compressed, true, nil)
}

// borrow copies the payload of a request that may be withdrawn at any time. It copies
// piece by piece, so that nobody waits for mu for long.
func (p *pump) borrow(b []byte, w *writeRequest) {
	for done := 0; done < len(b); {
		p.mu.Lock()
		done += copy(b[done:min(len(b), done+bufferSize)], w.rest[done:])
		p.mu.Unlock()
	}
}

// compressIntoBatch gathers a message as one frame. The payload is compressed into the
// batch and masked in place.
func (p *pump) compressIntoBatch(opcode frame.Opcode, source []byte) (done bool, err error) {
	out := &p.out
	h := frame.Header{Fin: true, RSV1: true, Opcode: opcode, Length: int64(len(source)), Masked: p.client}
	reserved := h.Size()
	if bufferSize-len(out.batch) < reserved+deflate.Bound(len(source)) {
		if err := p.flush(); err != nil {
			return false, err
		}
	}
	p.getBatch()
	start := len(out.batch)
	batch, smaller := p.compression.Encoder.Encode(out.batch[:start+reserved], source)
	if !smaller {
		return false, nil
	}
	payload := batch[start+reserved:]
	h.Length = int64(len(payload))
	if p.client {
		h.Key = out.keys.next()
	}
	out.batch = h.Append(out.batch)
	out.batch = append(out.batch, payload...) // in place, unless the header got shorter
	if p.client {
		frame.Mask(out.batch[len(out.batch)-len(payload):], h.Key)
	}
	out.other = true
	out.gathered.frames++
	p.traceSent(h)
	return true, nil
}
