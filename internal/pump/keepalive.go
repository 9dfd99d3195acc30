package pump

import (
	"encoding/binary"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// keepaliveMark begins the payload of the library's own pings. The ping's number follows.
const (
	keepaliveMark = "chanws\x00\x01"
	keepaliveSize = len(keepaliveMark) + 8
)

// keepalive is what is known about the library's own pings. It is guarded by mu.
type keepalive struct {
	sent, answered uint64           // numbers of the last ping queued and the last one answered
	queuedAt       [4]time.Duration // after started, of the last pings
	unwritten      bool             // the operating system does not have the last ping yet

	// The counters when the wait for a pong last began.
	bytesSent, bytesReceived uint64
	peer                     witness
}

// pingDue sends a ping when it is time to.
func (p *pump) pingDue() {
	if p.queuePing() {
		p.wakeWriter()
		p.traceSent(frame.Header{Fin: true, Opcode: frame.Ping, Length: int64(keepaliveSize)})
	}
}

// queuePing queues a ping. Its payload says, in the peer's pong, which ping it was.
func (p *pump) queuePing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &p.timers.keepalive
	if p.state != stateOpen {
		return false
	}
	p.timers.ping.Reset(p.opts.PingInterval)
	if k.unwritten {
		return false // the last one still waits; so does its timeout
	}
	k.sent++
	k.queuedAt[k.sent%4] = time.Since(p.started)
	payload := append(make([]byte, 0, keepaliveSize), keepaliveMark...)
	payload = binary.BigEndian.AppendUint64(payload, k.sent)
	p.appendControl(frame.Ping, payload)
	p.control.pings++
	k.unwritten = true
	if !p.timers.pong.started {
		p.awaitPong()
	}
	return true
}

// pingWritten notes that the operating system has the last ping. The peer's time to
// answer it begins anew. Called with mu held.
func (p *pump) pingWritten() {
	k := &p.timers.keepalive
	k.unwritten = false
	if p.timers.pong.started && k.sent == k.answered+1 {
		p.awaitPong()
	}
}

// awaitPong starts, or starts anew, the peer's time to answer, unless no pong is
// required. Called with mu held.
func (p *pump) awaitPong() {
	if p.opts.PongTimeout < 0 {
		return
	}
	k, pong := &p.timers.keepalive, &p.timers.pong
	k.peer.progressed(p.progressNow())
	k.bytesSent, k.bytesReceived = p.counters.out.bytes.Load(), p.counters.in.bytes.Load()
	pong.step = max(p.opts.PongTimeout/checksPerTimeout, 1)
	pong.start(p.opts.PongTimeout, p.timers.paused > 0, p.pongOverdue)
}

// frameComplete notes that a frame that arrived in several reads is complete. The wait
// for a pong begins anew: the peer cannot send a pong inside a frame, and may have begun
// the frame before it had our ping. A timer that fires at this moment sees either the
// incomplete frame or the new wait.
func (p *pump) frameComplete() {
	if p.opts.PingInterval == 0 {
		p.frameInParts.Store(false)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frameInParts.Store(false)
	if p.timers.pong.started {
		p.awaitPong()
	}
}

// keepalivePong notes a pong that answers one of the library's pings. It reports whether
// payload is one.
func (p *pump) keepalivePong(payload []byte) bool {
	if p.opts.PingInterval == 0 || len(payload) != keepaliveSize || string(payload[:len(keepaliveMark)]) != keepaliveMark {
		return false
	}
	number := binary.BigEndian.Uint64(payload[len(keepaliveMark):])
	p.mu.Lock()
	k := &p.timers.keepalive
	if number <= k.answered || number > k.sent {
		p.mu.Unlock()
		return false
	}
	k.answered = number
	known := k.sent-number < uint64(len(k.queuedAt))
	roundTrip := time.Since(p.started) - k.queuedAt[number%4]
	p.timers.pong.stop()
	if number < k.sent && p.state == stateOpen {
		p.awaitPong() // for the pings since
	}
	p.mu.Unlock()
	if p.opts.Trace.KeepalivePong != nil && known {
		p.opts.Trace.KeepalivePong(roundTrip)
	}
	return true
}

// pongOverdue ends a connection whose peer does not answer in time. It is also called
// several times before, and begins the wait anew for a peer that is alive but cannot
// answer yet: the peer is in the middle of a frame that continues to arrive, or it takes
// bytes, which may be those ahead of our ping.
func (p *pump) pongOverdue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, pong := &p.timers.keepalive, &p.timers.pong
	if !pong.running || p.state >= stateAnnounced {
		return
	}
	sent, received := p.counters.out.bytes.Load(), p.counters.in.bytes.Load()
	unwritten := k.unwritten && k.sent == k.answered+1 // the first ping to be answered
	if p.frameInParts.Load() && received != k.bytesReceived || unwritten && sent != k.bytesSent || k.peer.progressed(p.progressNow()) {
		p.awaitPong()
		return
	}
	if !pong.expired() {
		pong.nextStep()
		return
	}
	pong.stop()
	p.fail(1011, p.noPong(), p.noPongError())
	p.wakeWriter()
}
