package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
		tunnels.Add(2) // before the hijack, until which proxy.Close waits
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			tunnels.Add(-2)
			to.Close()
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for _, pipe := range [][2]net.Conn{{c, to}, {to, c}} {
			go func() {
				defer tunnels.Done()
				_, _ = io.Copy(pipe[0], pipe[1])
				pipe[0].Close()
			}()
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

// readAnswer is a 101 whose body is conn.
func readAnswer(req *http.Request, conn io.ReadWriteCloser) (*http.Response, error) {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(header101(req))), req)
	if err == nil {
		resp.Body = struct{ io.ReadWriteCloser }{conn}
	}
	return resp, err
}

// traced tells the trace in req's context of a connection, as a transport does that
// makes a request.
func traced(req *http.Request, conn net.Conn) {
	httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: conn})
}

// pair is a connection in memory that ends with the test.
func pair(t *testing.T) (ours, theirs net.Conn) {
	ours, theirs = net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestDialTakesTheAnswersConnectionAndNoOther(t *testing.T) {
	t.Parallel()
	redirect := func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 307, ProtoMajor: 1, Header: http.Header{"Location": {"/0"}}, Body: http.NoBody, Request: req}, nil
	}
	for name, trip := range map[string]func(req *http.Request, answer, other net.Conn) (*http.Response, error){
		"another request before": func(req *http.Request, answer, other net.Conn) (*http.Response, error) {
			traced(req, other)
			traced(req, answer)
			return readAnswer(req, answer)
		},
		"another request after": func(req *http.Request, answer, other net.Conn) (*http.Response, error) {
			traced(req, answer)
			defer traced(req, other)
			return readAnswer(req, answer)
		},
		"only the redirect's was told": func(req *http.Request, answer, other net.Conn) (*http.Response, error) {
			if req.URL.Path != "/0" {
				traced(req, other)
				return redirect(req)
			}
			return readAnswer(req, answer)
		},
		"one stream of a connection": func(req *http.Request, answer, other net.Conn) (*http.Response, error) {
			traced(req, other)
			resp, err := readAnswer(req, answer)
			resp.ProtoMajor = 2
			return resp, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, peer := pair(t)
			other, _ := pair(t)
			client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) { return trip(req, answer, other) })}
			s, err := Dial(t.Context(), "ws://example.com/1", ClientOptions{HTTPClient: client, Timeout: atOnce})
			require.NoError(t, err)
			closeLater(t, s)
			require.IsType(t, bodyConn{}, s.Conn)
			go io.WriteString(peer, "hello")
			got := make([]byte, 5)
			_, err = io.ReadFull(s.Conn, got)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
		})
	}
}

// deaf is a connection that ignores its deadlines.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error     { return nil }
func (deaf) SetReadDeadline(time.Time) error { return nil }

func TestDialEndsInTimeWhateverTheTransportTells(t *testing.T) {
	t.Parallel()
	for name, conns := range map[string]func(answer, other net.Conn) (told, body net.Conn){
		"a connection that ignores deadlines": func(answer, _ net.Conn) (net.Conn, net.Conn) { return deaf{answer}, answer },
		"a connection of something else":      func(answer, other net.Conn) (net.Conn, net.Conn) { return other, answer },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer, _ := pair(t)
				other, _ := pair(t)
				told, body := conns(answer, other)
				client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					traced(req, told)
					return readAnswer(req, body)
				})}
				began := time.Now()
				_, err := Dial(t.Context(), "ws://example.com", ClientOptions{HTTPClient: client, Timeout: time.Second})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, time.Second, time.Since(began))
			})
		})
	}
}

func TestDialNeverChangesTheTLSConfigItIsGiven(t *testing.T) {
	t.Parallel()
	given := &tls.Config{ServerName: "example.com", NextProtos: []string{"h2", "http/1.1"}}
	d := &dialer{options: &ClientOptions{TLSConfig: given}}
	used := d.transport(t.Context(), nil).(*transport).http.TLSClientConfig
	require.NotSame(t, given, used)
	require.Equal(t, "example.com", used.ServerName)
	require.Equal(t, []string{"http/1.1"}, used.NextProtos)
	require.Equal(t, []string{"h2", "http/1.1"}, given.NextProtos)
}
