package adapt

import (
	"context"
	"fmt"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/pump"
)

// errClientClosed ends the context of a client that connects again.
const errClientClosed pump.ClosedError = "adapt: the client has been closed"

// A reconnection is how a client with Retry connects.
type reconnection struct {
	url    string
	opts   *chanws.DialOptions
	policy chanws.RedialPolicy
}

// connect starts a client that connects again, and returns when it has its first
// connection or none. ctx bounds that.
func (a *AsyncClient) connect(ctx context.Context, b *bridge, r reconnection) error {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	a.Caller = b.caller
	b.caller.leave = func() { end(errClientClosed) }
	opened := make(chan error, 1)
	go func() {
		defer close(a.done)
		defer end(nil)
		b.serveAgain(life, r, func(err error) bool {
			if !stop() && err == nil {
				err = fmt.Errorf("adapt: connect: %w", context.Cause(ctx))
			}
			opened <- err
			return err == nil
		})
	}()
	if err := <-opened; err != nil {
		<-a.done
		return err
	}
	return nil
}

// serveAgain is the whole life of a bridge with one connection after another. opened
// is told of the first one, or why there is none, and may refuse it. Redialling calls
// functions of the user's in this goroutine, whose panic is the end of this client alone.
func (b *bridge) serveAgain(life context.Context, r reconnection, opened func(error) bool) {
	defer b.leave() // also when a callback ends the goroutine
	var loss error
	refused := false
	failure := guard("Authorize, Retry or Delay", func() (failure error) {
		for conn, err := range chanws.Redial(life, r.url, r.opts, b.logging(r.policy)) {
			switch err.(type) {
			case chanws.Close, chanws.Error:
				return nil // Retry has taken loss for final
			case nil:
			default:
				failure = err
				b.caller.log().Debug("websocket reconnection failed", "err", err)
				continue
			}
			if !b.caller.take(conn) {
				_ = conn.CloseNow()
				return nil
			}
			if loss == nil && !opened(nil) {
				refused = true
				return nil
			}
			loss = b.converse(conn)
			if b.caller.closed.Load() || conn.ClosedLocally() {
				return nil
			}
			_ = conn.CloseNow()
		}
		return failure
	})
	if p, panicked := failure.(*PanicError); panicked {
		b.caller.logPanic(p)
	}
	switch {
	case refused:
	case loss == nil:
		opened(failure)
	case failure == nil || b.caller.closed.Load():
		b.conclude(loss)
	default:
		b.giveUp(fmt.Errorf("%w; then %w", loss, failure))
	}
}

// logging returns the policy with a Retry that logs the connections to be replaced.
func (b *bridge) logging(policy chanws.RedialPolicy) chanws.RedialPolicy {
	retry := policy.Retry
	if retry == nil {
		retry = chanws.DefaultRetry
	}
	policy.Retry = func(err error) bool {
		again := retry(err)
		switch err.(type) {
		case chanws.Close, chanws.Error:
			if again {
				b.caller.log().Info("websocket connection lost", "err", err)
			}
		}
		return again
	}
	return policy
}

// giveUp runs the last callback of a client that cannot connect again.
func (b *bridge) giveUp(err error) {
	_, _ = b.caller.beginClose()
	b.conclude(err)
}
