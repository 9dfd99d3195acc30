package chanws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/chanws/chanws/internal/handshake"
)

// RedialPolicy tells [Redial] how long to wait, and when to give up. The zero value
// is all defaults.
type RedialPolicy struct {
	// Interval is the delay before the first new attempt. Default 1 s.
	Interval time.Duration
	// MaxInterval is the longest delay, before Jitter. Default 30 s, or Interval
	// where that is longer.
	MaxInterval time.Duration
	// Factor is how much longer each further delay is: at least 1. Default 2;
	// negative: none, all delays are Interval.
	Factor float64
	// Jitter is the part of a delay, 0 to 1, that it may be shorter or longer, at
	// random, so that the clients of a server that restarts do not come back all at
	// once. Default 0.2; negative: none.
	Jitter float64
	// MaxAttempts is how many attempts in a row may fail; the last one's error is
	// final. Default 0: for ever.
	MaxAttempts int
	// Retry tells whether another attempt makes sense after an error. An error of
	// the options or the URL, and the end of ctx, are final without asking. Default:
	// a *[HandshakeError] is final unless its status is 500, 502, 503 or 504, and so
	// is a certificate that was refused: a *tls.CertificateVerificationError, an
	// error of crypto/x509, or an alert of the server's that says so of ours. All
	// else is tried again.
	Retry func(error) bool
}

// Redial dials again and again. It yields a new connection each time the last one
// has ended:
//
//	for c, err := range chanws.Redial(ctx, url, nil, chanws.RedialPolicy{}) {
//		if err != nil {
//			log.Print(err) // Redial goes on, unless this was the last turn
//			continue
//		}
//		for ev := range c.Events() {
//			...
//		}
//		c.CloseNow()
//	}
//
// An attempt that fails yields (nil, err), and a final error is the last thing that
// is yielded: see [RedialPolicy.Retry] and MaxAttempts. When ctx ends, the final
// error matches ctx.Err() and ctx's cause; that ends the dialling, but no connection.
//
// The delay before an attempt is Interval times Factor for each attempt before it,
// at most MaxInterval, give or take Jitter. A connection that lived, up to its Done,
// at least as long as the delay that is due starts again from Interval; one that did not counts like a
// failure here, so that a server that accepts and drops at once is not hammered.
// MaxAttempts counts failed attempts only, and from zero after each connection.
//
// The body of the loop uses the connection until its end, and closes it: before
// that, Redial neither dials nor yields. A body that returns while the connection
// lives makes Redial wait for its end; whoever has been given that connection must
// close it. One that has ended when the body returns, Redial closes if the body has
// not: when another goroutine still receives its last events, wait for that one in
// the body. Leaving the loop leaves the last connection to the user, as does the end
// of ctx. Then nothing of Redial is left, and the sequence may be used again.
func Redial(ctx context.Context, url string, opts *DialOptions, policy RedialPolicy) iter.Seq2[*Conn, error] {
	return func(yield func(*Conn, error) bool) {
		policy, err := policy.normalize()
		if err != nil {
			yield(nil, err)
			return
		}
		delays := backoff{policy: policy}
		for failures := 0; ; {
			c, err := Dial(ctx, url, opts)
			if err != nil {
				failures++
				last := ctx.Err() != nil && errors.Is(err, ctx.Err()) || policy.final(err, failures)
				if !yield(nil, err) || last {
					return
				}
			} else {
				failures = 0
				life := watch(c)
				if !yield(c, nil) {
					life.forget()
					return
				}
				outlive(ctx, c)
				delays.lived(life.span())
				life.forget()
			}
			if err := wait(ctx, delays.next()); err != nil {
				yield(nil, err)
				return
			}
		}
	}
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

// wait waits for d to pass; if ctx ends first, it gives ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return fmt.Errorf("chanws: redial: %w", handshake.Ended(ctx))
	}
	return nil
}

// normalize checks p, and fills in the defaults.
func (p RedialPolicy) normalize() (RedialPolicy, error) {
	for _, f := range []struct {
		name string
		bad  bool
		want string
	}{
		{"Interval", p.Interval < 0, "must not be negative"},
		{"MaxInterval", p.MaxInterval < 0, "must not be negative"},
		{"Factor", math.IsNaN(p.Factor) || math.IsInf(p.Factor, 0) || p.Factor > 0 && p.Factor < 1, "must be at least 1, or negative for none"},
		{"Jitter", math.IsNaN(p.Jitter) || p.Jitter > 1, "must be at most 1, or negative for none"},
		{"MaxAttempts", p.MaxAttempts < 0, "must not be negative"},
	} {
		if f.bad {
			return p, fmt.Errorf("chanws: RedialPolicy.%s %s", f.name, f.want)
		}
	}
	p.Interval = orDefault(p.Interval, time.Second)
	p.MaxInterval = orDefault(p.MaxInterval, max(30*time.Second, p.Interval))
	p.Factor = max(orDefault(p.Factor, 2), 1)
	p.Jitter = max(orDefault(p.Jitter, 0.2), 0)
	if p.Retry == nil {
		p.Retry = retryable
	}
	return p, nil
}

// final tells whether err, of the last of so many attempts that failed in a row, is
// the end of it.
func (p *RedialPolicy) final(err error, failures int) bool {
	var unusable *handshake.InvalidError
	return errors.As(err, &unusable) || failures == p.MaxAttempts || !p.Retry(err)
}

// retryable is the default of RedialPolicy.Retry.
func retryable(err error) bool {
	var refused *HandshakeError
	if errors.As(err, &refused) {
		switch refused.StatusCode {
		case http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return !aboutCertificate(err)
}

// aboutCertificate tells whether err is the refusal of a certificate: by us, in
// whatever way HTTPClient or TLSConfig verify it, or of ours by the server.
func aboutCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		host         x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
		remote       *net.OpError
	)
	switch {
	case errors.As(err, &verification), errors.As(err, &host), errors.As(err, &authority), errors.As(err, &invalid):
		return true
	case errors.As(err, &remote) && remote.Op == "remote error":
		// The alert's type is crypto/tls's own, its text is not.
		return slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return remote.Err.Error() == a.Error() })
	}
	return false
}

// certificateAlerts are those of RFC 8446 section 6.2 from bad_certificate to
// certificate_unknown, unknown_ca, and certificate_required.
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 116}

// A life measures a connection's.
type life struct {
	conn   *Conn
	began  time.Time
	ended  time.Time
	over   chan struct{} // closed when ended is set
	forget func() bool
}

func watch(c *Conn) *life {
	l := &life{conn: c, began: time.Now(), over: make(chan struct{})}
	l.forget = context.AfterFunc(c.Context(), func() {
		l.ended = time.Now()
		close(l.over)
	})
	return l
}

// span is how long the connection has lived, whenever it is asked.
func (l *life) span() time.Duration {
	if l.conn.Context().Err() == nil {
		return time.Since(l.began)
	}
	<-l.over // comes at once
	return l.ended.Sub(l.began)
}

// backoff counts the attempts that came to nothing.
type backoff struct {
	policy   RedialPolicy
	attempts int
}

// due is the delay that comes next, before jitter.
func (b *backoff) due() time.Duration {
	d := float64(b.policy.Interval) * math.Pow(b.policy.Factor, float64(b.attempts))
	if d >= float64(b.policy.MaxInterval) {
		return b.policy.MaxInterval
	}
	return time.Duration(d)
}

// next gives the delay before the next attempt.
func (b *backoff) next() time.Duration {
	d := float64(b.due()) * (1 + b.policy.Jitter*(2*rand.Float64()-1))
	b.attempts++
	if d >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(d)
}

// lived takes notice of a connection that lived for d.
func (b *backoff) lived(d time.Duration) {
	if d >= b.due() {
		b.attempts = 0
	}
}
