package adapt_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/internal/leaktest"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long a test outside a bubble waits for what must come.
const patience = 10 * time.Second

// A record is what has happened, in order.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// service is one that notes every callback.
func (r *record) service() *adapt.Service {
	return &adapt.Service{
		OnOpen:          func(*adapt.Caller) error { r.note("open"); return nil },
		OnTextMessage:   func(_ *adapt.Caller, s string) error { r.note("text %s", s); return nil },
		OnBinaryMessage: func(_ *adapt.Caller, b []byte) error { r.note("binary %s", b); return nil },
		OnPing:          func(_ *adapt.Caller, b []byte) error { r.note("ping %s", b); return nil },
		OnPong:          func(_ *adapt.Caller, b []byte) error { r.note("pong %s", b); return nil },
		OnIdleTimeout:   func(*adapt.Caller) error { r.note("idle"); return nil },
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, reason string) error {
			r.note("close %d %s", int(code), reason)
			return nil
		},
		OnError: func(_ *adapt.Caller, err error) error { r.note("error %v", err); return nil },
	}
}

// A session is a service at work, and the client it talks to.
type session struct {
	*chanws.Conn            // the client's end
	served       chan error // what Serve has returned
}

// serve runs a service at the other end of a connection in memory.
func serve(t testing.TB, s *adapt.Service, opts chanws.Options) *session {
	t.Helper()
	client, server := wstest.Pipe(t, nil, &chanws.UpgradeOptions{Options: opts})
	return &session{client, start(server, s)}
}

func start(c *chanws.Conn, s *adapt.Service) chan error {
	served := make(chan error, 1)
	go func() { served <- adapt.Serve(c, s) }()
	return served
}

// expect receives what must come next.
func expect(t testing.TB, c *chanws.Conn, want ...chanws.Event) {
	t.Helper()
	for _, w := range want {
		select {
		case ev := <-c.Events():
			require.Equal(t, w, ev)
		case <-time.After(patience):
			require.FailNow(t, "no event came", "instead of %v", w)
		}
	}
}

// ending receives what ends c.
func ending(t testing.TB, c *chanws.Conn) error {
	t.Helper()
	for {
		select {
		case ev := <-c.Events():
			if end, ok := ev.(error); ok {
				return end
			}
		case <-time.After(patience):
			require.FailNow(t, "the connection does not end")
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// A host is an HTTP server in memory, which works in bubbles too.
type host struct {
	t     testing.TB
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	down bool
	bare []net.Conn // the server's ends
}

type hostAddr struct{}

func (hostAddr) Network() string { return "memory" }
func (hostAddr) String() string  { return "server.test:80" }

// newHost serves h until the end of the test.
func newHost(t testing.TB, h http.Handler) *host {
	m := &host{t: t, conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(m)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return m
}

func (m *host) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *host) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

func (m *host) Addr() net.Addr { return hostAddr{} }

// setDown makes the host refuse or take connections.
func (m *host) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// drop resets all connections.
func (m *host) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.bare {
		c.(interface{ Drop() }).Drop()
	}
	m.bare = nil
}

type refusedError struct{}

func (refusedError) Error() string   { return "connection refused" }
func (refusedError) Timeout() bool   { return false }
func (refusedError) Temporary() bool { return true }

func (m *host) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: refusedError{}}
	}
	near, far := wstest.NetPipe(m.t)
	select {
	case m.conns <- far:
		m.bare = append(m.bare, far)
		return near, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *host) options() chanws.DialOptions {
	return chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: m.dial}}}
}

func (m *host) config() *adapt.ClientConfig {
	return &adapt.ClientConfig{DialOptions: m.options()}
}

// connect opens a connection to the host.
func (m *host) connect(path string) *chanws.Conn {
	m.t.Helper()
	opts := m.options()
	c, err := chanws.Dial(m.t.Context(), "ws://server.test"+path, &opts)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { c.CloseNow() })
	return c
}

// serveConfig is serve with the settings of a ServiceConfig.
func serveConfig(t testing.TB, s *adapt.Service, cfg *adapt.ServiceConfig) *chanws.Conn {
	t.Helper()
	return newHost(t, adapt.Handler(shared(s), cfg)).connect("/")
}

// shared gives the same service to everybody.
func shared(s *adapt.Service) adapt.UpgradeFunc {
	return func(*http.Request) (*adapt.Service, error) { return s, nil }
}
