package chanws

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"
)

// RedialPolicy decides whether and when [Redial] and a [Client] connect again. The
// zero value is all defaults.
type RedialPolicy struct {
	// Interval is the delay before the first new attempt. Default 1 s.
	Interval time.Duration
	// MaxInterval is the longest delay, before Jitter. A connection that has lived for
	// MaxInterval starts the delays again from Interval. Default 30 s, or Interval
	// where that is longer.
	MaxInterval time.Duration
	// Factor is how much longer each further delay is: at least 1. Default 2;
	// negative: none, all delays are Interval.
	Factor float64
	// Jitter is the part of a delay, 0 to 1, that it may be shorter or longer, at
	// random, so that the clients of a server that restarts do not all come back at the
	// same moment. Default 0.2; negative: none.
	Jitter float64
	// MaxAttempts is how many attempts in a row may fail; the last one's error is
	// final. Connections that ended do not count. Default 0: no limit.
	MaxAttempts int

	// Retry reports whether to connect again after err: the error of an attempt that
	// failed, or the [Close] or [Error] that a connection ended with. It is asked once
	// about each. Not asked about, and final, are an error of the options or of the URL,
	// the end of ctx, and the attempt that MaxAttempts ends with. Default [DefaultRetry].
	//
	// Retry is not asked about a connection that this side closed either, see
	// [Conn.ClosedLocally]: a Client stays closed then, and Redial goes on, because the
	// body of its loop can leave the loop.
	Retry func(err error) bool

	// Delay returns the delay before an attempt, instead of Interval, MaxInterval, Factor
	// and Jitter. attempt is 1 for the first attempt after a connection, or after the
	// first of all attempts has failed, and counts up until there is a connection. err is
	// what Retry was asked about. A negative delay is 0. A server that accepts and drops
	// every connection is attempt 1 each time: for that one a Delay of 0 is a busy loop.
	//
	// If err is a *[HandshakeError] with a Retry-After header, in seconds or as a date,
	// this is the least delay, with Delay and without. More than one hour counts as one
	// hour. Without Delay, Jitter lengthens it.
	Delay func(attempt int, err error) time.Duration
}

// Redial connects, and connects again each time the connection has ended:
//
//	for c, err := range chanws.Redial(ctx, url, nil, chanws.RedialPolicy{}) {
//		if err != nil {
//			log.Print(err) // Redial goes on, unless this was the last turn
//			continue
//		}
//		c.Send <- chanws.Text("subscribe") // again on each connection
//		for ev := range c.Events() {
//			...
//		}
//		c.CloseNow()
//	}
//
// An attempt that fails yields (nil, err). The final error is the last that is yielded:
// an attempt's that [RedialPolicy.Retry] or MaxAttempts makes final, or the [Close] or
// [Error] that a connection ended with, as it is in [Conn.Err], if Retry says so. By
// default a lost connection and a server that restarts (1001, 1012) are connected again,
// and a server that says goodbye (1000) is final. If the body closes the connection
// itself, Redial connects again: to stop, leave the loop.
//
// When ctx ends, the final error matches ctx.Err() and ctx's cause; that ends the
// dialling, but no connection.
//
// The delay before an attempt is Interval times Factor for each attempt before it, at
// most MaxInterval, give or take Jitter; or else [RedialPolicy.Delay]. A connection that
// has lived for MaxInterval, up to its Done, starts the delays again from Interval. A
// shorter one counts like a failure here, so that a server that accepts and drops
// immediately is not hammered. MaxAttempts counts failed attempts only, and from zero
// after each connection.
//
// The body of the loop uses the connection until its end, and closes it: before
// that, Redial neither dials nor yields. If the body returns while the connection is
// open, Redial waits for it to end; whoever holds it must close it. If it has already
// ended, Redial closes it: if another goroutine still receives its last events, wait for
// that goroutine in the body. Leaving the loop leaves the last connection to the user, as
// does the end of ctx. Then nothing of Redial is left, and the sequence may be used again.
func Redial(ctx context.Context, url string, opts *DialOptions, policy RedialPolicy) iter.Seq2[*Conn, error] {
	return func(yield func(*Conn, error) bool) {
		policy, err := policy.normalize()
		if ctx == nil {
			err = errNilContext
		}
		if err != nil {
			yield(nil, err)
			return
		}
		r := redialer{
			dial:   func(ctx context.Context) (*Conn, error) { return Dial(ctx, url, opts) },
			delays: backoff{policy: policy},
		}
		for end, more := error(nil), true; more; {
			end, more = r.turn(ctx, end, yield)
		}
	}
}

// turn yields what [redialer.connect] does, and waits for the end of the connection. It
// returns what that was, and whether there is to be another turn.
func (r *redialer) turn(ctx context.Context, end error, yield func(*Conn, error) bool) (next error, more bool) {
	for c, err := range r.connect(ctx, end) {
		if err != nil {
			if !yield(nil, err) {
				return nil, false
			}
			continue
		}
		life := watch(c)
		defer life.forget()
		if !yield(c, nil) {
			return nil, false
		}
		outlive(ctx, c)
		r.delays.lived(life.span())
		switch end := c.Err(); {
		case ctx.Err() != nil:
			yield(nil, redialEnded(ctx))
		case c.ClosedLocally() || r.delays.policy.Retry(end):
			return end, true
		default:
			yield(nil, end)
		}
	}
	return nil, false
}

// outlive waits until c or ctx has ended.
func outlive(ctx context.Context, c *Conn) {
	select {
	case <-c.Done():
		// The body has seen the end of c, but may have forgotten to close it. Later it
		// would be wrong: who received c may still be at its last events.
		_ = c.CloseNow()
		return
	default:
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
	}
}

// normalize checks p, and fills in the defaults.
func (p RedialPolicy) normalize() (RedialPolicy, error) {
	for _, f := range []struct {
		name  string
		value any
		bad   bool
		want  string
	}{
		{"Interval", p.Interval, p.Interval < 0, "must not be negative"},
		{"MaxInterval", p.MaxInterval, p.MaxInterval < 0, "must not be negative"},
		{"Factor", p.Factor, math.IsNaN(p.Factor) || math.IsInf(p.Factor, 0) || p.Factor > 0 && p.Factor < 1, "must be at least 1, or negative for none"},
		{"Jitter", p.Jitter, math.IsNaN(p.Jitter) || p.Jitter > 1, "must be at most 1, or negative for none"},
		{"MaxAttempts", p.MaxAttempts, p.MaxAttempts < 0, "must not be negative"},
	} {
		if f.bad {
			return p, fmt.Errorf("chanws: RedialPolicy.%s %s: %v", f.name, f.want, f.value)
		}
	}
	p.Interval = orDefault(p.Interval, time.Second)
	p.MaxInterval = orDefault(p.MaxInterval, max(30*time.Second, p.Interval))
	p.Factor = max(orDefault(p.Factor, 2), 1)
	p.Jitter = max(orDefault(p.Jitter, 0.2), 0)
	if p.Retry == nil {
		p.Retry = DefaultRetry
	}
	return p, nil
}
