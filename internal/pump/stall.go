package pump

import (
	"os"
	"sync"
	"time"
)

// looksPerTimeout is how often within a timeout there is a look at what the peer has
// taken.
const looksPerTimeout = 8

// firstLook is when a write that has not returned is looked at first, where a look is a
// call to the operating system. Most writes have returned by then.
const firstLook = time.Millisecond

// A stallWatch ends a write of which the peer has taken nothing for the WriteTimeout.
//
// There is no deadline on the stream while a write is in progress: one that expires
// would end it although the peer takes bytes, and a stream that is encrypted with it.
type stallWatch struct {
	timeout time.Duration
	gauge   gauge // or nil
	atOnce  bool  // the gauge costs no call to the operating system
	elapsed func()

	mu       sync.Mutex
	timer    *time.Timer // made by the first write
	writing  bool
	verdict  bool      // the write is being ended
	since    time.Time // of the last byte taken, or of the write's beginning
	level    int64     // of the gauge, at since
	measured bool      // there is a level
}

// begin notes that a write begins.
func (w *stallWatch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing, w.since, w.measured = true, now, false
	next := w.timeout
	switch {
	case w.atOnce:
		_, w.level, w.measured = w.gauge.read()
		next = w.step()
	case w.gauge != nil:
		next = min(w.step(), firstLook)
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(next, w.elapsed)
		return
	}
	w.timer.Reset(next)
}

func (w *stallWatch) step() time.Duration { return max(w.timeout/looksPerTimeout, 1) }

// end notes that the write has returned. It reports whether it was being ended.
func (w *stallWatch) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	ended := w.verdict
	w.writing, w.verdict = false, false
	return ended
}

// stalled reports whether the peer has taken nothing for the whole timeout, once for a
// write. While it holds on, end waits.
func (w *stallWatch) stalled(now time.Time) bool {
	if !w.writing || w.verdict {
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
	w.verdict = true
	return true
}

// writeStalled ends a write that has stalled, for the timer.
func (p *pump) writeStalled() {
	w := &p.stall
	w.mu.Lock()
	hopeless := w.stalled(time.Now()) && p.conn.SetWriteDeadline(time.Unix(1, 0)) != nil
	w.mu.Unlock()
	if hopeless { // a stream without deadlines
		p.abort(p.writeError(os.ErrDeadlineExceeded))
	}
}

// watchProgress prepares what shows the peer's progress.
func (p *pump) watchProgress() {
	if p.opts.WriteTimeout == 0 && p.opts.PingInterval == 0 {
		return
	}
	p.progress.gauge = gaugeOf(p.conn)
	_, atOnce := p.progress.gauge.(meter)
	p.stall.timeout, p.stall.gauge, p.stall.atOnce, p.stall.elapsed = p.opts.WriteTimeout, p.progress.gauge, atOnce, p.writeStalled
}
