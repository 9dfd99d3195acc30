package adapt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/chanws/chanws"
)

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
	b.caller.leave = func() { end(net.ErrClosed) }
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
	failure := guard("Authorize or Retry", func() (failure error) {
		for conn, err := range chanws.Redial(life, r.url, r.opts, r.policy) {
			if err != nil {
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
			if b.caller.closed.Load() || !isLoss(loss) {
				return nil
			}
			b.caller.log().Info("websocket connection lost", "err", loss)
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

// giveUp runs the last callback of a client that cannot connect again.
func (b *bridge) giveUp(err error) {
	_, _ = b.caller.beginClose()
	b.conclude(err)
}

// isLoss tells whether err is of the network, and not of somebody's decision, as a
// Close, a *chanws.ProtocolError and chanws.ErrOverflow are.
func isLoss(err error) bool {
	var network net.Error
	return !errors.Is(err, net.ErrClosed) && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network))
}
