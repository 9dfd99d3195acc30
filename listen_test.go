package chanws

import (
	"crypto/tls"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func startListener(t testing.TB, opts *ListenOptions) *Listener {
	l, err := Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// connect opens a TCP connection to l.
func connect(t testing.TB, l *Listener) *bareClient { return connectBare(t, l.Addr().String()) }

// open gives both ends of a new connection.
func open(t testing.TB, l *Listener) (*Conn, *bareClient) {
	client := connect(t, l)
	require.Equal(t, 101, client.upgrade())
	return take(t, l), client
}

func take(t testing.TB, l *Listener) *Conn {
	select {
	case c, ok := <-l.Conns():
		require.True(t, ok)
		t.Cleanup(func() { c.CloseNow() })
		return c
	case <-time.After(patience):
		require.FailNow(t, "no connection came")
		return nil
	}
}

// eventually asks until ok: for what becomes true without a sign of it.
func eventually(t testing.TB, what string, ok func() bool) {
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), what)
	}
}

func testTLS(t testing.TB) *tls.Config {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates}
}

func TestListenerGivesConnections(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	require.Equal(t, "ws://"+l.Addr().String(), l.URL())
	a, clientA := open(t, l)
	b, _ := open(t, l)
	require.NotEqual(t, a.ID(), b.ID())
	require.Equal(t, clientA.LocalAddr().String(), a.RemoteAddr().String())
	clientA.send(1, "hello")
	require.Equal(t, Text("hello"), <-a.Events())
	require.NoError(t, l.Close())
	_, more := <-l.Conns()
	require.False(t, more)
}

func TestListenerSpeaksTLS(t *testing.T) {
	t.Parallel()
	config := testTLS(t)
	config.NextProtos = []string{"h2"}
	l := startListener(t, &ListenOptions{TLSConfig: config, Path: "/chat/red"})
	require.Equal(t, "wss://"+l.Addr().String()+"/chat/red", l.URL())
	raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	require.NoError(t, err)
	require.Equal(t, "http/1.1", raw.ConnectionState().NegotiatedProtocol)
	client := newBareClient(t, raw)
	require.Equal(t, 101, client.upgrade())
	c := take(t, l)
	client.send(2, "hello")
	require.Equal(t, Binary("hello"), <-c.Events())
	require.NotNil(t, c.Request().TLS)
}

func TestListenerURLCanBeDialled(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "127.0.0.1:0", "localhost:0"} {
		l, err := Listen(addr, &ListenOptions{Path: "/a b"})
		require.NoError(t, err)
		require.Contains(t, l.URL(), "ws://127.0.0.1:")
		require.True(t, strings.HasSuffix(l.URL(), "/a%20b"))
		c, err := Dial(t.Context(), l.URL(), nil)
		require.NoError(t, err)
		c.CloseNow()
		require.NoError(t, l.Close())
	}
}

func TestListenerServesItsPathOnly(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Path: "/chat/red"})
	open(t, l)
	client := connect(t, l)
	client.say(strings.Replace(upgradeRequest, "/red", "/red/", 1) + "\r\n")
	answer, body := client.answer()
	require.Equal(t, 404, answer.StatusCode)
	require.True(t, answer.Close)
	require.Contains(t, body, "no WebSocket at this path")
	client.closed()
}

func TestInvalidListenOptionIsNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want string
		opts ListenOptions
	}{
		{"chanws: ListenOptions.Path \"chat\" must begin with a slash", ListenOptions{Path: "chat"}},
		{"chanws: ListenOptions.MaxConns -1 must not be negative", ListenOptions{MaxConns: -1}},
		{"chanws: ListenOptions.Backlog -1 must not be negative", ListenOptions{Backlog: -1}},
		{"chanws: ListenOptions.TLSConfig has no certificate: set Certificates, GetCertificate or GetConfigForClient", ListenOptions{TLSConfig: &tls.Config{}}},
		{"chanws: ListenOptions.Origins[0]", ListenOptions{Origins: []string{""}}},
		{"chanws: invalid Options.SendBuffer -1", ListenOptions{Options: Options{SendBuffer: -1}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			t.Parallel()
			_, err := Listen("127.0.0.1:0", &tc.opts)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := Listen("256.0.0.1:0", nil)
	require.Error(t, err)
}

func TestRefusedClientIsToldAndClosed(t *testing.T) {
	t.Parallel()
	l := startListener(t, nil)
	client := connect(t, l)
	client.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	text, err := io.ReadAll(client.in)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nConnection: Upgrade\r\n"), string(text))

	client = connect(t, l)
	client.say("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, _ := client.answer()
	require.Equal(t, 405, answer.StatusCode)
	client.closed()
}
