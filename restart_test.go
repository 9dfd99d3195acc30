package chanws_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

// A restarted is a server on TCP that stops and starts again on the same port. Each of
// its generations takes subscriptions, and answers each with an event and a ping that
// carry its number.
type restarted struct {
	t        *testing.T
	addr     string
	listener *chanws.Listener
	serving  sync.WaitGroup
	subs     atomic.Int64 // of all generations
}

func newRestarted(t *testing.T) *restarted {
	// No other test is given a port of this address while nobody listens on it.
	s := &restarted{t: t, addr: "127.77.0.1:0"}
	if l, err := net.Listen("tcp", s.addr); err != nil {
		s.addr = "127.0.0.1:0" // a system with one loopback address
	} else {
		l.Close()
	}
	t.Cleanup(s.kill)
	return s
}

// start begins a generation.
func (s *restarted) start(generation int) {
	var l *chanws.Listener
	require.Eventually(s.t, func() (ok bool) {
		var err error
		l, err = chanws.Listen(s.addr, nil)
		return err == nil
	}, restartPatience, time.Millisecond, "the port is free again")
	s.listener, s.addr = l, l.Addr().String()
	s.serving.Go(func() {
		for c := range l.Conns() {
			s.serving.Go(func() {
				defer c.CloseNow()
				for ev := range c.Events() {
					if ev == chanws.Event(chanws.Text("subscribe")) {
						s.subs.Add(1)
						c.Send <- chanws.Ping(fmt.Sprint(generation))
						c.Send <- chanws.Text(fmt.Sprint(generation))
					}
				}
			})
		}
	})
}

// shutDown is the polite end of a generation: 1001 to everybody.
func (s *restarted) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), restartPatience)
	defer cancel()
	assert.NoError(s.t, s.listener.Shutdown(ctx))
	s.serving.Wait()
}

// kill is the rude end of a generation: it drops everybody.
func (s *restarted) kill() {
	assert.NoError(s.t, s.listener.Close())
	s.serving.Wait()
}

const (
	restartInterval    = 10 * time.Millisecond
	restartMaxInterval = 100 * time.Millisecond
	restartPatience    = 20 * time.Second
)

// A follower is a client under test.
type follower struct {
	t        *testing.T
	url      string
	attempts atomic.Int64
	heard    chan string // the numbers of generations, from events or from pings
}

func (f *follower) dialOptions() chanws.DialOptions {
	return chanws.DialOptions{Authorize: func(context.Context, *http.Request) error { f.attempts.Add(1); return nil }}
}

func (f *follower) policy() *chanws.RedialPolicy {
	return &chanws.RedialPolicy{Interval: restartInterval, MaxInterval: restartMaxInterval}
}

func subscribe(ctx context.Context, c *chanws.Conn) error {
	return c.Write(ctx, chanws.Text("subscribe"))
}

// Each kind of client follows the server until stop is called.
var followers = map[string]func(f *follower) (stop func()){
	"Redial": func(f *follower) func() {
		ctx, cancel := context.WithCancel(context.Background())
		opts := f.dialOptions()
		var looping sync.WaitGroup
		looping.Go(func() {
			for c, err := range chanws.Redial(ctx, f.url, &opts, *f.policy()) {
				if err != nil {
					continue
				}
				leaving := context.AfterFunc(ctx, func() { c.CloseNow() })
				c.Send <- chanws.Text("subscribe")
				for ev := range c.Events() {
					if text, ok := ev.(chanws.Text); ok {
						f.heard <- string(text)
					}
				}
				c.CloseNow()
				leaving()
			}
		})
		return func() { cancel(); looping.Wait() }
	},
	"Client that reads": func(f *follower) func() {
		c, err := chanws.NewClient(context.Background(), f.url, &chanws.ClientOptions{
			DialOptions: f.dialOptions(), Retry: f.policy(), OnConnect: subscribe,
		})
		require.NoError(f.t, err)
		var reading sync.WaitGroup
		reading.Go(func() {
			for {
				text, err := c.ReadTextMessage(context.Background())
				if err != nil {
					return
				}
				f.heard <- text
			}
		})
		return func() { c.Close(1000, ""); reading.Wait() }
	},
	"Client with handlers that does not read": func(f *follower) func() {
		c, err := chanws.NewClient(context.Background(), f.url, &chanws.ClientOptions{
			DialOptions: f.dialOptions(), Retry: f.policy(), OnConnect: subscribe,
			OnPing: func(_ *chanws.Client, data []byte) { f.heard <- string(data) },
		})
		require.NoError(f.t, err)
		return func() { c.Close(1000, "") }
	},
	"Client with handlers that reads": func(f *follower) func() {
		c, err := chanws.NewClient(context.Background(), f.url, &chanws.ClientOptions{
			DialOptions: f.dialOptions(), Retry: f.policy(), OnConnect: subscribe,
			OnPing: func(*chanws.Client, []byte) {},
		})
		require.NoError(f.t, err)
		var reading sync.WaitGroup
		reading.Go(func() {
			for {
				text, err := c.ReadTextMessage(context.Background())
				if err != nil {
					return
				}
				f.heard <- text
			}
		})
		return func() { c.Close(1000, ""); reading.Wait() }
	},
	"AsyncClient": func(f *follower) func() {
		a, err := adapt.NewAsyncClient(context.Background(), f.url, &adapt.Service{
			OnOpen:        func(c *adapt.Caller) error { return c.WriteTextMessage("subscribe") },
			OnTextMessage: func(_ *adapt.Caller, text string) error { f.heard <- text; return nil },
		}, &adapt.ClientConfig{DialOptions: f.dialOptions(), Retry: f.policy()})
		require.NoError(f.t, err)
		return func() { a.Close(1000, ""); <-a.Done() }
	},
}

// TestEveryKindOfClientFollowsAServerThatRestarts leaves it to TestMain to find
// goroutines that are left.
func TestEveryKindOfClientFollowsAServerThatRestarts(t *testing.T) {
	t.Parallel()
	for manner, stopServer := range map[string]func(*restarted){"politely": (*restarted).shutDown, "rudely": (*restarted).kill} {
		for kind, follow := range followers {
			t.Run(kind+", "+manner, func(t *testing.T) {
				t.Parallel()
				const generations = 4
				s := newRestarted(t)
				s.start(0)
				f := &follower{t: t, url: "ws://" + s.addr, heard: make(chan string, generations)}
				stop := follow(f)
				stopped := sync.OnceFunc(stop)
				t.Cleanup(stopped)
				hear := func(generation int) {
					select {
					case got := <-f.heard:
						require.Equal(t, fmt.Sprint(generation), got)
					case <-time.After(restartPatience):
						require.FailNow(t, "no event", "of generation %d", generation)
					}
				}
				hear(0)
				began := time.Now()
				for generation := 1; generation < generations; generation++ {
					stopServer(s)
					down := f.attempts.Load()
					require.Eventually(t, func() bool { return f.attempts.Load() >= down+3 }, restartPatience, time.Millisecond, "it tries")
					s.start(generation)
					hear(generation)
				}
				stopped()
				// Delays of 8 ms at least, and of 80 ms soon: without them it would be thousands.
				most := int64(generations*6) + int64(time.Since(began)/(restartMaxInterval*8/10))
				require.LessOrEqual(t, f.attempts.Load(), most, "no busy loop")
				require.EqualValues(t, generations, s.subs.Load(), "subscribed once to each")
				require.Empty(t, f.heard)
			})
		}
	}
}

func TestEveryKindOfClientLeavesAServerAlone_ThatAcceptsAndClosesForEver(t *testing.T) {
	t.Parallel()
	for manner, end := range map[string]func(*chanws.Conn){
		"with 1001":   func(c *chanws.Conn) { _ = c.Close(chanws.StatusGoingAway, "") },
		"with a drop": func(c *chanws.Conn) { _ = c.CloseNow() },
	} {
		for kind, follow := range followers {
			t.Run(kind+", "+manner, func(t *testing.T) {
				t.Parallel()
				l, err := chanws.Listen("127.0.0.1:0", nil)
				require.NoError(t, err)
				var serving sync.WaitGroup
				serving.Go(func() {
					for c := range l.Conns() {
						end(c)
					}
				})
				t.Cleanup(func() {
					l.Close()
					serving.Wait()
				})
				f := &follower{t: t, url: l.URL(), heard: make(chan string)}
				began := time.Now()
				stop := follow(f)
				require.Eventually(t, func() bool { return f.attempts.Load() >= 8 }, restartPatience, time.Millisecond, "it tries")
				stop()
				took := time.Since(began)
				// Delays of 10, 20, 40, 80 and 100 ms, give or take a fifth.
				require.GreaterOrEqual(t, took, (10+20+40+80+3*100)*time.Millisecond*8/10)
			})
		}
	}
}
