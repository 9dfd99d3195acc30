package adapt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

const serverURL = "ws://server.test/"

// asyncClient connects to h with a service.
func asyncClient(t testing.TB, h *host, s *adapt.Service, cfg *adapt.ClientConfig) *adapt.AsyncClient {
	t.Helper()
	if cfg == nil {
		cfg = h.config()
	}
	a, err := adapt.NewAsyncClient(t.Context(), serverURL, s, cfg)
	require.NoError(t, err)
	return a
}

func TestAnAsyncClientRunsItsCallbacksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(&adapt.Service{
			OnOpen: func(c *adapt.Caller) error {
				c.WriteTextMessage("a")
				c.WriteBinaryMessage([]byte("b"))
				return c.Ping([]byte("p"))
			},
			OnTextMessage: func(c *adapt.Caller, text string) error { return c.Close(1001, text) },
		}), nil))
		var r record
		svc := r.service()
		svc.OnOpen = func(c *adapt.Caller) error {
			time.Sleep(time.Second)
			r.note("open")
			return nil
		}
		a := asyncClient(t, h, svc, nil)
		time.Sleep(2 * time.Second)
		require.True(t, a.IsOpen())
		require.Equal(t, 101, a.Response().StatusCode)
		require.NoError(t, a.WriteTextMessage("bye"))
		<-a.Done()
		require.False(t, a.IsOpen())
		require.Equal(t, []string{"open", "text a", "binary b", "ping p", "close 1001 bye"}, r.all())
		require.NoError(t, a.Close(1000, ""), "it was closed properly")
		synctest.Wait()
	})
}

func TestAnAsyncClientNeedsNoService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		a := asyncClient(t, h, nil, nil)
		require.NoError(t, a.WriteTextMessage("x"))
		require.NoError(t, a.Flush())
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
		require.ErrorIs(t, a.WriteTextMessage("x"), net.ErrClosed)
		require.ErrorIs(t, a.Close(1000, ""), net.ErrClosed)
		synctest.Wait()
	})
}

func TestAConstructorThatFailsReturnsItsError(t *testing.T) {
	never := &adapt.Service{OnOpen: func(*adapt.Caller) error { panic("called") }, OnError: func(*adapt.Caller, error) error { panic("called") }}
	for _, retry := range []*chanws.RedialPolicy{nil, {MaxAttempts: 2}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(refusing(&adapt.UpgradeError{StatusCode: 404}), nil))
			cfg := h.config()
			cfg.Retry = retry
			_, err := adapt.NewAsyncClient(t.Context(), serverURL, never, cfg)
			requireStatus(t, 404, err)
			_, err = adapt.NewAsyncClient(t.Context(), "xxx", never, cfg)
			require.Error(t, err)
			_, err = adapt.NewAsyncClient(t.Context(), "ftp://server.test", never, cfg)
			require.Error(t, err)
			_, err = adapt.NewAsyncClient(t.Context(), serverURL, &adapt.Service{Dispatch: &adapt.Dispatch{}}, cfg)
			require.ErrorIs(t, err, adapt.ErrInvalidService)
			h.setDown(true)
			_, err = adapt.NewAsyncClient(t.Context(), serverURL, never, cfg)
			require.ErrorAs(t, err, new(*net.OpError))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		cfg := newHost(t, adapt.Handler(shared(echoing), nil)).config()
		cfg.Subprotocols = []string{"xml"}
		_, err := adapt.NewAsyncClient(t.Context(), serverURL, never, cfg)
		require.ErrorAs(t, err, new(*chanws.HandshakeError), "the server chose none")
		cfg = newHost(t, adapt.Handler(shared(echoing), nil)).config()
		cfg.Retry = &chanws.RedialPolicy{Factor: 0.5}
		_, err = adapt.NewAsyncClient(t.Context(), serverURL, never, cfg)
		require.ErrorContains(t, err, "Factor")
	})
}

func TestTheConstructorsContextBoundsNoMoreThanTheCall(t *testing.T) {
	for _, retry := range []*chanws.RedialPolicy{nil, {}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(shared(echoing), nil))
			cfg := h.config()
			cfg.Retry = retry
			type key struct{}
			ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
			a, err := adapt.NewAsyncClient(ctx, serverURL, nil, cfg)
			require.NoError(t, err)
			cancel(errBroken)
			time.Sleep(time.Hour)
			require.True(t, a.IsOpen())
			require.Equal(t, "value", a.Context().Value(key{}))
			require.NoError(t, a.Close(1000, ""))
			<-a.Done()

			_, err = adapt.NewAsyncClient(ctx, serverURL, nil, cfg)
			require.ErrorIs(t, err, errBroken)

			h.setDown(true)
			cfg.Retry = &chanws.RedialPolicy{}
			short, cancelShort := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancelShort()
			_, err = adapt.NewAsyncClient(short, serverURL, nil, cfg)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

// steady is a policy without chance.
func steady() *chanws.RedialPolicy { return &chanws.RedialPolicy{Jitter: -1} }

// greeting is a service that says how many connections it has had.
func greeting() *adapt.Service {
	var count atomic.Int64
	return &adapt.Service{
		OnOpen:        func(c *adapt.Caller) error { return c.WriteMessage(count.Add(1)) },
		OnTextMessage: (*adapt.Caller).WriteTextMessage,
	}
}

func TestAnAsyncClientConnectsAgainAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(greeting()), nil))
		var r record
		svc := r.service()
		var callers []*adapt.Caller
		svc.OnOpen = func(c *adapt.Caller) error {
			callers = append(callers, c)
			n, _ := c.Attribute("opened").(int)
			c.SetAttribute("opened", n+1)
			r.note("open %d", n+1)
			return nil
		}
		cfg := h.config()
		cfg.Retry = steady()
		a := asyncClient(t, h, svc, cfg)
		synctest.Wait()
		id := a.ConnectionID()

		h.setDown(true)
		h.drop()
		synctest.Wait()
		require.False(t, a.IsOpen())
		require.ErrorIs(t, a.WriteTextMessage("lost"), io.ErrUnexpectedEOF)
		time.Sleep(20 * time.Second)
		h.setDown(false)
		time.Sleep(30 * time.Second)
		require.True(t, a.IsOpen())
		require.NotEqual(t, id, a.ConnectionID())
		require.NoError(t, a.WriteTextMessage("again"))
		synctest.Wait()
		require.Equal(t, []string{"open 1", "text 1", "open 2", "text 2", "text again"}, r.all())
		require.Same(t, callers[0], callers[1])
		require.NoError(t, a.Close(1000, "bye"))
		<-a.Done()
		time.Sleep(time.Hour)
		require.Equal(t, "close 1000 ", r.all()[len(r.all())-1])
		require.Len(t, r.all(), 6)
	})
}

func TestTheDelaysOfReconnectionGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var dials []time.Duration
		inner := adapt.Handler(shared(echoing), nil)
		h := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dials = append(dials, time.Since(began))
			if len(dials) > 1 && len(dials) < 6 {
				http.Error(w, "not yet", http.StatusServiceUnavailable)
				return
			}
			inner.ServeHTTP(w, r)
		}))
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{Interval: 100 * time.Millisecond, Factor: 2, MaxInterval: 500 * time.Millisecond, Jitter: -1}
		a := asyncClient(t, h, nil, cfg)
		h.drop()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, a.IsOpen())
		require.Len(t, dials, 6)
		for i, want := range []time.Duration{100, 200, 400, 500, 500} {
			require.Equal(t, want*time.Millisecond, dials[i+1]-dials[i])
		}
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
		synctest.Wait()
	})
}

func TestAnAsyncClientThatStartsBeforeItsServerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		h.setDown(true)
		time.AfterFunc(2*time.Second, func() { h.setDown(false) })
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{MaxAttempts: 10}
		a := asyncClient(t, h, nil, cfg)
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
		synctest.Wait()
	})
}

func TestWhenThePolicyGivesUpOnErrorIsTheLastCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		var r record
		svc := r.service()
		var final error
		svc.OnError = func(c *adapt.Caller, err error) error {
			require.False(t, c.IsOpen())
			r.note("error")
			final = err
			return nil
		}
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{MaxAttempts: 3}
		a := asyncClient(t, h, svc, cfg)
		h.setDown(true)
		h.drop()
		<-a.Done()
		require.Equal(t, []string{"open", "error"}, r.all())
		require.ErrorIs(t, final, io.ErrUnexpectedEOF)
		require.ErrorAs(t, final, new(*net.OpError))
		require.Error(t, a.WriteTextMessage("x"))
	})
}

func TestWhatIsNoLossIsNotReplaced(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*adapt.Caller) error
		opts chanws.Options
		last string
	}{
		{"the server's close", func(c *adapt.Caller) error { return c.Close(1000, "bye") }, chanws.Options{}, "close 1000 bye"},
		{"the server's close by a code of the user's", func(c *adapt.Caller) error { return c.Close(4000, "never again") }, chanws.Options{}, "close 4000 never again"},
		{"the server's refusal", func(c *adapt.Caller) error { return c.Close(1008, "") }, chanws.Options{}, "close 1008 "},
		{"a message that is too large", func(c *adapt.Caller) error { return c.WriteTextMessage("12345") }, chanws.Options{MaxMessageSize: 4}, "error protocol"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, adapt.Handler(shared(&adapt.Service{OnOpen: tc.end}), nil))
				var r record
				svc := r.service()
				svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %s", kind(err)); return nil }
				cfg := h.config()
				cfg.Options = tc.opts
				cfg.Retry = steady()
				a := asyncClient(t, h, svc, cfg)
				<-a.Done()
				time.Sleep(time.Hour)
				require.Equal(t, []string{"open", tc.last}, r.all())
			})
		})
	}
}

func TestAPeerThatGoesSilentIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(&adapt.Service{OnPing: func(*adapt.Caller, []byte) error { return nil }}), &adapt.ServiceConfig{Options: chanws.Options{ManualPong: true}}))
		opens := 0
		cfg := h.config()
		cfg.PingInterval = time.Second
		cfg.Retry = steady()
		a := asyncClient(t, h, &adapt.Service{OnOpen: func(*adapt.Caller) error { opens++; return nil }}, cfg)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Greater(t, opens, 1)
		a.CloseNow()
		<-a.Done()
		time.Sleep(time.Minute)
	})
}

func TestCloseEndsAReconnection(t *testing.T) {
	for _, tc := range []struct {
		name  string
		close func(*adapt.AsyncClient) error
	}{
		{"Close", func(a *adapt.AsyncClient) error { return a.Close(1000, "") }},
		{"CloseTimeout", func(a *adapt.AsyncClient) error { return a.CloseTimeout(1000, "", time.Second) }},
		{"CloseNow", func(a *adapt.AsyncClient) error { return errors.Join(io.ErrUnexpectedEOF, a.CloseNow()) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, adapt.Handler(shared(echoing), nil))
				var r record
				cfg := h.config()
				cfg.Retry = steady()
				a := asyncClient(t, h, r.service(), cfg)
				h.setDown(true)
				h.drop()
				time.Sleep(time.Minute)
				began := time.Now()
				require.ErrorIs(t, tc.close(a), io.ErrUnexpectedEOF, "the connection was lost")
				<-a.Done()
				require.Zero(t, time.Since(began))
				require.Equal(t, []string{"open", "close 1006 "}, r.all())
			})
		})
	}
}

func TestACallbackThatClosesEndsTheClient(t *testing.T) {
	for _, f := range []func(*adapt.Caller) error{
		func(c *adapt.Caller) error { return c.Close(1000, "") },
		func(*adapt.Caller) error { return chanws.Close{Code: 1000} },
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(shared(greeting()), nil))
			cfg := h.config()
			cfg.Retry = steady()
			a := asyncClient(t, h, &adapt.Service{OnTextMessage: func(c *adapt.Caller, _ string) error { return f(c) }}, cfg)
			<-a.Done()
			time.Sleep(time.Hour)
			require.EqualValues(t, 1000, chanws.CloseStatus(a.Conn().Err()))
		})
	}
}

func TestAStreamDoesNotOutliveTheConnectionItBeganOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		var r record
		opens := 0
		svc := r.service()
		svc.OnOpen = func(c *adapt.Caller) error {
			if opens++; opens == 1 {
				return adapt.Stream(c, counting(1000, time.Second))
			}
			return nil
		}
		cfg := h.config()
		cfg.Retry = steady()
		a := asyncClient(t, h, svc, cfg)
		time.Sleep(1500 * time.Millisecond)
		h.drop()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, opens)
		require.Equal(t, []string{"text 1"}, r.all())
		require.NoError(t, a.Close(1000, ""))
		<-a.Done()
		synctest.Wait()
	})
}

func TestAClientsHandshakeTimeoutIsADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
			time.Sleep(2 * time.Second)
			return nil, errBroken
		}, nil))
		cfg := h.config()
		cfg.HandshakeTimeout = 500 * time.Millisecond
		began := time.Now()
		_, err := adapt.NewAsyncClient(t.Context(), serverURL, nil, cfg)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 500*time.Millisecond, time.Since(began))
		time.Sleep(time.Minute)
	})
}

func TestClosingTheConnectionBelowEndsAClientWithRetryToo(t *testing.T) {
	for name, end := range map[string]func(*chanws.Conn) error{
		"Close":             func(c *chanws.Conn) error { return c.Close(1000, "") },
		"Close for a while": func(c *chanws.Conn) error { return c.Close(1001, "") },
		"CloseNow":          (*chanws.Conn).CloseNow,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, adapt.Handler(shared(echoing), nil))
				var opened atomic.Int64
				cfg := h.config()
				cfg.Retry = steady()
				a := asyncClient(t, h, &adapt.Service{OnOpen: func(*adapt.Caller) error { opened.Add(1); return nil }}, cfg)
				require.NoError(t, end(a.Conn()))
				<-a.Done()
				require.EqualValues(t, 1, opened.Load())
				synctest.Wait()
			})
		})
	}
}
