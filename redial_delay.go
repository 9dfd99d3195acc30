package chanws

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter bounds what a server can ask for with Retry-After, so that a wrong
// one does not end a client's reconnecting.
const longestRetryAfter = time.Hour

// A backoff is the delays before the attempts to connect.
type backoff struct {
	policy   RedialPolicy
	attempts int // that came to nothing, for the exponent
	waits    int // since the last connection, for Delay
}

// next returns the delay before the next attempt; cause is what the last attempt or
// connection ended with.
func (b *backoff) next(cause error) time.Duration {
	b.waits++
	least := retryAfter(cause, time.Now())
	if b.policy.Delay != nil {
		return max(b.policy.Delay(b.waits, cause), least, 0)
	}
	d := scale(b.due(), 1+b.policy.Jitter*(2*rand.Float64()-1))
	b.attempts++
	if least > d {
		return scale(least, 1+b.policy.Jitter*rand.Float64())
	}
	return d
}

// due is the delay that comes next, before jitter.
func (b *backoff) due() time.Duration {
	d := float64(b.policy.Interval) * math.Pow(b.policy.Factor, float64(b.attempts))
	if d >= float64(b.policy.MaxInterval) {
		return b.policy.MaxInterval
	}
	return time.Duration(d)
}

// scale returns d*factor, or the longest Duration.
func scale(d time.Duration, factor float64) time.Duration {
	scaled := float64(d) * factor
	if scaled >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(scaled)
}

// lived takes notice of a connection that lived for d.
func (b *backoff) lived(d time.Duration) {
	if d >= b.policy.MaxInterval {
		b.attempts = 0
	}
}

// retryAfter returns how long the server whose answer is in err asks to be left alone,
// RFC 9110 section 10.2.3, or 0.
func retryAfter(err error, now time.Time) time.Duration {
	var refused *HandshakeError
	if !errors.As(err, &refused) {
		return 0
	}
	value := strings.TrimSpace(refused.Header.Get("Retry-After"))
	if isNumber(value) {
		seconds, err := strconv.Atoi(value)
		if err != nil || seconds > int(longestRetryAfter/time.Second) {
			return longestRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(refused.Header.Get("Date")); err == nil {
		now = date // by the server's own clock
	}
	return min(max(until.Sub(now), 0), longestRetryAfter)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

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
