package pump

import "time"

// timers are the timers of a connection. They are guarded by mu. Each is made only if
// the options ask for it.
type timers struct {
	close *time.Timer
	idle  *time.Timer
	ping  *time.Timer

	// paused counts what keeps the read pump from reading. Meanwhile the timers that
	// wait for the peer do not run.
	paused int
	pong   pausableTimer
	drain  pausableTimer // how long to read on after a write that failed

	keepalive keepalive
}

// A pausableTimer runs only while the read pump reads.
type pausableTimer struct {
	timer   *time.Timer
	started bool
	running bool
	left    time.Duration
	since   time.Time
	step    time.Duration // how often elapsed is called before the end; 0 not at all
}

// start starts the timer, which calls elapsed at its end and at every step.
func (t *pausableTimer) start(d time.Duration, paused bool, elapsed func()) {
	if t.timer == nil {
		t.timer = time.AfterFunc(time.Hour, elapsed)
		t.timer.Stop()
	}
	t.started, t.running, t.left = true, false, d
	if !paused {
		t.resume()
	}
}

func (t *pausableTimer) resume() {
	if t.started && !t.running {
		t.running, t.since = true, time.Now()
		next := t.left
		if t.step > 0 {
			next = min(next, t.step)
		}
		t.timer.Reset(next)
	}
}

func (t *pausableTimer) pause() {
	if t.started && t.running {
		t.running = false
		t.left -= time.Since(t.since)
		t.timer.Stop()
	}
}

func (t *pausableTimer) stop() {
	t.started, t.running = false, false
	if t.timer != nil {
		t.timer.Stop()
	}
}

// expired reports whether the time is over.
func (t *pausableTimer) expired() bool {
	return t.started && t.running && time.Since(t.since) >= t.left
}

// nextStep goes on to the next step.
func (t *pausableTimer) nextStep() {
	t.pause()
	t.resume()
}

func (t *timers) stop() {
	for _, timer := range []*time.Timer{t.close, t.idle, t.ping} {
		if timer != nil {
			timer.Stop()
		}
	}
	t.pong.stop()
	t.drain.stop()
}

// startTimers starts the timers that run from the beginning.
func (p *pump) startTimers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.opts.IdleTimeout; d > 0 {
		p.timers.idle = time.AfterFunc(d, p.idleElapsed)
	}
	if d := p.opts.PingInterval; d > 0 {
		p.timers.ping = time.AfterFunc(d, p.pingDue)
	}
}

// pauseTimers notes that the read pump waits for something other than the peer. Called
// with mu held.
func (p *pump) pauseTimers() {
	if p.timers.paused++; p.timers.paused == 1 {
		p.timers.pong.pause()
		p.timers.drain.pause()
	}
}

// resumeTimers notes that the read pump reads again. Called with mu held.
func (p *pump) resumeTimers() {
	if p.timers.paused--; p.timers.paused == 0 && p.state < stateAnnounced {
		p.timers.pong.resume()
		p.timers.drain.resume()
	}
}

// startCloseTimer starts the time that the peer has to answer our close frame, unless it
// runs already or has no limit. Called with mu held.
func (p *pump) startCloseTimer(d time.Duration) {
	if d < 0 || p.timers.close != nil || p.state >= stateAnnounced {
		return
	}
	unanswered := p.unansweredClose(d)
	p.timers.close = time.AfterFunc(d, func() {
		p.abort(unanswered)
	})
}

// startDrain bounds how long the read pump reads on after a write that failed.
// Called with mu held.
func (p *pump) startDrain() {
	p.timers.drain.start(p.boundedCloseTimeout(), p.timers.paused > 0, p.drainOverdue)
}

// drainOverdue makes the failed write the end of the connection.
func (p *pump) drainOverdue() {
	p.mu.Lock()
	if !p.timers.drain.expired() {
		p.mu.Unlock()
		return
	}
	p.end(p.writeErr)
	if p.closeSent {
		p.interruptRead() // the close frame may still have to arrive
		p.mu.Unlock()
		return
	}
	p.abortSocket()
	p.mu.Unlock()
	p.announce()
}

// noteActivity notes that bytes have been received or written. If both pumps do so
// concurrently, the later time counts.
func (p *pump) noteActivity() {
	if p.opts.IdleTimeout == 0 {
		return
	}
	now := int64(time.Since(p.started))
	for last := p.lastActive.Load(); last < now; last = p.lastActive.Load() {
		if p.lastActive.CompareAndSwap(last, now) {
			return
		}
	}
}

// idleElapsed delivers an idle event if nothing has been received or written for a whole
// period.
func (p *pump) idleElapsed() {
	now := time.Since(p.started)
	idle := now - time.Duration(p.lastActive.Load())
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := p.timers.idle
	if p.state >= stateEnded {
		return
	}
	if idle < p.opts.IdleTimeout {
		timer.Reset(p.opts.IdleTimeout - idle)
		return
	}
	timer.Reset(p.opts.IdleTimeout)
	p.delivery.deliverIdle(idle)
}
