package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/server"
)

// ListenOptions are the settings of [Listen] and [Serve]. A zero field is the default that its
// comment names.
type ListenOptions struct {
	Options

	Subprotocols []string                  // as in [UpgradeOptions]
	Origins      []string                  // as in [UpgradeOptions]
	Header       http.Header               // as in [UpgradeOptions]
	Authorize    func(*http.Request) error // as in [UpgradeOptions]; its request's context ends with HandshakeTimeout and with the listener
	// SelectSubprotocol is as in [UpgradeOptions].
	SelectSubprotocol func(r *http.Request, offered []string) (string, error)

	// Path is the only one that is served; others are answered with 404. Default:
	// every path is served.
	Path string
	// Group is a group that the connections belong to, besides the Listener's own.
	// Default: none.
	Group *Group
	// TLSConfig makes it a listener for wss. It needs a certificate. HTTP/2 is never
	// negotiated, also where GetConfigForClient offers it.
	TLSConfig *tls.Config
	// HandshakeTimeout is how long a client may take for its TLS handshake, how long
	// for its request, and how long it waits for room in the backlog before it is
	// told 503. A client that leaves while it waits is noticed at once, unless it has
	// sent more than its request: then by this. When a connection has waited for as
	// long in the backlog, Options.Logger is told once, at warn level, that nobody
	// receives from Conns. Default 30 s; negative: for ever, and 30 s for the log.
	HandshakeTimeout time.Duration
	// MaxConns is how many connections there may be: those in their handshake, those
	// not yet taken from Conns, and those that have not ended. Beyond it the answer
	// is 503, and when some 256 more are being told so, further ones are closed
	// without an answer. Default: no limit.
	MaxConns int
	// Backlog is how many connections may wait to be taken from Conns. When it is
	// full, further clients wait for their 101. Default 128.
	Backlog int
}

// A Listener is a server whose connections come out of a channel.
//
//	for c := range l.Conns() {
//		go serve(c)
//	}
type Listener struct {
	net      net.Listener
	server   *server.Server
	upgrader *upgrader
	path     string
	secure   bool
	timeout  time.Duration // of a handshake; 0 none
	logger   *slog.Logger

	conns    chan *Conn     // handOver to the users
	queue    chan *accepted // handlers to handOver; has space for every token in room
	room     chan struct{}  // a token for every Conn that waits to be taken, or will
	handOver chan struct{}  // closed when conns is
	draining chan struct{}  // closed when Shutdown or Close begins

	mu      sync.Mutex
	stopped bool      // draining is closed: nothing is queued any more
	closing int       // connections that nobody has taken and that are being closed
	closed  sync.Cond // closing has changed
}

// Listen serves WebSocket handshakes on the TCP address addr, as in net.Listen:
// ":0" picks a port. The Listener must be closed with [Listener.Shutdown] or
// [Listener.Close], and its connections by whoever takes them. nil opts are all
// defaults.
func Listen(addr string, opts *ListenOptions) (*Listener, error) {
	if opts == nil {
		opts = &ListenOptions{}
	}
	l, err := newListener(opts)
	if err != nil {
		return nil, err
	}
	nl, err := server.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("chanws: %w", err)
	}
	l.start(nl, opts)
	return l, nil
}

// Serve is [Listen] on a listener that the caller has made: a Unix socket, one that
// was inherited from systemd, one that reads the PROXY protocol, one in memory. The
// Listener closes nl when it is closed itself; until then nobody else should. If Serve
// fails, nl remains the caller's.
//
// For TLS, set TLSConfig, or pass a listener of [tls.NewListener] whose NextProtos do
// not offer h2; both together are an error. MaxConns counts what nl accepts. An error of
// nl's Accept ends the Listener's accepting only if it matches net.ErrClosed; after any
// other one Accept is called again, after up to a second.
func Serve(nl net.Listener, opts *ListenOptions) (*Listener, error) {
	if opts == nil {
		opts = &ListenOptions{}
	}
	l, err := newListener(opts)
	if err != nil {
		return nil, err
	}
	switch {
	case nl == nil:
		return nil, errors.New("chanws: serve: the net.Listener is nil")
	case isTLS(nl) && l.secure:
		return nil, errors.New("chanws: serve: the net.Listener speaks TLS already: leave ListenOptions.TLSConfig nil, or pass the listener below it")
	}
	l.secure = l.secure || isTLS(nl)
	l.start(nl, opts)
	return l, nil
}

// isTLS reports whether l is a listener of tls.NewListener.
func isTLS(l net.Listener) bool {
	return reflect.TypeOf(l) == reflect.TypeOf(tls.NewListener(nil, nil))
}

// newListener checks opts and prepares everything but the server.
func newListener(opts *ListenOptions) (*Listener, error) {
	var wrong string
	switch {
	case opts.Path != "" && !strings.HasPrefix(opts.Path, "/"):
		wrong = fmt.Sprintf("Path %q must begin with a slash", opts.Path)
	case opts.MaxConns < 0:
		wrong = fmt.Sprintf("MaxConns %d must not be negative", opts.MaxConns)
	case opts.Backlog < 0:
		wrong = fmt.Sprintf("Backlog %d must not be negative", opts.Backlog)
	case opts.TLSConfig != nil && len(opts.TLSConfig.Certificates) == 0 && opts.TLSConfig.GetCertificate == nil && opts.TLSConfig.GetConfigForClient == nil:
		wrong = "TLSConfig has no certificate: set Certificates, GetCertificate or GetConfigForClient"
	}
	if wrong != "" {
		return nil, errors.New("chanws: ListenOptions." + wrong)
	}
	up, err := newUpgrader(&UpgradeOptions{
		Options:           opts.Options,
		Subprotocols:      opts.Subprotocols,
		SelectSubprotocol: opts.SelectSubprotocol,
		Origins:           opts.Origins,
		Header:            opts.Header,
		Authorize:         opts.Authorize,
		Group:             opts.Group,
	}, "ListenOptions")
	if err != nil {
		return nil, err
	}
	backlog := orDefault(opts.Backlog, 128)
	l := &Listener{
		upgrader: up,
		path:     opts.Path,
		secure:   opts.TLSConfig != nil,
		timeout:  max(0, orDefault(opts.HandshakeTimeout, defaultHandshakeTimeout)),
		logger:   opts.Logger,
		conns:    make(chan *Conn),
		queue:    make(chan *accepted, backlog),
		room:     make(chan struct{}, backlog),
		handOver: make(chan struct{}),
		draining: make(chan struct{}),
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	return l, nil
}

// start begins to serve on nl.
func (l *Listener) start(nl net.Listener, opts *ListenOptions) {
	l.net = nl
	l.closed.L = &l.mu
	l.server = server.New(server.Config{
		Listener:         nl,
		TLS:              opts.TLSConfig,
		HandshakeTimeout: l.timeout,
		MaxHeaderBytes:   64 << 10, // cookies of a browser: some 4 KiB each, rarely more than a few
		MaxConns:         opts.MaxConns,
		Logger:           l.logger,
		Handler:          http.HandlerFunc(l.serveHTTP),
		Begun:            l.stopHandOver,
		Ended: func() {
			l.server.AwaitEmpty()
			l.awaitClosing()
		},
	})
	go l.handOverLoop()
	_ = l.server.Start() // fails only the second time, and after the end
}

// Conns gives the channel of new connections, the same at every call. It is closed
// when Shutdown or Close begins. Whoever receives a connection must close it.
func (l *Listener) Conns() <-chan *Conn { return l.conns }

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// URL is one that a client on this host can dial: where the listener is bound to
// all addresses it names the loopback one. A listener whose address is no host and
// port, such as a Unix socket, has the host "localhost"; to dial it, use
// [DialOptions.HTTPClient] with a Transport whose DialContext connects to Addr.
func (l *Listener) URL() string {
	u := url.URL{Scheme: "ws", Host: "localhost", Path: l.path}
	if l.secure {
		u.Scheme = "wss"
	}
	if host, port, err := net.SplitHostPort(l.Addr().String()); err == nil {
		if host == "" || net.ParseIP(host).IsUnspecified() {
			host = "127.0.0.1"
		}
		u.Host = net.JoinHostPort(host, port)
	}
	return u.String()
}

// serveHTTP is the server's handler: a handshake, from the request to the hand-over.
func (l *Listener) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if l.path != "" && r.URL.Path != l.path {
		handshake.Refuse(w, handshake.Refusal{StatusCode: http.StatusNotFound, Message: "there is no WebSocket at this path"})
		return
	}
	seat := server.SeatOf(r.Context())
	ctx, cancel := r.Context(), context.CancelFunc(func() {})
	if l.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.timeout)
	}
	defer cancel()

	promised, queued := false, false
	defer func() { // also when Authorize panics
		if promised && !queued {
			<-l.room
		}
	}()
	c, err := l.upgrader.upgrade(w, r.WithContext(ctx), seat, func() error {
		err := l.promise(ctx)
		promised = err == nil
		return err
	})
	if err != nil {
		l.logger.Debug("websocket handshake refused", "remote", r.RemoteAddr, "err", err)
		return
	}
	a := l.newAccepted(c)
	c.join(seat, a)
	queued = l.enqueue(a)
}

// promise reserves a place in the backlog, so that no client gets a 101 for a
// connection that nobody will take. It waits for one until ctx ends.
func (l *Listener) promise(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case l.room <- struct{}{}:
			if ctx.Err() == nil {
				return nil
			}
			<-l.room
		case <-l.draining:
		case <-ctx.Done():
		}
	}
	if l.server.Closing() {
		return server.ShuttingDown()
	}
	return server.Unavailable("the server is too slow in taking connections") // or Authorize is
}
