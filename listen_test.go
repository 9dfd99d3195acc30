package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func startListener(t testing.TB, opts *ListenOptions) *Listener {
	l, err := Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// connect opens a TCP connection to l.
func connect(t testing.TB, l *Listener) *bareClient { return connectBare(t, l.Addr().String()) }

// open gives both ends of a new connection.
func open(t testing.TB, l *Listener) (*Conn, *bareClient) {
	client := connect(t, l)
	require.Equal(t, 101, client.upgrade())
	return take(t, l), client
}

func take(t testing.TB, l *Listener) *Conn {
	select {
	case c, ok := <-l.Conns():
		require.True(t, ok)
		t.Cleanup(func() { c.CloseNow() })
		return c
	case <-time.After(patience):
		require.FailNow(t, "no connection came")
		return nil
	}
}

// eventually asks until ok: for what becomes true without a sign of it.
func eventually(t testing.TB, what string, ok func() bool) {
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), what)
	}
}

func testTLS(t testing.TB) *tls.Config {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates}
}

func TestListenerGivesConnections(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	require.Equal(t, "ws://"+l.Addr().String(), l.URL())
	a, clientA := open(t, l)
	b, _ := open(t, l)
	require.NotEqual(t, a.ID(), b.ID())
	require.Equal(t, clientA.LocalAddr().String(), a.RemoteAddr().String())
	clientA.send(1, "hello")
	require.Equal(t, Text("hello"), <-a.Events())
	require.NoError(t, l.Close())
	_, more := <-l.Conns()
	require.False(t, more)
}

func TestListenerSpeaksTLS(t *testing.T) {
	t.Parallel()
	config := testTLS(t)
	config.NextProtos = []string{"h2"}
	l := startListener(t, &ListenOptions{TLSConfig: config, Path: "/chat/red"})
	require.Equal(t, "wss://"+l.Addr().String()+"/chat/red", l.URL())
	raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	require.NoError(t, err)
	require.Equal(t, "http/1.1", raw.ConnectionState().NegotiatedProtocol)
	client := newBareClient(t, raw)
	require.Equal(t, 101, client.upgrade())
	c := take(t, l)
	client.send(2, "hello")
	require.Equal(t, Binary("hello"), <-c.Events())
	require.NotNil(t, c.Request().TLS)
}

func TestListenerURLCanBeDialled(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "127.0.0.1:0", "localhost:0"} {
		l, err := Listen(addr, &ListenOptions{Path: "/a b"})
		require.NoError(t, err)
		require.Contains(t, l.URL(), "ws://127.0.0.1:")
		require.True(t, strings.HasSuffix(l.URL(), "/a%20b"))
		c, err := Dial(t.Context(), l.URL(), nil)
		require.NoError(t, err)
		c.CloseNow()
		require.NoError(t, l.Close())
	}
}

func TestListenerServesItsPathOnly(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Path: "/chat/red"})
	open(t, l)
	client := connect(t, l)
	client.say(strings.Replace(upgradeRequest, "/red", "/red/", 1) + "\r\n")
	answer, body := client.answer()
	require.Equal(t, 404, answer.StatusCode)
	require.True(t, answer.Close)
	require.Contains(t, body, "no WebSocket at this path")
	client.closed()
}

func TestInvalidListenOptionIsNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want string
		opts ListenOptions
	}{
		{"chanws: ListenOptions.Path", ListenOptions{Path: "chat"}},
		{"chanws: ListenOptions.MaxConns", ListenOptions{MaxConns: -1}},
		{"chanws: ListenOptions.Backlog", ListenOptions{Backlog: -1}},
		{"chanws: ListenOptions.TLSConfig", ListenOptions{TLSConfig: &tls.Config{}}},
		{"chanws: ListenOptions.Origins[0]", ListenOptions{Origins: []string{""}}},
		{"chanws: Options.SendBuffer", ListenOptions{Options: Options{SendBuffer: -1}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			t.Parallel()
			_, err := Listen("127.0.0.1:0", &tc.opts)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := Listen("256.0.0.1:0", nil)
	require.Error(t, err)
}

func TestRefusedClientIsToldAndClosed(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	client := connect(t, l)
	client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	text, err := io.ReadAll(client.in)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nConnection: Upgrade\r\n"), string(text))

	client = connect(t, l)
	client.say("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, _ := client.answer()
	require.Equal(t, 405, answer.StatusCode)
	client.closed()
}

func TestGarbageHurtsNobody(t *testing.T) {
	t.Parallel()
	plain := startListener(t, nil)
	encrypted := startListener(t, &ListenOptions{TLSConfig: testTLS(t), Options: Options{Logger: slog.New(slog.DiscardHandler)}})
	for _, tc := range []struct {
		name   string
		l      *Listener
		bytes  string
		status int // 0: no answer
	}{
		{"TLS to plain", plain, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		{"no HTTP", plain, "hello\r\n\r\n", 400},
		{"HTTP/2 preface", plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"no Host", plain, "GET / HTTP/1.1\r\n\r\n", 400},
		{"endless header", plain, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 80<<10), 431},
		{"plain to TLS", encrypted, upgradeRequest + "\r\n", 400},
		{"garbage to TLS", encrypted, strings.Repeat("\x00", 64), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client := connect(t, tc.l)
			client.say(tc.bytes)
			if tc.status != 0 {
				answer, err := http.ReadResponse(client.in, nil)
				require.NoError(t, err)
				require.Equal(t, tc.status, answer.StatusCode)
			}
			client.closed()
			c, err := Dial(t.Context(), tc.l.URL(), &DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			}}})
			require.NoError(t, err)
			c.CloseNow()
		})
	}
}

func TestSlowHandshakeFreesItsPlace(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": testTLS(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startListener(t, &ListenOptions{HandshakeTimeout: 100 * time.Millisecond, MaxConns: 1, TLSConfig: config})
			client := connect(t, l)
			client.say("GET")
			client.closed()
			eventually(t, "the place is free", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.admitted == 0 && len(l.attempts) == 0
			})
		})
	}
}

func TestMaxConnsCountsHandshakesWaitingAndLiveConnections(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{MaxConns: 3})
	live, liveClient := open(t, l)
	waiting := connect(t, l)
	require.Equal(t, 101, waiting.upgrade())
	shaking := connect(t, l)
	shaking.say(upgradeRequest)
	eventually(t, "all three are counted", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.admitted == 3
	})

	refused := connect(t, l)
	refused.say(upgradeRequest + "\r\n")
	answer, body := refused.answer()
	require.Equal(t, 503, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Contains(t, body, "too many connections")

	// One that comes too early may stay when a place is free in time.
	early := connect(t, l)
	early.say("GET")
	liveClient.Close()
	<-live.Done()
	eventually(t, "the place is free", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.admitted == 2
	})
	early.say(strings.TrimPrefix(upgradeRequest, "GET") + "\r\n")
	earlyAnswer, _ := early.answer()
	require.Equal(t, 101, earlyAnswer.StatusCode)

	// So may the one whose handshake had a place from the beginning.
	shaking.say("\r\n")
	shakingAnswer, _ := shaking.answer()
	require.Equal(t, 101, shakingAnswer.StatusCode)
	require.Equal(t, 503, connect(t, l).upgrade())
}

func TestMaxConnsBoundsTheRefusedToo(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{MaxConns: 1})
	open(t, l)
	for range 1 + maxRefused { // live ones are not among the attempts
		connect(t, l)
	}
	connect(t, l).closed()
}

func TestFullBacklogMakesClientsWait(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Backlog: 1})
	first, second := connect(t, l), connect(t, l)
	require.Equal(t, 101, first.upgrade())
	second.say(upgradeRequest + "\r\n")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := second.in.Peek(1)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "the second got no answer yet")

	require.Equal(t, first.LocalAddr().String(), take(t, l).RemoteAddr().String())
	require.NoError(t, second.SetReadDeadline(time.Now().Add(patience)))
	answer, _ := second.answer()
	require.Equal(t, 101, answer.StatusCode)
	require.Equal(t, second.LocalAddr().String(), take(t, l).RemoteAddr().String())
}

func TestFullBacklogIs503AfterHandshakeTimeout(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Backlog: 1, HandshakeTimeout: 100 * time.Millisecond})
	require.Equal(t, 101, connect(t, l).upgrade())
	second := connect(t, l)
	second.say(upgradeRequest + "\r\n")
	answer, body := second.answer()
	require.Equal(t, 503, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Contains(t, body, "too slow")
	take(t, l)
	require.Equal(t, 101, connect(t, l).upgrade())
}

func TestClientThatLeavesTheQueueOfTheBacklogIsForgotten(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Backlog: 1, HandshakeTimeout: -1})
	require.Equal(t, 101, connect(t, l).upgrade())
	second := connect(t, l)
	second.say(upgradeRequest + "\r\n")
	eventually(t, "the second is there", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.attempts) == 1
	})
	second.Close()
	eventually(t, "the second is gone", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.attempts) == 0
	})
}

func TestAuthorizeHasTheHandshakesTime(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{HandshakeTimeout: 100 * time.Millisecond, Authorize: func(r *http.Request) error {
		<-r.Context().Done()
		return &HTTPError{StatusCode: 504, Message: "slow"}
	}})
	require.Equal(t, 504, connect(t, l).upgrade())
}

func TestPanicInAuthorizeLeavesTheListenerAlone(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	l := startListener(t, &ListenOptions{MaxConns: 1, Authorize: func(r *http.Request) error {
		if calls.Add(1) == 1 {
			panic("mine")
		}
		return nil
	}})
	client := connect(t, l)
	client.say(upgradeRequest + "\r\n")
	client.closed()
	eventually(t, "the place is free", func() bool { return connect(t, l).upgrade() == 101 })
}

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
	_, err := net.Dial("tcp", l.Addr().String())
	require.Error(t, err)
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
	l := startListener(t, &ListenOptions{Options: Options{EventBuffer: 1, CloseTimeout: -1}})
	client := connect(t, l)
	require.Equal(t, 101, client.upgrade())
	for range 10 {
		client.send(1, "unheard")
	}
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	require.Equal(t, 1001, client.receiveClose())
	client.sendClose(1001)
	client.closed()
	require.NoError(t, <-result)
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
			require.Equal(t, why, <-result)
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
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.attempts) == 3
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
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.attempts) == 4 && len(l.live) == 3
	})
	require.NoError(t, l.Close())
	require.ErrorIs(t, c.Err(), net.ErrClosed)
	require.ErrorIs(t, (<-c.Events()).(Error), net.ErrClosed)
	_, more := <-l.Conns()
	require.False(t, more)
	for _, client := range clients {
		client.closed()
	}
	require.Empty(t, l.live)
	require.Empty(t, l.attempts)
	require.Zero(t, l.admitted)
	require.NoError(t, c.CloseNow())
	eventually(t, "no goroutine is left", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "net/http.(*conn)") && !strings.Contains(string(stacks), "chanws.(*Listener)") &&
			!strings.Contains(string(stacks), "/internal/pump.")
	})
}

// failingListener fails for a while, as when there are no file descriptors left.
type failingListener struct {
	net.Listener
	failures atomic.Int32
}

func (f *failingListener) Accept() (net.Conn, error) {
	switch f.failures.Add(1) {
	case 1:
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	case 2:
		return nil, &net.OpError{Op: "accept", Err: syscall.ENOBUFS} // net says it is permanent
	case 3:
		return nil, io.ErrUnexpectedEOF
	}
	return f.Listener.Accept()
}

func TestListenerSurvivesAcceptErrors(t *testing.T) {
	t.Parallel()
	l, err := newListener(&ListenOptions{})
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := &failingListener{Listener: tcp}
	l.tcp = failing
	client := connectBare(t, tcp.Addr().String())
	l.start()
	t.Cleanup(func() { l.Close() })
	require.Equal(t, 101, client.upgrade())
	require.EqualValues(t, 4, min(4, failing.failures.Load()))
	require.ErrorIs(t, passingError{io.EOF}, io.EOF)
	require.False(t, passingError{io.EOF}.Timeout())
}

func TestEveryConnectionIsTakenOrClosed(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		l := startListener(t, &ListenOptions{Backlog: 4, Options: Options{CloseTimeout: time.Minute}})
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
				if i == round {
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
