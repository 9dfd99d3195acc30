package wstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
)

func ExampleDial() {
	var t *testing.T // of your test

	mux := http.NewServeMux()
	mux.HandleFunc("/chat/{room}", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Send <- chanws.Text("welcome to " + r.PathValue("room"))
		for range c.Events() {
		}
	})
	c := wstest.Dial(t, mux, &chanws.DialOptions{Authorize: func(_ context.Context, r *http.Request) error {
		r.URL.Path = "/chat/red"
		return nil
	}})
	ev, err := c.Receive(t.Context())
	t.Log(ev, err) // welcome to red
}

// echo is a handler that sends back what it receives.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: chanws.Options{IdleTimeout: time.Hour}, Subprotocols: []string{"echo"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for ev := range c.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			c.Send <- ev
		case chanws.IdleTimeout:
			c.Send <- chanws.Text("are you there?")
		}
	}
}

func at(path string) *chanws.DialOptions {
	return &chanws.DialOptions{Authorize: func(_ context.Context, r *http.Request) error {
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
		return nil
	}}
}

func TestDial_connects_to_a_handler_in_a_bubble_and_an_hour_takes_no_time(t *testing.T) {
	t.Parallel()
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		c := wstest.Dial(t, http.HandlerFunc(echo), nil)
		begin := time.Now()
		c.Send <- chanws.Text("hello")
		require.Equal(t, chanws.Text("hello"), receive(t, c))
		require.Equal(t, begin, time.Now())
		require.Equal(t, chanws.Text("are you there?"), receive(t, c))
		require.Equal(t, begin.Add(time.Hour), time.Now())
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
	})
	require.Less(t, time.Since(real), time.Minute)
}

func TestDial_needs_no_close_and_leaves_no_goroutine(t *testing.T) {
	for _, bubble := range []bool{true, false} {
		var returned atomic.Bool
		f := func(t *testing.T) {
			wstest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer returned.Store(true)
				echo(w, r)
			}), nil)
		}
		t.Run(fmt.Sprintf("in a bubble: %v", bubble), func(t *testing.T) {
			if bubble {
				synctest.Test(t, f)
			} else {
				f(t)
			}
		})
		require.True(t, returned.Load(), "Dial's cleanup waits for the handler")
	}
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "memoryServer")
	}, 10*time.Second, time.Millisecond)
}

func TestDial_serves_middleware_and_path_values_like_a_server(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /chat/{room}", func(w http.ResponseWriter, r *http.Request) {
			c, err := chanws.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.Send <- chanws.Text(strings.Join([]string{r.PathValue("room"), r.URL.RawQuery, r.Host, r.RemoteAddr, r.Proto, fmt.Sprint(r.TLS != nil), r.Header.Get("X-Client")}, " "))
			for range c.Events() {
			}
		})
		mux.Handle("/old", http.RedirectHandler("/chat/blue", http.StatusTemporaryRedirect))
		middleware := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Middleware", "yes")
			mux.ServeHTTP(struct{ unwrapping }{unwrapping{w}}, r)
		})
		opts := at("/chat/red?a=b")
		opts.Header = http.Header{"X-Client": {"yes"}}
		c := wstest.Dial(t, middleware, opts)
		require.Equal(t, chanws.Text("red a=b server.test client.test:49152 HTTP/1.1 false yes"), receive(t, c))
		require.Equal(t, "yes", c.Response().Header.Get("X-Middleware"))
		require.Equal(t, "server.test:80", c.RemoteAddr().String())

		first := true
		c = wstest.Dial(t, middleware, &chanws.DialOptions{Authorize: func(_ context.Context, r *http.Request) error {
			if first {
				r.URL.Path, first = "/old", false
			}
			return nil
		}})
		require.Equal(t, chanws.Text("blue  server.test client.test:49152 HTTP/1.1 false "), receive(t, c))
	})
}

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// A verdict is a test that notes how it failed.
type verdict struct {
	testing.TB
	mu       sync.Mutex
	text     string
	cleanups []func()
}

var errFatal = errors.New("Fatalf")

func (v *verdict) Helper()          {}
func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }
func (v *verdict) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.text += fmt.Sprintf(format, args...) + "\n"
}
func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	panic(errFatal)
}

// verdictOn returns what a test that does f reports.
func verdictOn(t testing.TB, f func(testing.TB)) string {
	v := &verdict{TB: t}
	func() {
		defer func() {
			if e := recover(); e != nil && e != errFatal {
				panic(e)
			}
		}()
		f(v)
	}()
	for i := len(v.cleanups) - 1; i >= 0; i-- {
		v.cleanups[i]()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text
}

func TestDial_fails_the_test_when_the_handshake_fails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		behaviour string
		handler   http.HandlerFunc
		opts      *chanws.DialOptions
		want      []string
	}{
		{"refused", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not today", http.StatusTeapot) }, nil, []string{"418", "not today"}},
		{"no WebSocket", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "a page") }, nil, []string{"200"}},
		{"not found", http.NewServeMux().ServeHTTP, at("/nowhere"), []string{"404"}},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("mine") }, nil, []string{"the handler panicked: mine", "the handshake failed"}},
		{"aborted", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, []string{"the handshake failed"}},
		{"HTTPClient", echo, &chanws.DialOptions{HTTPClient: http.DefaultClient}, []string{"HTTPClient"}},
		{"bad option", echo, &chanws.DialOptions{Options: chanws.Options{EventBuffer: -1}}, []string{"EventBuffer"}},
		{"handshake timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, []string{"30s"}},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				text := verdictOn(t, func(t testing.TB) { wstest.Dial(t, tc.handler, tc.opts) })
				for _, want := range tc.want {
					require.Contains(t, text, want)
				}
			})
		})
	}
}

func TestDial_fails_the_test_when_the_handler_panics_later_or_does_not_return(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := verdictOn(t, func(t testing.TB) {
			c := wstest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := chanws.Upgrade(w, r, nil)
				if err != nil {
					return
				}
				defer c.CloseNow()
				panic("in the loop")
			}), nil)
			<-c.Done()
		})
		require.Contains(t, text, "the handler panicked: in the loop")

		release := make(chan struct{})
		text = verdictOn(t, func(t testing.TB) {
			wstest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				echo(w, r)
				<-release
			}), nil)
		})
		close(release)
		require.Contains(t, text, "the handler has not returned")
		require.Empty(t, verdictOn(t, func(t testing.TB) { wstest.Dial(t, http.HandlerFunc(echo), nil) }))
	})
}
