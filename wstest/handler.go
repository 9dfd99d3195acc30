package wstest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
)

// handlerTimeout is how long a handler may go on after its connection has ended.
const handlerTimeout = 10 * time.Second

// Dial gives a client's connection to h, which is served by a net/http server in
// memory: with its middleware, its mux and its path values, as it would run behind a
// port. A handshake that fails fails the test immediately; the message has the answer. nil
// opts are all defaults; HTTPClient and TLSConfig must be unset.
//
// The URL is ws://server.test/. To dial another path, query or host, change the request
// in DialOptions.Authorize:
//
//	opts := &chanws.DialOptions{Authorize: func(_ context.Context, r *http.Request) error {
//		r.URL.Path = "/chat/red"
//		return nil
//	}}
//
// The request has RemoteAddr "client.test:49152" and no TLS. Every call has a
// connection of its own; so has every redirect.
//
// When the test ends, the client's connection is ended first. Then Dial waits until h has
// returned, and fails the test if that takes more than 10 s. A connection made by h must
// be closed by h or whoever has it, as always: in a bubble of testing/synctest, one
// that is not keeps the bubble from ending. A panic of h fails the test.
func Dial(t testing.TB, h http.Handler, opts *chanws.DialOptions) *chanws.Conn {
	t.Helper()
	s := serveInMemory(t, h)
	c, err := dial(t, s.connect, opts)
	t.Cleanup(func() { end(c) })
	if err != nil {
		t.Fatalf("wstest: the handshake failed: %v", err)
	}
	return c
}

// A memoryServer is a net/http server whose listener is in memory. It is the listener,
// too.
type memoryServer struct {
	t        testing.TB
	handler  http.Handler
	arriving chan net.Conn
	closed   chan struct{}

	mu      sync.Mutex
	ended   bool           // nothing is added any more
	running sync.WaitGroup // Serve, and calls of handler
	ends    []*conn        // both ends of all connections
}

// serveInMemory starts a server that ends with the test.
func serveInMemory(t testing.TB, h http.Handler) *memoryServer {
	s := &memoryServer{t: t, handler: h, arriving: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	s.running.Go(func() { _ = server.Serve(s) })
	t.Cleanup(func() {
		server.Close()
		s.end()
	})
	return s
}

// end closes all connections and waits until the handler has returned.
func (s *memoryServer) end() {
	s.add(func() { s.ended = true })
	for _, c := range s.ends {
		c.Close()
	}
	returned := make(chan struct{})
	go func() {
		s.running.Wait()
		close(returned)
	}()
	overdue := time.NewTimer(handlerTimeout)
	defer overdue.Stop()
	select {
	case <-returned:
	case <-overdue.C:
		s.t.Errorf("wstest: the handler has not returned %v after its connection has ended", handlerTimeout)
	}
}

// add does something to s, and reports false after the end.
func (s *memoryServer) add(do func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	do()
	return true
}

// connect makes a connection and returns the client's end.
func (s *memoryServer) connect(ctx context.Context) (net.Conn, error) {
	near, far := pair()
	if s.add(func() { s.ends = append(s.ends, near, far) }) {
		select {
		case s.arriving <- far:
			return near, nil
		case <-s.closed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, errors.New("wstest: the test has ended")
}

func (s *memoryServer) Accept() (net.Conn, error) {
	select {
	case c := <-s.arriving:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close is called once, by http.Server.
func (s *memoryServer) Close() error {
	close(s.closed)
	return nil
}

func (s *memoryServer) Addr() net.Addr { return serverAddr }

// ServeHTTP calls the handler. A panic, which http.Server would only log, fails the
// test.
func (s *memoryServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.add(func() { s.running.Add(1) }) {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				s.t.Errorf("wstest: the handler panicked: %v\n%s", v, debug.Stack())
			}
			panic(http.ErrAbortHandler)
		}
	}()
	s.handler.ServeHTTP(w, r)
}
