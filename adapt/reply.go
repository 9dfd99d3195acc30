package adapt

import (
	"errors"
	"runtime/debug"

	"github.com/chanws/chanws"
)

const (
	// panicReason is the close reason after a panic.
	panicReason = "Unexpected condition"
	// failedReason is the close reason after an error that nobody handles.
	failedReason = "handler failed"
	// unboundReason begins the close reason for a message that could not be decoded.
	unboundReason = "data binding failed: "
)

// guard runs a callback and gives a panic as a *PanicError.
func guard(callback string, run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Callback: callback, Value: v, Stack: debug.Stack()}
		}
	}()
	return run()
}

func (c *Caller) logPanic(p *PanicError) {
	c.log().Error("websocket callback panicked", "callback", p.Callback, "panic", p.Value, "stack", string(p.Stack))
}

// wantsClose tells whether an error asks for the connection to be closed, and how. The
// Close in a [ClosureError] does not: a write to somebody who has left tells of it.
func wantsClose(err error) (end chanws.Close, ok bool) {
	ok = errors.As(err, &end) && !errors.As(err, new(*ClosureError))
	return end, ok
}

// closeWith closes as a callback wants it, and does not wait. A close frame that must
// not be sent cuts the connection; a reason that is too long is cut itself.
func (c *Caller) closeWith(end chanws.Close) {
	end.Reason = fit(end.Reason)
	if err := checkClose(end); err != nil {
		c.log().Error("websocket close frame must not be sent: cutting the connection", "err", err)
		if conn, first := c.beginClose(); first {
			c.spawn(func() { _ = conn.CloseNow() })
		}
		return
	}
	c.closeBehind(end, 0)
}

// settle does what the result of a callback asks for. r is the route that led to the
// callback, or nil.
func (b *bridge) settle(err error, r *Route) {
	if err == nil {
		return
	}
	c := b.caller
	if p, panicked := err.(*PanicError); panicked {
		c.logPanic(p)
		c.closeWith(chanws.Close{Code: chanws.StatusInternalError, Reason: panicReason})
		b.tell(err)
		return
	}
	if !c.closed.Load() {
		conn := c.Conn()
		if end := conn.Err(); end != nil && errors.Is(err, end) || foretells(err, conn) {
			return // OnClose or OnError is about to be told
		}
	}
	var unbound bindingError
	var refused *chanws.ValidationError
	end, wanted := wantsClose(err)
	switch {
	case errors.As(err, &unbound):
		b.settleUnbound(unbound, err, r)
	case errors.As(err, &refused):
		b.tell(err)
	case wanted:
		c.closeWith(end) // nothing, if it is closed
	case b.plan.OnError != nil:
		b.tell(err)
	default:
		c.log().Error("websocket callback failed", "err", err)
		c.closeWith(chanws.Close{Code: chanws.StatusInternalError, Reason: failedReason})
	}
}

// settleUnbound does what is to be done about a message that could not be decoded.
func (b *bridge) settleUnbound(unbound bindingError, err error, r *Route) {
	switch {
	case r != nil && r.OnBindError != nil:
		b.settleLast(guard("OnBindError of "+r.label(), func() error { return r.OnBindError(b.caller, err) }))
	case b.plan.OnError != nil:
		b.tell(err)
	default:
		b.caller.log().Error("websocket message cannot be decoded", "err", err)
		b.caller.closeWith(chanws.Close{Code: chanws.StatusUnsupportedData, Reason: fit(unboundReason + unbound.Err.Error())})
	}
}

// tell hands an error to OnError.
func (b *bridge) tell(err error) {
	if b.plan.OnError == nil {
		if _, logged := err.(*PanicError); !logged {
			b.caller.log().Warn("websocket error", "err", err)
		}
		return
	}
	b.settleLast(guard("OnError", func() error { return b.plan.OnError(b.caller, err) }))
}

// settleLast does what the result of an error's handler asks for. No other handler is
// told of it.
func (b *bridge) settleLast(err error) {
	if err == nil {
		return
	}
	c := b.caller
	failure := chanws.Close{Code: chanws.StatusInternalError, Reason: failedReason}
	if p, panicked := err.(*PanicError); panicked {
		c.logPanic(p)
		failure.Reason = panicReason
	} else if end, ok := wantsClose(err); ok {
		failure = end
	} else {
		c.log().Error("websocket error handler failed", "err", err)
	}
	c.closeWith(failure)
}
