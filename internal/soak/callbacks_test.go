package soak

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

// A talk is one side's part of a connection, with callbacks.
type talk struct {
	plan
	me   side
	pace pacer

	in      *stream
	heard   heard
	closing atomic.Bool
	sent    int
	closed  error
	speaker sync.WaitGroup
	done    chan report // gets the report, at the end
}

func newTalk(p plan, me side, pace pacer) *talk {
	t := &talk{plan: p, me: me, pace: pace, in: p.stream(1 - me), done: make(chan report, 1)}
	t.heard.closing = &t.closing
	return t
}

func (t *talk) service() *adapt.Service {
	return &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			t.speaker.Go(func() { t.speak(c) })
			return nil
		},
		OnTextMessage:   func(_ *adapt.Caller, text string) error { return t.hear(chanws.Text(text)) },
		OnBinaryMessage: func(_ *adapt.Caller, b []byte) error { return t.hear(chanws.Binary(b)) },
		OnClose: func(c *adapt.Caller, code chanws.StatusCode, reason string) error {
			t.conclude(c)
			return nil
		},
		OnError: func(c *adapt.Caller, err error) error {
			t.conclude(c)
			return nil
		},
	}
}

func (t *talk) hear(m chanws.Message) error {
	t.heard.hold(t.in, m)
	if t.slow[t.me] {
		t.pace.rest(t.pace.every)
	}
	return nil
}

// speak sends a side's messages, and ends the connection if it is to.
func (t *talk) speak(c *adapt.Caller) {
	out := t.stream(t.me)
	for ; t.sent < t.messages[t.me]; t.sent++ {
		if c.WriteMessage(out.next()) != nil {
			break
		}
		if t.writes[t.me] && c.Flush() != nil {
			break
		}
		t.pace.rest(t.pace.every)
	}
	t.closing.Store(t.ending.by(t.me))
	switch {
	case !t.ending.by(t.me):
	case t.ending.clean():
		t.closed = c.Close(chanws.StatusNormalClosure, "done")
	default:
		t.closed = c.CloseNow()
	}
}

// conclude is the last callback's.
func (t *talk) conclude(c *adapt.Caller) {
	if c.Conn().Err() == nil {
		t.heard.problem = fmt.Sprintf("a callback failed after %d messages", t.heard.messages)
		return
	}
	t.heard.end = c.Conn().Err()
	t.speaker.Wait()
	t.done <- t.judge(t.me, t.heard, t.sent, t.closed, c.Conn().Stats())
}
