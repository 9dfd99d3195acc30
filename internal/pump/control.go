package pump

import "github.com/chanws/chanws/internal/frame"

// control holds the control frames that overtake messages at the next frame boundary.
// It is guarded by mu.
type control struct {
	frames       []byte // encoded pings and pongs, at most maxControl bytes
	pings, pongs uint64 // how many frames holds
}

// maxControl bounds the encoded pings and pongs that wait, in bytes. At the bound the
// read pump waits.
const maxControl = 4 << 10

// closeFrame is the content of a close frame. Codes 0 and 1005 are a frame without a body.
type closeFrame struct {
	code   int
	reason string
}

// queuePong answers a ping. At the bound it waits for the write pump, so that no pong is
// dropped. It queues nothing when pongs cannot be written any more.
func (p *pump) queuePong(payload []byte) {
	size := frame.MaxHeaderSize + len(payload)
	p.mu.Lock()
	if len(p.control.frames)+size > maxControl && p.writesControl() {
		p.counters.in.publish(&p.in.counts)
		p.pauseTimers()
		for len(p.control.frames)+size > maxControl && p.writesControl() {
			p.pongSpace.Wait()
		}
		p.resumeTimers()
	}
	if !p.writesControl() {
		p.mu.Unlock()
		return
	}
	p.appendControl(frame.Pong, payload)
	p.control.pongs++
	p.mu.Unlock()
	p.wakeWriter()
	p.traceSent(frame.Header{Fin: true, Opcode: frame.Pong, Length: int64(len(payload))})
}

// writesControl reports whether the write pump still takes from control. Called with mu
// held. Whatever makes it false is followed by a signal of pongSpace.
func (p *pump) writesControl() bool { return p.writeErr == nil && !isClosed(p.writerDone) }

// appendControl encodes a ping or pong. Called with mu held.
func (p *pump) appendControl(opcode frame.Opcode, payload []byte) {
	p.control.frames = p.encode(p.control.frames, frame.Header{Fin: true, Opcode: opcode, Length: int64(len(payload))}, payload)
}

// queueCloseFrame queues the close frame that answers the peer's, or an error, unless none
// can follow. Called with mu held.
func (p *pump) queueCloseFrame(code int, reason string) {
	if p.closeFrame != nil || p.closeSent || isClosed(p.writerDone) {
		return
	}
	p.closeFrame = &closeFrame{code, reason}
	p.closeQueued()
}

// closeQueued notes that a close frame of ours is queued: no message is accepted after
// it, and the peer's time to answer it begins. Called with mu held.
func (p *pump) closeQueued() {
	if p.closeFrame == nil {
		p.beginLocally()
	}
	p.advance(stateClosing)
	p.startCloseTimer(p.closeTimeout)
}

// writeControl is called between two frames. It gathers the pings and pongs that wait,
// and ends the writing with a close frame that overtakes messages.
func (p *pump) writeControl() error {
	select {
	case <-p.wake:
	default:
	}
	p.mu.Lock()
	for len(p.control.frames) > 0 {
		if len(p.out.batch)+len(p.control.frames) > bufferSize {
			p.mu.Unlock()
			if err := p.flush(); err != nil {
				return err
			}
			p.mu.Lock()
			continue
		}
		p.gatherControl()
	}
	if p.requests.waiting() {
		p.wakeWriter() // for the write loop
	}
	closing, ended := p.closeFrame, p.state >= stateEnded
	p.mu.Unlock()
	if closing != nil {
		return p.writeClose(closing.code, closing.reason, nil)
	}
	if ended {
		return errWritten
	}
	return nil
}

// gatherControl takes all pings and pongs that wait. Called with mu held.
func (p *pump) gatherControl() {
	c := &p.control
	p.getBatch()
	p.out.batch = append(p.out.batch, c.frames...)
	p.out.gathered.frames += c.pings + c.pongs
	p.out.gathered.pings += c.pings
	p.out.gathered.pongs += c.pongs
	if c.pongs > 0 {
		p.out.other = true
	}
	p.out.keepalive = p.out.keepalive || c.pings > 0
	c.pings, c.pongs = 0, 0
	c.frames = c.frames[:0]
	if cap(c.frames) > 512 {
		c.frames = nil
	}
	p.pongSpace.Signal()
}
