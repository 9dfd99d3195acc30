package handshake

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// atOnce is how long a test waits for what comes at once, unless it is broken.
const atOnce = 20 * time.Second

// header101 is a correct 101 for req, with further header lines.
func header101(req *http.Request, lines ...string) string {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return strings.Join(append([]string{
		"HTTP/1.1 101 Switching Protocols",
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]),
	}, lines...), "\r\n") + "\r\n\r\n"
}

// A rawServer speaks raw bytes, so that it can break every rule.
type rawServer struct {
	net.Listener
	answer func(net.Conn, *http.Request)
	closed chan struct{} // gets a value when a client has closed a connection
	wg     sync.WaitGroup

	mu   sync.Mutex
	open []net.Conn // closed with the test, also with one that failed
}

// badServer answers the one request of each connection, and then waits for its end.
func badServer(t *testing.T, answer func(net.Conn, *http.Request)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return badServerOn(t, l, answer)
}

func badServerOn(t *testing.T, l net.Listener, answer func(net.Conn, *http.Request)) *rawServer {
	s := &rawServer{Listener: l, answer: answer, closed: make(chan struct{}, 100)}
	s.wg.Go(s.acceptLoop)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *rawServer) acceptLoop() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open = append(s.open, c)
		s.mu.Unlock()
		s.wg.Go(func() { s.one(c) })
	}
}

func (s *rawServer) one(c net.Conn) {
	defer func() { s.closed <- struct{}{} }()
	defer c.Close()
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	s.answer(c, req)
	_, _ = io.Copy(io.Discard, c)
}

func (s *rawServer) url(path string) string { return "ws://" + s.Addr().String() + path }

// gone waits until the client has closed its connection.
func (s *rawServer) gone(t *testing.T) {
	t.Helper()
	select {
	case <-s.closed:
	case <-time.After(atOnce):
		require.Fail(t, "the client's connection is still open")
	}
}

func say(text string) func(net.Conn, *http.Request) {
	return func(c net.Conn, _ *http.Request) { _, _ = io.WriteString(c, text) }
}

func answer101(lines ...string) func(net.Conn, *http.Request) {
	return func(c net.Conn, req *http.Request) { _, _ = io.WriteString(c, header101(req, lines...)) }
}

func closeLater(t *testing.T, s *Stream) { t.Cleanup(func() { s.Conn.Close() }) }

func TestDialGivesTheRawConnection(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{
		"nothing":                              0,
		"frames in the segment of the 101":     100,
		"more than net/http reads in one call": 20_000,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := bytes.Repeat([]byte("0123456789"), size/10)
			echoed := make(chan string, 1)
			srv := badServer(t, func(c net.Conn, req *http.Request) {
				_, _ = io.WriteString(c, header101(req, "X-Extra: yes")+string(sent))
				got := make([]byte, 5)
				_, _ = io.ReadFull(c, got)
				echoed <- string(got)
			})
			s, err := Dial(t.Context(), srv.url("/room?id=1"), ClientOptions{})
			require.NoError(t, err)
			closeLater(t, s)

			require.IsType(t, &net.TCPConn{}, s.Conn)
			if size > 0 {
				require.NotEmpty(t, s.Buffered)
			} else {
				require.Nil(t, s.Buffered)
			}
			rest := make([]byte, len(sent)-len(s.Buffered))
			_, err = io.ReadFull(s.Conn, rest) // also shows that no deadline is left
			require.NoError(t, err)
			require.Equal(t, string(sent), string(s.Buffered)+string(rest))
			_, err = s.Conn.Write([]byte("hello"))
			require.NoError(t, err)
			require.Equal(t, "hello", <-echoed)

			require.Equal(t, "/room", s.Request.URL.Path)
			require.Equal(t, "13", s.Request.Header.Get("Sec-WebSocket-Version"))
			require.Empty(t, s.Request.Header.Get("Sec-WebSocket-Extensions"))
			require.NoError(t, s.Request.Context().Err())
			require.Equal(t, 101, s.Response.StatusCode)
			require.Equal(t, "yes", s.Response.Header.Get("X-Extra"))
			require.Equal(t, http.NoBody, s.Response.Body)
			require.Same(t, s.Request, s.Response.Request)
			require.Empty(t, s.Subprotocol)
		})
	}
}

func TestDialOutlivesItsContext(t *testing.T) {
	t.Parallel()
	srv := badServer(t, func(c net.Conn, req *http.Request) {
		_, _ = io.WriteString(c, header101(req))
		_, _ = io.Copy(c, c)
	})
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	s, err := Dial(ctx, srv.url(""), ClientOptions{Timeout: time.Hour})
	require.NoError(t, err)
	closeLater(t, s)
	cancel()
	_, err = s.Conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(s.Conn, make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, "kept", s.Request.Context().Value(key{}))
	require.NoError(t, s.Request.Context().Err())
}

func TestDialRefusesBadAnswers(t *testing.T) {
	t.Parallel()
	replace := func(old, by string) func(net.Conn, *http.Request) {
		return func(c net.Conn, req *http.Request) {
			_, _ = io.WriteString(c, strings.Replace(header101(req), old, by, 1))
		}
	}
	for name, tc := range map[string]struct {
		answer  func(net.Conn, *http.Request)
		options ClientOptions
		status  int // 0: no *ResponseError
		header  string
		body    string
		text    string
	}{
		"200": {
			answer: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
			status: 200, body: "hello", text: "answered 200, not 101",
		},
		"401 with a body and a header": {
			answer: say("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nX-Test: 1\r\nContent-Length: 4\r\n\r\nnope"),
			status: 401, header: "X-Test", body: "nope", text: "answered 401",
		},
		"503 with a long body": {
			answer: say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000)),
			status: 503, body: strings.Repeat("x", 1024), text: "answered 503",
		},
		"redirect without a location": {
			answer: say("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
			status: 302, text: "answered 302",
		},
		"redirect to nowhere": {
			answer: say("HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"),
			status: 302, text: "Location",
		},
		"closes at once":    {answer: func(c net.Conn, _ *http.Request) { c.Close() }, text: "EOF"},
		"garbage":           {answer: say("220 mail.example.com ESMTP\r\n\r\n"), text: "malformed HTTP"},
		"half and then EOF": {answer: func(c net.Conn, _ *http.Request) { say("HTTP/1.1 101 Switching Pro")(c, nil); c.Close() }, text: "EOF"},
		"endless header": {
			answer: say("HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", 100_000)),
			text:   "headers exceeded",
		},
		"wrong accept":   {answer: replace("Accept: ", "Accept: x"), status: 101, text: "invalid Sec-WebSocket-Accept"},
		"no accept":      {answer: replace("Sec-WebSocket-Accept", "X-Accept"), status: 101, text: "invalid Sec-WebSocket-Accept"},
		"no upgrade":     {answer: replace("Upgrade: websocket\r\n", ""), status: 101, text: "Upgrade"},
		"other upgrade":  {answer: replace("Upgrade: websocket", "Upgrade: h2c"), status: 101, text: "Upgrade"},
		"no connection":  {answer: replace("Connection: Upgrade\r\n", ""), status: 101, text: "Connection"},
		"two accepts":    {answer: answer101("Sec-WebSocket-Accept: x"), status: 101, text: "2 Sec-WebSocket-Accept"},
		"an extension":   {answer: answer101("Sec-WebSocket-Extensions: permessage-deflate"), status: 101, header: "Sec-WebSocket-Extensions", text: `extension "permessage-deflate", which was not offered`},
		"two extensions": {answer: answer101("Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions: b"), status: 101, text: `extension "a, b"`},
		"a subprotocol when none was offered": {
			answer: answer101("Sec-WebSocket-Protocol: chat"), status: 101, text: `"chat"`,
		},
		"another subprotocol": {
			answer: answer101("Sec-WebSocket-Protocol: mqtt"), options: ClientOptions{Subprotocols: []string{"chat"}},
			status: 101, text: `"mqtt"`,
		},
		"a subprotocol in another case": {
			answer: answer101("Sec-WebSocket-Protocol: Chat"), options: ClientOptions{Subprotocols: []string{"chat"}},
			status: 101, text: `subprotocol "Chat", which was not offered`,
		},
		"two subprotocols": {
			answer:  answer101("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"),
			options: ClientOptions{Subprotocols: []string{"a", "b"}},
			status:  101, text: "2 Sec-WebSocket-Protocol",
		},
		"no subprotocol where one is required": {
			answer: answer101(), options: ClientOptions{Subprotocols: []string{"a"}, RequireSubprotocol: true},
			status: 101, text: `none of the subprotocols ["a"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := badServer(t, tc.answer)
			s, err := Dial(t.Context(), srv.url("/"), tc.options)
			require.Nil(t, s)
			require.ErrorContains(t, err, tc.text)
			var answer *ResponseError
			if tc.status == 0 {
				require.False(t, errors.As(err, &answer))
			} else {
				require.ErrorAs(t, err, &answer)
				require.Equal(t, tc.status, answer.Response.StatusCode)
				require.Equal(t, tc.body, string(answer.Body))
				if tc.header != "" {
					require.NotEmpty(t, answer.Response.Header.Get(tc.header))
				}
			}
			srv.gone(t)
		})
	}
}

func TestDialAcceptsOddAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lines       []string
		subprotocol string
	}{
		"one of the subprotocols":  {[]string{"Sec-WebSocket-Protocol: b"}, "b"},
		"no subprotocol":           {nil, ""},
		"an empty subprotocol":     {[]string{"Sec-WebSocket-Protocol:"}, ""},
		"an empty extension":       {[]string{"Sec-WebSocket-Extensions:"}, ""},
		"other case and lists":     {[]string{"Connection: keep-alive"}, ""},
		"a content length of zero": {[]string{"Content-Length: 0"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := badServer(t, answer101(tc.lines...))
			s, err := Dial(t.Context(), srv.url("/"), ClientOptions{Subprotocols: []string{"a", "b"}})
			require.NoError(t, err)
			closeLater(t, s)
			require.Equal(t, tc.subprotocol, s.Subprotocol)
			require.Equal(t, "a,b", s.Request.Header.Get("Sec-WebSocket-Protocol"))
		})
	}
}

func TestDialReportsNetworkErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	_, err = Dial(t.Context(), "ws://"+l.Addr().String(), ClientOptions{})
	var refused *net.OpError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "dial", refused.Op)
	require.NotContains(t, err.Error(), "Get ")

	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}
	}}}
	_, err = Dial(t.Context(), "ws://nowhere.invalid/", ClientOptions{HTTPClient: client})
	var unknown *net.DNSError
	require.ErrorAs(t, err, &unknown)
}

func TestDialOverTLS(t *testing.T) {
	t.Parallel()
	payload := strings.Repeat("frames", 4000)
	host := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	t.Cleanup(host.Close)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := badServerOn(t, tls.NewListener(plain, &tls.Config{
		Certificates: host.TLS.Certificates,
		NextProtos:   []string{"h2", "http/1.1"},
	}), func(c net.Conn, req *http.Request) {
		_, _ = io.WriteString(c, header101(req)+payload)
		_, _ = io.Copy(c, c)
	})
	wss := "wss://" + srv.Addr().String()
	roots := x509.NewCertPool()
	roots.AddCert(host.Certificate())

	_, err = Dial(t.Context(), wss, ClientOptions{})
	var certificate *tls.CertificateVerificationError
	require.ErrorAs(t, err, &certificate)
	srv.gone(t)

	for name, o := range map[string]ClientOptions{
		"TLSConfig":  {TLSConfig: &tls.Config{RootCAs: roots}},
		"HTTP/2":     {TLSConfig: &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}},
		"HTTPClient": {HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}},
		"own TLS dialler": {HTTPClient: &http.Client{Transport: &http.Transport{
			DialTLSContext: (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext,
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Dial(t.Context(), wss, o)
			require.NoError(t, err)
			closeLater(t, s)
			require.IsType(t, &tls.Conn{}, s.Conn)
			_, err = s.Conn.Write([]byte("hello"))
			require.NoError(t, err)
			rest := make([]byte, len(payload)+5-len(s.Buffered))
			_, err = io.ReadFull(s.Conn, rest)
			require.NoError(t, err)
			require.Equal(t, payload+"hello", string(s.Buffered)+string(rest))
			require.NotNil(t, s.Response.TLS)
		})
	}

	_, err = Dial(t.Context(), "wss://"+badServer(t, say("")).Addr().String(), ClientOptions{Timeout: atOnce,
		TLSConfig: &tls.Config{RootCAs: roots}})
	require.Error(t, err) // the server takes the ClientHello for a bad request and closes
}

func TestDialThroughAProxy(t *testing.T) {
	t.Parallel()
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, header101(req))
		_, _ = io.Copy(c, c)
	}))
	target.StartTLS()
	t.Cleanup(target.Close)

	var connects atomic.Int32
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") == "" {
			http.Error(w, "want CONNECT", http.StatusProxyAuthRequired)
			return
		}
		connects.Add(1)
		to, err := net.Dial("tcp", req.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			to.Close()
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for _, pipe := range [][2]net.Conn{{c, to}, {to, c}} {
			tunnels.Go(func() {
				_, _ = io.Copy(pipe[0], pipe[1])
				pipe[0].Close()
			})
		}
	}))
	t.Cleanup(func() { proxy.Close(); tunnels.Wait() })
	through, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	through.User = url.UserPassword("me", "secret")
	roots := x509.NewCertPool()
	roots.AddCert(target.Certificate())
	transport := &http.Transport{Proxy: http.ProxyURL(through), TLSClientConfig: &tls.Config{RootCAs: roots}}

	s, err := Dial(t.Context(), "wss://"+target.Listener.Addr().String(), ClientOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	closeLater(t, s)
	_, err = s.Conn.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(s.Conn, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, s.Conn.Close())
	require.EqualValues(t, 1, connects.Load())

	through.User = nil
	_, err = Dial(t.Context(), "wss://"+target.Listener.Addr().String(), ClientOptions{HTTPClient: &http.Client{Transport: transport}})
	require.ErrorContains(t, err, "Proxy Authentication Required")
}

// redirecting answers /n with a redirect to /n-1, and /0 with a 101.
func redirecting(t *testing.T, scheme string) *rawServer {
	var srv *rawServer
	srv = badServer(t, func(c net.Conn, req *http.Request) {
		var n int
		_, _ = fmt.Sscanf(req.URL.Path, "/%d", &n)
		if n == 0 {
			answer101()(c, req)
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s%s/%d\r\nContent-Length: 5\r\n\r\nmoved", scheme, srv.Addr(), n-1)
	})
	return srv
}

func TestDialFollowsRedirects(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http://", "ws://", "//"} {
		srv := redirecting(t, scheme)
		var authorized []string
		s, err := Dial(t.Context(), srv.url("/3"), ClientOptions{Authorize: func(_ context.Context, req *http.Request) error {
			authorized = append(authorized, req.URL.Path)
			req.Header.Set("Authorization", "Bearer "+req.URL.Path)
			return nil
		}})
		require.NoError(t, err)
		closeLater(t, s)
		require.Equal(t, []string{"/3", "/2", "/1", "/0"}, authorized)
		require.Equal(t, "/0", s.Request.URL.Path)
		require.Equal(t, "Bearer /0", s.Request.Header.Get("Authorization"))
		for range 3 {
			srv.gone(t) // one connection each, and none is kept
		}
	}
}

func TestDialStopsAtRedirects(t *testing.T) {
	t.Parallel()
	srv := redirecting(t, "ws://")
	mine := errors.New("no way")
	for name, tc := range map[string]struct {
		path string
		stop func(*http.Request, []*http.Request) error
		text string
	}{
		"too many":        {"/11", nil, "stopped after 10 redirects"},
		"CheckRedirect":   {"/2", func(*http.Request, []*http.Request) error { return mine }, "no way"},
		"UseLastResponse": {"/2", func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, "answered 307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(t.Context(), srv.url(tc.path), ClientOptions{HTTPClient: &http.Client{CheckRedirect: tc.stop}})
			var answer *ResponseError
			require.ErrorAs(t, err, &answer)
			require.Equal(t, 307, answer.Response.StatusCode)
			require.ErrorContains(t, err, tc.text)
			require.Equal(t, tc.text == "no way", errors.Is(err, mine))
		})
	}

	secure := httptest.NewTLSServer(http.RedirectHandler(srv.url("/0"), http.StatusFound))
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	_, err := Dial(t.Context(), secure.URL, ClientOptions{TLSConfig: &tls.Config{RootCAs: roots}})
	require.ErrorContains(t, err, "redirect from wss to ws refused")
}

func TestDialSendsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := badServer(t, func(c net.Conn, req *http.Request) {
		got <- req
		answer101("Set-Cookie: session=7")(c, req)
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	o := func() ClientOptions {
		return ClientOptions{
			Header: http.Header{
				"Host": {"example.com"}, "X-Raw": {"1", "2\t"}, "x-lower": {"ä"}, "cookie": {"a=1", "b=2"},
			},
			Cookies:      []*http.Cookie{{Name: "c", Value: "3", Path: "/ignored"}},
			Subprotocols: []string{"v2", "v1"},
			HTTPClient:   &http.Client{Jar: jar, Timeout: time.Hour},
		}
	}
	given, untouched := o(), o()
	for _, cookies := range []string{"a=1; b=2; c=3", "a=1; b=2; c=3; session=7"} {
		s, err := Dial(t.Context(), strings.Replace(srv.url("/"), "ws://", "ws://me:secret@", 1), given)
		require.NoError(t, err)
		closeLater(t, s)
		req := <-got
		require.Equal(t, "example.com", req.Host)
		require.Equal(t, []string{"1", "2"}, req.Header["X-Raw"])
		require.Equal(t, []string{"ä"}, req.Header["X-Lower"])
		require.Equal(t, []string{cookies}, req.Header["Cookie"])
		require.Equal(t, "v2,v1", req.Header.Get("Sec-WebSocket-Protocol"))
		user, password, _ := req.BasicAuth()
		require.Equal(t, "me:secret", user+":"+password)
		require.Empty(t, req.Header["Accept-Encoding"])
		require.Equal(t, untouched, given)
	}
}

func TestDialAuthorizes(t *testing.T) {
	t.Parallel()
	srv := badServer(t, answer101())
	mine := errors.New("no token")
	_, err := Dial(t.Context(), srv.url("/"), ClientOptions{Authorize: func(context.Context, *http.Request) error { return mine }})
	require.ErrorIs(t, err, mine)

	for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Extensions"} {
		_, err = Dial(t.Context(), srv.url("/"), ClientOptions{Authorize: func(_ context.Context, req *http.Request) error {
			req.Header.Set(name, "mine")
			return nil
		}})
		require.ErrorContains(t, err, name)
	}

	s, err := Dial(t.Context(), srv.url("/"), ClientOptions{Timeout: time.Hour, Authorize: func(ctx context.Context, req *http.Request) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		req.URL.RawQuery = "token=1"
		return nil
	}})
	require.NoError(t, err)
	closeLater(t, s)
	require.Equal(t, "token=1", s.Request.URL.RawQuery)
}

func TestDialRefusesInvalidOptions(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options ClientOptions
		text    string
	}{
		"header name":          {ClientOptions{Header: http.Header{"X Y": {"1"}}}, `Header "X Y": not a header name`},
		"empty header name":    {ClientOptions{Header: http.Header{"": {"1"}}}, `Header ""`},
		"header value":         {ClientOptions{Header: http.Header{"X-Y": {"1", "secret\r\nEvil: 1"}}}, `Header "X-Y": its value holds a control character`},
		"key":                  {ClientOptions{Header: http.Header{"sec-websocket-key": {"1"}}}, `Header "sec-websocket-key": belongs to the handshake`},
		"extensions":           {ClientOptions{Header: http.Header{"Sec-WebSocket-Extensions": {"1"}}}, "belongs to the handshake"},
		"protocol":             {ClientOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"1"}}}, "use Subprotocols"},
		"connection":           {ClientOptions{Header: http.Header{"Connection": {"close"}}}, `Header "Connection"`},
		"upgrade":              {ClientOptions{Header: http.Header{"upgrade": {"h2c"}}}, `Header "upgrade"`},
		"host":                 {ClientOptions{Header: http.Header{"Host": {"a/b"}}}, `Header "Host"`},
		"empty host":           {ClientOptions{Header: http.Header{"Host": {""}}}, `Header "Host"`},
		"two hosts":            {ClientOptions{Header: http.Header{"Host": {"a"}, "host": {"b"}}}, `Header "host"`},
		"nil cookie":           {ClientOptions{Cookies: []*http.Cookie{nil}}, "Cookies: number 0 is nil"},
		"cookie name":          {ClientOptions{Cookies: []*http.Cookie{{Name: "a b", Value: "1"}}}, `Cookies: "a b"`},
		"cookie value":         {ClientOptions{Cookies: []*http.Cookie{{Name: "a", Value: "1;2"}}}, `Cookies: "a"`},
		"empty subprotocol":    {ClientOptions{Subprotocols: []string{""}}, `Subprotocols: ""`},
		"subprotocol":          {ClientOptions{Subprotocols: []string{"a", "b,c"}}, `Subprotocols: "b,c"`},
		"subprotocol twice":    {ClientOptions{Subprotocols: []string{"a", "b", "a"}}, `Subprotocols: "a" is there twice`},
		"required of none":     {ClientOptions{RequireSubprotocol: true}, "RequireSubprotocol"},
		"both TLS and client":  {ClientOptions{TLSConfig: &tls.Config{}, HTTPClient: &http.Client{}}, "TLSConfig and HTTPClient"},
		"non-ASCII in a token": {ClientOptions{Subprotocols: []string{"ä"}}, "Subprotocols"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(t.Context(), "ws://127.0.0.1:0/", tc.options)
			var unusable *InvalidError
			require.ErrorAs(t, err, &unusable)
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestDialRefusesInvalidURLs(t *testing.T) {
	t.Parallel()
	for raw, text := range map[string]string{
		"":                              "no scheme; want ws:// or wss://",
		"example.com/chat":              `URL "example.com/chat": no scheme`,
		"//me:secret@example.com/":      "no scheme",
		"127.0.0.1:80/chat":             "want ws://host",
		"localhost:80/chat?t=secret":    `scheme "localhost"`,
		"ftp://me:secret@example.com/":  `scheme "ftp"; want ws:// or wss://`,
		"me:secret@example.com":         `scheme "me"`,
		"ws:///chat":                    `URL "ws:///chat": no host`,
		"ws://:80/chat":                 "no host",
		"wss:example.com":               "no host",
		"ws://example.com/#frag":        "fragment",
		"ws://example.com/?t=secret#":   "fragment",
		"ws://example.com:port/?secret": "invalid port",
		"ws://me:sec%zzret@example.com": "may hold a password",
		"ws://me:secret/x@example.com":  "may hold a password",
		"ws://exa mple.com":             "invalid character",
	} {
		_, err := Dial(t.Context(), raw, ClientOptions{})
		var unusable *InvalidError
		require.ErrorAs(t, err, &unusable, raw)
		require.ErrorContains(t, err, text)
		require.NotContains(t, err.Error(), "sec%zzret")
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestShowHidesSecrets(t *testing.T) {
	t.Parallel()
	require.Equal(t, "wss://me:xxxxx@example.com:8443/chat", Show("wss://me:secret@example.com:8443/chat?token=secret"))
	require.Equal(t, "URL", Show("ws://me:%zz@h"))
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for name, answer := range map[string]string{
		"no answer":           "",
		"half a status line":  "HTTP/1.1 101 Swit",
		"half a 101's header": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgr",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			srv := badServer(t, func(c net.Conn, _ *http.Request) {
				_, _ = io.WriteString(c, answer)
				cancel(mine)
			})
			_, err := Dial(ctx, srv.url("/"), ClientOptions{Timeout: atOnce})
			require.ErrorIs(t, err, mine)
			require.ErrorIs(t, err, context.Canceled)
			srv.gone(t)
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Dial(ctx, "ws://127.0.0.1:0/", ClientOptions{Authorize: func(context.Context, *http.Request) error {
		panic("must not be called")
	}})
	require.Equal(t, context.Canceled, err)
}

// pipes is a client whose connections end in answer, all in memory.
func pipes(t *testing.T, answer func(net.Conn, *http.Request)) (*http.Client, *sync.WaitGroup) {
	var servers sync.WaitGroup
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{ServerName: "example.com"},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			c, s := net.Pipe()
			servers.Go(func() {
				defer s.Close()
				if answer != nil {
					req, err := http.ReadRequest(bufio.NewReader(s))
					if err != nil {
						return
					}
					answer(s, req)
				}
				_, _ = io.Copy(io.Discard, s) // ends when the client has closed
			})
			return c, nil
		},
	}}, &servers
}

// Each bubble ends only when no goroutine is left in it.
func TestDialTimesOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url    string
		answer func(net.Conn, *http.Request)
	}{
		"server is silent":           {"ws://example.com/", func(net.Conn, *http.Request) {}},
		"server stops within a 101":  {"ws://example.com/", say("HTTP/1.1 101 Switching Protocols\r\nConn")},
		"server stops before TLS":    {"wss://example.com/", nil},
		"endless interim responses":  {"ws://example.com/", say("HTTP/1.1 103 Early Hints\r\n\r\n")},
		"redirect to a silent place": {"ws://example.com/", silentRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, servers := pipes(t, tc.answer)
				began := time.Now()
				_, err := Dial(t.Context(), tc.url, ClientOptions{HTTPClient: client, Timeout: 12 * time.Second})
				require.Equal(t, 12*time.Second, time.Since(began))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.EqualError(t, err, "handshake timed out after 12s")
				require.NotErrorAs(t, err, new(*ResponseError))
				var timeout net.Error
				require.ErrorAs(t, err, &timeout)
				require.True(t, timeout.Timeout())
				servers.Wait()
			})
		})
	}
}

func silentRedirect(c net.Conn, req *http.Request) {
	if req.URL.Path == "/" {
		say("HTTP/1.1 302 Found\r\nLocation: /silence\r\nContent-Length: 0\r\n\r\n")(c, req)
	}
}

func TestDialTimesOutWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ws", "wss"} {
		synctest.Test(t, func(t *testing.T) {
			stuck := func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			client := &http.Client{Transport: &http.Transport{DialContext: stuck, DialTLSContext: stuck}}
			began := time.Now()
			_, err := Dial(t.Context(), scheme+"://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Second})
			require.EqualError(t, err, "handshake timed out after 1s")
			require.Equal(t, time.Second, time.Since(began))
		})
	}
}

func TestDialClosesAConnectionThatComesTooLate(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ws", "wss"} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			client := &http.Client{Transport: &http.Transport{
				//lint:ignore SA1019 it knows no context
				Dial: func(string, string) (net.Conn, error) {
					<-time.After(time.Minute)
					return ours, nil
				},
			}}
			_, err := Dial(t.Context(), scheme+"://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Second})
			require.EqualError(t, err, "handshake timed out after 1s")
			_, err = theirs.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestDialKeepsTheClientsTimeout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		client, own time.Duration
		text        string
	}{
		{3 * time.Second, 0, "handshake timed out after 3s (HTTPClient.Timeout)"},
		{3 * time.Second, 9 * time.Second, "handshake timed out after 3s (HTTPClient.Timeout)"},
		{9 * time.Second, 3 * time.Second, "handshake timed out after 3s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, servers := pipes(t, func(net.Conn, *http.Request) {})
			client.Timeout = tc.client
			began := time.Now()
			_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: client, Timeout: tc.own})
			require.EqualError(t, err, tc.text)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, 3*time.Second, time.Since(began))
			servers.Wait()
		})
	}
}

func TestDialKeepsTheCallersDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := pipes(t, func(net.Conn, *http.Request) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Dial(ctx, "ws://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Minute})
		require.Equal(t, context.DeadlineExceeded, err)
		servers.Wait()
	})
}

func TestDialKeepsAnAnswerWhoseBodyStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := pipes(t, say("HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\nbecause"))
		began := time.Now()
		_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Second})
		var answer *ResponseError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, 403, answer.Response.StatusCode)
		require.Equal(t, "because", string(answer.Body))
		require.Equal(t, time.Second, time.Since(began))
		servers.Wait()
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// foreign answers 101 with a body of its own, as a transport that hides its net.Conn.
func foreign(t *testing.T, body io.ReadCloser) *http.Client {
	return &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(header101(req))), req)
		if err != nil {
			return nil, err
		}
		resp.Body = body
		return resp, nil
	})}
}

func TestDialThroughATransportThatHidesItsConnection(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	var echo sync.WaitGroup
	echo.Go(func() { _, _ = io.Copy(theirs, theirs) })
	s, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: foreign(t, struct{ io.ReadWriteCloser }{ours})})
	require.NoError(t, err)
	_, err = s.Conn.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(s.Conn, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.ErrorIs(t, s.Conn.SetDeadline(time.Now()), errors.ErrUnsupported)
	require.ErrorIs(t, s.Conn.SetReadDeadline(time.Now()), errors.ErrUnsupported)
	require.ErrorIs(t, s.Conn.SetWriteDeadline(time.Now()), errors.ErrUnsupported)
	require.Equal(t, "websocket", s.Conn.LocalAddr().Network())
	require.NotEmpty(t, s.Conn.RemoteAddr().String())
	require.NoError(t, s.Conn.Close())
	echo.Wait() // the body was closed
}

func TestDialRefusesATransportThatCannotWrite(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: foreign(t, struct{ io.ReadCloser }{ours})})
	var unusable *InvalidError
	require.ErrorAs(t, err, &unusable)
	require.ErrorContains(t, err, "HTTPClient")
	_, err = theirs.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// Transports that trace or count are wrapped around another.
func TestDialThroughAWrappedTransport(t *testing.T) {
	t.Parallel()
	srv := badServer(t, func(c net.Conn, req *http.Request) {
		_, _ = io.WriteString(c, header101(req)+"frames")
	})
	inner := &http.Transport{}
	t.Cleanup(inner.CloseIdleConnections)
	s, err := Dial(t.Context(), srv.url("/"), ClientOptions{HTTPClient: &http.Client{Transport: roundTripper(inner.RoundTrip)}})
	require.NoError(t, err)
	closeLater(t, s)
	require.IsType(t, &net.TCPConn{}, s.Conn)
	require.Equal(t, "frames", string(s.Buffered))
}
