package chanws_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws/wstest"
)

// The lifecycle table under a shake: random cells of it, several at a time, at changing
// GOMAXPROCS, over connections that split what they carry and let other goroutines run
// at any point; see shaker. Each cell has a seed, which a failure prints:
//
//	go test -run TestLifecycleShaken -cells=1000000 .
//	go test -run TestLifecycleShaken/memory -shake=SEED -cells=1 -count=1000 .
//
// The second runs the cell of a seed again and again. The seed fixes the cell, its
// transport's behaviour and where goroutines yield, but not what the scheduler does.
var (
	shakeSeed  = flag.Uint64("shake", 0, "seed of the first `cell` of TestLifecycleShaken; 0 is a random one")
	shakeCells = flag.Int("cells", 1000, "how many cells TestLifecycleShaken runs in memory; a fiftieth of it over TCP, and over TLS")
)

// shakeBatch is how many cells run between two changes of GOMAXPROCS.
const shakeBatch = 2000

func TestLifecycleShaken(t *testing.T) {
	first := *shakeSeed
	if first == 0 {
		first = rand.Uint64() >> 16 // short, and far from the largest
	}
	cells := *shakeCells
	if testing.Short() {
		cells = min(cells, 100)
	}
	few := (cells + 49) / 50
	t.Run("memory", func(t *testing.T) { shake(t, first, cells, 4, shakeInBubble) })
	t.Run("TCP", func(t *testing.T) { shake(t, first, few, 64, shakeInRealTime(false)) })
	t.Run("TLS", func(t *testing.T) { shake(t, first, few, 64, shakeInRealTime(true)) })
}

// shake runs cells with the seeds from first on, some of them at a time.
func shake(t *testing.T, first uint64, cells, workers int, run func(*testing.T, *shaker)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for done := 0; done < cells && !t.Failed(); done += shakeBatch {
		runtime.GOMAXPROCS([]int{1, 2, 3, 8}[rand.IntN(4)])
		seeds := make(chan uint64, shakeBatch)
		for i := range min(shakeBatch, cells-done) {
			seeds <- first + uint64(done+i)
		}
		close(seeds)
		t.Run(fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)), func(t *testing.T) {
			var all sync.WaitGroup
			for range workers {
				all.Go(func() {
					// Not t.Parallel, whose number is that of the machine's cores.
					t.Run("", func(t *testing.T) {
						for seed := range seeds {
							shakeOne(t, seed, run)
						}
					})
				})
			}
			all.Wait()
		})
		if done/100_000 != (done+shakeBatch)/100_000 {
			t.Logf("%d cells", done+shakeBatch)
		}
	}
}

// shakeOne runs the cell of a seed, and names it if that fails.
func shakeOne(t *testing.T, seed uint64, run func(*testing.T, *shaker)) {
	s := newShaker(seed)
	well := false
	defer func() {
		if !well || t.Failed() {
			t.Logf("the cell is %v; run it again with -shake=%d -cells=1", s, seed)
		}
		// A deadlock in a bubble is a panic, and the log would not be seen.
		if p := recover(); p != nil {
			panic(fmt.Sprintf("%v, in the cell of -shake=%d: %v", p, seed, s))
		}
	}()
	run(t, s)
	well = true
}

func shakeInBubble(t *testing.T, s *shaker) {
	synctest.Test(t, func(t *testing.T) {
		s.cell(t, func(t *testing.T) (near, far net.Conn) { return wstest.NetPipe(t) }, false)
	})
}

func shakeInRealTime(encrypted bool) func(*testing.T, *shaker) {
	return func(t *testing.T, s *shaker) {
		s.sleeps = true
		t.Run(fmt.Sprint(s.seed), func(t *testing.T) { s.cell(t, tcpPair, encrypted) })
	}
}
