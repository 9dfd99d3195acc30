package pump

import (
	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
)

// Compression is what the handshake has agreed on, RFC 7692. The pumps own both ends:
// the write pump the encoder, the read pump the decoder.
type Compression struct {
	Encoder *deflate.Encoder
	Decoder *deflate.Decoder
	// Threshold is the size from which a message is worth it, in bytes.
	Threshold int
}

// maxInBatch is the size up to which a message is compressed into the batch itself,
// so that many small ones still go out with one call.
const maxInBatch = bufferSize / 2

// compresses reports whether a message is to be compressed. An empty message could only
// grow.
func (p *Pump[E, M]) compresses(m *Outgoing) bool {
	return p.compression != nil && !m.Opcode.Control() && len(m.Payload) >= max(p.compression.Threshold, 1)
}

// writeCompressed gathers a message compressed. When that would not make it smaller,
// done is false, and neither the batch nor the encoder's window has changed.
func (p *Pump[E, M]) writeCompressed(m *Outgoing, e *entry) (done bool, err error) {
	if p.attention.Load() {
		if err := p.boundary(); err != nil {
			return false, err
		}
	}
	source := m.Payload
	if e != nil && e.copied {
		if n := len(source); n <= bufferSize {
			lent := buffers.Get().(*[bufferSize]byte)
			defer buffers.Put(lent)
			source = lent[:n]
		} else {
			source = newPayload(n)[:n]
			defer Recycle(source)
		}
		p.borrow(source, e)
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
	return true, p.writeFragments(&Outgoing{Opcode: m.Opcode, Payload: compressed, compressed: true}, nil)
}

// borrow copies the payload of an entry that may be taken back at any time, a piece at
// a time: nobody else must wait for mu long.
func (p *Pump[E, M]) borrow(b []byte, e *entry) {
	for done := 0; done < len(b); {
		p.mu.Lock()
		done += copy(b[done:min(len(b), done+bufferSize)], e.rest[done:])
		p.mu.Unlock()
	}
}

// compressIntoBatch gathers a message as one frame, its payload compressed where it is
// to be written. Masking follows in place.
func (p *Pump[E, M]) compressIntoBatch(opcode frame.Opcode, source []byte) (done bool, err error) {
	out := &p.out
	h := frame.Header{Fin: true, RSV1: true, Opcode: opcode, Length: int64(len(source)), Masked: p.client}
	reserved := h.Size()
	if bufferSize-len(out.batch) < reserved+deflate.Bound(len(source)) {
		if err := p.flush(); err != nil {
			return false, err
		}
	}
	p.hold()
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
	out.batch = append(out.batch, payload...) // where it is, but for a header that got shorter
	if p.client {
		frame.Mask(out.batch[len(out.batch)-len(payload):], h.Key)
	}
	out.other = true
	out.gathered.frames++
	p.traceSent(h)
	return true, nil
}
