package pump

import "github.com/chanws/chanws/internal/frame"

var errInvalidUTF8 = &frame.Error{Code: 1007, Reason: "text message is not valid UTF-8"}

// assembly is a message that comes in pieces: in fragments, or in a frame larger
// than what one read brings.
type assembly struct {
	opcode     frame.Opcode
	compressed bool
	payload    []byte
	text       frame.UTF8
}

// directRead is how much of a frame must be missing for it to be read into the
// message instead of the buffer, where the next frames would come along.
const directRead = bufferSize / 2

// firstPayload bounds what is set aside for a message before any of it has come: a
// header may claim what it likes.
const firstPayload = 64 << 10

// readPart takes a frame's payload as it comes, and delivers the message when that
// was its last one.
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

// readAssembled delivers the message whose last fragment has come.
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
	if skip, err := p.admitMessage(); skip {
		return err
	}
	return p.deliverOwned(m.opcode, m.payload)
}

// reserve makes room for n bytes more, of left that the frame still has. It never sets
// aside more than firstPayload and a multiple of what has come, and grows by at least
// half as much again: many small fragments take linear time.
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

// accept unmasks and checks the last n bytes, as early as they are there: RFC 6455
// section 8.1 allows to fail fast.
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
