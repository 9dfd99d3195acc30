package chanws

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShutdownClosesAllConnectionsInParallel(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	const n = 10
	var conns []*Conn
	var clients []*bareClient
	for range n {
		c, client := open(t, l)
		conns, clients = append(conns, c), append(clients, client)
	}
	untaken := connect(t, l)
	require.Equal(t, 101, untaken.upgrade())
	clients = append(clients, untaken)

	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	for _, client := range clients { // nobody answers before all have been told
		require.Equal(t, 1001, client.receiveClose())
	}
	_, more := <-l.Conns()
	require.False(t, more)

	late := connect(t, l)
	late.say(upgradeRequest + "\r\n")
	answer, body := late.answer()
	require.Equal(t, 503, answer.StatusCode)
	require.Contains(t, body, "shutting down")
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Empty(t, result)

	for _, client := range clients {
		client.sendClose(1001)
		client.closed()
	}
	require.NoError(t, <-result)
	for _, c := range conns {
		require.Equal(t, Close{Code: StatusGoingAway}, c.Err())
		require.Equal(t, Close{Code: StatusGoingAway}, <-c.Events())
		require.NoError(t, c.Close(StatusNormalClosure, ""))
	}
	_, err := l.net.Accept() // its port may be somebody else's by now
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, l.Shutdown(context.Background()))
	require.NoError(t, l.Close())
}

func TestShutdownDeliversWhatCameBefore(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	c, client := open(t, l)
	result := make(chan error, 1)
	client.send(1, "last words")
	go func() { result <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, client.receiveClose())
	client.send(1, "very last words")
	client.sendClose(1001)
	require.Equal(t, Text("last words"), <-c.Events())
	require.Equal(t, Text("very last words"), <-c.Events())
	require.Equal(t, Close{Code: StatusGoingAway}, <-c.Events())
	require.NoError(t, <-result)
}

func TestUntakenConnectionWithFullChannelDoesNotHoldShutdown(t *testing.T) {
	t.Parallel()
	for name, shutdown := range map[string]func(*Listener, *Group) error{
		"the Listener's": func(l *Listener, _ *Group) error { return l.Shutdown(context.Background()) },
		"the Group's":    func(_ *Listener, g *Group) error { return g.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g Group
			l := startListener(t, &ListenOptions{Group: &g, Options: Options{EventBuffer: 1, CloseTimeout: -1}})
			var clients []*bareClient
			for range 3 { // one is offered, the others wait behind it
				client := connect(t, l)
				require.Equal(t, 101, client.upgrade())
				for range 10 {
					client.send(1, "unheard")
				}
				clients = append(clients, client)
			}
			result := make(chan error, 1)
			go func() { result <- shutdown(l, &g) }()
			for _, client := range clients {
				require.Equal(t, 1001, client.receiveClose())
				client.sendClose(1001)
				client.closed()
			}
			select {
			case err := <-result:
				require.NoError(t, err)
			case <-time.After(patience):
				require.FailNow(t, "Shutdown waits for connections that nobody has taken")
			}
			select {
			case c, ok := <-l.Conns():
				require.False(t, ok, "%v was closed by the Listener", c)
			default:
			}
			eventually(t, "no connection keeps its space in the backlog", func() bool { return len(l.room) == 0 })
		})
	}
}

func TestShutdownCutsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"taken", "untaken"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startListener(t, &ListenOptions{Options: Options{CloseTimeout: -1}})
			client := connect(t, l)
			require.Equal(t, 101, client.upgrade())
			var c *Conn
			if name == "taken" {
				c = take(t, l)
			}
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(context.Background())
			result := make(chan error, 1)
			go func() { result <- l.Shutdown(ctx) }()
			require.Equal(t, 1001, client.receiveClose())
			require.Empty(t, result)
			cancel(why)
			err := <-result
			require.ErrorIs(t, err, why)
			require.ErrorIs(t, err, context.Canceled)
			client.closed()
			if c != nil {
				require.ErrorIs(t, c.Err(), net.ErrClosed)
			}
		})
	}
}

func TestShutdownWithAnEndedContextCutsAtOnce(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	c, client := open(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, l.Shutdown(ctx), context.Canceled)
	require.ErrorIs(t, c.Err(), net.ErrClosed)
	client.closed()
}

func TestShutdownOfAnIdleListenerNeedsNoTime(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, l.Shutdown(ctx), "there was nothing to cut")
}

func TestHandshakesInProgressAreRefusedByShutdown(t *testing.T) {
	t.Parallel()
	authorizing := make(chan struct{})
	proceed := make(chan struct{})
	l := startListener(t, &ListenOptions{Backlog: 1, Authorize: func(r *http.Request) error {
		if r.Header.Get("X-Slow") != "" {
			close(authorizing)
			<-proceed
		}
		return nil
	}})
	first, waiting, slow, half := connect(t, l), connect(t, l), connect(t, l), connect(t, l)
	require.Equal(t, 101, first.upgrade())
	waiting.say(upgradeRequest + "\r\n")
	slow.say(upgradeRequest + "X-Slow: 1\r\n\r\n")
	half.say(upgradeRequest)
	<-authorizing
	eventually(t, "all are there", func() bool {
		return l.server.Counts().Attempts == 3
	})

	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, first.receiveClose())
	close(proceed)
	half.say("\r\n")
	for _, client := range []*bareClient{waiting, slow, half} {
		answer, body := client.answer()
		require.Equal(t, 503, answer.StatusCode)
		require.Contains(t, body, "shutting down")
	}
	first.sendClose(1001)
	require.NoError(t, <-result)
}

func TestSilentClientDoesNotHoldShutdown(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{HandshakeTimeout: -1})
	client := connect(t, l)
	client.say("GET")
	require.NoError(t, l.Shutdown(context.Background()))
	client.closed()
}

func TestSecondShutdownWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	_, client := open(t, l)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, client.receiveClose())
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, l.Shutdown(impatient), context.Canceled)
	go func() { second <- l.Shutdown(context.Background()) }()
	require.Empty(t, second)
	client.sendClose(1001)
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	for range 20 { // a select that has the choice would take either
		require.NoError(t, l.Shutdown(impatient), "it is over")
	}
}

func TestCloseCutsShutdownShort(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Options: Options{CloseTimeout: -1}})
	c, client := open(t, l)
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, client.receiveClose())
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-result, net.ErrClosed)
	require.ErrorIs(t, c.Err(), net.ErrClosed)
}

// It runs alone: it counts goroutines.
func TestCloseEndsEverythingAtOnce(t *testing.T) {
	authorizing := make(chan struct{})
	l := startListener(t, &ListenOptions{Backlog: 2, HandshakeTimeout: -1, Authorize: func(r *http.Request) error {
		if r.Header.Get("X-Slow") != "" {
			close(authorizing)
			<-r.Context().Done()
		}
		return nil
	}})
	c, client := open(t, l)
	clients := []*bareClient{client}
	for _, request := range []string{upgradeRequest + "\r\n", upgradeRequest + "\r\n", upgradeRequest + "\r\n", upgradeRequest + "X-Slow: 1\r\n\r\n", "GET", ""} {
		client := connect(t, l)
		client.say(request)
		clients = append(clients, client)
	}
	<-authorizing
	eventually(t, "all are there", func() bool {
		counts := l.server.Counts()
		return counts.Attempts == 4 && counts.Members == 3
	})
	require.NoError(t, l.Close())
	require.ErrorIs(t, c.Err(), net.ErrClosed)
	require.ErrorIs(t, (<-c.Events()).(Error), net.ErrClosed)
	_, more := <-l.Conns()
	require.False(t, more)
	for _, client := range clients {
		client.closed()
	}
	require.Zero(t, l.server.Counts())
	require.NoError(t, c.CloseNow())
	eventually(t, "no goroutine is left", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "net/http.(*conn)") && !strings.Contains(string(stacks), "chanws.(*Listener)") && !strings.Contains(string(stacks), "/internal/server.") &&
			!strings.Contains(string(stacks), "/internal/pump.")
	})
}

func TestEveryConnectionIsTakenOrClosed(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		var g Group
		l := startListener(t, &ListenOptions{Backlog: 4, Group: &g, Options: Options{CloseTimeout: time.Minute}})
		var taken, opened, told sync.Map
		var consumer, clients sync.WaitGroup
		consumer.Go(func() {
			for c := range l.Conns() {
				taken.Store(c.RemoteAddr().String(), c)
			}
		})
		begin := make(chan struct{})
		var once sync.Once
		for i := range 16 {
			clients.Go(func() {
				raw, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					return // it came after the end
				}
				defer raw.Close()
				client := newBareClient(t, raw)
				io.WriteString(raw, upgradeRequest+"\r\n")
				answer, err := http.ReadResponse(client.in, nil)
				if err != nil {
					return
				}
				if i == round%10 {
					once.Do(func() { close(begin) })
				}
				if answer.StatusCode != 101 {
					if answer.StatusCode != 503 {
						t.Errorf("status %d", answer.StatusCode)
					}
					return
				}
				opened.Store(raw.LocalAddr().String(), true)
				opcode, payload, err := client.receive()
				if err == nil && opcode == 8 && strings.HasPrefix(payload, "\x03\xe9") {
					told.Store(raw.LocalAddr().String(), true)
					client.sendClose(1001)
				}
			})
		}
		<-begin
		if round >= 10 {
			require.NoError(t, g.Shutdown(context.Background()))
		}
		require.NoError(t, l.Shutdown(context.Background()))
		consumer.Wait()
		clients.Wait()
		opened.Range(func(addr, _ any) bool {
			_, ok := told.Load(addr)
			require.True(t, ok, "the client got a close frame 1001")
			return true
		})
		taken.Range(func(_, c any) bool {
			require.NotNil(t, c.(*Conn).Err())
			require.NoError(t, c.(*Conn).Close(StatusNormalClosure, ""))
			return true
		})
	}
}
