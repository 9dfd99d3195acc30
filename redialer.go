package chanws

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/chanws/chanws/internal/handshake"
)

// A redialer makes one connection after another by a policy: [Redial] and [Client] are
// built on it, and adapt on Redial. One goroutine at a time uses it.
type redialer struct {
	dial   func(context.Context) (*Conn, error)
	delays backoff
}

// connect yields (nil, err) for each attempt that fails, and then the connection. If
// there is none, the final error is the last that it yields. end is what the connection
// before ended with; if it is nil, the first attempt is made without a delay.
func (r *redialer) connect(ctx context.Context, end error) iter.Seq2[*Conn, error] {
	return func(yield func(*Conn, error) bool) {
		cause := end
		for failures := 0; ; {
			if cause != nil {
				if err := r.wait(ctx, cause); err != nil {
					if failures > 0 {
						err = fmt.Errorf("%w; last: %w", err, cause)
					}
					yield(nil, err)
					return
				}
			}
			c, err := r.dial(ctx)
			if err == nil {
				r.delays.waits = 0
				yield(c, nil)
				return
			}
			cause = err
			failures++
			last := ctx.Err() != nil && errors.Is(err, ctx.Err()) || r.final(err, failures)
			if !yield(nil, err) || last {
				return
			}
		}
	}
}

// final reports whether err, of the last of so many attempts that failed in a row, is
// the final one.
func (r *redialer) final(err error, failures int) bool {
	var unusable *handshake.InvalidError
	policy := &r.delays.policy
	return errors.As(err, &unusable) || failures == policy.MaxAttempts || !policy.Retry(err)
}

// wait blocks for the delay before an attempt; cause is what the last attempt or
// connection ended with. If ctx ends first, wait returns its error.
func (r *redialer) wait(ctx context.Context, cause error) error {
	if ctx.Err() == nil {
		timer := time.NewTimer(r.delays.next(cause))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return redialEnded(ctx)
	}
	return nil
}

// redialEnded returns the error for a ctx that has ended.
func redialEnded(ctx context.Context) error {
	return fmt.Errorf("chanws: redial: %w", handshake.Ended(ctx))
}
