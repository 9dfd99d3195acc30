package chanws

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is every test's, for what should come at once.
const patience = 20 * time.Second

const upgradeRequest = "GET /chat/red?x=1 HTTP/1.1\r\n" +
	"Host: a.example\r\n" +
	"Connection: Upgrade\r\n" +
	"Upgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// A bareClient speaks raw bytes to a server.
type bareClient struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func newBareClient(t testing.TB, c net.Conn) *bareClient {
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &bareClient{t, c, bufio.NewReader(c)}
}

func connectBare(t testing.TB, addr string) *bareClient {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	return newBareClient(t, c)
}

func (c *bareClient) say(s string) {
	_, err := io.WriteString(c, s)
	require.NoError(c.t, err)
}

// answer reads an HTTP answer and its body.
func (c *bareClient) answer() (*http.Response, string) {
	answer, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer, ""
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return answer, string(body)
}

// upgrade sends a good request and gives the answer's status.
func (c *bareClient) upgrade() int {
	c.say(upgradeRequest + "\r\n")
	answer, _ := c.answer()
	return answer.StatusCode
}

// send writes one short masked frame, with the key 0.
func (c *bareClient) send(opcode byte, payload string) {
	require.Less(c.t, len(payload), 126)
	c.say(string([]byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload)
}

// receive reads one short frame.
func (c *bareClient) receive() (opcode byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, "", err
	}
	body := make([]byte, head[1])
	_, err = io.ReadFull(c.in, body)
	return head[0] & 0x0f, string(body), err
}

// receiveClose reads frames up to a close frame and gives its code.
func (c *bareClient) receiveClose() int {
	for {
		opcode, payload, err := c.receive()
		require.NoError(c.t, err)
		if opcode == 8 {
			require.GreaterOrEqual(c.t, len(payload), 2)
			return int(binary.BigEndian.Uint16([]byte(payload)))
		}
	}
}

// sendClose writes a close frame.
func (c *bareClient) sendClose(code int) {
	c.send(8, string(binary.BigEndian.AppendUint16(nil, uint16(code))))
}

// closed waits for the end of the connection, whatever it looks like.
func (c *bareClient) closed() {
	_, err := io.Copy(io.Discard, c.in)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

type upgraded struct {
	conn *Conn
	err  error
}

// upgradeServer runs handler, which gets Upgrade with opts, in an HTTP server.
func upgradeServer(t *testing.T, opts *UpgradeOptions, wrap func(http.Handler) http.Handler) (*bareClient, <-chan upgraded) {
	results := make(chan upgraded, 1)
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Upgrade(w, r, opts)
		if c != nil {
			t.Cleanup(func() { c.CloseNow() })
		}
		results <- upgraded{c, err}
	})
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return connectBare(t, server.Listener.Addr().String()), results
}

func TestUpgradedConnectionOutlivesItsHandler(t *testing.T) {
	t.Parallel()
	type key struct{}
	handlerDone := make(chan struct{})
	requestContexts := make(chan context.Context, 1)
	client, results := upgradeServer(t, nil, func(upgrade http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /chat/{room}", upgrade)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(handlerDone)
			r = r.WithContext(context.WithValue(r.Context(), key{}, "value"))
			requestContexts <- r.Context()
			mux.ServeHTTP(w, r)
		})
	})
	client.say(upgradeRequest + "\r\n")
	answer, _ := client.answer()
	require.Equal(t, 101, answer.StatusCode)
	result := <-results
	require.NoError(t, result.err)
	c := result.conn
	<-handlerDone
	<-(<-requestContexts).Done()

	require.NoError(t, c.Context().Err())
	require.Equal(t, "value", c.Context().Value(key{}))
	require.Equal(t, c.Context(), c.Request().Context())
	require.Equal(t, "red", c.Request().PathValue("room"))
	require.Equal(t, "a.example", c.Request().Host)
	require.Nil(t, c.Response())

	client.send(1, "hello")
	require.Equal(t, Text("hello"), <-c.Events())
	c.Send <- Text("world")
	opcode, payload, err := client.receive()
	require.NoError(t, err)
	require.Equal(t, byte(1), opcode)
	require.Equal(t, "world", payload)

	client.sendClose(1000)
	require.Equal(t, Close{Code: StatusNormalClosure}, <-c.Events())
	require.Equal(t, 1000, client.receiveClose())
	require.NoError(t, c.Close(StatusNormalClosure, ""))
	require.ErrorIs(t, context.Cause(c.Context()), c.Err())
}

func TestWhatAuthorizeLeavesInTheRequestIsTheConnections(t *testing.T) {
	t.Parallel()
	type key struct{}
	authorize := func(r *http.Request) error {
		*r = *r.WithContext(context.WithValue(r.Context(), key{}, "alice"))
		return nil
	}
	client, results := upgradeServer(t, &UpgradeOptions{Authorize: authorize}, nil)
	require.Equal(t, 101, client.upgrade())
	require.Equal(t, "alice", (<-results).conn.Context().Value(key{}))

	c, _ := open(t, startListener(t, &ListenOptions{Authorize: authorize}))
	require.Equal(t, "alice", c.Context().Value(key{}))
	require.Equal(t, "alice", c.Request().Context().Value(key{}))
	require.NoError(t, c.Context().Err())
}

func TestFramesBehindTheRequestAreEvents(t *testing.T) {
	t.Parallel()
	client, results := upgradeServer(t, nil, nil)
	client.say(upgradeRequest + "\r\n\x81\x85\x00\x00\x00\x00hello\x81\x81\x00\x00\x00\x00!")
	answer, _ := client.answer()
	require.Equal(t, 101, answer.StatusCode)
	c := (<-results).conn
	require.Equal(t, Text("hello"), <-c.Events())
	require.Equal(t, Text("!"), <-c.Events())
}

func TestUpgradeNegotiates(t *testing.T) {
	t.Parallel()
	client, results := upgradeServer(t, &UpgradeOptions{
		Subprotocols: []string{"b", "a"},
		Origins:      []string{"*.b.example"},
		Header:       http.Header{"X-Option": {"1"}},
		Authorize:    func(r *http.Request) error { return nil },
	}, func(upgrade http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "7"})
			// Only Unwrap leads to the Hijacker.
			upgrade.ServeHTTP(onlyUnwrap{w}, r)
		})
	})
	client.say(upgradeRequest + "Sec-WebSocket-Protocol: a, b\r\nOrigin: https://www.b.example\r\n\r\n")
	answer, _ := client.answer()
	require.Equal(t, 101, answer.StatusCode)
	require.Equal(t, "1", answer.Header.Get("X-Option"))
	require.Equal(t, "session=7", answer.Header.Get("Set-Cookie"))
	require.Equal(t, "a", answer.Header.Get("Sec-WebSocket-Protocol"))
	require.Equal(t, "a", (<-results).conn.Subprotocol())
}

type onlyUnwrap struct{ w http.ResponseWriter }

func (o onlyUnwrap) Header() http.Header         { return o.w.Header() }
func (o onlyUnwrap) Write(p []byte) (int, error) { return o.w.Write(p) }
func (o onlyUnwrap) WriteHeader(code int)        { o.w.WriteHeader(code) }
func (o onlyUnwrap) Unwrap() http.ResponseWriter { return o.w }

func TestRefusedUpgradeIsAnsweredAndTold(t *testing.T) {
	t.Parallel()
	secret := errors.New("secret")
	unauthorized := &HTTPError{StatusCode: 401, Message: "who are you?", Header: http.Header{"WWW-Authenticate": {"Basic"}}}
	for _, tc := range []struct {
		name    string
		request string
		err     error
		status  int
		body    string
		text    string
	}{
		{"bad request", strings.Replace(upgradeRequest, "Key: ", "Key: x", 1), nil, 400, "Sec-WebSocket-Key is", "upgrade: 400 Bad Request: Sec-WebSocket-Key is"},
		{"cross origin", upgradeRequest + "Origin: https://b.example\r\n", nil, 403, `"https://b.example"`, "upgrade: 403 Forbidden: Origin"},
		{"plain error", upgradeRequest, secret, 403, "Forbidden\n", "upgrade: 403 Forbidden: secret"},
		{"HTTPError", upgradeRequest, unauthorized, 401, "who are you?\n", "upgrade: 401 Unauthorized: who are you?"},
		{"wrapped HTTPError", upgradeRequest, fmt.Errorf("no token: %w: %w", unauthorized, secret), 401, "who are you?\n", "no token"},
		{"zero HTTPError", upgradeRequest, &HTTPError{}, 403, "Forbidden\n", "upgrade: 403 Forbidden"},
		{"malformed, and a proxy in front", strings.Replace(upgradeRequest, "Upgrade: websocket\r\n", "", 1), nil, 426, "the Upgrade header is missing", "proxy_set_header Upgrade"},
		{"nil HTTPError", upgradeRequest, (*HTTPError)(nil), 403, "Forbidden\n", "nil *HTTPError"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client, results := upgradeServer(t, &UpgradeOptions{Authorize: func(*http.Request) error { return tc.err }}, nil)
			client.say(tc.request + "\r\n")
			answer, body := client.answer()
			require.Equal(t, tc.status, answer.StatusCode)
			require.Contains(t, body, tc.body)
			require.NotContains(t, body, "secret")
			result := <-results
			require.Nil(t, result.conn)
			require.ErrorContains(t, result.err, tc.text)
			var answered *HTTPError
			require.ErrorAs(t, result.err, &answered)
			require.Equal(t, tc.status, answered.StatusCode)
			if errors.Is(tc.err, secret) {
				require.ErrorIs(t, result.err, secret)
			}
			if tc.status == 401 {
				require.Equal(t, "Basic", answer.Header.Get("WWW-Authenticate"))
				require.Equal(t, unauthorized, answered)
			}
		})
	}
}

func TestHTTPErrorIsAText(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &HTTPError{}, "403 Forbidden")
	require.EqualError(t, &HTTPError{StatusCode: 429, Message: "slowly"}, "429 Too Many Requests: slowly")
}

func TestInvalidUpgradeOptionIs500AndNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want string
		opts UpgradeOptions
	}{
		{"chanws: invalid Options.EventBuffer -1", UpgradeOptions{Options: Options{EventBuffer: -1}}},
		{"chanws: UpgradeOptions.Subprotocols[0]", UpgradeOptions{Subprotocols: []string{""}}},
		{"chanws: UpgradeOptions.Origins[0]", UpgradeOptions{Origins: []string{""}}},
		{"chanws: UpgradeOptions.SelectSubprotocol and Subprotocols: not both", UpgradeOptions{Subprotocols: []string{"a"}, SelectSubprotocol: selectNone}},
		{`chanws: UpgradeOptions.Header "Upgrade"`, UpgradeOptions{Header: http.Header{"Upgrade": {"a"}}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			t.Parallel()
			client, results := upgradeServer(t, &tc.opts, nil)
			client.say(upgradeRequest + "\r\n")
			answer, body := client.answer()
			require.Equal(t, 500, answer.StatusCode)
			require.Equal(t, "Internal Server Error\n", body)
			require.ErrorContains(t, (<-results).err, tc.want)
		})
	}
}

func selectNone(*http.Request, []string) (string, error) { return "", nil }

func TestSelectSubprotocolChoosesForUpgradeAndListener(t *testing.T) {
	t.Parallel()
	type key struct{}
	select2 := func(r *http.Request, offered []string) (string, error) {
		if token := offered[len(offered)-1]; token != "token.secret" {
			return "", &HTTPError{StatusCode: 401, Message: "who are you?"}
		}
		*r = *r.WithContext(context.WithValue(r.Context(), key{}, "alice"))
		return "chat", nil
	}
	check := func(t *testing.T, connect func() *bareClient, conn func() *Conn) {
		client := connect()
		client.say(upgradeRequest + "Sec-WebSocket-Protocol: a, chat, token.secret\r\n\r\n")
		answer, _ := client.answer()
		require.Equal(t, 101, answer.StatusCode)
		require.Equal(t, "chat", answer.Header.Get("Sec-WebSocket-Protocol"))
		c := conn()
		require.Equal(t, "chat", c.Subprotocol())
		require.Equal(t, "alice", c.Context().Value(key{}))

		client = connect()
		client.say(upgradeRequest + "Sec-WebSocket-Protocol: chat\r\n\r\n")
		answer, body := client.answer()
		require.Equal(t, 401, answer.StatusCode)
		require.Equal(t, "who are you?\n", body)
	}
	t.Run("Upgrade", func(t *testing.T) {
		conns := make(chan *Conn, 2)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Upgrade(w, r, &UpgradeOptions{SelectSubprotocol: select2}); err == nil {
				conns <- c
			}
		}))
		t.Cleanup(server.Close)
		check(t, func() *bareClient { return connectBare(t, server.Listener.Addr().String()) }, func() *Conn {
			c := <-conns
			t.Cleanup(func() { c.CloseNow() })
			return c
		})
	})
	t.Run("Listener", func(t *testing.T) {
		l := startListener(t, &ListenOptions{SelectSubprotocol: select2})
		check(t, func() *bareClient { return connectBare(t, l.Addr().String()) }, func() *Conn {
			c := <-l.Conns()
			t.Cleanup(func() { c.CloseNow() })
			return c
		})
	})
	_, err := Listen("127.0.0.1:0", &ListenOptions{Subprotocols: []string{"a"}, SelectSubprotocol: selectNone})
	require.ErrorContains(t, err, "chanws: ListenOptions.SelectSubprotocol and Subprotocols: not both")
}

// The place of one whose SelectSubprotocol panics is free again.
func TestPanicInSelectSubprotocolLeavesTheListenerAlone(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	l := startListener(t, &ListenOptions{MaxConns: 1, Backlog: 1, SelectSubprotocol: func(*http.Request, []string) (string, error) {
		if asked.Add(1) == 1 {
			panic("mine")
		}
		return "", nil
	}})
	client := connectBare(t, l.Addr().String())
	client.say(upgradeRequest + "\r\n")
	client.closed()
	client = connectBare(t, l.Addr().String())
	require.Equal(t, 101, client.upgrade())
	c := <-l.Conns()
	require.NoError(t, c.CloseNow())
}

func TestUpgradeThatCannotBeFinishedIsTold(t *testing.T) {
	t.Parallel()
	client, results := upgradeServer(t, nil, func(upgrade http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { upgrade.ServeHTTP(noHijack{onlyUnwrap{w}}, r) })
	})
	client.say(upgradeRequest + "\r\n")
	result := <-results
	require.Nil(t, result.conn)
	require.ErrorIs(t, result.err, http.ErrNotSupported)
	require.ErrorContains(t, result.err, "upgrade: 501")
	answer, _ := client.answer()
	require.Equal(t, 501, answer.StatusCode)
}

type noHijack struct{ onlyUnwrap }

func (noHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }
