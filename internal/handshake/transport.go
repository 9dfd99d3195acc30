package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// transport returns what makes the requests. An *http.Transport, the user's or the
// default one, is copied for this Dial alone, because net/http's dials outlive the
// request that they were made for: here they end with ctx, and what they opened is
// known. Any other RoundTripper is used unchanged.
func (d *dialer) transport(ctx context.Context, given http.RoundTripper) http.RoundTripper {
	rt := given
	if rt == nil {
		rt = http.DefaultTransport
	}
	t, ok := rt.(*http.Transport)
	switch {
	case ok:
		t = t.Clone()
	case d.options.TLSConfig != nil:
		t = &http.Transport{Proxy: http.ProxyFromEnvironment}
	default:
		return rt
	}
	if given == nil {
		t.TLSHandshakeTimeout = 0 // ctx is the limit
	}
	if d.options.TLSConfig != nil {
		t.TLSClientConfig = d.options.TLSConfig.Clone()
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.NextProtos = withoutHTTP2(t.TLSClientConfig.NextProtos)
	if t.MaxResponseHeaderBytes == 0 {
		t.MaxResponseHeaderBytes = 64 << 10
	}
	t.DisableCompression = true
	t.DisableKeepAlives = true
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return d.newTransport(ctx, t)
}

// withoutHTTP2 returns the protocols to offer by ALPN: those that the user has named,
// without HTTP/2, which has no upgrade, or else HTTP/1.1.
func withoutHTTP2(offered []string) []string {
	offered = slices.DeleteFunc(slices.Clone(offered), func(p string) bool { return p == "h2" })
	if len(offered) == 0 {
		return []string{"http/1.1"}
	}
	return offered
}

// A transport makes the requests of one Dial. It is an *http.Transport, and what that
// does not do: tunnels for ws, ALPN, and the spelling of the header names.
type transport struct {
	http    *http.Transport
	ctx     context.Context // the Dial's
	proxy   func(*http.Request) (*url.URL, error)
	dial    dialFunc
	dialTLS dialFunc // the user's, or nil
	refused func(*proxyAnswer)
}

// newTransport takes the place of t's proxy and dial functions.
func (d *dialer) newTransport(ctx context.Context, t *http.Transport) *transport {
	//lint:ignore SA1019 a user's transport may still set it
	dial, old := t.DialContext, t.Dial
	switch {
	case dial == nil && old != nil:
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) }
	case dial == nil:
		dial = new(net.Dialer).DialContext
	}
	//lint:ignore SA1019 a user's transport may still set it
	dialTLS, oldTLS := t.DialTLSContext, t.DialTLS
	if dialTLS == nil && oldTLS != nil {
		dialTLS = func(_ context.Context, network, addr string) (net.Conn, error) { return oldTLS(network, addr) }
	}
	own := &transport{http: t, ctx: ctx, proxy: t.Proxy, dial: d.sockets.watch(ctx, dial), refused: d.refuse}
	t.Proxy = proxyOf
	t.DialContext = own.connect
	if dialTLS != nil {
		own.dialTLS = d.sockets.watch(ctx, dialTLS)
		t.DialTLSContext = own.connectTLS
	}
	return own
}

// A route is the way of one request, in the values of its context.
type route struct {
	proxy  *url.URL
	tunnel bool // proxy is no SOCKS proxy, and connect asks it for a tunnel
}

type routeKey struct{}

func routeOf(ctx context.Context) route {
	r, _ := ctx.Value(routeKey{}).(route)
	return r
}

// proxyOf returns the proxy that is left to net/http: one of SOCKS. It would ask an
// HTTP proxy for a tunnel only for https.
func proxyOf(req *http.Request) (*url.URL, error) {
	r := routeOf(req.Context())
	if r.tunnel {
		return nil, nil
	}
	return r.proxy, nil
}

// RoundTrip sends req as it is to look on the wire.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var r route
	if t.proxy != nil {
		var err error
		if r.proxy, err = t.proxy(req); err != nil {
			return nil, err
		}
		r.tunnel = r.proxy != nil && r.proxy.Scheme != "socks5" && r.proxy.Scheme != "socks5h"
	}
	out := req.WithContext(context.WithValue(req.Context(), routeKey{}, r))
	out.Header = wireHeader(req.Header)
	// net/http drops NextProtos for what it takes for a WebSocket handshake. The space
	// hides this one from it, and is not sent.
	out.Header["Upgrade"] = []string{"websocket "}
	return t.http.RoundTrip(out)
}

// connect opens a connection to addr, through a tunnel where the request's route has
// one. On that net/http adds TLS as on any other.
func (t *transport) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	if r := routeOf(ctx); r.tunnel {
		return t.tunnel(r.proxy, addr)
	}
	return t.dial(t.ctx, network, addr)
}

// connectTLS is for users with a TLS dialler, which net/http uses for connections
// without a proxy only.
func (t *transport) connectTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	if !routeOf(ctx).tunnel {
		return t.usersTLS(network, addr)
	}
	conn, err := t.connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return t.addTLS(conn, addr, t.http.TLSClientConfig.Clone())
}

// usersTLS calls the user's TLS dialler. HTTP/2 is an error here: a request that is sent
// on it may never be answered.
func (t *transport) usersTLS(network, addr string) (net.Conn, error) {
	conn, err := t.dialTLS(t.ctx, network, addr)
	secure, ok := conn.(*tls.Conn)
	if err != nil || !ok {
		return conn, err
	}
	if err := secure.HandshakeContext(t.ctx); err != nil {
		conn.Close()
		return nil, err
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		conn.Close()
		return nil, errors.New(spokeHTTP2)
	}
	return conn, nil
}

// addTLS does the TLS handshake with the server at addr. It owns config.
func (t *transport) addTLS(conn net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			conn.Close()
			return nil, err
		}
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(t.ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// sockets are the connections that one Dial has opened.
type sockets struct {
	mu     sync.Mutex
	open   []net.Conn
	closed bool
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// watch makes dial end with ctx. net/http's own context has only its values.
func (s *sockets) watch(ctx context.Context, dial dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil || c == nil {
			return c, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			c.Close()
			return nil, net.ErrClosed
		}
		s.open = append(s.open, c)
		return c, nil
	}
}

func (s *sockets) close() {
	s.mu.Lock()
	open := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}
