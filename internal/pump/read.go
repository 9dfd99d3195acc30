package pump

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/frame"
)

// closeReceived ends the reading when the peer's close frame has arrived.
type closeReceived struct {
	code   int
	reason string
}

func (e *closeReceived) Error() string { return fmt.Sprintf("close frame %d %q", e.code, e.reason) }

// readLoop is the read pump. It alone delivers data events, and it ends the connection
// when there is nothing more to read.
func (p *pump) readLoop() error {
	cause := p.read()
	p.in.putBuffer()
	p.in.message = assembly{}
	if p.compression != nil {
		p.compression.Decoder = nil // its window
	}
	p.counters.in.publish(&p.in.counts)
	p.finish(cause)
	return nil
}

// read decodes frames until it cannot, and returns why.
func (p *pump) read() error {
	in := &p.in
	for {
		b := in.pending()
		h, n, err := frame.Parse(b)
		if err != nil {
			return err
		}
		if n == 0 {
			if len(b) > 0 && frame.Opcode(b[0]&0x0f) != frame.Pong {
				p.noteActivity() // a pong may answer our keepalive, which is no activity
			}
			if err := p.fill(); err != nil {
				return err
			}
			continue
		}
		if err := p.checkHeader(h); err != nil {
			return err
		}
		in.counts.frames++
		if h.Opcode != frame.Pong && !in.noted {
			in.noted = true
			p.noteActivity()
		}
		if p.opts.Trace.FrameReceived != nil {
			p.opts.Trace.FrameReceived(h)
		}
		switch {
		case h.Opcode.Control():
			err = p.readControl(h, n)
		case h.Fin && h.Opcode != frame.Continuation && h.Length <= int64(len(b)-n):
			in.start += n + int(h.Length)
			err = p.readWhole(h, b[n:n+int(h.Length)])
		default:
			in.start += n
			err = p.readPart(h)
		}
		if err != nil {
			return err
		}
	}
}

// fill reads once. It publishes the counters first.
func (p *pump) fill() error {
	p.counters.in.publish(&p.in.counts)
	p.in.noted = false
	return p.in.fill()
}

// checkHeader checks a header against the role, the frames before it, and the limits.
func (p *pump) checkHeader(h frame.Header) error {
	if err := p.in.sequence.Next(h); err != nil {
		return err
	}
	if h.Opcode.Control() {
		return nil
	}
	if h.Length > p.opts.MaxFrameSize {
		return p.frameTooLarge(h.Length)
	}
	most := p.opts.MaxMessageSize
	if h.RSV1 || p.in.message.compressed {
		most = compressedLimit(most)
	}
	// A sum could overflow.
	if h.Length > most-int64(len(p.in.message.payload)) {
		return p.messageTooLarge(h)
	}
	return nil
}

// readWhole handles the common case, a message of one frame that is complete in the buffer.
// The payload is unmasked in place and copied once.
func (p *pump) readWhole(h frame.Header, payload []byte) error {
	if h.Masked {
		frame.Mask(payload, h.Key)
	}
	if h.RSV1 {
		return p.readCompressed(h.Opcode, payload)
	}
	if h.Opcode == frame.Binary {
		if skip, err := p.countMessage(); skip {
			return err
		}
		return p.delivery.deliver(frame.Binary, p.in.ownCopy(payload))
	}
	if !utf8.Valid(payload) {
		return errInvalidUTF8
	}
	if skip, err := p.countMessage(); skip {
		return err
	}
	return p.delivery.deliver(frame.Text, p.in.ownCopy(payload))
}

// countMessage counts a message and reports whether to skip it: because it exceeds the
// message rate, which is an error, or because the user has closed.
func (p *pump) countMessage() (skip bool, err error) {
	p.in.counts.messages++
	if p.opts.Rate > 0 && !p.in.tokens.take(p.opts.Rate, p.opts.Burst, time.Now()) {
		return true, p.tooManyMessages()
	}
	if isClosed(p.userClosed) {
		p.counters.droppedEvents.Add(1)
		return true, nil
	}
	return false, nil
}

// readControl handles a control frame, which may come between the fragments of a
// message.
func (p *pump) readControl(h frame.Header, headerSize int) error {
	in := &p.in
	size := headerSize + int(h.Length)
	for in.end-in.start < size {
		if err := p.fill(); err != nil {
			return err
		}
		if h.Opcode != frame.Pong {
			p.noteActivity()
		}
	}
	payload := in.buf[in.start+headerSize : in.start+size]
	in.start += size
	if h.Masked {
		frame.Mask(payload, h.Key)
	}
	switch h.Opcode {
	case frame.Ping:
		in.counts.pings++
		if !p.opts.ManualPong {
			p.queuePong(payload)
		}
		p.delivery.deliverControl(frame.Ping, payload)
	case frame.Pong:
		in.counts.pongs++
		if p.keepalivePong(payload) {
			return nil
		}
		p.noteActivity()
		p.delivery.deliverControl(frame.Pong, payload)
	case frame.Close:
		code, reason, err := frame.ParseClose(payload)
		if err != nil {
			return err
		}
		return &closeReceived{code, reason}
	}
	return nil
}
