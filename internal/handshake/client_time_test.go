package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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

// A lateContext ends only some time after its deadline.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now(), true }

func TestDialTimesOutAlsoWhenPackageNetIsAheadOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &TimeoutError{After: time.Second}
		ctx, cancel := context.WithTimeoutCause(t.Context(), limit.After, limit)
		defer cancel()
		failed := &url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}
		require.Equal(t, limit, new(dialer).explain(lateContext{ctx}, nil, failed))

		// One that comes before the deadline is somebody else's.
		ctx, cancel = context.WithTimeoutCause(t.Context(), limit.After, limit)
		defer cancel()
		require.Equal(t, failed.Err, new(dialer).explain(ctx, nil, failed))
	})
}
