package pump

import (
	"time"
	"unsafe"

	"github.com/chanws/chanws/internal/frame"
)

// deliver puts a data event. With Block it waits for the consumer; only the user's own
// Close ends that.
func (p *Pump[E, M]) deliver(opcode frame.Opcode, payload []byte) error {
	var ev E
	if opcode == frame.Text {
		ev = p.types.Text(unsafe.String(unsafe.SliceData(payload), len(payload)))
	} else {
		if payload == nil {
			payload = []byte{} // an empty message in fragments is like one in a single frame
		}
		ev = p.types.Binary(payload)
	}
	select {
	case p.events <- ev:
	default:
		if err := p.deliverFull(ev); err != nil {
			return err
		}
	}
	p.discardLate()
	return nil
}

// deliverFull puts a data event that found the channel full.
func (p *Pump[E, M]) deliverFull(ev E) error {
	p.counters.in.publish(&p.in.counts)
	switch p.opts.Overflow {
	case DropNewest:
		p.overflowed(ev)
	case DropOldest:
		for {
			select {
			case oldest := <-p.events:
				p.overflowed(oldest)
			default:
			}
			select {
			case p.events <- ev:
				return nil
			default:
			}
		}
	case CloseSlow:
		p.overflowed(ev)
		return p.consumerTooSlow()
	default:
		p.mu.Lock()
		p.pauseTimers()
		p.mu.Unlock()
		select {
		case p.events <- ev:
		case <-p.userClosed:
			p.counters.droppedEvents.Add(1)
		}
		p.mu.Lock()
		p.resumeTimers()
		p.mu.Unlock()
	}
	return nil
}

// deliverControl puts an event for a ping or pong, unless the channel is full.
func (p *Pump[E, M]) deliverControl(opcode frame.Opcode, payload []byte) {
	if isClosed(p.userClosed) {
		p.counters.droppedEvents.Add(1)
		return
	}
	event := p.types.Ping
	if opcode == frame.Pong {
		event = p.types.Pong
	}
	p.offer(event(append([]byte(nil), payload...)))
	p.discardLate()
}

// deliverIdle puts an idle event, from a timer. Called with mu held.
func (p *Pump[E, M]) deliverIdle(idle time.Duration) {
	if !isClosed(p.userClosed) {
		p.offer(p.types.Idle(idle))
	}
}

// offer puts an event, unless the channel is full.
func (p *Pump[E, M]) offer(ev E) {
	select {
	case p.events <- ev:
	default:
		p.overflowed(ev)
	}
}

// overflowed counts and reports an event that found no room.
func (p *Pump[E, M]) overflowed(ev E) {
	p.counters.droppedEvents.Add(1)
	if p.onDrop == nil {
		return
	}
	if m, ok := p.types.Message(ev); ok {
		p.onDrop(m, ErrOverflow)
	}
}

// discardLate empties the event channel again if the user has closed: an event may have
// been put after Close had emptied the channel.
func (p *Pump[E, M]) discardLate() {
	if isClosed(p.userClosed) {
		p.mu.Lock()
		p.emptyEvents()
		p.mu.Unlock()
	}
}

// emptyEvents discards what waits in the event channel. A terminal event that was just
// put is put again: it is the last one. Called with mu held.
func (p *Pump[E, M]) emptyEvents() {
	for {
		select {
		case ev := <-p.events:
			if _, terminal := any(ev).(error); terminal {
				p.events <- ev
				return
			}
			p.counters.droppedEvents.Add(1)
		default:
			return
		}
	}
}

// offerTerminal puts the terminal event and closes the channel, if that needs no
// waiting. No other event is put after the end has been decided.
func (p *Pump[E, M]) offerTerminal() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isClosed(p.userClosed) {
		p.emptyEvents()
	}
	select {
	case p.events <- any(p.err).(E):
		p.closeEvents()
		return true
	default:
		return false
	}
}

// putTerminal puts the terminal event when the consumer, or the user's own Close, has
// made room.
func (p *Pump[E, M]) putTerminal() {
	p.events <- any(p.err).(E) // nobody else puts events now
	p.mu.Lock()
	p.closeEvents()
	p.mu.Unlock()
}

// closeEvents ends the event channel after the terminal event. Called with mu held.
func (p *Pump[E, M]) closeEvents() {
	close(p.events)
	p.advance(stateOver)
}

func (p *Pump[E, M]) closedError(code int, reason string) error {
	return any(p.types.Closed(code, reason)).(error)
}

func (p *Pump[E, M]) failedError(err error) error { return any(p.types.Failed(err)).(error) }
