package chanws_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// An answerer is the server's end of one connection, after its request. The
// connection is closed when it returns.
type answerer func(net.Conn, *http.Request)

// inMemory is a client whose connections are pipes: the first one ends in the first
// of answers, and so on; the last one stays. One of nil is a failure to connect. The
// servers end with their connections.
func inMemory(answers ...answerer) (client *http.Client, servers *sync.WaitGroup) {
	servers = new(sync.WaitGroup)
	var dialled int
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		answer := answers[min(dialled, len(answers)-1)]
		dialled++
		if answer == nil {
			return nil, errNoNetwork
		}
		near, far := net.Pipe()
		servers.Go(func() {
			defer far.Close()
			if req, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
				answer(far, req)
			}
		})
		return near, nil
	}}}, servers
}

var errNoNetwork = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no network")}

// untilClosed reads until the client has closed.
func untilClosed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// answering says text, and waits for the client to close.
func answering(text string) answerer {
	return func(c net.Conn, _ *http.Request) {
		_, _ = io.WriteString(c, text)
		untilClosed(c)
	}
}

// answeringStatus is an answer that opens no connection.
func answeringStatus(code int) answerer {
	return answering(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n", code, http.StatusText(code)))
}

// switching is a correct 101.
func switching(req *http.Request) string {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Server: test\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
}

// living accepts, says text, lives for d and drops the connection.
func living(d time.Duration, text string) answerer {
	return func(c net.Conn, req *http.Request) {
		_, _ = io.WriteString(c, switching(req)+text)
		timer := time.AfterFunc(d, func() { c.Close() })
		defer timer.Stop()
		untilClosed(c)
	}
}

const (
	hello = "\x81\x05hello"    // an unmasked text frame
	bye   = "\x88\x02\x03\xe8" // an unmasked close frame 1000
)

func TestDialDeliversWhatCameWithTheHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(living(time.Hour, hello+bye))
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
		c, err := chanws.Dial(ctx, "ws://example.com/room", &chanws.DialOptions{HTTPClient: client})
		require.NoError(t, err)
		cancel() // bounds the handshake only
		ev, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("hello"), ev)
		_, err = c.Receive(t.Context())
		require.Equal(t, chanws.Close{Code: chanws.StatusNormalClosure}, err)
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
		require.Equal(t, "/room", c.Request().URL.Path)
		require.Equal(t, "kept", c.Request().Context().Value(key{}))
		require.Equal(t, "test", c.Response().Header.Get("X-Server"))
		servers.Wait()
	})
}

func TestDialGivesTheServersRefusal(t *testing.T) {
	t.Parallel()
	client, servers := inMemory(answering("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 11\r\n\r\nlog in\r\nnow"))
	_, err := chanws.Dial(t.Context(), "ws://me:secret@example.com/a?token=secret", &chanws.DialOptions{HTTPClient: client})
	var refused *chanws.HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 401, refused.StatusCode)
	require.Equal(t, "401 Unauthorized", refused.Status)
	require.Equal(t, "Bearer", refused.Header.Get("WWW-Authenticate"))
	require.Equal(t, "log in\r\nnow", string(refused.Body))
	require.Error(t, refused.Err)
	require.Equal(t, "websocket handshake: 401 Unauthorized: log in now", refused.Error())
	require.EqualError(t, err, "chanws: dial ws://example.com/a: "+refused.Error())
	servers.Wait()
}

func TestDialSaysThatAPlainHTTPServerIsNoEndpoint(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>Hello</h1>") }))
	t.Cleanup(server.Close)
	_, err := chanws.Dial(t.Context(), server.URL+"/here", nil)
	require.EqualError(t, err, "chanws: dial "+server.URL+"/here: websocket handshake: 200 OK: no WebSocket endpoint at this URL, want 101: <h1>Hello</h1>")
}

func TestAnswerOfAProxyIsAHandshakeError(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"ws://server.example/", "wss://server.example/"} {
		client, servers := inMemory(answering("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno"))
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("me", "secret")})
		_, err := chanws.Dial(t.Context(), target, &chanws.DialOptions{HTTPClient: client})
		var refused *chanws.HandshakeError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 407, refused.StatusCode)
		require.Equal(t, "407 Proxy Authentication Required", refused.Status)
		require.Equal(t, "Basic", refused.Header.Get("Proxy-Authenticate"))
		require.Equal(t, "no", string(refused.Body))
		require.ErrorContains(t, err, "chanws: dial "+target+": websocket handshake: the proxy proxy.example:3128 answered 407 Proxy Authentication Required to CONNECT server.example:")
		require.NotContains(t, err.Error(), "secret")
		servers.Wait()

		// By default it is final.
		attempts := 0
		client, servers = inMemory(answeringStatus(407))
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"})
		for _, err := range chanws.Redial(t.Context(), target, &chanws.DialOptions{HTTPClient: client}, chanws.RedialPolicy{MaxAttempts: 3, Interval: time.Millisecond}) {
			require.ErrorAs(t, err, &refused)
			attempts++
		}
		require.Equal(t, 1, attempts)
		servers.Wait()
	}
}

func TestDialNamesTheURLThatItHasDialled(t *testing.T) {
	t.Parallel()
	client, servers := inMemory(answeringStatus(404))
	_, err := chanws.Dial(t.Context(), "ws://given.example/a?token=secret", &chanws.DialOptions{HTTPClient: client,
		Authorize: func(_ context.Context, r *http.Request) error {
			r.URL.Host, r.URL.Path = "other.example:81", "/b c"
			return nil
		}})
	require.EqualError(t, err, "chanws: dial ws://other.example:81/b%20c (from ws://given.example/a): websocket handshake: 404 Not Found")
	servers.Wait()
}

func TestDialGivesWhatIsWrongWithA101(t *testing.T) {
	t.Parallel()
	client, servers := inMemory(answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"))
	_, err := chanws.Dial(t.Context(), "ws://example.com", &chanws.DialOptions{HTTPClient: client})
	var broken *chanws.HandshakeError
	require.ErrorAs(t, err, &broken)
	require.Equal(t, 101, broken.StatusCode)
	require.ErrorContains(t, broken, "101 Switching Protocols")
	require.ErrorContains(t, broken, "Sec-WebSocket-Accept")
	require.ErrorIs(t, err, broken.Err)
	servers.Wait()
}

func TestHandshakeErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for want, e := range map[string]chanws.HandshakeError{
		"websocket handshake: 0":                                                          {},
		"websocket handshake: 404":                                                        {StatusCode: 404, Err: cause},
		"websocket handshake: 404 Not Found":                                              {StatusCode: 404, Status: "404 Not Found", Body: []byte(" \x00\xff\n")},
		"websocket handshake: 404: <b>no</b> here":                                        {StatusCode: 404, Body: []byte("\x1b<b>no</b>\r\n\r\n here\n")},
		"websocket handshake: 200 OK: no WebSocket endpoint at this URL, want 101":        {StatusCode: 200, Status: "200 OK", Err: cause},
		"websocket handshake: 200 OK: no WebSocket endpoint at this URL, want 101: <p>hi": {StatusCode: 200, Status: "200 OK", Body: []byte("<p>hi\n")},
		"websocket handshake: 204: no WebSocket endpoint at this URL, want 101":           {StatusCode: 204},
		"websocket handshake: 403 [2J Forged":                                             {StatusCode: 403, Status: "403 \x1b[2J\rForged\x07\xff"},
		"websocket handshake: 403 " + strings.Repeat("x", 196) + "...":                    {StatusCode: 403, Status: "403 " + strings.Repeat("x", 300)},
		"websocket handshake: 302 Found: cause":                                           {StatusCode: 302, Status: "302 Found", Body: []byte("moved"), Err: cause},
		"websocket handshake: 101: cause":                                                 {StatusCode: 101, Err: cause},
		"websocket handshake: 500: " + rep("x", 200) + "...":                              {StatusCode: 500, Body: []byte(rep("x", 201))},
		"websocket handshake: 500: x" + rep("é", 99) + "...":                              {StatusCode: 500, Body: []byte("x" + rep("é", 200))},
	} {
		require.EqualError(t, &e, want)
	}
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

func TestDialChecksItsOptionsFirst(t *testing.T) {
	t.Parallel()
	for text, o := range map[string]chanws.DialOptions{
		"Options.EventBuffer":    {Options: chanws.Options{EventBuffer: -1}},
		`Header "Upgrade"`:       {Header: http.Header{"Upgrade": {"x"}}},
		`Subprotocols: "a"`:      {Subprotocols: []string{"a", "a"}},
		"RequireSubprotocol":     {RequireSubprotocol: true},
		"TLSConfig and HTTPClie": {TLSConfig: &tls.Config{}, HTTPClient: http.DefaultClient},
	} {
		o.Authorize = func(context.Context, *http.Request) error { panic("dialled") }
		_, err := chanws.Dial(t.Context(), "ws://example.com", &o)
		require.ErrorContains(t, err, text)
		require.Equal(t, 1, strings.Count(err.Error(), "chanws:"), err)
	}
	_, err := chanws.Dial(t.Context(), "example.com/chat", nil)
	require.EqualError(t, err, `chanws: dial: URL "example.com/chat": no scheme; want ws:// or wss://`)
}

func TestDialGivesUpAfterHandshakeTimeout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ timeout, after time.Duration }{
		{0, 30 * time.Second},
		{250 * time.Millisecond, 250 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, servers := inMemory(answering("HTTP/1.1 101 Swi"))
			began := time.Now()
			_, err := chanws.Dial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client, HandshakeTimeout: tc.timeout})
			require.Equal(t, tc.after, time.Since(began))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.EqualError(t, err, fmt.Sprintf("chanws: dial ws://example.com/: handshake timed out after %v", tc.after))
			servers.Wait()
		})
	}
}

func TestDialWithoutHandshakeTimeoutWaitsForItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(answering(""))
		mine := errors.New("mine")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, mine)
		defer cancel()
		_, err := chanws.Dial(ctx, "ws://example.com/", &chanws.DialOptions{HTTPClient: client, HandshakeTimeout: -1})
		require.ErrorIs(t, err, mine)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		servers.Wait()
	})
}

func TestDialWrapsErrorsOfNetworkAndTLS(t *testing.T) {
	t.Parallel()
	client, _ := inMemory(nil)
	_, err := chanws.Dial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client})
	var network *net.OpError
	require.ErrorAs(t, err, &network)
	require.EqualError(t, err, "chanws: dial ws://example.com/: dial tcp: no network")

	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, err = chanws.Dial(t.Context(), "wss://"+srv.Listener.Addr().String(), nil)
	var certificate *tls.CertificateVerificationError
	require.ErrorAs(t, err, &certificate)

	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	_, err = chanws.Dial(t.Context(), "wss://"+plain.Listener.Addr().String(), nil)
	require.ErrorIs(t, err, http.ErrSchemeMismatch)

	mine := errors.New("no token")
	_, err = chanws.Dial(t.Context(), "ws://example.com/", &chanws.DialOptions{
		HTTPClient: client,
		Authorize:  func(context.Context, *http.Request) error { return mine },
	})
	require.ErrorIs(t, err, mine)
}

// echoServer sends every text back, and closes after the first one if once is set.
func echoServer(once bool) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer c.CloseNow()
		for ev := range c.Events() {
			text, ok := ev.(chanws.Text)
			if !ok {
				continue
			}
			c.Send <- text
			if once {
				_ = c.Close(chanws.StatusGoingAway, "that was all")
			}
		}
	}))
}

func ExampleDial() {
	server := echoServer(false)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := chanws.Dial(ctx, server.URL, &chanws.DialOptions{
		Header: http.Header{"Authorization": {"Bearer token"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Send <- chanws.Text("hello")
	ev, err := c.Receive(ctx)
	fmt.Println(ev, err)
	fmt.Println(c.Close(chanws.StatusNormalClosure, ""))
	// Output:
	// hello <nil>
	// <nil>
}
