package pump

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// In these tests every duration is a small multiple of one quantum, so that the timers,
// the peer's bytes and the user's calls meet at the same instant, in any order. What they
// require holds whatever the order. To hunt for long, and to look at one script again:
//
//	go test -race -run Coincid -coincidences=100000 -timeout=0 ./internal/pump
//	go test -race -run Coincid -coincidence=12345 -coincidences=1 -count=1000 ./internal/pump
var (
	coincidence  = flag.Uint64("coincidence", 0, "seed of the first `script` of the tests of coincidences; 0 is a random one")
	coincidences = flag.Int("coincidences", 25, "how many scripts each test of coincidences runs")
)

const (
	quantum = time.Second
	// eternity is more than any script takes.
	eternity = 1000 * quantum
)

// eachCoincidence runs scripts, each in a bubble of its own.
func eachCoincidence(t *testing.T, run func(c *coincide)) {
	first := *coincidence
	if first == 0 {
		first = rand.Uint64() >> 1
	}
	for i := range *coincidences {
		oneCoincidence(t, first+uint64(i), run)
		if t.Failed() {
			return
		}
	}
}

// oneCoincidence runs the script of a seed, and names it if that fails.
func oneCoincidence(t *testing.T, seed uint64, run func(c *coincide)) {
	well := false
	defer func() {
		if !well || t.Failed() {
			t.Logf("run it again with -coincidence=%d -coincidences=1 and a -count: the seed does not fix the order at one instant", seed)
		}
		// A deadlock in a bubble is a panic, and the log would not be seen.
		if p := recover(); p != nil {
			panic(fmt.Sprintf("%v, with -coincidence=%d", p, seed))
		}
	}()
	synctest.Test(t, func(t *testing.T) { run(newCoincide(t, seed)) })
	well = true
}

// coincide is one script: a connection, its peer and its user.
type coincide struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	opts   Options
	client bool
	began  time.Time

	p        *Pump[any, any]
	peer     *quantumPeer
	over     chan struct{} // the script has ended
	stopping sync.Once
	ended    time.Duration // when the terminal event came

	mu     sync.Mutex
	active []time.Duration // when bytes came or went that are not the keepalive's
}

func newCoincide(t *testing.T, seed uint64) *coincide {
	rng := rand.New(rand.NewPCG(seed, 0))
	opts := testOptions()
	some := func() time.Duration { return time.Duration(2+rng.IntN(3)) * quantum }
	opts.PingInterval, opts.PongTimeout, opts.CloseTimeout = some()-quantum, some(), some()
	if rng.IntN(2) == 0 {
		opts.IdleTimeout = some() - quantum
	}
	if rng.IntN(2) == 0 {
		opts.WriteTimeout = some()
	}
	opts.EventBuffer, opts.SendBuffer = 1+rng.IntN(3), 1+rng.IntN(3)
	opts.Overflow = []Overflow{Block, Block, DropOldest, DropNewest}[rng.IntN(4)]
	if rng.IntN(2) == 0 {
		opts.FragmentSize = 10_000
	}
	return &coincide{t: t, seed: seed, rng: rng, opts: opts, client: rng.IntN(2) == 0, began: time.Now(), over: make(chan struct{})}
}

// start starts the pumps. At every instant they come upon a lock that is held for a
// moment, and now and then upon a goroutine that is more urgent: what is done in two
// steps is torn apart by that.
func (c *coincide) start() {
	near, far := net.Pipe()
	voc := testTypes
	voc.Idle = func(d time.Duration) any { c.idleFor(d); return idle(d) }
	pumpRng := c.source()
	var mu sync.Mutex
	stumble := func() {
		mu.Lock()
		n := max(0, pumpRng.IntN(8)-3)
		mu.Unlock()
		for range n {
			runtime.Gosched()
		}
	}
	c.opts.Trace.Flushed = func(int, time.Duration, error) { stumble() }
	c.peer = newQuantumPeer(c, far)
	c.p = Start(testConfig{
		Context: context.Background(), Conn: &stumbling{near, stumble}, Client: c.client,
		Options: &c.opts, Types: &voc,
	})
	c.t.Cleanup(c.stop)
	holds := c.source()
	go c.everyQuantum(func() {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		for range holds.IntN(30) {
			runtime.Gosched()
		}
	})
}

// stop ends the script.
func (c *coincide) stop() {
	c.p.CloseNow()
	c.peer.end()
	c.stopping.Do(func() { close(c.over) })
}

// stumbling is a stream after whose calls others may come first.
type stumbling struct {
	net.Conn
	stumble func()
}

func (s *stumbling) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.stumble()
	return n, err
}

func (s *stumbling) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.stumble()
	return n, err
}

func (c *coincide) now() time.Duration { return time.Since(c.began) }

// everyQuantum does something at every instant until the script has ended.
func (c *coincide) everyQuantum(do func()) {
	ticker := time.NewTicker(quantum)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-c.over:
			return
		}
	}
}

// activity notes that bytes came or went.
func (c *coincide) activity() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.active = append(c.active, c.now())
}

// lastActive returns when bytes came or went last that are not the keepalive's.
func (c *coincide) lastActive() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.active) == 0 {
		return 0
	}
	return slices.Max(c.active)
}

// idleFor checks an idle event: nothing came or went within its time.
func (c *coincide) idleFor(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if d < c.opts.IdleTimeout || d > now {
		c.t.Errorf("idle for %v at %v, of periods of %v", d, now, c.opts.IdleTimeout)
	}
	for _, at := range c.active {
		if at > now-d && at < now {
			c.t.Errorf("idle for %v at %v, though there were bytes at %v", d, now, at)
		}
	}
}

// consume receives the events, at times slowly, and gives the terminal one.
func (c *coincide) consume(slow bool) <-chan any {
	end := make(chan any, 1)
	rng := c.source()
	go func() {
		var terminal any
		for ev := range c.p.Events() {
			if terminal != nil {
				c.t.Errorf("%v after the terminal event %v", ev, terminal)
			}
			if _, last := ev.(error); last {
				terminal = ev
			}
			if slow && rng.IntN(2) == 0 {
				time.Sleep(time.Duration(rng.IntN(8)) * quantum)
			}
		}
		end <- terminal
	}()
	return end
}

// write writes messages in every manner until the connection ends. What Write calls
// written has reached the peer.
func (c *coincide) write(done *sync.WaitGroup) {
	for writer := range 2 {
		rng := c.source()
		done.Go(func() {
			for n := 0; c.p.Err() == nil; n++ {
				time.Sleep(time.Duration(rng.IntN(4)) * quantum)
				m := fmt.Append(nil, writer, ":", n, ";")
				m = append(m, make([]byte, []int{0, 0, 0, 0, 0, 0, 15_000, 40_000}[rng.IntN(8)])...)
				switch rng.IntN(5) {
				case 0:
					select {
					case c.p.Send() <- bin(m):
					case <-c.p.Context().Done():
					}
				case 1:
					c.p.Flush(c.t.Context())
				default:
					ctx, cancel := context.WithTimeout(c.t.Context(), time.Duration(1+rng.IntN(4))*quantum)
					if rng.IntN(2) == 0 {
						ctx = context.Background()
					}
					if c.p.Write(ctx, bin(m)) == nil {
						c.peer.written(m)
					}
					cancel()
				}
			}
		})
	}
}

// finish requires what holds at the end of every connection.
func (c *coincide) finish(end <-chan any, writers *sync.WaitGroup) any {
	var terminal any
	select {
	case terminal = <-end:
	case <-time.After(eternity):
		panic(fmt.Sprintf("no end, with -coincidence=%d", c.seed))
	}
	c.ended = c.now()
	require.NotNil(c.t, terminal, "no terminal event")
	require.Equal(c.t, terminal, c.p.Err())
	require.Equal(c.t, terminal, context.Cause(c.p.Context()))
	writers.Wait()
	c.stop()
	c.peer.check()
	return terminal
}

// source gives a source of its own to a goroutine of the script.
func (c *coincide) source() *rand.Rand { return rand.New(rand.NewPCG(c.rng.Uint64(), 0)) }

func TestCoincidencesDoNotKillALivePeer(t *testing.T) {
	eachCoincidence(t, func(c *coincide) {
		fastReader, fastConsumer := c.rng.IntN(2) == 0, c.rng.IntN(2) == 0
		c.start()
		c.peer.live(!fastReader)
		var writers sync.WaitGroup
		c.write(&writers)
		end := c.consume(!fastConsumer)
		time.Sleep(time.Duration(5+c.rng.IntN(30)) * quantum)
		require.NoError(c.t, c.p.Err(), "before anybody ended it")
		for range 1 + c.rng.IntN(3) {
			writers.Go(c.ending())
		}
		err, _ := c.finish(end, &writers).(error)
		require.NotContains(c.t, err.Error(), "no pong")
		require.NotContains(c.t, err.Error(), "write:")
		if fastReader && fastConsumer {
			require.NotContains(c.t, err.Error(), "no answer")
		}
	})
}

func TestCoincidencesDoNotSaveASilentPeer(t *testing.T) {
	eachCoincidence(t, func(c *coincide) {
		c.start()
		c.peer.live(false)
		var writers sync.WaitGroup
		c.write(&writers)
		end := c.consume(false)
		time.Sleep(time.Duration(c.rng.IntN(20)) * quantum)
		require.NoError(c.t, c.p.Err())
		deaf := c.rng.IntN(2) == 0
		c.peer.fallSilent(deaf)
		silent := c.now()
		require.Error(c.t, c.finish(end, &writers).(failed).err)
		o := &c.opts
		if !deaf { // what it takes may count as a sign of life
			silent = max(silent, c.lastActive())
		}
		require.LessOrEqual(c.t, c.ended-silent, max(o.PingInterval+max(o.PongTimeout, o.WriteTimeout), 2*o.PongTimeout)+o.CloseTimeout)
	})
}

// ending gives something that ends the connection, and requires that it does so in time.
func (c *coincide) ending() func() {
	p, o := c.p, &c.opts
	within := func(limit time.Duration, f func()) func() {
		return func() {
			began := c.now()
			f()
			if took := c.now() - began; took > limit {
				c.t.Errorf("a close took %v, more than %v", took, limit)
			}
		}
	}
	patience := time.Duration(c.rng.IntN(5)) * quantum
	switch c.rng.IntN(7) {
	case 0, 1:
		return within(o.CloseTimeout+lingerTimeout, func() { p.Close(context.Background(), 1000, "") })
	case 2:
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		return within(patience+lingerTimeout, func() { defer cancel(); p.Close(ctx, 1000, "") })
	case 3:
		return within(lingerTimeout, func() { p.CloseNow() })
	case 4:
		return func() { p.Shutdown(1001, "") }
	case 5:
		return func() {
			select {
			case p.Send() <- closed{1000, ""}:
			case <-p.Context().Done():
			}
		}
	default:
		return c.peer.close
	}
}
