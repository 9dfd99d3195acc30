package pump

import (
	"net"
	"sync/atomic"
	"syscall"
)

// A gauge shows how much of what was written the peer has taken.
type gauge interface {
	// read returns how many bytes the peer has not taken yet, and a level that differs
	// from that of an earlier call if the peer has taken something in between. ok is
	// false if neither can be seen.
	read() (queued, level int64, ok bool)
}

// A metered stream counts its bytes itself. Those of package wstest do.
type metered interface {
	// Transferred returns how many bytes have been written at this end, those of a Write
	// in progress included, and how many of them have been read at the other end.
	Transferred() (written, read int64)
}

type meter struct{ metered }

func (m meter) read() (queued, level int64, ok bool) {
	written, taken := m.Transferred()
	return written - taken, taken, true
}

// gaugeOf returns the gauge of a connection, or of the connection below TLS. It returns nil
// if there is none.
func gaugeOf(conn net.Conn) gauge {
	if m, ok := conn.(metered); ok {
		return meter{m}
	}
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return socketGauge(raw)
		}
		return nil
	}
	if upper, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if lower := upper.NetConn(); lower != conn {
			return gaugeOf(lower)
		}
	}
	return nil
}

// progress is what timers can see of the writing.
type progress struct {
	gauge gauge         // or nil
	calls atomic.Uint64 // starts and returns of writes: odd while one is in progress
	data  atomic.Uint64 // bytes accepted up to the last write that held more than our own pings
}

// A snapshot is the progress at one moment.
type snapshot struct {
	calls, accepted, data uint64
	queued, level         int64
	visible               bool // queued and level are known
}

func (p *pump) progressNow() snapshot {
	s := snapshot{calls: p.progress.calls.Load(), accepted: p.counters.out.bytes.Load(), data: p.progress.data.Load()}
	if g := p.progress.gauge; g != nil {
		s.queued, s.level, s.visible = g.read()
	}
	return s
}

// taken returns a lower bound of the bytes that the peer has taken. During a write the
// queue may hold bytes that are not counted as accepted yet, and TLS makes the queue longer.
func (s *snapshot) taken() int64 { return int64(s.accepted) - s.queued }

func (s *snapshot) writing() bool { return s.calls%2 == 1 }

// A witness compares one snapshot with the next.
type witness struct {
	last snapshot
	most int64 // the highest value of taken
}

// progressed reports whether the peer has taken something since the last call. Our own
// pings do not count: a proxy in between may take those.
//
// Bytes that the operating system has accepted prove nothing if they did not have to
// wait: the kernel buffers of a dead peer have room for megabytes.
func (w *witness) progressed(now snapshot) bool {
	was, most := w.last, w.most
	w.last = now
	if now.visible {
		w.most = max(most, now.taken())
	}
	if was.writing() && now.calls != was.calls && now.data != was.data {
		return true // a write that waited has returned
	}
	if !was.visible || !now.visible {
		return false
	}
	if was.writing() && now.calls == was.calls {
		return now.level != was.level
	}
	return now.taken() > was.taken() && int64(now.data) > most
}
