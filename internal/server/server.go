package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/pump"
)

const (
	// maxRefused is how many connections beyond MaxConns may be in their handshake or
	// be about to be closed, so that they get an answer. Further ones are closed without one,
	// so that MaxConns bounds the file descriptors too.
	maxRefused = 256

	// bodyTimeout is how long the body of a request may take to be discarded. A
	// handshake has none.
	bodyTimeout = time.Second

	// handshakeGrace is how long Shutdown waits, when all connections have ended, for
	// the answers to handshakes that have begun.
	handshakeGrace = time.Second
)

// Config is what a [Server] is made of.
type Config struct {
	// Listener accepts the connections. The Server closes it.
	Listener net.Listener
	// TLS makes it a server for wss; nil: ws.
	TLS *tls.Config
	// HandshakeTimeout bounds the TLS handshake, and then the request's header; 0: no
	// limit.
	HandshakeTimeout time.Duration
	// MaxHeaderBytes bounds the request's header.
	MaxHeaderBytes int
	// MaxConns bounds the connections, from Accept until their member has left; 0: no
	// limit.
	MaxConns int
	Logger   *slog.Logger

	// Handler does the handshakes. [SeatOf] returns the seat of a request's
	// connection, which the handler has to join if it upgrades.
	Handler http.Handler
	// AwaitHandlers makes Shutdown wait for handlers that run as long as for members,
	// not only for a moment.
	AwaitHandlers bool

	// Begun is called when Shutdown or Close has begun and before members are told,
	// Ended before it returns. Both may be nil.
	Begun, Ended func()
}

// A Server is an HTTP/1.1 server for WebSocket handshakes, and the group of their
// connections.
type Server struct {
	Group
	config Config
	http   *http.Server
	served chan struct{} // closed when http.Serve has returned

	// ctx is the parent of all requests' contexts. It ends when the members are
	// killed, or with the server.
	ctx     context.Context
	stopAll context.CancelCauseFunc

	// Guarded by Group.mu.
	started  bool
	attempts map[net.Conn]*attempt // connections whose handshake is not over
	placed   int                   // those of attempts that have a place within MaxConns
}

// An attempt is a connection in its handshake.
type attempt struct {
	server   *Server
	conn     net.Conn
	placed   bool // it has a place within MaxConns
	hijacked bool // its end is up to the handler
}

// New returns a server that has not been started. It must be ended with Shutdown or
// Close.
func New(c Config) *Server {
	s := &Server{
		config:   c,
		served:   make(chan struct{}),
		attempts: make(map[net.Conn]*attempt),
	}
	s.ctx, s.stopAll = context.WithCancelCause(context.Background())
	s.onKill = func() { s.stopAll(ErrStopped) }
	s.http = s.newHTTP()
	return s
}

// Start begins to serve, in a goroutine of its own. It can be done once.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.done != nil || s.killed:
		return ErrStopped
	case s.started:
		return errors.New("the listener has already been started")
	}
	s.started = true
	go func() {
		defer close(s.served)
		var err error
		if l := (persistentListener{s.config.Listener}); s.config.TLS != nil {
			err = s.http.ServeTLS(l, "", "")
		} else {
			err = s.http.Serve(l)
		}
		level := slog.LevelDebug
		if !s.Closing() {
			level = slog.LevelError
		}
		s.config.Logger.Log(context.Background(), level, "websocket listener ended", "addr", s.config.Listener.Addr(), "err", err)
	}()
	return nil
}

// Shutdown is [Group.Shutdown], and ends the server. The listener is closed last, so
// that clients that come meanwhile are answered with 503.
func (s *Server) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return pump.ErrNilContext
	}
	if !s.begin() {
		return s.awaitDone(ctx)
	}
	if ctx.Err() != nil {
		s.kill()
	}
	s.call(s.config.Begun)
	s.drain(ctx)
	s.end(ctx)
	return s.result(ctx)
}

// Close is [Group.Close], and ends the server.
func (s *Server) Close() {
	s.kill()
	if s.begin() {
		s.call(s.config.Begun)
		s.end(s.ctx)
		return
	}
	<-s.done
}

func (s *Server) call(hook func()) {
	if hook != nil {
		hook()
	}
}

// end ends what is left when the members have left or have been killed.
func (s *Server) end(ctx context.Context) {
	defer close(s.done)
	s.config.Listener.Close()
	answered := func() bool { return len(s.attempts) == 0 }
	awaitAnswers := func(ctx context.Context, ready func() bool) {
		grace, cancel := context.WithTimeout(ctx, handshakeGrace)
		defer cancel()
		s.await(grace, ready)
	}
	awaitAnswers(ctx, func() bool { return s.killed || answered() })
	s.stopAll(ErrStopped)
	s.http.Close()
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if started {
		<-s.served
	}
	s.call(s.config.Ended)
	awaitAnswers(context.Background(), answered)
}

// AwaitEmpty waits until there are neither members nor reservations.
func (s *Server) AwaitEmpty() { s.await(context.Background(), s.empty) }

// Counts is what a [Server] counts.
type Counts struct {
	Attempts int // connections whose handshake is not over
	Places   int // connections that count for MaxConns: attempts and members
	Reserved int // handshakes that will be answered with 101
	Members  int
}

// Counts returns the counts of this moment.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{len(s.attempts), s.placed + len(s.members), s.reserved, len(s.members)}
}

// arrived is called with every connection, before its handshake.
func (s *Server) arrived(ctx context.Context, c net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &attempt{server: s, conn: c}
	if most := s.config.MaxConns; most > 0 && len(s.attempts) >= most+maxRefused {
		c.Close()
	} else {
		a.place()
	}
	s.attempts[c] = a
	return WithSeat(ctx, &Seat{groups: []*Group{&s.Group}, attempt: a})
}

// place reports whether a has a place within MaxConns, after taking a free one.
// Group.mu is held.
func (a *attempt) place() bool {
	s := a.server
	if !a.placed && (s.config.MaxConns == 0 || s.placed+len(s.members) < s.config.MaxConns) {
		a.placed = true
		s.placed++
	}
	return a.placed
}

// release ends a's hold on its place, if it has one. Group.mu is held.
func (a *attempt) release() {
	if a.placed {
		a.placed = false
		a.server.placed--
	}
}

// forget ends an attempt. Group.mu is held.
func (a *attempt) forget() {
	a.release()
	delete(a.server.attempts, a.conn)
	a.conn = nil // a lives on in the values of Conn.Context
	a.server.notify()
}

// connState is called by net/http when the state of a connection changes.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a := s.attempts[c]; state {
	case http.StateHijacked:
		a.hijacked = true
	case http.StateClosed:
		a.forget()
	}
}

// serveHTTP answers the one request of a connection.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	// A client that is refused comes again on another connection, or not at all.
	w.Header().Set("Connection", "close")
	if r.ContentLength != 0 {
		// net/http discards the body before it closes, however long that takes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	a := SeatOf(r.Context()).attempt
	if refusal := s.begun(a); refusal != nil {
		handshake.Refuse(w, *refusal)
		s.config.Logger.Debug("websocket handshake refused", "remote", r.RemoteAddr, "err", refusal)
		return
	}
	defer s.finished(a) // also when the handler panics
	s.config.Handler.ServeHTTP(w, r)
}

// begun counts a request, and returns the answer to one that is not handled, or nil.
func (s *Server) begun(a *attempt) *handshake.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.done != nil || s.killed:
		a.release() // before the client can read its answer
		return ShuttingDown()
	case !a.place():
		return Unavailable("the server has too many connections")
	case s.config.AwaitHandlers:
		s.reserved++
	}
	return nil
}

// finished ends what begun has begun, before the client can read its answer.
func (s *Server) finished(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.AwaitHandlers {
		s.reserved--
	}
	a.release()
	if a.hijacked {
		a.forget()
	}
	s.notify()
}

// Unavailable returns the answer 503 with a message for people.
func Unavailable(message string) *handshake.Refusal {
	return &handshake.Refusal{StatusCode: http.StatusServiceUnavailable, Message: message, Header: http.Header{"Retry-After": {"1"}}}
}

// ShuttingDown returns the answer of a group that has begun to end.
func ShuttingDown() *handshake.Refusal { return Unavailable("the server is shutting down") }

// GoingAwayReason is the close reason of connections whose group is shut down.
const GoingAwayReason = "server is shutting down"
