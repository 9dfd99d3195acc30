package pump

import "github.com/chanws/chanws/internal/frame"

var errInvalidUTF8 = &frame.Error{Code: 1007, Reason: "text message is not valid UTF-8"}

// assembly is a message that arrives in parts: in fragments, or in a frame that one read
// does not complete.
type assembly struct {
	opcode     frame.Opcode
	compressed bool
	payload    []byte
	text       frame.UTF8
}

// directRead is how many bytes of a frame must be missing for them to be read directly into
// the message. Fewer are read into the buffer, together with the frames that follow.
const directRead = bufferSize / 2

// firstPayload bounds the memory that is allocated for a message before any of it has
// arrived, because a header can claim any length.
const firstPayload = 64 << 10

// readPart reads a frame's payload as it arrives, and delivers the message if this was its
// last frame.
func (p *pump) readPart(h frame.Header) error {
	in := &p.in
	m := &in.message
	if h.Opcode != frame.Continuation {
		m.opcode, m.compressed = h.Opcode, h.RSV1
	}
	key := h.Key
	p.frameInParts.Store(true)
	defer p.frameComplete()
	for left := h.Length; left > 0; {
		if n := min(int64(in.end-in.start), left); n > 0 {
			m.reserve(left, int(n))
			m.payload = append(m.payload, in.buf[in.start:in.start+int(n)]...)
			in.start += int(n)
			left -= n
			var err error
			if key, err = m.accept(int(n), h.Masked, key); err != nil {
				return err
			}
			continue
		}
		if left < directRead {
			if err := p.fill(); err != nil {
				return err
			}
			p.noteActivity()
			continue
		}
		m.reserve(left, 1)
		p.counters.in.publish(&in.counts)
		room := m.payload[len(m.payload):min(int64(cap(m.payload)), int64(len(m.payload))+left)]
		n, err := in.readInto(room)
		if err != nil {
			return err
		}
		p.noteActivity()
		m.payload = m.payload[:len(m.payload)+n]
		left -= int64(n)
		if key, err = m.accept(n, h.Masked, key); err != nil {
			return err
		}
	}
	if !h.Fin {
		return nil
	}
	return p.readAssembled()
}

// readAssembled delivers a message whose last frame is complete.
func (p *pump) readAssembled() error {
	m := p.in.message
	p.in.message = assembly{}
	if m.compressed {
		err := p.readCompressed(m.opcode, m.payload)
		Recycle(m.payload)
		return err
	}
	if m.opcode == frame.Text && !m.text.Complete() {
		return errInvalidUTF8
	}
	if skip, err := p.countMessage(); skip {
		return err
	}
	return p.deliverOwned(m.opcode, m.payload)
}

// reserve makes room for n more bytes of the left bytes that the frame still has. It never
// allocates more than firstPayload or a multiple of what has arrived, and grows by at least
// half, so that many small fragments take linear time.
func (m *assembly) reserve(left int64, n int) {
	if cap(m.payload)-len(m.payload) >= n {
		return
	}
	had := int64(len(m.payload))
	want := max(min(left, max(firstPayload, 3*had)), had/2)
	grown := newPayload(len(m.payload) + max(int(want), n))
	old := m.payload
	m.payload = append(grown, old...)
	Recycle(old)
}

// accept unmasks and checks the last n bytes as soon as they are there. RFC 6455 section
// 8.1 allows failing early.
func (m *assembly) accept(n int, masked bool, key uint32) (uint32, error) {
	fresh := m.payload[len(m.payload)-n:]
	if masked {
		key = frame.Mask(fresh, key)
	}
	if m.opcode == frame.Text && !m.compressed && !m.text.Valid(fresh) {
		return key, errInvalidUTF8
	}
	return key, nil
}
