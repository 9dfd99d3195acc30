package adapt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultHandshakeTimeout = 30 * time.Second
	defaultMaxHeaderBytes   = 8192
)

// ListenerConfig is the settings of a [Listener]. A nil pointer and zero fields are
// the defaults.
type ListenerConfig struct {
	// TLSConfig makes it a listener for wss. It needs a certificate.
	TLSConfig *tls.Config
	// HandshakeTimeout is how long a client may take for its TLS handshake, and for its
	// request. Default 30 s; negative: for ever.
	HandshakeTimeout time.Duration
	// MaxHeaderBytes is the size of a request's header, give or take 4 KiB; a larger
	// one is answered with 431. Default 8192.
	MaxHeaderBytes int
	// MaxConns is how many requests and connections there may be at a time; beyond it
	// the answer is 503. Default: no limit.
	MaxConns int
	// Logger gets what the listener itself has to tell. nil: silent.
	Logger *slog.Logger
}

// A Listener is a server for services: each is attached at a pattern, and its life
// ends with [Listener.GracefulStop] or [Listener.ImmediateStop].
type Listener struct {
	tcp      net.Listener
	server   *http.Server
	maxConns int
	logger   *slog.Logger
	mux      atomic.Pointer[http.ServeMux] // made anew whenever something is attached or detached

	draining chan struct{} // closed when a stop begins
	leaving  chan struct{} // closed when a graceful one does: the connections close with 1001
	killed   chan struct{} // closed when a stop has no patience any more
	served   chan struct{} // closed when server.Serve has returned
	done     chan struct{} // closed when a stop has done everything

	mu       sync.Mutex
	attached map[string]*endpoint
	started  bool
	stopped  bool // a stop has begun
	cut      bool // killed is closed
	severed  bool // kill has met connections, or they came afterwards
	active   int  // requests and connections
	idle     chan struct{}
	live     map[*bridge]struct{}
}

// A ticket is a request that counts in Listener.active, until a connection takes its
// place.
type ticket struct{ used bool }

type ticketKey struct{}

// NewListener listens on the TCP address addr, as in net.Listen: ":0" picks a port.
// Clients are served from [Listener.Start] on. A Listener must be stopped, also when it
// was never started. nil cfg are all defaults.
func NewListener(addr string, cfg *ListenerConfig) (*Listener, error) {
	if cfg == nil {
		cfg = &ListenerConfig{}
	}
	switch t := cfg.TLSConfig; {
	case cfg.MaxConns < 0:
		return nil, errors.New("adapt: ListenerConfig.MaxConns must not be negative")
	case cfg.MaxHeaderBytes < 0:
		return nil, errors.New("adapt: ListenerConfig.MaxHeaderBytes must not be negative")
	case t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil:
		return nil, errors.New("adapt: ListenerConfig.TLSConfig has no certificate")
	}
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		tcp:      tcp,
		maxConns: cfg.MaxConns,
		logger:   cfg.Logger,
		draining: make(chan struct{}),
		leaving:  make(chan struct{}),
		killed:   make(chan struct{}),
		served:   make(chan struct{}),
		done:     make(chan struct{}),
		attached: make(map[string]*endpoint),
		live:     make(map[*bridge]struct{}),
	}
	if l.logger == nil {
		l.logger = silent
	}
	l.mux.Store(http.NewServeMux())
	l.server = l.newServer(cfg)
	return l, nil
}

func (l *Listener) newServer(cfg *ListenerConfig) *http.Server {
	errorLog := log.New(io.Discard, "", 0)
	if cfg.Logger != nil {
		errorLog = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn)
	}
	timeout, header := cfg.HandshakeTimeout, cfg.MaxHeaderBytes
	if timeout == 0 {
		timeout = defaultHandshakeTimeout
	}
	if header == 0 {
		header = defaultMaxHeaderBytes
	}
	server := &http.Server{
		Handler:                      http.HandlerFunc(l.serveHTTP),
		DisableGeneralOptionsHandler: true,
		TLSConfig:                    cfg.TLSConfig.Clone(),
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
		Protocols:                    new(http.Protocols),
		ReadHeaderTimeout:            max(0, timeout), // net/http takes it for TLS too
		MaxHeaderBytes:               header,
		ErrorLog:                     errorLog,
	}
	server.Protocols.SetHTTP1(true)
	return server
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Attach serves the services that up returns at a pattern of net/http's ServeMux:
// "/chat", "/chat/{room}", "/files/" for everything below, "example.com/". The
// request that up gets, and [Caller.Request], have the path values. It may be called
// before and after Start. nil cfg are all defaults.
//
// A pattern that is invalid, attached already, or in conflict with another is an
// error, as are options that cannot work. What up returns is known only then:
// [Service.Validate] tells beforehand.
func (l *Listener) Attach(pattern string, up UpgradeFunc, cfg *ServiceConfig) error {
	e, err := newEndpoint(up, cfg)
	if err != nil {
		return fmt.Errorf("adapt: attach %q: %w", pattern, err)
	}
	e.listener = l
	if e.settings.logger == nil {
		e.settings.logger = l.logger
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return fmt.Errorf("adapt: attach %q: listener stopped: %w", pattern, net.ErrClosed)
	}
	if l.attached[pattern] != nil {
		return fmt.Errorf("adapt: attach %q: there is a service already", pattern)
	}
	l.attached[pattern] = e
	if err := l.remux(); err != nil {
		delete(l.attached, pattern)
		return fmt.Errorf("adapt: attach %q: %w", pattern, err)
	}
	return nil
}

// Detach ends the service at a pattern: new handshakes get 404, or what another
// pattern says, and live connections go on. A pattern that is not attached is an error
// that matches [ErrNotAttached].
func (l *Listener) Detach(pattern string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attached[pattern] == nil {
		return fmt.Errorf("adapt: detach %q: %w", pattern, ErrNotAttached)
	}
	delete(l.attached, pattern)
	return l.remux()
}

// remux makes the mux anew. l.mu is held. ServeMux panics where a pattern is wrong.
func (l *Listener) remux() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	mux := http.NewServeMux()
	for pattern, e := range l.attached {
		mux.Handle(pattern, e)
	}
	l.mux.Store(mux)
	return nil
}

// Start begins to serve, in goroutines of its own. It can be done once.
func (l *Listener) Start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return fmt.Errorf("adapt: start: listener stopped: %w", net.ErrClosed)
	case l.started:
		return errors.New("adapt: start: listener started already")
	}
	l.started = true
	go func() {
		defer close(l.served)
		var err error
		if l.server.TLSConfig != nil {
			err = l.server.ServeTLS(l.tcp, "", "")
		} else {
			err = l.server.Serve(l.tcp)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			l.logger.Error("websocket listener ended", "addr", l.Addr().String(), "err", err)
		}
	}()
	return nil
}

// serveHTTP counts a request and hands it on.
func (l *Listener) serveHTTP(w http.ResponseWriter, r *http.Request) {
	// Who is refused comes again on another connection, or not at all.
	w.Header().Set("Connection", "close")
	refused := ""
	l.mu.Lock()
	switch {
	case l.stopped:
		refused = goingAwayReason
	case l.maxConns > 0 && l.active >= l.maxConns:
		refused = "the server has too many connections"
	default:
		l.active++
	}
	l.mu.Unlock()
	if refused != "" {
		w.Header().Set("Retry-After", "1")
		http.Error(w, refused, http.StatusServiceUnavailable)
		return
	}
	t := &ticket{}
	defer func() {
		if !t.used {
			l.release(nil)
		}
	}()
	l.mux.Load().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ticketKey{}, t)))
}

// serve runs the callbacks of a connection, which takes the place of its request.
func (l *Listener) serve(r *http.Request, b *bridge) {
	r.Context().Value(ticketKey{}).(*ticket).used = true
	b.stop = l.leaving
	l.mu.Lock()
	l.live[b] = struct{}{}
	cut := l.cut
	l.severed = l.severed || cut
	l.mu.Unlock()
	if cut {
		_, _ = b.caller.beginClose()
		_ = b.caller.Conn().CloseNow()
	}
	go func() {
		defer l.release(b)
		_ = b.serve()
	}()
}

// release gives back a place in active, and takes b out of live.
func (l *Listener) release(b *bridge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, b)
	l.active--
	if l.active == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}
