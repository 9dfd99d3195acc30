package adapt_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// defectVia is the options of a client that dials by a function.
func defectVia(dial func(ctx context.Context) (net.Conn, error)) chanws.DialOptions {
	return chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}}
}

// defectTimesOut fails to connect within timeout.
func defectTimesOut(t *testing.T, url string, timeout time.Duration, opts chanws.DialOptions) {
	t.Helper()
	opts.HandshakeTimeout = timeout
	began := time.Now()
	_, err := adapt.NewAsyncClient(t.Context(), url, nil, &adapt.ClientConfig{DialOptions: opts})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, timeout, time.Since(began))
}

func TestDefectAbsent_HandshakeTimeoutIsADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := wstest.NetPipe(t)
		closed := make(chan struct{})
		go func() { // it goes on talking, and never comes to an end
			defer close(closed)
			if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
				return
			}
			fmt.Fprint(far, "HTTP/1.1 101 Switching Protocols\r\n")
			for range 1000 {
				time.Sleep(100 * time.Millisecond)
				if _, err := fmt.Fprint(far, "X-Slow: 1\r\n"); err != nil {
					return
				}
			}
		}()
		defectTimesOut(t, serverURL, 2500*time.Millisecond, defectVia(func(context.Context) (net.Conn, error) { return near, nil }))
		began := time.Now()
		<-closed
		require.Less(t, time.Since(began), time.Second, "the connection is closed")
	})
}

func TestDefectAbsent_HandshakeTimeoutIsTyped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, _ := wstest.NetPipe(t)
		defectTimesOut(t, serverURL, time.Second, defectVia(func(context.Context) (net.Conn, error) { return near, nil }))
	})
}

func TestDefectAbsent_HandshakeTimeoutCoversConnectAndTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		defectTimesOut(t, serverURL, time.Second, defectVia(func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		near, _ := wstest.NetPipe(t)
		defectTimesOut(t, "wss://server.test/", time.Second, defectVia(func(context.Context) (net.Conn, error) { return near, nil }))
		synctest.Wait()
	})
}

func TestDefectAbsent_HandshakeTimeoutDoesNotOutliveTheHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := defectClient(t, defectHost(t, echoing, nil), func(o *chanws.ClientOptions) {
			o.Retry = &chanws.RedialPolicy{}
			o.HandshakeTimeout = time.Second
			o.ReadTimeout = 5 * time.Second
		})
		began := time.Now()
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		time.Sleep(time.Hour)
		bSend(t, c, chanws.Text("still here"))
		text, err := c.ReadTextMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "still here", text)
	})
}

func TestDefectAbsent_SubSecondTimeoutsAreHonoured(t *testing.T) {
	t.Parallel()
	const half = 500 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		near, _ := wstest.NetPipe(t)
		defectTimesOut(t, serverURL, half, defectVia(func(context.Context) (net.Conn, error) { return near, nil }))

		idle := make(chan time.Time, 10)
		h := defectHost(t, &adapt.Service{OnIdleTimeout: func(*adapt.Caller) error { idle <- time.Now(); return nil }}, &adapt.ServiceConfig{Options: chanws.Options{IdleTimeout: half}})
		began := time.Now()
		c := defectClient(t, h, func(o *chanws.ClientOptions) { o.ReadTimeout = half })
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, half, time.Since(began))
		require.Equal(t, half, (<-idle).Sub(began))

		began = time.Now()
		h.setDown(true)
		opts := h.options()
		attempts := 0
		for _, err := range chanws.Redial(t.Context(), serverURL, &opts, chanws.RedialPolicy{Interval: half, Factor: -1, Jitter: -1, MaxAttempts: 3}) {
			require.Error(t, err)
			attempts++
		}
		require.Equal(t, 2*half, time.Since(began), "after %d attempts", attempts)
	})
	synctest.Test(t, func(t *testing.T) {
		caller, _, served := mute(t, chanws.Options{})
		began := time.Now()
		require.Equal(t, "timeout", kind(caller.CloseTimeout(1000, "", half)))
		require.Equal(t, half, time.Since(began))
		<-served
	})
}

// defectDelays are the times between the attempts of a client that finds a host again
// after some.
func defectDelays(t *testing.T, policy *chanws.RedialPolicy, failures int) []time.Duration {
	var attempts []time.Time
	began := time.Now()
	inner := defectUnavailable(failures, adapt.Handler(shared(echoing), nil))
	cfg := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempts = append(attempts, time.Now())
		inner.ServeHTTP(w, r)
	})).config()
	cfg.Retry = policy
	a, err := adapt.NewAsyncClient(t.Context(), serverURL, nil, cfg)
	require.NoError(t, err)
	require.NoError(t, a.Close(1000, ""))
	<-a.Done()
	synctest.Wait()
	require.Equal(t, began, attempts[0])
	delays := make([]time.Duration, failures)
	for i := range delays {
		delays[i] = attempts[i+1].Sub(attempts[i])
	}
	return delays
}

func TestDefectAbsent_BackOffGrowsByItsFactor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		policy := &chanws.RedialPolicy{Interval: 100 * time.Millisecond, Factor: 1.5, MaxInterval: 400 * time.Millisecond, Jitter: -1}
		const ms = time.Millisecond
		require.Equal(t, []time.Duration{100 * ms, 150 * ms, 225 * ms, 337*ms + 500*time.Microsecond, 400 * ms, 400 * ms}, defectDelays(t, policy, 6))
	})
}

func TestDefectAbsent_BackOffJitters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		delays := defectDelays(t, &chanws.RedialPolicy{Factor: -1}, 20)
		different := map[time.Duration]bool{}
		for _, d := range delays {
			require.InDelta(t, time.Second, d, float64(200*time.Millisecond))
			different[d] = true
		}
		require.Greater(t, len(different), 10)
	})
}

func TestDefectAbsent_ServerErrorsAreRetriedAndClientErrorsAreNot(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, 504, 400, 401, 403, 404, 426} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			cfg := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
				asked++
				return nil, &adapt.UpgradeError{StatusCode: status}
			}, nil)).config()
			cfg.Retry = &chanws.RedialPolicy{MaxAttempts: 3}
			_, err := adapt.NewAsyncClient(t.Context(), serverURL, nil, cfg)
			requireStatus(t, status, err)
			want := 1
			if status >= 500 {
				want = 3
			}
			require.Equal(t, want, asked, status)
		})
	}
}

func TestDefectAbsent_EachAttemptHasAFreshToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen record
		inner := defectUnavailable(2, adapt.Handler(shared(echoing), nil))
		h := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen.note("%s, %s", r.Header.Get("Authorization"), r.Header.Get("Cookie"))
			inner.ServeHTTP(w, r)
		}))
		tokens := 0
		cfg := h.config()
		cfg.Retry = steady()
		cfg.Authorize = func(_ context.Context, r *http.Request) error {
			tokens++
			r.Header.Set("Authorization", fmt.Sprint("Bearer ", tokens))
			r.AddCookie(&http.Cookie{Name: "session", Value: fmt.Sprint(tokens)})
			return nil
		}
		a := asyncClient(t, h, nil, cfg)
		h.drop()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, a.IsOpen())
		require.Equal(t, []string{"Bearer 1, session=1", "Bearer 2, session=2", "Bearer 3, session=3", "Bearer 4, session=4"}, seen.all())
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
	})
}

func TestDefectAbsent_AnExhaustedWriteReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c := bConnected(t, h, 2, chanws.Text("Hi"))
		bStop(h, 0)
		for range 3 {
			bRequireGone(t, c.WriteTextMessage(t.Context(), "Hello"))
		}
	})
}

func TestDefectAbsent_AnAsyncClientRepeatsNoWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		h := defectHost(t, r.service(), nil)
		cfg := h.config()
		cfg.Retry = steady()
		a := asyncClient(t, h, nil, cfg)
		synctest.Wait()
		h.drop()
		synctest.Wait()
		require.ErrorIs(t, a.WriteTextMessage("lost"), io.ErrUnexpectedEOF)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, a.WriteTextMessage("said again by the user"))
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
		synctest.Wait()
		require.Equal(t, []string{"open", "close 1006 ", "open", "text said again by the user", "close 1000 "}, r.all())
	})
}

func TestDefectAbsent_ReconnectionsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		h := defectHost(t, echoing, nil)
		svc := r.service()
		svc.OnError = func(_ *adapt.Caller, err error) error { r.note("given up: %s", kind(err)); return nil }
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{MaxAttempts: 3}
		a := asyncClient(t, h, svc, cfg)
		h.drop()
		time.Sleep(time.Minute)
		h.setDown(true)
		h.drop()
		<-a.Done()
		require.Equal(t, []string{"open", "open", "given up: dropped"}, r.all())
	})
}

func TestDefectAbsent_ClientsHaveCallbacksAndDispatchToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		h := defectHost(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			c.WriteTextMessage(`{"event":"tick","n":1}`)
			c.WriteTextMessage("plain")
			return c.WriteMessage(chanws.Close{Code: 1000})
		}}, nil)
		svc := r.service()
		svc.Dispatch = &adapt.Dispatch{Key: "event", Routes: []adapt.Route{{Name: "onTick", Handle: adapt.JSON(func(_ *adapt.Caller, in order) (any, error) {
			r.note("tick %d", in.N)
			return nil, nil
		})}}}
		<-asyncClient(t, h, svc, nil).Done()
		require.Equal(t, []string{"open", "tick 1", "text plain", "close 1000 "}, r.all())
	})
}

func TestDefectAbsent_TheJarSendsTheLongestPathFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(func(r *http.Request) (*adapt.Service, error) {
			cookies := r.Header.Get("Cookie")
			return &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(cookies) }}, nil
		}, nil))
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		at, err := url.Parse("http://server.test/a/b/c")
		require.NoError(t, err)
		jar.SetCookies(at, []*http.Cookie{
			{Name: "short", Value: "1", Path: "/"},
			{Name: "long", Value: "3", Path: "/a/b"},
			{Name: "middle", Value: "2", Path: "/a"},
			{Name: "elsewhere", Value: "4", Path: "/x"},
			{Name: "secret", Value: "5", Secure: true},
			{Name: "old", Value: "6", MaxAge: -1},
		})
		opts := h.options()
		opts.HTTPClient.Jar = jar
		c, err := chanws.Dial(t.Context(), "ws://server.test/a/b/c", &opts)
		require.NoError(t, err)
		expect(t, c, chanws.Text("long=3; middle=2; short=1"))
		require.NoError(t, c.Close(1000, ""))
	})
}

func TestDefectAbsent_OptionsAreNeverChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := defectHost(t, echoing, &adapt.ServiceConfig{Subprotocols: []string{"b"}})
		cfg := h.config()
		cfg.Header = http.Header{"X-Key": {"k"}, "Cookie": {"first=1"}}
		cfg.Cookies = []*http.Cookie{{Name: "z", Value: "2", Path: "/"}, {Name: "a", Value: "3", Path: "/long/path"}}
		cfg.Subprotocols = []string{"a", "b"}
		cfg.Authorize = func(_ context.Context, r *http.Request) error { r.Header.Set("X-Key", "changed"); return nil }
		for range 2 {
			a := asyncClient(t, h, nil, cfg)
			require.NoError(t, a.Close(1000, ""))
			<-a.Done()
			require.Equal(t, http.Header{"X-Key": {"k"}, "Cookie": {"first=1"}}, cfg.Header)
			require.Equal(t, []*http.Cookie{{Name: "z", Value: "2", Path: "/"}, {Name: "a", Value: "3", Path: "/long/path"}}, cfg.Cookies)
			require.Equal(t, []string{"a", "b"}, cfg.Subprotocols)
		}
	})
}

func TestDefectAbsent_DiallingHasAHook(t *testing.T) {
	t.Parallel()
	l := listen(t, "/", echoing)
	var dialled atomic.Int32
	opts := defectVia(func(ctx context.Context) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	})
	c, err := chanws.Dial(t.Context(), "ws://no.such.host.invalid/", &opts)
	require.NoError(t, err)
	require.EqualValues(t, 1, dialled.Load())
	require.NoError(t, c.Close(1000, ""))
}

func TestDefectAbsent_ProxiesAreUsed(t *testing.T) {
	t.Parallel()
	identity := bIdentify(t)
	server := bListenTLS(t, echoing, &tls.Config{Certificates: identity.pair(t)})
	var tunnels atomic.Int32
	done := make(chan struct{}, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		far, err := net.Dial("tcp", r.Host)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			far.Close()
			return
		}
		tunnels.Add(1)
		io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		var wg sync.WaitGroup
		for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
			wg.Go(func() {
				io.Copy(ends[0], ends[1])
				near.Close()
				far.Close()
			})
		}
		wg.Wait()
		done <- struct{}{}
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	opts := &chanws.ClientOptions{DialOptions: chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: identity.trust(t)},
	}}}}
	c := bDial(t, server, opts)
	bSend(t, c, chanws.Text("through"))
	bExpect(t, c, chanws.Text("through"))
	require.EqualValues(t, 1, tunnels.Load())
	require.NoError(t, c.Close(1000, ""))
	receive(t, done)
}

func TestDefectAbsent_ContextsEndReadsAndWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := defectHost(t, &adapt.Service{OnOpen: func(*adapt.Caller) error { <-release; return nil }}, &adapt.ServiceConfig{Options: chanws.Options{EventBuffer: 1}})
		c := defectClient(t, h, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.ReadMessage(ctx)
		require.ErrorIs(t, err, context.Canceled)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for err = nil; err == nil; {
			err = c.WriteBinaryMessage(ctx, make([]byte, 60_000))
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, c.IsOpen())
		close(release)
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
	})
}
