package chanws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What Shutdown and Close wait for, in bubbles, where it can be held up for as long
// as anybody who did not wait would need.

// A memoryListener's connections are pipes.
type memoryListener struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (m *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-m.accept:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}
func (m *memoryListener) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memoryListener) Addr() net.Addr { return &net.TCPAddr{} }

// A gatedConn's Write or Close waits for its gate.
type gatedConn struct {
	net.Conn
	writing, closing <-chan struct{} // nil: open
}

func (g *gatedConn) Write(p []byte) (int, error) {
	if g.writing != nil {
		<-g.writing
	}
	return g.Conn.Write(p)
}

func (g *gatedConn) Close() error {
	if g.closing != nil {
		<-g.closing
	}
	return g.Conn.Close()
}

// inMemory gives a listener and a client of it, whose server's end is gated.
func inMemory(t *testing.T, opts *ListenOptions, gate gatedConn) (*Listener, *bareClient) {
	memory := &memoryListener{accept: make(chan net.Conn), closed: make(chan struct{})}
	l, err := Serve(memory, opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	near, far := net.Pipe()
	gate.Conn = far
	memory.accept <- &gate
	return l, newBareClient(t, near)
}

// another gives one more client of a listener in memory.
func another(t *testing.T, l *Listener) *bareClient {
	near, far := net.Pipe()
	l.net.(*memoryListener).accept <- far
	return newBareClient(t, near)
}

// began runs end and gives its result later; it is not over in five seconds.
func began(t *testing.T, end func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- end() }()
	time.Sleep(5 * time.Second)
	require.Empty(t, result)
	return result
}

func TestShutdownWaitsForA101OnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l, client := inMemory(t, &ListenOptions{}, gatedConn{writing: gate})
		client.say(upgradeRequest + "\r\n")
		synctest.Wait()
		result := began(t, func() error { return l.Shutdown(context.Background()) })
		close(gate)
		answer, _ := client.answer()
		require.Equal(t, 101, answer.StatusCode)
		require.Equal(t, 1001, client.receiveClose())
		client.sendClose(1001)
		require.NoError(t, <-result)
	})
}

func TestCloseWaitsForA101OnItsWayAndCutsThatConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l, client := inMemory(t, &ListenOptions{Options: Options{CloseTimeout: -1}}, gatedConn{writing: gate})
		client.say(upgradeRequest + "\r\n")
		synctest.Wait()
		result := began(t, l.Close)
		close(gate)
		answer, _ := client.answer()
		require.Equal(t, 101, answer.StatusCode)
		require.NoError(t, <-result)
		client.closed()
	})
}

func TestShutdownWaitsForTheLastOfAConnectionThatNobodyTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l, client := inMemory(t, &ListenOptions{}, gatedConn{closing: gate})
		require.Equal(t, 101, client.upgrade())
		synctest.Wait() // it is in the queue
		go func() {
			client.receiveClose()
			client.sendClose(1001)
		}()
		result := began(t, func() error { return l.Shutdown(context.Background()) })
		close(gate)
		require.NoError(t, <-result)
		client.closed()
	})
}

func TestShutdownGivesHandshakesInProgressTimeForTheirAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client := inMemory(t, &ListenOptions{Authorize: func(*http.Request) error {
			time.Sleep(time.Second / 2)
			return nil
		}}, gatedConn{})
		client.say(upgradeRequest + "\r\n")
		synctest.Wait()
		result := make(chan error, 1)
		go func() { result <- l.Shutdown(context.Background()) }()
		answer, _ := client.answer()
		require.Equal(t, 503, answer.StatusCode)
		client.closed()
		require.NoError(t, <-result)
	})
}

func TestHandshakesAreRefusedByShutdownThoughThereIsRoom(t *testing.T) {
	t.Parallel()
	authorizing, proceed := make(chan struct{}, 10), make(chan struct{})
	l := startListener(t, &ListenOptions{Authorize: func(r *http.Request) error {
		if r.Header.Get("X-Slow") != "" {
			authorizing <- struct{}{}
			<-proceed
		}
		return nil
	}})
	_, first := open(t, l)
	var clients []*bareClient
	for range cap(authorizing) { // a select that has the choice would take either
		client := connect(t, l)
		client.say(upgradeRequest + "X-Slow: 1\r\n\r\n")
		clients = append(clients, client)
	}
	for range clients {
		<-authorizing
	}
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, first.receiveClose())
	close(proceed)
	for _, client := range clients {
		answer, _ := client.answer()
		require.Equal(t, 503, answer.StatusCode)
	}
	first.sendClose(1001)
	require.NoError(t, <-result)
}

func TestAConnectionThatNobodyTookCountsAsCutThoughItIsGoneBeforeAnybodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client := inMemory(t, &ListenOptions{}, gatedConn{})
		require.Equal(t, 101, client.upgrade())
		synctest.Wait() // it is in the queue
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.Shutdown(ctx), context.Canceled, "one was cut")
		client.closed()
	})
}

func TestShutdownsErrorMatchesItsContextAndTheCause(t *testing.T) {
	t.Parallel()
	why := errors.New("the deployment is impatient")
	l := startListener(t, &ListenOptions{Options: Options{CloseTimeout: -1}})
	open(t, l)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, why)
	defer cancel()
	err := l.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, why)
}
