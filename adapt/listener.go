package adapt

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chanws/chanws/internal/server"
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
	// MaxConns is how many TCP connections there may be: those in their TLS or
	// WebSocket handshake, and those whose last callback has not returned. Beyond it
	// the answer is 503, and when some 256 more are being answered, further ones are
	// closed without an answer. Default: no limit.
	MaxConns int
	// Logger gets what the listener itself has to tell. nil: silent.
	Logger *slog.Logger
}

// A Listener is a server for services: each is attached at a pattern, and its life
// ends with [Listener.GracefulStop] or [Listener.ImmediateStop].
type Listener struct {
	tcp    net.Listener
	server *server.Server
	logger *slog.Logger
	mux    atomic.Pointer[http.ServeMux] // made anew whenever something is attached or detached

	mu       sync.Mutex
	attached map[string]*endpoint
}

// NewListener listens on the TCP address addr, as in net.Listen: ":0" picks a port.
// Clients are served from [Listener.Start] on. A Listener must be stopped, also when it
// was never started. nil cfg are all defaults.
func NewListener(addr string, cfg *ListenerConfig) (*Listener, error) {
	if cfg == nil {
		cfg = &ListenerConfig{}
	}
	switch t := cfg.TLSConfig; {
	case cfg.MaxConns < 0:
		return nil, fmt.Errorf("adapt: ListenerConfig.MaxConns %d must not be negative", cfg.MaxConns)
	case cfg.MaxHeaderBytes < 0:
		return nil, fmt.Errorf("adapt: ListenerConfig.MaxHeaderBytes %d must not be negative", cfg.MaxHeaderBytes)
	case t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil:
		return nil, errors.New("adapt: ListenerConfig.TLSConfig has no certificate: set Certificates, GetCertificate or GetConfigForClient")
	}
	tcp, err := server.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("adapt: %w", err)
	}
	l := &Listener{tcp: tcp, logger: cfg.Logger, attached: make(map[string]*endpoint)}
	if l.logger == nil {
		l.logger = silent
	}
	l.mux.Store(http.NewServeMux())
	l.server = server.New(server.Config{
		Listener:         tcp,
		TLS:              cfg.TLSConfig,
		HandshakeTimeout: max(0, cmp.Or(cfg.HandshakeTimeout, defaultHandshakeTimeout)),
		MaxHeaderBytes:   cmp.Or(cfg.MaxHeaderBytes, defaultMaxHeaderBytes),
		MaxConns:         cfg.MaxConns,
		Logger:           l.logger,
		Handler:          http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.mux.Load().ServeHTTP(w, r) }),
		AwaitHandlers:    true,
	})
	return l, nil
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Attach serves the services that up returns at a pattern of net/http's ServeMux:
// "/chat", "/chat/{room}", "/files/" for everything below, "example.com/". The
// request that up gets, and [Caller.Request], have the path values. It may be called
// before and after Start. nil cfg are all defaults.
//
// A pattern that is invalid, attached already, in conflict with another, or such that no
// handshake can match it ("POST /chat", "example.com:80/") is an error, as are options
// that cannot work. What up returns is known only then:
// [Service.Validate] tells beforehand.
func (l *Listener) Attach(pattern string, up UpgradeFunc, cfg *ServiceConfig) error {
	if err := checkPattern(pattern); err != nil {
		return fmt.Errorf("adapt: attach %q: %w", pattern, err)
	}
	e, err := newEndpoint(up, cfg)
	if err != nil {
		return fmt.Errorf("adapt: attach %q: %w", pattern, err)
	}
	if e.settings.logger == nil {
		e.settings.logger = l.logger
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server.Closing() {
		return fmt.Errorf("adapt: attach %q: %w", pattern, server.ErrStopped)
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
			err = errors.New(withoutPlaces(fmt.Sprint(v)))
		}
	}()
	mux := http.NewServeMux()
	for _, pattern := range slices.Sorted(maps.Keys(l.attached)) { // an error has the same text every time
		mux.Handle(pattern, l.attached[pattern])
	}
	l.mux.Store(mux)
	return nil
}

// Start begins to serve, in goroutines of its own. It can be done once.
func (l *Listener) Start() error {
	if err := l.server.Start(); err != nil {
		return fmt.Errorf("adapt: start: %w", err)
	}
	return nil
}

// GracefulStop ends the listener in good order. New handshakes, and those in
// progress, are answered with 503. Each connection hands over the messages that have
// come by then; what they are answered with is written, then a close frame 1001, and
// the peer has CloseTimeout to answer. GracefulStop returns nil when the last callback
// of the last connection has returned.
//
// When ctx ends first, the connections that are left are cut and an error
// that matches ctx's cause is returned; their callbacks may still run then. [Listener.ImmediateStop] cuts it short
// likewise, and its error then matches net.ErrClosed. A second GracefulStop waits for the
// first, at most until its own ctx ends. Do not call it in a callback of this listener,
// for whose return it would wait.
func (l *Listener) GracefulStop(ctx context.Context) error { return l.server.Shutdown(ctx) }

// ImmediateStop ends the listener and cuts all its connections, whose OnError gets an
// error that matches net.ErrClosed. It does not wait for callbacks that still run. It
// may be called any number of times, also during GracefulStop, and returns nil.
func (l *Listener) ImmediateStop() error {
	l.server.Close()
	return nil
}
