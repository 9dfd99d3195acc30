package chanws

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbageHurtsNobody(t *testing.T) {
	t.Parallel()
	plain := startListener(t, nil)
	encrypted := startListener(t, &ListenOptions{TLSConfig: testTLS(t), Options: Options{Logger: slog.New(slog.DiscardHandler)}})
	for _, tc := range []struct {
		name   string
		l      *Listener
		bytes  string
		status int // 0: no answer
	}{
		{"TLS to plain", plain, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		{"no HTTP", plain, "hello\r\n\r\n", 400},
		{"HTTP/2 preface", plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"no Host", plain, "GET / HTTP/1.1\r\n\r\n", 400},
		{"endless header", plain, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 80<<10), 431},
		{"plain to TLS", encrypted, upgradeRequest + "\r\n", 400},
		{"garbage to TLS", encrypted, strings.Repeat("\x00", 64), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client := connect(t, tc.l)
			client.say(tc.bytes)
			if tc.status != 0 {
				answer, err := http.ReadResponse(client.in, nil)
				require.NoError(t, err)
				require.Equal(t, tc.status, answer.StatusCode)
			}
			client.closed()
			c, err := Dial(t.Context(), tc.l.URL(), &DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			}}})
			require.NoError(t, err)
			c.CloseNow()
		})
	}
}

// failingListener fails for a while, as when there are no file descriptors left.
type failingListener struct {
	net.Listener
	failures atomic.Int32
}

func (f *failingListener) Accept() (net.Conn, error) {
	switch f.failures.Add(1) {
	case 1:
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	case 2:
		return nil, &net.OpError{Op: "accept", Err: syscall.ENOBUFS} // net says it is permanent
	case 3:
		return nil, io.ErrUnexpectedEOF
	}
	return f.Listener.Accept()
}

func TestListenerSurvivesAcceptErrors(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := &failingListener{Listener: tcp}
	client := connectBare(t, tcp.Addr().String())
	l, err := Serve(failing, nil)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.Equal(t, 101, client.upgrade())
	require.EqualValues(t, 4, min(4, failing.failures.Load()))
}

func TestStrangersCannotFillTheLog(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	l := startListener(t, &ListenOptions{
		TLSConfig: testTLS(t),
		Options:   Options{Logger: logger},
		Authorize: func(*http.Request) error { panic("mine") },
	})
	garbage := connect(t, l)
	garbage.say(strings.Repeat("\x00", 64))
	garbage.closed()
	require.Empty(t, log.String())

	raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	client := newBareClient(t, raw)
	client.say(upgradeRequest + "\r\n")
	client.closed()
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "mine")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestHTTP2IsNotNegotiatedByGetConfigForClient(t *testing.T) {
	t.Parallel()
	chosen := testTLS(t)
	chosen.NextProtos = []string{"h2"}
	l := startListener(t, &ListenOptions{TLSConfig: &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil },
	}})
	raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	require.NoError(t, err)
	require.Equal(t, "http/1.1", raw.ConnectionState().NegotiatedProtocol)
	require.Equal(t, 101, newBareClient(t, raw).upgrade())
	require.Equal(t, []string{"h2"}, chosen.NextProtos)
}
