package chanws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// groupServer is one's own http.Server whose connections belong to a group.
func groupServer(t testing.TB, g *Group, conns chan *Conn) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Upgrade(w, r, &UpgradeOptions{Group: g}); err == nil {
			conns <- c
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { g.Close() })
	return s
}

func connectTo(t testing.TB, s *httptest.Server) *bareClient {
	return connectBare(t, s.Listener.Addr().String())
}

// receiveConn receives a connection of a server and closes it with the test.
func receiveConn(t testing.TB, conns <-chan *Conn) *Conn {
	select {
	case c := <-conns:
		t.Cleanup(func() { c.CloseNow() })
		return c
	case <-time.After(patience):
		require.FailNow(t, "no connection came")
		return nil
	}
}

func TestGroupShutdownDrainsTheConnectionsOfOnesOwnServer(t *testing.T) {
	t.Parallel()
	var g Group
	conns := make(chan *Conn, 10)
	s := groupServer(t, &g, conns)
	shut := make(chan error, 1)
	s.Config.RegisterOnShutdown(func() { shut <- g.Shutdown(context.Background()) })
	var clients []*bareClient
	for range 5 {
		client := connectTo(t, s)
		require.Equal(t, 101, client.upgrade())
		clients = append(clients, client)
	}
	require.NoError(t, s.Config.Shutdown(t.Context()))
	for _, client := range clients { // nobody answers before all have been told
		require.Equal(t, 1001, client.receiveClose())
	}
	require.Empty(t, shut)
	for _, client := range clients {
		client.sendClose(1001)
		client.closed()
	}
	require.NoError(t, <-shut)
	require.Zero(t, g.Len())
	for range clients {
		c := receiveConn(t, conns)
		require.Equal(t, Close{Code: StatusGoingAway}, c.Err())
		require.NoError(t, c.Close(StatusNormalClosure, ""))
	}
}

func TestUpgradeInAGroupThatShutsDownIs503(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Group) error{
		"Shutdown": func(g *Group) error { return g.Shutdown(context.Background()) },
		"Close":    (*Group).Close,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g Group
			authorized := false
			require.NoError(t, end(&g))
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := Upgrade(w, r, &UpgradeOptions{Group: &g, Authorize: func(*http.Request) error { authorized = true; return nil }})
				var answer *HTTPError
				if !errors.As(err, &answer) || answer.StatusCode != 503 {
					t.Errorf("Upgrade returned %v", err)
				}
			}))
			defer s.Close()
			client := connectTo(t, s)
			client.say(upgradeRequest + "\r\n")
			answer, body := client.answer()
			require.Equal(t, 503, answer.StatusCode)
			require.Equal(t, "1", answer.Header.Get("Retry-After"))
			require.Contains(t, body, "shutting down")
			require.False(t, authorized, "Authorize is not asked any more")
		})
	}
}

func TestGroupMayBeSharedByHandlersAndListeners(t *testing.T) {
	t.Parallel()
	var g Group
	conns := make(chan *Conn, 10)
	first, second := groupServer(t, &g, conns), groupServer(t, &g, conns)
	a, b := startListener(t, &ListenOptions{Group: &g}), startListener(t, &ListenOptions{Group: &g})
	clients := []*bareClient{connectTo(t, first), connectTo(t, second), connect(t, a), connect(t, b)}
	for _, client := range clients {
		require.Equal(t, 101, client.upgrade())
	}
	other := startListener(t, nil)
	unrelated, _ := open(t, other)
	receiveConn(t, conns)
	receiveConn(t, conns)
	ofA, ofB := take(t, a), take(t, b)
	eventually(t, "all are in the group", func() bool { return g.Len() == 4 })

	// A Listener's Shutdown ends its own connections only.
	ended := make(chan error, 1)
	go func() { ended <- a.Shutdown(context.Background()) }()
	require.Equal(t, 1001, clients[2].receiveClose())
	clients[2].sendClose(1001)
	require.NoError(t, <-ended)
	require.NotNil(t, ofA.Err())
	require.Equal(t, 3, g.Len())
	require.Nil(t, ofB.Err())

	// The group's Shutdown ends all of them, and the Listener goes on.
	go func() { ended <- g.Shutdown(context.Background()) }()
	for _, i := range []int{0, 1, 3} {
		require.Equal(t, 1001, clients[i].receiveClose())
		clients[i].sendClose(1001)
	}
	require.NoError(t, <-ended)
	require.Nil(t, unrelated.Err())
	require.Equal(t, 503, connect(t, b).upgrade())
	require.Equal(t, 503, connectTo(t, second).upgrade())
	eventually(t, "nothing is left of the refused one", func() bool { return b.server.Counts().Places == 0 && len(b.room) == 0 })
}

func TestGroupShutdownCutsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	var g Group
	conns := make(chan *Conn, 1)
	client := connectTo(t, groupServer(t, &g, conns))
	require.Equal(t, 101, client.upgrade())
	c := receiveConn(t, conns)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error, 1)
	go func() { result <- g.Shutdown(ctx) }()
	require.Equal(t, 1001, client.receiveClose())
	impatient, stop := context.WithCancel(context.Background())
	stop()
	require.ErrorIs(t, g.Shutdown(impatient), context.Canceled, "it waits for the first no longer")
	require.Empty(t, result)
	cancel(why)
	err := <-result
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, c.Err(), net.ErrClosed)
	client.closed()
	for range 20 { // a select that has the choice would take either
		require.NoError(t, g.Shutdown(impatient), "it is over")
	}
	require.NoError(t, g.Close())
}

func TestGroupCloseCutsAShutdownShort(t *testing.T) {
	t.Parallel()
	var g Group
	conns := make(chan *Conn, 1)
	client := connectTo(t, groupServer(t, &g, conns))
	require.Equal(t, 101, client.upgrade())
	c := receiveConn(t, conns)
	result := make(chan error, 1)
	go func() { result <- g.Shutdown(context.Background()) }()
	require.Equal(t, 1001, client.receiveClose())
	require.NoError(t, g.Close())
	require.ErrorIs(t, <-result, net.ErrClosed)
	require.ErrorIs(t, c.Err(), net.ErrClosed)
	require.NoError(t, g.Close())
}

func TestGroupShutdownNeedsNoTimeWithoutConnections(t *testing.T) {
	t.Parallel()
	var g Group
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, g.Shutdown(ctx))
}

// groupInMemory answers an upgrade on a pipe, whose Write waits for the gate.
func groupInMemory(t *testing.T, opts *UpgradeOptions, gate <-chan struct{}) (client *bareClient, result <-chan error, conns <-chan *Conn) {
	memory := &memoryListener{accept: make(chan net.Conn), closed: make(chan struct{})}
	errs, made := make(chan error, 1), make(chan *Conn, 1)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Upgrade(w, r, opts)
		errs <- err
		made <- c
	})}
	go s.Serve(memory)
	t.Cleanup(func() { s.Close() })
	near, far := net.Pipe()
	memory.accept <- &gatedConn{Conn: far, writing: gate}
	return newBareClient(t, near), errs, made
}

func TestNoUpgradeInProgressEscapesAGroup(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end    func(*Group) error
		killed bool
	}{
		"Shutdown": {func(g *Group) error { return g.Shutdown(context.Background()) }, false},
		"Close":    {(*Group).Close, true},
	} {
		t.Run("its 101 is being written, then "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g Group
				gate := make(chan struct{})
				client, result, conns := groupInMemory(t, &UpgradeOptions{Group: &g}, gate)
				client.say(upgradeRequest + "\r\n")
				synctest.Wait()
				ended := make(chan error, 1)
				go func() { ended <- tc.end(&g) }()
				synctest.Wait()
				require.Equal(t, !tc.killed, len(ended) == 0, "Shutdown waits for it")
				close(gate)
				answer, _ := client.answer()
				require.Equal(t, 101, answer.StatusCode)
				require.NoError(t, <-result)
				c := <-conns
				defer c.CloseNow()
				if tc.killed {
					client.closed()
					require.ErrorIs(t, c.Err(), net.ErrClosed)
				} else {
					require.Equal(t, 1001, client.receiveClose())
					client.sendClose(1001)
				}
				require.NoError(t, <-ended)
				synctest.Wait()
				require.Zero(t, g.Len())
			})
		})
		t.Run("Authorize runs, then "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g Group
				authorizing, proceed := make(chan struct{}), make(chan struct{})
				client, result, _ := groupInMemory(t, &UpgradeOptions{Group: &g, Authorize: func(*http.Request) error {
					close(authorizing)
					<-proceed
					return nil
				}}, nil)
				client.say(upgradeRequest + "\r\n")
				<-authorizing
				require.NoError(t, tc.end(&g), "it promises nobody anything")
				close(proceed)
				answer, _ := client.answer()
				require.Equal(t, 503, answer.StatusCode)
				require.Error(t, <-result)
			})
		})
	}
}

func TestUpgradeThatFailsHoldsUpNoGroup(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*UpgradeOptions{
		"refused":  {Authorize: func(*http.Request) error { return errors.New("no") }},
		"panicked": {Authorize: func(*http.Request) error { panic(http.ErrAbortHandler) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g Group
			opts.Group = &g
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Upgrade(w, r, opts) }))
			client := connectTo(t, s)
			client.say(upgradeRequest + "Connection: close\r\n\r\n")
			client.in.ReadString('\n')
			s.Close() // waits for the handler
			require.NoError(t, g.Shutdown(t.Context()))
		})
	}
	t.Run("after the hijack", func(t *testing.T) {
		t.Parallel()
		var g Group
		l, err := Serve(func() net.Listener {
			listener := &spoiltListener{Listener: listenTCP(t)}
			listener.first.Store(1)
			return listener
		}(), &ListenOptions{Group: &g})
		require.NoError(t, err)
		defer l.Close()
		client := connect(t, l)
		client.say(upgradeRequest + "\r\n")
		client.closed()
		require.NoError(t, g.Shutdown(t.Context()))
	})
}

func TestGroupShutdownInAStormOfUpgradesLosesNoConnection(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		var g Group
		var running atomic.Int64 // handlers
		conns := make(chan *Conn, 10_000)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Add(-1)
			if c, err := Upgrade(w, r, &UpgradeOptions{Group: &g}); err == nil {
				conns <- c
			}
		}))
		defer s.Close()
		var storm sync.WaitGroup
		begin := make(chan struct{})
		started := sync.OnceFunc(func() { close(begin) })
		for i := range 16 {
			storm.Go(func() {
				client := connectTo(t, s)
				for n := 0; ; n++ {
					client.say(upgradeRequest + "\r\n")
					answer, err := http.ReadResponse(client.in, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if i == round {
						started()
					}
					if answer.StatusCode != 101 {
						if answer.StatusCode != 503 {
							t.Errorf("status %d", answer.StatusCode)
						}
						return
					}
					if n%2 == 1 {
						opcode, payload, err := client.receive()
						if err != nil || opcode != 8 || payload[:2] != "\x03\xe9" {
							t.Errorf("received %d %q %v", opcode, payload, err)
						}
						client.sendClose(1001)
						return
					}
					client.Close()
					client = connectTo(t, s)
				}
			})
		}
		<-begin
		require.NoError(t, g.Shutdown(context.Background()))
		require.Zero(t, g.Len())
		storm.Wait()
		eventually(t, "all handlers have returned", func() bool { return running.Load() == 0 })
		for len(conns) > 0 {
			c := <-conns
			require.NotNil(t, c.Err(), "it ended before Shutdown had returned")
			c.CloseNow()
		}
	}
}

func TestGroupConnsAreThoseThatAreAlive(t *testing.T) {
	t.Parallel()
	var g Group
	require.Empty(t, slices.Collect(g.Conns()))
	conns := make(chan *Conn, 10)
	s := groupServer(t, &g, conns)
	var all []*Conn
	for range 3 {
		require.Equal(t, 101, connectTo(t, s).upgrade())
		all = append(all, receiveConn(t, conns))
	}
	require.ElementsMatch(t, all, slices.Collect(g.Conns()))
	require.Equal(t, 3, g.Len())
	for range g.Conns() {
		break
	}
	var seen []*Conn
	for c := range g.Conns() { // one ends and one comes meanwhile
		if seen = append(seen, c); len(seen) == 1 {
			all = slices.DeleteFunc(all, func(other *Conn) bool { return other == c })
			require.NoError(t, all[0].CloseNow())
			require.Equal(t, 101, connectTo(t, s).upgrade())
			receiveConn(t, conns)
			eventually(t, "it has come", func() bool { return g.Len() == 3 })
		}
	}
	require.Len(t, seen, 2)
	require.NotContains(t, seen, all[0])
	require.Contains(t, seen, all[1])
}

func TestConnectionThatHasEndedIsNotReachableFromItsGroup(t *testing.T) {
	t.Parallel()
	var g Group
	conns := make(chan *Conn, 1)
	s := groupServer(t, &g, conns)
	l := startListener(t, &ListenOptions{Group: &g})
	for name, closed := range map[string]bool{"closed": true, "only ended": false} {
		for from, open := range map[string]func() (*bareClient, *Conn){
			"Upgrade": func() (*bareClient, *Conn) {
				client := connectTo(t, s)
				require.Equal(t, 101, client.upgrade())
				return client, <-conns
			},
			"Listener": func() (*bareClient, *Conn) {
				client := connect(t, l)
				require.Equal(t, 101, client.upgrade())
				return client, <-l.Conns()
			},
		} {
			t.Run(from+" "+name, func(t *testing.T) {
				client, c := open()
				end, ref := c.pump.CloseNow, weak.Make(c)
				client.Close()
				<-c.Done()
				if closed {
					require.NoError(t, c.CloseNow())
				} else {
					defer end() // what the connection itself still runs must not reach it either
				}
				c = nil
				eventually(t, "it is gone", func() bool { runtime.GC(); return ref.Value() == nil })
				eventually(t, "it has left", func() bool { return g.Len() == 0 })
			})
		}
	}
}
