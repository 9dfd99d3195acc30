package chanws

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// clientVia returns options that dial with dial, whatever the URL says.
func clientVia(dial func() (net.Conn, error)) *DialOptions {
	return &DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return dial() },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}}
}

// listenTCP returns a TCP listener for Serve, which closes it.
func listenTCP(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// listenUnix returns a listener on a Unix socket, whose path is short enough for one.
func listenUnix(t testing.TB) net.Listener {
	dir, err := os.MkdirTemp("", "ws")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// listenInherited returns a listener made of a file descriptor, as systemd hands one
// over.
func listenInherited(t testing.TB) net.Listener {
	if runtime.GOOS == "windows" {
		t.Skip("no file descriptors of sockets")
	}
	first := listenTCP(t)
	f, err := first.(*net.TCPListener).File()
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, first.Close())
	l, err := net.FileListener(f)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A prefixListener reads a line ahead of everything else, like the PROXY protocol, and
// makes it the remote address.
type prefixListener struct{ net.Listener }

type lineAddr string

func (lineAddr) Network() string  { return "line" }
func (a lineAddr) String() string { return string(a) }

func (p prefixListener) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &addressedConn{Conn: c}, nil
}

// An addressedConn reads its line when it is first asked for anything, as the common
// implementations of the PROXY protocol do: RemoteAddr may block.
type addressedConn struct {
	net.Conn
	in   *bufio.Reader
	line string
}

func (c *addressedConn) start() {
	if c.in == nil {
		c.in = bufio.NewReader(c.Conn)
		line, _ := c.in.ReadString('\n')
		c.line = strings.TrimSpace(line)
	}
}
func (c *addressedConn) RemoteAddr() net.Addr { c.start(); return lineAddr(c.line) }
func (c *addressedConn) Read(p []byte) (int, error) {
	c.start()
	return c.in.Read(p)
}

// A valueListener's connections cannot be compared, nor be the key of a map.
type valueListener struct{ net.Listener }

type valueConn struct {
	net.Conn
	_ []byte
}

func (v valueListener) Accept() (net.Conn, error) {
	c, err := v.Listener.Accept()
	return valueConn{Conn: c}, err
}

// serveCases are listeners that Serve must serve like the one of Listen.
func serveCases() map[string]struct {
	listen func(testing.TB) net.Listener
	prefix string // what a client says first
	url    string // prefix of URL
} {
	return map[string]struct {
		listen func(testing.TB) net.Listener
		prefix string
		url    string
	}{
		"TCP":         {listenTCP, "", "ws://127.0.0.1:"},
		"Unix socket": {listenUnix, "", "ws://localhost/chat"},
		"inherited":   {listenInherited, "", "ws://127.0.0.1:"},
		"PROXY protocol": {func(t testing.TB) net.Listener { return prefixListener{listenTCP(t)} },
			"192.0.2.7:4711\n", "ws://127.0.0.1:"},
		"connections that are no map keys": {func(t testing.TB) net.Listener { return valueListener{listenTCP(t)} }, "", "ws://127.0.0.1:"},
		"TLS":                              {func(t testing.TB) net.Listener { return tls.NewListener(listenTCP(t), testTLS(t)) }, "", "wss://127.0.0.1:"},
	}
}

func TestServeServesAnyListener(t *testing.T) {
	t.Parallel()
	for name, tc := range serveCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nl := tc.listen(t)
			l, err := Serve(nl, &ListenOptions{Path: "/chat", MaxConns: 1})
			require.NoError(t, err)
			defer l.Close()
			require.Equal(t, nl.Addr(), l.Addr())
			require.True(t, strings.HasPrefix(l.URL(), tc.url), l.URL())
			require.True(t, strings.HasSuffix(l.URL(), "/chat"), l.URL())
			client := clientVia(func() (net.Conn, error) {
				c, err := net.Dial(nl.Addr().Network(), nl.Addr().String())
				if err == nil {
					_, err = io.WriteString(c, tc.prefix)
				}
				return c, err
			})

			c, err := Dial(t.Context(), l.URL(), client)
			require.NoError(t, err)
			defer c.CloseNow()
			s := take(t, l)
			require.Equal(t, tc.url[:3] == "wss", s.Request().TLS != nil)
			if tc.prefix != "" {
				require.Equal(t, "192.0.2.7:4711", s.RemoteAddr().String())
				require.Equal(t, "192.0.2.7:4711", s.Request().RemoteAddr)
			}
			big := strings.Repeat("x", 500_000)
			c.Send <- Text(big)
			s.Send <- Text(big)
			require.Equal(t, Text(big), <-s.Events())
			require.Equal(t, Text(big), <-c.Events())

			_, err = Dial(t.Context(), l.URL(), client)
			var refused *HandshakeError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, 503, refused.StatusCode, "MaxConns counts here too")

			require.NoError(t, l.Shutdown(t.Context()))
			require.EqualValues(t, 1001, CloseStatus(s.Err()))
			require.EqualValues(t, 1001, CloseStatus((<-c.Events()).(error)))
			_, err = nl.Accept()
			require.ErrorIs(t, err, net.ErrClosed, "Serve closes it")
		})
	}
}

func TestServeOnAListenerInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := &memoryListener{accept: make(chan net.Conn), closed: make(chan struct{})}
		l, err := Serve(memory, nil)
		require.NoError(t, err)
		client := clientVia(func() (net.Conn, error) {
			near, far := net.Pipe()
			memory.accept <- far
			return near, nil
		})
		c, err := Dial(t.Context(), l.URL(), client)
		require.NoError(t, err)
		s := <-l.Conns()
		s.Send <- Text("hello")
		require.Equal(t, Text("hello"), <-c.Events())
		require.NoError(t, l.Shutdown(t.Context()))
		require.EqualValues(t, 1001, CloseStatus((<-c.Events()).(error)))
		require.NoError(t, s.Close(StatusNormalClosure, ""))
		require.NoError(t, c.Close(StatusNormalClosure, ""))
	})
}

func TestServeThatFailsLeavesTheListenerAlone(t *testing.T) {
	t.Parallel()
	nl := listenTCP(t)
	encrypted := tls.NewListener(nl, testTLS(t))
	for _, tc := range []struct {
		nl   net.Listener
		opts *ListenOptions
		want string
	}{
		{nil, nil, "the net.Listener is nil"},
		{nl, &ListenOptions{MaxConns: -1}, "ListenOptions.MaxConns -1"},
		{nl, &ListenOptions{TLSConfig: &tls.Config{}}, "ListenOptions.TLSConfig"},
		{encrypted, &ListenOptions{TLSConfig: testTLS(t)}, "speaks TLS already"},
	} {
		_, err := Serve(tc.nl, tc.opts)
		require.ErrorContains(t, err, tc.want)
	}
	c, err := net.Dial("tcp", nl.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := nl.Accept()
	require.NoError(t, err)
	s.Close()
}

func TestListenerWhoseConnectionsNobodyReceivesIsLoggedOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ set, want time.Duration }{
		"HandshakeTimeout":         {2 * time.Second, 2 * time.Second},
		"default":                  {0, 30 * time.Second},
		"without HandshakeTimeout": {-1, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				l, first := inMemory(t, &ListenOptions{HandshakeTimeout: tc.set, Options: Options{
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
				}}, gatedConn{})
				require.Equal(t, 101, first.upgrade())
				time.Sleep(tc.want - time.Millisecond)
				require.Empty(t, log.String())
				time.Sleep(2 * time.Millisecond)
				require.Contains(t, log.String(), "level=WARN")
				require.Contains(t, log.String(), "Listener.Conns")
				require.Equal(t, 101, another(t, l).upgrade())
				take(t, l)
				time.Sleep(time.Hour)
				require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "once")
			})
		})
	}
}

func TestListenerWhoseConnectionsAreReceivedInTimeLogsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		l, client := inMemory(t, &ListenOptions{Options: Options{
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		}}, gatedConn{})
		for range 3 {
			require.Equal(t, 101, client.upgrade())
			time.Sleep(29 * time.Second)
			take(t, l)
			client = another(t, l)
		}
		time.Sleep(time.Minute)
		require.Empty(t, log.String())
	})
}
