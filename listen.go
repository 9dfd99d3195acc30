package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chanws/chanws/internal/handshake"
)

const (
	// maxRefused is how many connections beyond MaxConns may be in their handshake
	// or on their way out at a time, to be told 503 or what else is wrong; more are
	// dropped without an answer, so that MaxConns bounds the file descriptors too.
	maxRefused = 256

	// bodyPatience is how long the body of a request, which a handshake has not, may
	// take to be discarded.
	bodyPatience = time.Second

	// handshakeGrace is how long Shutdown waits, when all connections have ended,
	// for the answers to handshakes that have begun.
	handshakeGrace = time.Second

	// goingAwayReason is the close reason that Shutdown gives.
	goingAwayReason = "server is shutting down"
)

// ListenOptions are the settings of [Listen]. A zero field is the default that its
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
	// TLSConfig makes it a listener for wss. It needs a certificate. HTTP/2 is never
	// negotiated, also where GetConfigForClient offers it.
	TLSConfig *tls.Config
	// HandshakeTimeout is how long a client may take for its TLS handshake, how long
	// for its request, and how long it waits for room in the backlog before it is
	// told 503. A client that leaves while it waits is noticed at once, unless it has
	// sent more than its request: then by this. Default 30 s; negative: for ever.
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
	tcp      net.Listener
	server   *http.Server
	upgrader *upgrader
	path     string
	secure   bool
	maxConns int           // 0 none
	timeout  time.Duration // of a handshake; 0 none
	logger   *slog.Logger

	conns    chan *Conn    // handOver to the users
	queue    chan *Conn    // handlers to handOver; has space for every token in room
	room     chan struct{} // a token for every Conn that waits to be taken, or will
	handOver chan struct{} // closed when conns is; untaken is complete then
	untaken  []*Conn
	draining chan struct{} // closed when Shutdown or Close begins
	served   chan struct{} // closed when server.Serve has returned
	done     chan struct{} // closed when Shutdown or Close has done everything

	// ctx ends when patience does: with Close, or when Shutdown's ctx has ended or
	// everything is over. It is the parent of all requests' contexts.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	changed  *sync.Cond // when one of the following has become smaller
	closing  bool
	cut      bool                  // goAway has cut a connection, before end could
	attempts map[net.Conn]*attempt // TCP connections whose handshake is not over
	admitted int                   // those of attempts and live that count for MaxConns
	promised int                   // handshakes that get a 101 but are not in live yet
	live     map[*Conn]struct{}    // until they have ended
}

// An attempt is a TCP connection in its handshake.
type attempt struct {
	conn     net.Conn
	admitted bool // it has a place within MaxConns
	hijacked bool // its end is up to the handler
}

type attemptKey struct{}

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
	l.tcp, err = net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l.start()
	return l, nil
}

// newListener checks opts and prepares everything but the TCP listener.
func newListener(opts *ListenOptions) (*Listener, error) {
	var wrong string
	switch {
	case opts.Path != "" && !strings.HasPrefix(opts.Path, "/"):
		wrong = "Path must begin with a slash"
	case opts.MaxConns < 0:
		wrong = "MaxConns must not be negative"
	case opts.Backlog < 0:
		wrong = "Backlog must not be negative"
	case opts.TLSConfig != nil && len(opts.TLSConfig.Certificates) == 0 && opts.TLSConfig.GetCertificate == nil && opts.TLSConfig.GetConfigForClient == nil:
		wrong = "TLSConfig has no certificate"
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
	}, "ListenOptions")
	if err != nil {
		return nil, err
	}
	backlog := orDefault(opts.Backlog, 128)
	l := &Listener{
		upgrader: up,
		path:     opts.Path,
		secure:   opts.TLSConfig != nil,
		maxConns: opts.MaxConns,
		timeout:  max(0, orDefault(opts.HandshakeTimeout, defaultHandshakeTimeout)),
		logger:   opts.Logger,
		conns:    make(chan *Conn),
		queue:    make(chan *Conn, backlog),
		room:     make(chan struct{}, backlog),
		handOver: make(chan struct{}),
		draining: make(chan struct{}),
		served:   make(chan struct{}),
		done:     make(chan struct{}),
		attempts: make(map[net.Conn]*attempt),
		live:     make(map[*Conn]struct{}),
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.changed = sync.NewCond(&l.mu)
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.server = l.newServer(opts)
	return l, nil
}

// start runs the two goroutines of a listener.
func (l *Listener) start() {
	go l.handOverLoop()
	go func() {
		defer close(l.served)
		var err error
		if tcp := (persistentListener{l.tcp}); l.secure {
			err = l.server.ServeTLS(tcp, "", "")
		} else {
			err = l.server.Serve(tcp)
		}
		l.logger.Debug("websocket listener ended", "addr", l.Addr(), "err", err)
	}()
}

// Conns gives the channel of new connections, the same at every call. It is closed
// when Shutdown or Close begins. Whoever receives a connection must close it.
func (l *Listener) Conns() <-chan *Conn { return l.conns }

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// URL is one that a client on this host can dial: where the listener is bound to
// all addresses it names the loopback one.
func (l *Listener) URL() string {
	u := url.URL{Scheme: "ws", Host: l.Addr().String(), Path: l.path}
	if l.secure {
		u.Scheme = "wss"
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return u.String()
}

// arrived is told of every TCP connection, before its handshake.
func (l *Listener) arrived(ctx context.Context, c net.Conn) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &attempt{conn: c}
	if l.maxConns > 0 && len(l.attempts) >= l.maxConns+maxRefused {
		c.Close()
	} else {
		l.admit(a)
	}
	l.attempts[c] = a
	return context.WithValue(ctx, attemptKey{}, a)
}

// admit gives a a place within MaxConns, if there is one. l.mu is held.
func (l *Listener) admit(a *attempt) bool {
	if !a.admitted && (l.maxConns == 0 || l.admitted < l.maxConns) {
		a.admitted = true
		l.admitted++
	}
	return a.admitted
}

// connState is told by net/http what becomes of an attempt.
func (l *Listener) connState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch a := l.attempts[c]; state {
	case http.StateHijacked:
		a.hijacked = true
	case http.StateClosed:
		l.forget(a)
	}
}

// release gives a's place within MaxConns back, if it has one. l.mu is held.
func (l *Listener) release(a *attempt) {
	if a.admitted {
		a.admitted = false
		l.admitted--
	}
}

// forget ends an attempt. l.mu is held.
func (l *Listener) forget(a *attempt) {
	l.release(a)
	delete(l.attempts, a.conn)
	a.conn = nil // a lives on in the values of Conn.Context
	l.changed.Broadcast()
}

// serveHTTP is the one handler: a handshake, from the request to the hand-over.
func (l *Listener) serveHTTP(w http.ResponseWriter, r *http.Request) {
	// A client that is refused comes again on another connection, or not at all.
	w.Header().Set("Connection", "close")
	if r.ContentLength != 0 {
		// net/http discards the body before it closes, as long as that takes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	}
	a := r.Context().Value(attemptKey{}).(*attempt)
	refusal := l.refusal(a, r)
	if refusal != nil {
		l.mu.Lock()
		l.release(a) // before the client can read its answer
		l.mu.Unlock()
		handshake.Refuse(w, *refusal)
		l.logger.Debug("websocket handshake refused", "remote", r.RemoteAddr, "err", refusal)
		return
	}
	ctx, cancel := r.Context(), context.CancelFunc(func() {})
	if l.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.timeout)
	}
	defer cancel()

	var conn *Conn
	promised := false
	defer func() { l.finish(a, promised, conn) }() // also when Authorize panics
	conn, err := l.upgrader.upgrade(w, r.WithContext(ctx), func() error {
		err := l.promise(ctx)
		promised = err == nil
		return err
	})
	if err != nil {
		l.logger.Debug("websocket handshake refused", "remote", r.RemoteAddr, "err", err)
	}
}

// refusal is the answer to a request that gets no handshake, or nil.
func (l *Listener) refusal(a *attempt, r *http.Request) *handshake.Refusal {
	l.mu.Lock()
	closing, admitted := l.closing, l.admit(a)
	l.mu.Unlock()
	switch {
	case closing:
		return unavailable("the server is shutting down")
	case !admitted:
		return unavailable("the server has too many connections")
	case l.path != "" && r.URL.Path != l.path:
		return &handshake.Refusal{StatusCode: http.StatusNotFound, Message: "there is no WebSocket at this path"}
	}
	return nil
}

func unavailable(message string) *handshake.Refusal {
	return &handshake.Refusal{StatusCode: http.StatusServiceUnavailable, Message: message, Header: http.Header{"Retry-After": {"1"}}}
}

// promise reserves a place in the backlog, so that no client gets a 101 for a
// connection that nobody will take. It waits for one until ctx ends.
func (l *Listener) promise(ctx context.Context) error {
	got := false
	if ctx.Err() == nil {
		select {
		case l.room <- struct{}{}:
			got = true
		case <-l.draining:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var refusal *handshake.Refusal
	switch {
	case l.closing || l.ctx.Err() != nil:
		refusal = unavailable("the server is shutting down")
	case ctx.Err() != nil: // also when there was room just then, or Authorize took too long
		refusal = unavailable("the server is too slow in taking connections")
	default:
		l.promised++
		return nil
	}
	if got {
		<-l.room
	}
	return refusal
}

// finish ends a handshake that was not refused at once. conn is nil if it failed.
func (l *Listener) finish(a *attempt, promised bool, conn *Conn) {
	l.mu.Lock()
	if promised {
		l.promised--
	}
	if conn != nil {
		l.live[conn] = struct{}{}
		a.admitted = false // the place is conn's now
	} else {
		l.release(a) // before the client can read its answer
	}
	deliver := conn != nil && !l.closing
	switch {
	case deliver:
		l.queue <- conn // there is space: it has a token of room
	case promised:
		<-l.room
	}
	l.mu.Unlock()
	if conn != nil {
		conn.pump.AfterEnd(func() { l.ended(conn) })
		if !deliver {
			l.goAway(conn)
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if a.hijacked {
		l.forget(a)
	}
	l.changed.Broadcast()
}

// ended takes a connection that has ended out of the registry.
func (l *Listener) ended(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, c)
	l.admitted--
	l.changed.Broadcast()
}

// goAway closes a connection that nobody has taken. What it has received is
// discarded, so that a full event channel does not hide the peer's close. It is in
// live, so end can cut it short.
func (l *Listener) goAway(c *Conn) {
	if l.ctx.Err() == nil {
		c.Close(StatusGoingAway, goingAwayReason)
		return
	}
	c.CloseNow()
	if errors.Is(c.Err(), net.ErrClosed) { // it had not ended by itself
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cut = true
	}
}

// handOverLoop gives connections to the users in the order of their handshakes.
// None waits in a buffer of conns, so that each is either received by a user or
// still the listener's when it closes.
func (l *Listener) handOverLoop() {
	defer close(l.handOver)
	defer close(l.conns)
	for {
		select {
		case c := <-l.queue:
			select {
			case l.conns <- c:
				<-l.room
			case <-l.draining:
				l.untaken = append(l.untaken, c)
			}
		case <-l.draining:
			// Nothing is queued after draining is closed.
			for len(l.queue) > 0 {
				l.untaken = append(l.untaken, <-l.queue)
			}
			return
		}
	}
}
