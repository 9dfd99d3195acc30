package pump

import (
	"os"
	"sync"
	"time"
)

// checksPerTimeout is how often within a timeout the peer's progress is checked.
const checksPerTimeout = 8

// firstCheck is when a write that has not returned is checked first, if a check is a call
// to the operating system. Most writes have returned by then.
const firstCheck = time.Millisecond

// A stallWatch ends a write if the peer has taken nothing for the WriteTimeout.
//
// No deadline is set on the stream while a write is in progress. A deadline could expire
// although the peer takes bytes, and an expired deadline ends a TLS stream for good.
type stallWatch struct {
	timeout  time.Duration
	gauge    gauge // or nil
	inMemory bool  // the gauge needs no call to the operating system
	elapsed  func()

	mu       sync.Mutex
	timer    *time.Timer // made by the first write
	writing  bool
	stalled  bool      // the write is being ended
	since    time.Time // when the last byte was taken, or the write began
	level    int64     // what the gauge showed then
	measured bool      // level is known
}

// begin notes that a write begins.
func (w *stallWatch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing, w.since, w.measured = true, now, false
	next := w.timeout
	switch {
	case w.inMemory:
		_, w.level, w.measured = w.gauge.read()
		next = w.step()
	case w.gauge != nil:
		next = min(w.step(), firstCheck)
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(next, w.elapsed)
		return
	}
	w.timer.Reset(next)
}

func (w *stallWatch) step() time.Duration { return max(w.timeout/checksPerTimeout, 1) }

// end notes that the write has returned. It reports whether it was being ended.
func (w *stallWatch) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	ended := w.stalled
	w.writing, w.stalled = false, false
	return ended
}

// check reports whether the peer has taken nothing for the whole timeout, once for each
// write. Called with mu held, so that end waits.
func (w *stallWatch) check(now time.Time) bool {
	if !w.writing || w.stalled {
		return false
	}
	if w.gauge != nil {
		if _, level, ok := w.gauge.read(); ok && (!w.measured || level != w.level) {
			w.level, w.measured, w.since = level, true, now
		}
	}
	if left := w.timeout - now.Sub(w.since); left > 0 {
		w.timer.Reset(min(left, w.step()))
		return false
	}
	w.stalled = true
	return true
}

// writeStalled ends a write that has stalled. The timer calls it.
func (p *pump) writeStalled() {
	w := &p.stall
	w.mu.Lock()
	noDeadlines := w.check(time.Now()) && p.conn.SetWriteDeadline(time.Unix(1, 0)) != nil
	w.mu.Unlock()
	if noDeadlines {
		p.abort(p.writeError(os.ErrDeadlineExceeded))
	}
}

// watchProgress prepares the measuring of the peer's progress, if an option needs it.
func (p *pump) watchProgress() {
	if p.opts.WriteTimeout == 0 && p.opts.PingInterval == 0 {
		return
	}
	p.progress.gauge = gaugeOf(p.conn)
	_, inMemory := p.progress.gauge.(meter)
	p.stall.timeout, p.stall.gauge, p.stall.inMemory, p.stall.elapsed = p.opts.WriteTimeout, p.progress.gauge, inMemory, p.writeStalled
}
