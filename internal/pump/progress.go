package pump

import (
	"net"
	"sync/atomic"
	"syscall"
)

// A gauge shows how far the peer is in taking what has been written.
type gauge interface {
	// read returns how many bytes the peer has not taken yet, and a level that differs
	// from that of an earlier call if the peer has taken something in between. ok is
	// false if neither can be seen.
	read() (queued, level int64, ok bool)
}

// A metered stream counts for itself, as those of package wstest do.
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

// gaugeOf returns the gauge of a connection, of the one below it if it is encrypted, or
// nil.
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

// progress is what the write pump shows of its writing.
type progress struct {
	gauge gauge         // or nil
	calls atomic.Uint64 // to the stream, begun and returned: odd while one is in progress
	data  atomic.Uint64 // bytes accepted by the end of the last call that wrote more than our own pings
}

// A look is what there was to see at one moment.
type look struct {
	calls, accepted, data uint64
	queued, level         int64
	visible               bool // queued and level are known
}

func (p *pump) look() look {
	l := look{calls: p.progress.calls.Load(), accepted: p.counters.out.bytes.Load(), data: p.progress.data.Load()}
	if g := p.progress.gauge; g != nil {
		l.queued, l.level, l.visible = g.read()
	}
	return l
}

// taken is how many bytes the peer has taken, or less: of a call in progress the queue
// may hold bytes that are not among the accepted ones yet, and TLS makes the queue
// longer.
func (l *look) taken() int64 { return int64(l.accepted) - l.queued }

func (l *look) writing() bool { return l.calls%2 == 1 }

// A witness looks at the writing again and again.
type witness struct {
	last look
	most int64 // that was ever taken
}

// took reports whether the peer has taken something since the last look. Our own pings
// do not count: whatever lies between the peer and us may take those.
//
// That the operating system has accepted bytes is no proof where they did not have to
// wait for room: the buffer of a peer that is gone has room for much.
func (w *witness) took(now look) bool {
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
