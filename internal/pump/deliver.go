package pump

// deliver puts a data event. With Block it waits for the consumer; only a local
// Close ends that.
func (p *Pump[E, M]) deliver(ev E) error {
	select {
	case p.events <- ev:
	default:
		if err := p.deliverFull(ev); err != nil {
			return err
		}
	}
	if p.dropping.Load() {
		// A local Close came in between: its own emptying may have been too early.
		p.discardEvents()
	}
	return nil
}

// deliverFull puts a data event that found the channel full.
func (p *Pump[E, M]) deliverFull(ev E) error {
	p.counters.in.publish(&p.in.tally)
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
		p.pauseClocks()
		select {
		case p.events <- ev:
		case <-p.freed:
			p.counters.droppedEvents.Add(1)
		}
		p.resumeClocks()
	}
	return nil
}

// deliverControl puts an event for a control frame, unless the channel is full.
func (p *Pump[E, M]) deliverControl(event func([]byte) E, payload []byte) {
	if p.dropping.Load() {
		p.counters.droppedEvents.Add(1)
		return
	}
	ev := event(append([]byte(nil), payload...))
	select {
	case p.events <- ev:
	default:
		p.overflowed(ev)
	}
	if p.dropping.Load() {
		p.discardEvents()
	}
}

// deliverIdle puts an idle event, from a timer.
func (p *Pump[E, M]) deliverIdle(ev E) {
	p.deliveryMu.Lock()
	defer p.deliveryMu.Unlock()
	if p.ending || p.dropping.Load() {
		return
	}
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
	if m, ok := p.voc.Message(ev); ok {
		p.onDrop(m, ErrOverflow)
	}
}

// discardEvents empties the event channel for a local Close.
func (p *Pump[E, M]) discardEvents() {
	p.deliveryMu.Lock()
	defer p.deliveryMu.Unlock()
	if !p.ending {
		p.emptyEvents()
	}
}

// offerTerminal puts the terminal event and closes the channel, if that takes no
// waiting. From its call on no other event is put.
func (p *Pump[E, M]) offerTerminal(ev E) bool {
	p.deliveryMu.Lock()
	defer p.deliveryMu.Unlock()
	p.ending = true
	if p.dropping.Load() {
		p.emptyEvents()
	}
	select {
	case p.events <- ev:
		p.closeEvents()
		return true
	default:
		return false
	}
}

// putTerminal puts the terminal event when the consumer has made room, or a local
// Close has.
func (p *Pump[E, M]) putTerminal(ev E) {
	p.events <- ev // nobody else puts events now
	p.deliveryMu.Lock()
	p.closeEvents()
	p.deliveryMu.Unlock()
}

func (p *Pump[E, M]) closeEvents() {
	close(p.events)
	p.ended = true
}

// free is the local Close's part: from now on nobody waits for the consumer, and
// what it has not received is discarded. When the terminal event is in the channel
// for good, nothing is.
func (p *Pump[E, M]) free() {
	p.deliveryMu.Lock()
	defer p.deliveryMu.Unlock()
	close(p.freed)
	p.dropping.Store(true)
	if !p.ended {
		p.emptyEvents()
	}
}

// emptyEvents discards what waits in the event channel. A terminal event that was
// just put is put again: it is the last one. Called with deliveryMu held.
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
