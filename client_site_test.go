package chanws_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
)

// A site is a server in memory that can go down and come up again. Use it in a
// synctest bubble.
type site struct {
	t      *testing.T
	conns  chan *chanws.Conn // the server's ends, in order
	accept chan net.Conn

	mu      sync.Mutex
	down    bool // refuses connections
	hang    bool // accepts them and does not answer
	refusal int  // an HTTP status instead of 101

	refusalHeader string // its Retry-After
	dials         []time.Time
	ends          []net.Conn // bare server ends, below conns
}

func newSite(t *testing.T, opts *chanws.UpgradeOptions) *site {
	s := &site{t: t, conns: make(chan *chanws.Conn, 100), accept: make(chan net.Conn)}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		refusal, retryAfter := s.refusal, s.refusalHeader
		s.mu.Unlock()
		if refusal != 0 {
			w.Header().Set("Retry-After", retryAfter)
			w.WriteHeader(refusal)
			return
		}
		c, err := chanws.Upgrade(w, r, opts)
		if assert.NoError(t, err) {
			s.conns <- c
		}
	})}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(s) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		for len(s.conns) > 0 {
			(<-s.conns).CloseNow()
		}
	})
	return s
}

// Accept, Close and Addr make the site its server's listener.
func (s *site) Accept() (net.Conn, error) {
	c, ok := <-s.accept
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (s *site) Close() error   { close(s.accept); return nil }
func (s *site) Addr() net.Addr { return &net.TCPAddr{} }

func (s *site) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	s.dials = append(s.dials, time.Now())
	down, hang := s.down, s.hang
	s.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	near, far := wstest.NetPipe(s.t)
	if hang {
		return near, nil
	}
	s.mu.Lock()
	s.ends = append(s.ends, far)
	s.mu.Unlock()
	s.accept <- far
	return near, nil
}

func (s *site) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.dial}}
}

func (s *site) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// client connects to the site; opts may be nil.
func (s *site) client(opts *chanws.ClientOptions) (*chanws.Client, error) {
	if opts == nil {
		opts = &chanws.ClientOptions{}
	}
	o := *opts
	o.HTTPClient = s.httpClient()
	c, err := chanws.NewClient(s.t.Context(), "ws://server.test/", &o)
	if err == nil {
		s.t.Cleanup(func() { c.CloseNow() })
	}
	return c, err
}

// connected gives a client and the server's end of its connection.
func (s *site) connected(opts *chanws.ClientOptions) (*chanws.Client, *chanws.Conn) {
	s.t.Helper()
	c, err := s.client(opts)
	require.NoError(s.t, err)
	return c, s.conn()
}

// conn gives the server's end of the next connection.
func (s *site) conn() *chanws.Conn {
	c := <-s.conns
	s.t.Cleanup(func() { c.CloseNow() })
	return c
}

// drop resets the latest connection.
func (s *site) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[len(s.ends)-1].(interface{ Drop() }).Drop()
}

// dialled is how many dials there were.
func (s *site) dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dials)
}

// delays are the times between the dials.
func (s *site) delays() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d []time.Duration
	for i := 1; i < len(s.dials); i++ {
		d = append(d, s.dials[i].Sub(s.dials[i-1]))
	}
	return d
}

// retry is a policy without chance: delays of 1, 2, 4 ... seconds.
func retry() *chanws.RedialPolicy { return &chanws.RedialPolicy{Jitter: -1} }

// inBubble runs a test with a client in a bubble.
func inBubble(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newSite(t, nil)) })
}

func readText(t testing.TB, c *chanws.Client) string {
	t.Helper()
	s, err := c.ReadTextMessage(t.Context())
	assert.NoError(t, err)
	return s
}

func nextEvent(t testing.TB, c *chanws.Conn) chanws.Event {
	t.Helper()
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	return ev
}
