package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// newConnPair returns both ends of a connection over the ends of a pipe.
func newConnPair(t testing.TB, a, b net.Conn) (client, server *Conn) {
	client, err := NewConn(a, &ConnOptions{Client: true})
	require.NoError(t, err)
	t.Cleanup(func() { client.CloseNow() })
	server, err = NewConn(b, nil)
	require.NoError(t, err)
	t.Cleanup(func() { server.CloseNow() })
	return client, server
}

// A hidden net.Conn shows nothing but its methods, as a wrapper does.
type hidden struct{ net.Conn }

func TestNewConnSpeaksOverAnyNetConn(t *testing.T) {
	t.Parallel()
	tcp := func(t testing.TB) (net.Conn, net.Conn) {
		l := listenTCP(t)
		a, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		b, err := l.Accept()
		require.NoError(t, err)
		return a, b
	}
	for name, pair := range map[string]func(testing.TB) (net.Conn, net.Conn){
		"net.Pipe": func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() },
		"TCP":      tcp,
		"a wrapper": func(t testing.TB) (net.Conn, net.Conn) {
			a, b := tcp(t)
			return hidden{a}, hidden{b}
		},
		"TLS": func(t testing.TB) (net.Conn, net.Conn) {
			a, b := tcp(t)
			return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, testTLS(t))
		},
		"Unix socket": func(t testing.TB) (net.Conn, net.Conn) {
			l := listenUnix(t)
			a, err := net.Dial("unix", l.Addr().String())
			require.NoError(t, err)
			b, err := l.Accept()
			require.NoError(t, err)
			return a, b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			client, server := newConnPair(t, a, b)
			big := strings.Repeat("x", 300_000)
			for range 3 {
				client.Send <- Text(big)
				server.Send <- Binary(big)
				require.Equal(t, Text(big), <-server.Events())
				require.Equal(t, Binary(big), <-client.Events())
			}
			require.NoError(t, client.Close(4001, "enough"))
			require.Equal(t, Close{4001, "enough"}, <-server.Events())
			require.NoError(t, server.Close(StatusNormalClosure, ""))
		})
	}
}

func TestNewConnReadsWhatWasBuffered(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]int{"all": 9, "a part": 5, "a part of a header": 1, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			defer near.Close()
			const frames = "\x81\x02ab\x82\x03cde"
			buffered := []byte(frames[:cut])
			c, err := NewConn(far, &ConnOptions{Client: true, Buffered: buffered})
			require.NoError(t, err)
			defer c.CloseNow()
			clear(buffered) // NewConn has made a copy
			go near.Write([]byte(frames[cut:]))
			require.Equal(t, Text("ab"), <-c.Events())
			require.Equal(t, Binary("cde"), <-c.Events())
		})
	}
}

func TestNewConnHasARequestInAnyCase(t *testing.T) {
	t.Parallel()
	type key string
	open := func(t *testing.T, o ConnOptions) *Conn {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		c, err := NewConn(far, &o)
		require.NoError(t, err)
		t.Cleanup(func() { c.CloseNow() })
		require.Equal(t, c.Context(), c.Request().Context())
		require.Nil(t, c.Response())
		require.NotEmpty(t, c.ID())
		return c
	}
	t.Run("none given", func(t *testing.T) {
		r := open(t, ConnOptions{}).Request()
		require.Equal(t, "GET", r.Method)
		require.Equal(t, "/", r.URL.String())
		require.Equal(t, "pipe", r.RemoteAddr)
		require.NotNil(t, r.Header)
		require.Equal(t, http.NoBody, r.Body)
		require.Nil(t, r.TLS)
		require.Empty(t, r.PathValue("room"))
	})
	t.Run("given", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key("from"), "request"))
		given := (&http.Request{Method: "CONNECT", URL: &url.URL{Path: "/chat"}, Header: http.Header{"X-A": {"b"}}, Body: io.NopCloser(strings.NewReader("x"))}).WithContext(ctx)
		c := open(t, ConnOptions{Request: given, Subprotocol: "chat.v1"})
		cancel()
		require.NoError(t, c.Context().Err(), "it has the values, not the end")
		require.Equal(t, "request", c.Context().Value(key("from")))
		require.Equal(t, "CONNECT", c.Request().Method)
		require.Equal(t, "b", c.Request().Header.Get("X-A"))
		require.Equal(t, http.NoBody, c.Request().Body)
		require.NotEqual(t, http.NoBody, given.Body, "the caller's is unchanged")
		require.Equal(t, "chat.v1", c.Subprotocol())
	})
	t.Run("a context given", func(t *testing.T) {
		given := (&http.Request{}).WithContext(context.WithValue(context.Background(), key("from"), "request"))
		c := open(t, ConnOptions{Request: given, Context: context.WithValue(context.Background(), key("from"), "context")})
		require.Equal(t, "context", c.Context().Value(key("from")))
	})
}

func TestNewConnRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	for _, tc := range []struct {
		nc   net.Conn
		opts *ConnOptions
		want string
	}{
		{nil, nil, "the net.Conn is nil"},
		{far, &ConnOptions{Subprotocol: "a b"}, `ConnOptions.Subprotocol "a b"`},
		{far, &ConnOptions{Subprotocol: "a,b"}, `ConnOptions.Subprotocol "a,b"`},
		{far, &ConnOptions{Options: Options{Compression: CompressionContextTakeover}}, "Options.Compression"},
		{far, &ConnOptions{Options: Options{Compression: CompressionNoContextTakeover}}, "Options.Compression"},
		{far, &ConnOptions{Options: Options{EventBuffer: -1}}, "Options.EventBuffer"},
	} {
		_, err := NewConn(tc.nc, tc.opts)
		require.ErrorContains(t, err, tc.want)
	}
	go near.Write([]byte("x")) // far remains the caller's
	_, err := io.ReadFull(far, make([]byte, 1))
	require.NoError(t, err)
	c, err := NewConn(far, &ConnOptions{Options: Options{Compression: CompressionDisabled}})
	require.NoError(t, err)
	require.NoError(t, c.CloseNow())
}

func TestNewConnClearsTheDeadlinesOfTheHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		require.NoError(t, near.SetDeadline(time.Now().Add(time.Second)))
		client, server := newConnPair(t, near, far)
		time.Sleep(time.Minute)
		server.Send <- Text("late")
		require.Equal(t, Text("late"), <-client.Events())
	})
}

// A timelessConn has no deadlines, and may say so. It has no addresses either.
type timelessConn struct {
	net.Conn
	err error
}

func (c timelessConn) SetDeadline(time.Time) error      { return c.err }
func (c timelessConn) SetReadDeadline(time.Time) error  { return c.err }
func (c timelessConn) SetWriteDeadline(time.Time) error { return c.err }
func (timelessConn) LocalAddr() net.Addr                { return nil }
func (timelessConn) RemoteAddr() net.Addr               { return nil }

func TestNewConnEndsInTimeWithoutDeadlines(t *testing.T) {
	t.Parallel()
	for kind, cause := range map[string]error{"ignored": nil, "refused": errors.ErrUnsupported} {
		for name, tc := range map[string]struct {
			opts Options
			peer func(net.Conn) // plays the peer, which is silent otherwise
			end  func(*Conn) error
			want error
		}{
			"Close, and the peer does not answer": {
				Options{CloseTimeout: time.Second}, nil, func(c *Conn) error { return c.Close(StatusNormalClosure, "") }, os.ErrDeadlineExceeded},
			"Close, and the peer does not read": {
				Options{CloseTimeout: time.Second}, func(net.Conn) {}, func(c *Conn) error {
					c.Send <- Text("x")
					return c.Close(StatusNormalClosure, "")
				}, os.ErrDeadlineExceeded},
			"CloseContext": {
				Options{CloseTimeout: -1}, nil, func(c *Conn) error {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					return c.CloseContext(ctx, StatusNormalClosure, "")
				}, context.DeadlineExceeded},
			"CloseNow": {
				Options{}, nil, func(c *Conn) error { return c.CloseNow() }, net.ErrClosed},
			"no pong": {
				Options{PingInterval: time.Second}, nil, func(c *Conn) error { <-c.Done(); return c.Err() }, os.ErrDeadlineExceeded},
			"a frame that breaks the protocol": {
				Options{}, func(nc net.Conn) { nc.Write([]byte("\x81\x00")); io.Copy(io.Discard, nc) },
				func(c *Conn) error { <-c.Done(); return c.Err() }, nil},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					near, far := net.Pipe()
					c, err := NewConn(timelessConn{far, cause}, &ConnOptions{Options: tc.opts})
					require.NoError(t, err)
					require.Nil(t, c.RemoteAddr())
					peer := tc.peer
					if peer == nil {
						peer = func(nc net.Conn) { io.Copy(io.Discard, nc) }
					}
					go peer(near)
					began := time.Now()
					tc.end(c)
					if tc.want != nil {
						require.ErrorIs(t, c.Err(), tc.want)
					} else {
						var violated *ProtocolError
						require.ErrorAs(t, c.Err(), &violated)
						require.Equal(t, StatusProtocolError, violated.Code)
					}
					c.CloseNow()
					require.LessOrEqual(t, time.Since(began), 10*time.Second)
				})
			})
		}
	}
}
