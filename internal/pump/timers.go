package pump

import (
	"encoding/binary"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// clocks are the timers of a connection. They are guarded by mu, and made only when
// the options ask for them.
type timers struct {
	close *time.Timer
	idle  *time.Timer
	ping  *time.Timer

	// paused counts what keeps the read pump from reading: the patience for the
	// peer's words does not run then.
	paused int
	pong   patience
	drain  patience

	pingNumber, pongNumber uint64           // of the last ping sent and the last one answered
	pingQueued             [4]time.Duration // after started, of the last pings
	sentAtPing             uint64           // bytes, when patience was last begun
	receivedAtPing         uint64
	writing                witness // of what the peer takes while an answer is due
}

// patience is a countdown that runs only while the read pump reads.
type patience struct {
	timer   *time.Timer
	armed   bool
	running bool
	left    time.Duration
	since   time.Time
	step    time.Duration // between looks; 0 none
}

// begin starts the countdown, which calls elapsed at its end, and at every step.
func (t *patience) begin(d time.Duration, paused bool, elapsed func()) {
	if t.timer == nil {
		t.timer = time.AfterFunc(time.Hour, elapsed)
		t.timer.Stop()
	}
	t.armed, t.running, t.left = true, false, d
	if !paused {
		t.resume()
	}
}

func (t *patience) resume() {
	if t.armed && !t.running {
		t.running, t.since = true, time.Now()
		next := t.left
		if t.step > 0 {
			next = min(next, t.step)
		}
		t.timer.Reset(next)
	}
}

func (t *patience) pause() {
	if t.armed && t.running {
		t.running = false
		t.left -= time.Since(t.since)
		t.timer.Stop()
	}
}

func (t *patience) stop() {
	t.armed, t.running = false, false
	if t.timer != nil {
		t.timer.Stop()
	}
}

// expired tells whether the countdown is over, for a timer that has fired.
func (t *patience) expired() bool {
	return t.armed && t.running && time.Since(t.since) >= t.left
}

// proceed goes on to the next step.
func (t *patience) proceed() {
	t.pause()
	t.resume()
}

func (c *timers) stop() {
	for _, t := range []*time.Timer{c.close, c.idle, c.ping} {
		if t != nil {
			t.Stop()
		}
	}
	c.pong.stop()
	c.drain.stop()
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

// startCloseTimer starts the peer's time to answer our close frame, unless it runs or
// is without end. Called with mu held.
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
	p.timers.drain.begin(p.boundedCloseTimeout(), p.timers.paused > 0, p.drainOverdue)
}

// drainOverdue makes the write that failed the end.
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

// pingDue sends a keepalive ping when it is time to.
func (p *pump) pingDue() {
	if p.queueKeepalive() {
		p.wakeWriter()
		p.traceSent(frame.Header{Fin: true, Opcode: frame.Ping, Length: int64(keepaliveSize)})
	}
}

// queueKeepalive queues a ping whose payload tells, in the peer's pong, which one it
// was.
func (p *pump) queueKeepalive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.timers
	if p.state != stateOpen {
		return false
	}
	c.ping.Reset(p.opts.PingInterval)
	if p.control.keepaliveUnsent {
		return false // the last one still waits; so does its timeout
	}
	c.pingNumber++
	c.pingQueued[c.pingNumber%4] = time.Since(p.started)
	payload := append(make([]byte, 0, keepaliveSize), keepaliveMark...)
	payload = binary.BigEndian.AppendUint64(payload, c.pingNumber)
	p.appendControl(frame.Ping, payload)
	p.control.pings++
	p.control.keepaliveUnsent = true
	if !c.pong.armed {
		p.awaitPong()
	}
	return true
}

// keepaliveSent notes that a keepalive ping is with the operating system: only now can
// the peer answer it. Called with mu held.
func (p *pump) keepaliveSent() {
	c := &p.timers
	p.control.keepaliveUnsent = false
	if c.pong.armed && c.pingNumber == c.pongNumber+1 {
		p.awaitPong()
	}
}

// awaitPong begins patience for a ping, unless no answer is required. Called with mu held.
func (p *pump) awaitPong() {
	if p.opts.PongTimeout < 0 {
		return
	}
	c := &p.timers
	c.writing.took(p.look())
	c.pong.step = max(p.opts.PongTimeout/looksPerTimeout, 1)
	c.sentAtPing, c.receivedAtPing = p.counters.out.bytes.Load(), p.counters.in.bytes.Load()
	c.pong.begin(p.opts.PongTimeout, c.paused > 0, p.pongOverdue)
}

// frameEnded notes that a frame that came in parts is there. Patience begins anew: the peer
// may have begun the frame before it had our ping, and could not answer inside of it.
// Patience that ends at this very moment finds the frame either still coming or patience
// begun anew.
func (p *pump) frameEnded() {
	if p.opts.PingInterval == 0 {
		p.frameInParts.Store(false)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frameInParts.Store(false)
	if p.timers.pong.armed {
		p.awaitPong()
	}
}

// keepaliveMark begins the payload of the library's own pings; the ping's number
// follows.
const (
	keepaliveMark = "chanws\x00\x01"
	keepaliveSize = len(keepaliveMark) + 8
)

// keepalivePong tells whether a pong answers a keepalive ping, and notes it.
func (p *pump) keepalivePong(payload []byte) bool {
	if p.opts.PingInterval == 0 || len(payload) != keepaliveSize || string(payload[:len(keepaliveMark)]) != keepaliveMark {
		return false
	}
	number := binary.BigEndian.Uint64(payload[len(keepaliveMark):])
	p.mu.Lock()
	c := &p.timers
	if number <= c.pongNumber || number > c.pingNumber {
		p.mu.Unlock()
		return false
	}
	c.pongNumber = number
	known := c.pingNumber-number < uint64(len(c.pingQueued))
	roundTrip := time.Since(p.started) - c.pingQueued[number%4]
	c.pong.stop()
	if number < c.pingNumber && p.state == stateOpen {
		p.awaitPong() // for the pings since
	}
	p.mu.Unlock()
	if p.opts.Trace.KeepalivePong != nil && known {
		p.opts.Trace.KeepalivePong(roundTrip)
	}
	return true
}

// pongOverdue ends a connection whose peer does not answer in time. It is called several
// times before, to begin anew for a peer that is alive but cannot answer yet: it is in the
// middle of a frame that continues to arrive, or takes bytes, which may be those before
// our ping.
func (p *pump) pongOverdue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.timers
	if !c.pong.running || p.state >= stateAnnounced {
		return
	}
	sent, received := p.counters.out.bytes.Load(), p.counters.in.bytes.Load()
	unsent := p.control.keepaliveUnsent && c.pingNumber == c.pongNumber+1 // the first to be answered
	if p.frameInParts.Load() && received != c.receivedAtPing || unsent && sent != c.sentAtPing || c.writing.took(p.look()) {
		p.awaitPong()
		return
	}
	if !c.pong.expired() {
		c.pong.proceed()
		return
	}
	c.pong.stop()
	p.fail(1011, p.noPong(), p.noPongError())
	p.wakeWriter()
}

// noteActivity notes that bytes have come or gone. Of two pumps that do so at once the
// later one counts, also if the other is held up in between.
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

// idleElapsed tells the user of a whole period without activity.
func (p *pump) idleElapsed() {
	now := time.Since(p.started)
	idle := now - time.Duration(p.lastActive.Load())
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.timers
	if p.state >= stateEnded {
		return
	}
	if idle < p.opts.IdleTimeout {
		c.idle.Reset(p.opts.IdleTimeout - idle)
		return
	}
	c.idle.Reset(p.opts.IdleTimeout)
	p.delivery.deliverIdle(idle)
}
