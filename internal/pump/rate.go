package pump

import "time"

// bucket is a token bucket: it fills by rate a second up to burst, and starts full.
type bucket struct {
	tokens float64
	filled time.Time
}

// take takes a token, or tells that there is none.
func (b *bucket) take(rate float64, burst int, now time.Time) bool {
	limit := max(float64(burst), 1)
	if b.filled.IsZero() {
		b.tokens = limit
	} else {
		b.tokens = min(limit, b.tokens+rate*now.Sub(b.filled).Seconds())
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
