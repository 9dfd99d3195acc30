package soak

import (
	"fmt"
	"sync"

	"github.com/chanws/chanws"
)

// A report is what one side has to tell of a connection that is over.
type report struct {
	ID      uint64
	Side    side
	Plan    string
	Clean   bool
	Stats   chanws.Stats
	Problem string // or what else is wrong, of any connection or none
}

// The ledger holds what both sides tell against each other.
type ledger struct {
	mu       sync.Mutex
	one      map[uint64]report // of connections that the other side has not reported yet
	done     map[ending]int
	problems []string
	tooMany  int
}

func newLedger() *ledger {
	return &ledger{one: make(map[uint64]report), done: make(map[ending]int)}
}

func (l *ledger) add(r report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Problem != "" {
		l.problem(fmt.Sprintf("connection %d (%s), side %d: %s", r.ID, r.Plan, r.Side, r.Problem))
	}
	if r.ID == 0 {
		return
	}
	other, both := l.one[r.ID]
	if !both {
		l.one[r.ID] = r
		return
	}
	delete(l.one, r.ID)
	l.done[ending(r.Plan)]++
	if other.Side == r.Side {
		l.problem(fmt.Sprintf("connection %d was reported twice by side %d", r.ID, r.Side))
	}
	if r.Clean && other.Clean {
		for _, d := range []struct {
			from report
			to   report
		}{{r, other}, {other, r}} {
			if sent, received := sentOf(d.from.Stats), receivedOf(d.to.Stats); sent != received {
				l.problem(fmt.Sprintf("connection %d (%s): side %d sent %+v, the other received %+v", r.ID, r.Plan, d.from.Side, sent, received))
			}
		}
	}
}

// problem keeps the first ones. Called with mu held.
func (l *ledger) problem(text string) {
	if len(l.problems) == 20 {
		l.tooMany++
		return
	}
	l.problems = append(l.problems, text)
}

// counts are one direction's.
type counts struct{ messages, frames, bytes, pings, pongs uint64 }

func sentOf(s chanws.Stats) counts {
	return counts{s.MessagesSent, s.FramesSent, s.BytesSent, s.PingsSent, s.PongsSent}
}

func receivedOf(s chanws.Stats) counts {
	return counts{s.MessagesReceived, s.FramesReceived, s.BytesReceived, s.PingsReceived, s.PongsReceived}
}
