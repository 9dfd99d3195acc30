package soak

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/chanws/chanws/internal/leaktest"
)

const (
	samples = 12
	// What may come on top of the plateau, and be left of the base at the end: messages
	// of a mebibyte come and go, and so do pools.
	heapSlack      = 24 << 20
	heapLeft       = 8 << 20
	goroutineSlack = 200
	// The runtime keeps the descriptor of a goroutine that has ended, for the next one.
	descriptor = 512
)

// A watch looks at the process's memory and goroutines at intervals.
type watch struct {
	base    usage
	stop    chan struct{}
	stopped chan struct{}
	seen    []usage
}

type usage struct {
	heap       uint64
	goroutines int
}

func (u usage) String() string { return fmt.Sprintf("%d KiB, %d goroutines", u.heap>>10, u.goroutines) }

func measure() usage {
	for range 3 { // what is in a sync.Pool survives the first
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{m.HeapAlloc, runtime.NumGoroutine()}
}

func startWatch(duration time.Duration) *watch {
	w := &watch{base: measure(), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run(duration / samples)
	return w
}

func (w *watch) run(every time.Duration) {
	defer close(w.stopped)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for len(w.seen) < samples-1 {
		select {
		case <-ticker.C:
			w.seen = append(w.seen, measure())
		case <-w.stop:
			return
		}
	}
}

// end takes the last measure, when all is over, and tells what is wrong. Goroutines
// whose stacks contain allowed may be left.
func (w *watch) end(allowed string) (problems []string) {
	close(w.stop)
	<-w.stopped
	problems = w.unflat()
	for _, stack := range leaktest.Survivors() {
		if strings.Contains(stack, allowed) || strings.Contains(stack, "soak.TestSoak") || strings.Contains(stack, "soak.TestMain") {
			continue
		}
		problems = append(problems, "a goroutine is left:\n"+stack)
	}
	most := 0
	for _, u := range w.seen {
		most = max(most, u.goroutines)
	}
	if left := measure(); left.heap > w.base.heap+heapLeft+uint64(most)*descriptor {
		problems = append(problems, fmt.Sprintf("memory is left: %v, at the beginning %v", left, w.base))
	}
	return problems
}

// unflat holds the later samples against the earlier ones, when all connections are there.
func (w *watch) unflat() (problems []string) {
	if len(w.seen) < samples/2 {
		return nil
	}
	var plateau usage
	for _, u := range w.seen[samples/4 : samples/2] {
		plateau.heap = max(plateau.heap, u.heap)
		plateau.goroutines = max(plateau.goroutines, u.goroutines)
	}
	for i, u := range w.seen[samples/2:] {
		if u.heap > plateau.heap*3/2+heapSlack || u.goroutines > plateau.goroutines*3/2+goroutineSlack {
			problems = append(problems, fmt.Sprintf("sample %d: %v; the plateau was %v", samples/2+i, u, plateau))
		}
	}
	return problems
}
