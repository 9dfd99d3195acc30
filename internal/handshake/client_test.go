package handshake

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
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
