package pump

import (
	"errors"

	"github.com/chanws/chanws/internal/frame"
)

// writeLoop is the write pump. It writes until a close frame is out or nothing can be
// written any more. Then it discards what is sent, until the user has closed.
func (p *Pump[E, M]) writeLoop() error {
	var failure *writeFailure
	if errors.As(p.write(), &failure) {
		p.writeFailed(failure)
	}
	p.writeEnded()
	p.discard()
	return nil
}

// write gathers what there is to write, and calls the operating system when there is no
// more or the buffer is full.
func (p *Pump[E, M]) write() error {
	for {
		if p.controlPending() {
			if err := p.writeQueued(); err != nil {
				return err
			}
			continue
		}
		select {
		case m, ok := <-p.send:
			if err := p.writeSent(m, ok); err != nil {
				return err
			}
			continue
		default:
		}
		if err := p.flush(); err != nil {
			return err
		}
		p.putBatch()
		select {
		case m, ok := <-p.send:
			if err := p.writeSent(m, ok); err != nil {
				return err
			}
		case <-p.wake:
			if err := p.writeQueued(); err != nil {
				return err
			}
		}
	}
}

// writeQueued writes what does not come through Send: control frames, then one request,
// after what Send holds.
func (p *Pump[E, M]) writeQueued() error {
	if err := p.writeControl(); err != nil {
		return err
	}
	p.mu.Lock()
	if !p.requests.waiting() {
		p.mu.Unlock()
		return nil
	}
	w := p.requests.pop()
	p.mu.Unlock()
	p.out.current = w
	// One more than Send holds: it may have been closed before.
	for n, more := len(p.send)+1, true; n > 0 && more; n-- {
		select {
		case m, ok := <-p.send:
			if err := p.writeSent(m, ok); err != nil {
				return err
			}
		default:
			more = false
		}
	}
	return p.writeRequested(w)
}

// writeSent gathers a message that came through Send. !ok is a closed Send.
func (p *Pump[E, M]) writeSent(m M, ok bool) error {
	out := Outgoing{Opcode: frame.Close, Code: 1000}
	if ok {
		out = p.types.Outgoing(m)
		if err := out.check(); err != nil {
			p.drop(m, err)
			return nil
		}
	}
	if out.Opcode == frame.Close {
		p.mu.Lock()
		p.closeQueued()
		p.mu.Unlock()
		return p.writeLast(out.Code, out.Reason, nil)
	}
	return p.writeMessage(&out, nil)
}

// discard receives what is sent after the end, so that no sender hangs, until the
// connection is over and the user has closed it or cannot reach it any more.
func (p *Pump[E, M]) discard() {
	send := p.send
	for !p.released() {
		select {
		case m, ok := <-send:
			if !ok {
				send = nil
				continue
			}
			p.drop(m, errTooLate)
		case <-p.wake:
		}
	}
	p.emptySend()
}

// released reports whether the write pump may end. Whatever makes it true is followed by
// wakeWriter.
func (p *pump) released() bool {
	if !isClosed(p.readerDone) {
		return false
	}
	if isClosed(p.userClosed) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.abandoned
}

// drop counts and reports a message that is not written.
func (p *Pump[E, M]) drop(m M, err error) {
	p.counters.droppedMessages.Add(1)
	if p.onDrop != nil && !isClosed(p.userClosed) {
		p.onDrop(m, err)
	}
}
