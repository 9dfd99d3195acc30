package handshake

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// transport gives what makes the requests. Of an *http.Transport, the user's or the
// default one, it is a copy for this Dial alone, because net/http's dials outlive
// the request that they were made for: here they end with ctx, and what they opened
// is known. Any other RoundTripper is used as it is.
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
	if t.MaxResponseHeaderBytes == 0 {
		t.MaxResponseHeaderBytes = 64 << 10
	}
	t.DisableCompression = true
	t.DisableKeepAlives = true
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)

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
	t.DialContext = d.sockets.watch(ctx, dial)
	if dialTLS != nil {
		t.DialTLSContext = d.sockets.watch(ctx, dialTLS)
	}
	return t
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
