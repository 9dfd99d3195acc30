package adapt

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/server"
)

// Serve runs the callbacks of s for what happens on c, in this goroutine, until c has
// ended and the last callback and the last stream have returned. Then c is closed in
// the sense of [chanws.Conn.Close]. Serve returns nil if c ended with a close frame of
// the peer's, else c.Err(). c keeps the options that it was made with, whose defaults
// are those of package chanws. Serve cannot see them: with ManualPong only OnPing answers
// pings, and there is no log for what goes wrong without OnError, nor for panics.
//
// For a service that cannot work, the error matches [ErrInvalidService], and c is
// closed with 1011. A nil c is an error.
func Serve(c *chanws.Conn, s *Service) error {
	if c == nil {
		return errors.New("adapt: serve: nil *chanws.Conn: check the error of what made it")
	}
	p, err := compile(s)
	if err != nil {
		_ = c.Close(chanws.StatusInternalError, "")
		return err
	}
	return newBridge(p, &settings{}, c).serve()
}

// A bridge runs the callbacks of one connection, or of one client.
type bridge struct {
	plan   *plan
	caller *Caller

	stop     chan struct{} // closed by GoAway; nil: never
	stopping atomic.Bool   // stop is closed, or about to be
}

func newBridge(p *plan, set *settings, c *chanws.Conn) *bridge {
	b := &bridge{plan: p, caller: &Caller{settings: set}}
	b.caller.conn.Store(c)
	return b
}

// serve is the whole life of a bridge with one connection.
func (b *bridge) serve() error {
	defer b.leave() // also when a callback ends the goroutine
	c := b.caller.Conn()
	end := b.converse(c)
	b.conclude(end)
	if _, answered := end.(chanws.Close); answered {
		return nil
	}
	return end
}

// leave gives back what the bridge has.
func (b *bridge) leave() {
	if c := b.caller.Conn(); c != nil {
		_ = c.CloseNow()
	}
	b.caller.finish()
}

// converse runs the callbacks until the connection has ended, and gives what it ended
// with. The last callback is left to others.
func (b *bridge) converse(c *chanws.Conn) error {
	if open := b.plan.OnOpen; open != nil {
		b.settle(guard("OnOpen", func() error { return open(b.caller) }), nil)
	}
	events, stop := c.Events(), b.stop
	left := -1 // events until the connection is closed because its group ends
	for {
		if stop != nil && isClosed(stop) {
			stop, left = nil, len(events)
		}
		if left == 0 {
			b.caller.closeWith(chanws.Close{Code: chanws.StatusGoingAway, Reason: server.GoingAwayReason})
		}
		var ev chanws.Event
		var ok bool
		select {
		case ev, ok = <-events:
		default:
			select {
			case ev, ok = <-events:
			case <-stop:
				continue
			}
		}
		if !ok {
			return c.Err() // somebody else has received the end
		}
		if end, terminal := ev.(error); terminal {
			return end
		}
		left--
		if !b.caller.closed.Load() {
			b.handle(ev)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// handle runs the callback for an event.
func (b *bridge) handle(ev chanws.Event) {
	c, p := b.caller, b.plan
	var err error
	switch ev := ev.(type) {
	case chanws.Text:
		b.handleText(string(ev))
		return
	case chanws.Binary:
		switch {
		case p.OnBinaryMessage != nil:
			err = guard("OnBinaryMessage", func() error { return p.OnBinaryMessage(c, ev) })
		case p.OnMessage != nil:
			err = guard("OnMessage", func() error { return p.OnMessage(c, ev) })
		}
	case chanws.Ping:
		switch {
		case p.OnPing != nil:
			err = guard("OnPing", func() error { return p.OnPing(c, ev) })
		case c.settings.manualPong:
			_ = c.Pong(ev)
		}
	case chanws.Pong:
		if p.OnPong != nil {
			err = guard("OnPong", func() error { return p.OnPong(c, ev) })
		}
	case chanws.IdleTimeout:
		if p.OnIdleTimeout != nil {
			err = guard("OnIdleTimeout", func() error { return p.OnIdleTimeout(c) })
		}
	}
	b.settle(err, nil)
}

// handleText runs the callback for a text message.
func (b *bridge) handleText(text string) {
	c, p := b.caller, b.plan
	if p.routes != nil {
		if r := p.routes.find(text); r != nil {
			b.settle(guard(r.label(), func() error { return r.Handle(c, text) }), r)
			return
		}
	}
	var err error
	switch {
	case p.OnTextMessage != nil:
		err = guard("OnTextMessage", func() error { return p.OnTextMessage(c, text) })
	case p.OnMessage != nil:
		err = guard("OnMessage", func() error { return p.OnMessage(c, chanws.Text(text)) })
	}
	b.settle(err, nil)
}

// conclude runs the last callback: OnClose for an end by close frame or by a drop,
// OnError for every other.
func (b *bridge) conclude(end error) {
	for _, err := range b.caller.takeFailures() {
		b.tell(err)
	}
	closed, answered := end.(chanws.Close)
	if !answered {
		if final, ok := end.(chanws.Error); !ok || !errors.Is(final, io.ErrUnexpectedEOF) {
			b.tell(end)
			return
		}
		closed = chanws.Close{Code: chanws.StatusAbnormalClosure}
	}
	onClose := b.plan.OnClose
	if onClose == nil {
		return
	}
	err := guard("OnClose", func() error { return onClose(b.caller, closed.Code, closed.Reason) })
	if p, panicked := err.(*PanicError); panicked {
		b.caller.logPanic(p)
	} else if _, ok := wantsClose(err); err == nil || ok || errors.Is(err, end) {
		return
	}
	b.tell(err)
}
