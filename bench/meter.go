package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// The phases of a measurement.
const (
	warming int32 = iota
	measuring
	ending
)

// A meter counts the replies of one connection and times some of them. Only the
// connection's goroutine calls its methods; the clock's goroutine reads the counter.
type meter struct {
	phase    *atomic.Int32
	replies  atomic.Int64
	sampling int   // every so many calls of sent a reply is timed
	window   int64 // replies that are awaited at a time

	want    []byte // what a reply must be
	wrong   error
	calls   int
	awaited int64 // number of the reply that is timed; 0: none
	began   time.Time
	samples []time.Duration

	_ [64]byte // two meters in one cache line would slow each other down
}

func newMeter(phase *atomic.Int32, w workload) *meter {
	m := &meter{phase: phase, sampling: 8, window: int64(w.Window), want: w.payload()}
	if w.Client {
		m.sampling = 512 // it is called for every message
	}
	if w.Size*w.Window >= 16<<10 {
		m.sampling = 1
	}
	return m
}

// going tells whether the connection should go on.
func (m *meter) going() bool { return m.phase.Load() != ending }

// sent is called after requests have been written; the last of them will be answered
// by reply number total.
func (m *meter) sent(total int64) {
	if m.awaited != 0 {
		return
	}
	if m.calls++; m.calls%m.sampling == 0 && m.phase.Load() == measuring {
		m.awaited, m.began = total, time.Now()
	}
}

// got is called when there have been so many replies.
func (m *meter) got(total int64) {
	m.replies.Store(total)
	if m.awaited != 0 && total >= m.awaited {
		m.samples = append(m.samples, time.Since(m.began))
		m.awaited = 0
	}
}

// count is for clients that send one message for each reply: it stands for got, and
// for sent a moment before it is true.
func (m *meter) count(reply []byte) {
	n := m.replies.Load() + 1
	m.got(n)
	m.sent(n + m.window)
	if n&63 == 1 && m.wrong == nil && !bytes.Equal(reply, m.want) {
		m.wrong = fmt.Errorf("reply is not what was sent: %.40q", reply)
	}
}

// percentile gives the p-th part (0.5 is the median) of sorted durations.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// latencies gives the percentiles of all samples together.
func latencies(meters []*meter) (p50, p99 time.Duration, n int) {
	var all []time.Duration
	for _, m := range meters {
		all = append(all, m.samples...)
	}
	slices.Sort(all)
	return percentile(all, 0.50), percentile(all, 0.99), len(all)
}

// replies gives the sum of all counters.
func replies(meters []*meter) (sum int64) {
	for _, m := range meters {
		sum += m.replies.Load()
	}
	return sum
}
