package adapt_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestAServerThatDropsAtOnceIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var upgrades atomic.Int64
		h := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			upgrades.Add(1)
			if c, err := chanws.Upgrade(w, r, nil); err == nil {
				c.CloseNow()
			}
		}))
		var r record
		cfg := h.config()
		cfg.Retry = steady()
		a := asyncClient(t, h, r.service(), cfg)
		time.Sleep(10*time.Minute + 5*time.Second) // 1, 2, 4, 8, 16 s, then 30 s each
		require.EqualValues(t, 1+5+19, upgrades.Load())
		_ = a.Close(1000, "")
		<-a.Done()
		lines := r.all()
		require.Equal(t, "close 1006 ", lines[len(lines)-1])
		require.Len(t, lines, int(upgrades.Load())+1, "OnOpen for each, and one OnClose")
		synctest.Wait()
	})
}

func TestCloseRacesWithAReconnection(t *testing.T) {
	for name, end := range map[string]func(*adapt.AsyncClient){
		"Close":     func(a *adapt.AsyncClient) { _ = a.Close(1000, "") },
		"CloseNow":  func(a *adapt.AsyncClient) { _ = a.CloseNow() },
		"timeout 0": func(a *adapt.AsyncClient) { _ = a.CloseTimeout(1000, "", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 30 {
				synctest.Test(t, func(t *testing.T) {
					h := newHost(t, adapt.Handler(shared(echoing), nil))
					var last atomic.Int64
					var ended atomic.Bool
					svc := &adapt.Service{
						OnOpen:  func(*adapt.Caller) error { require.False(t, ended.Load()); return nil },
						OnClose: func(*adapt.Caller, chanws.StatusCode, string) error { last.Add(1); return nil },
						OnError: func(*adapt.Caller, error) error { last.Add(1); return nil },
					}
					cfg := h.config()
					cfg.Retry = steady()
					a := asyncClient(t, h, svc, cfg)
					h.drop()
					var closing sync.WaitGroup
					closing.Go(func() {
						time.Sleep(time.Second) // as long as the delay: both wake at the same time
						end(a)
					})
					<-a.Done()
					ended.Store(true)
					closing.Wait()
					require.EqualValues(t, 1, last.Load())
					require.False(t, a.IsOpen())
					synctest.Wait()
				})
			}
		})
	}
}

func TestAPanicWhileReconnectingIsTheEndOfTheClientAlone(t *testing.T) {
	for name, set := range map[string]func(*adapt.ClientConfig, func()){
		"in Authorize": func(cfg *adapt.ClientConfig, hook func()) {
			cfg.Authorize = func(context.Context, *http.Request) error { hook(); return nil }
		},
		"in Retry": func(cfg *adapt.ClientConfig, hook func()) {
			cfg.Retry.Retry = func(error) bool { hook(); return true }
		},
		"in Delay": func(cfg *adapt.ClientConfig, hook func()) {
			cfg.Retry.Delay = func(int, error) time.Duration { hook(); return time.Second }
		},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHost(t, adapt.Handler(shared(echoing), nil))
					var r record
					svc := r.service()
					var final error
					svc.OnError = func(_ *adapt.Caller, err error) error { final = err; return nil }
					cfg := h.config()
					cfg.Retry = steady()
					broken := first
					set(cfg, func() {
						if broken {
							panic(errBroken)
						}
					})
					if first {
						h.setDown(true)
						_, err := adapt.NewAsyncClient(t.Context(), serverURL, svc, cfg)
						require.ErrorIs(t, err, errBroken)
						require.ErrorAs(t, err, new(*adapt.PanicError))
						require.Empty(t, r.all())
						synctest.Wait()
						return
					}
					a := asyncClient(t, h, svc, cfg)
					broken = true
					h.setDown(true)
					h.drop()
					<-a.Done()
					require.ErrorIs(t, final, errBroken)
					require.ErrorAs(t, final, new(*adapt.PanicError))
					require.False(t, a.IsOpen())
					synctest.Wait()
				})
			})
		}
	}
}

// An opened is a log handler that is told when a connection's handshake is done.
type opened struct {
	slog.Handler
	tell func()
}

func (c opened) Enabled(context.Context, slog.Level) bool { return true }

func (c opened) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c opened) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "connection open") {
		c.tell()
	}
	return nil
}

func TestAConstructorWhoseContextEndsTooLateForTheHandshakeLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		ctx, cancel := context.WithCancelCause(t.Context())
		cfg := h.config()
		cfg.Retry = steady()
		cfg.Logger = slog.New(opened{slog.DiscardHandler, func() { cancel(errBroken) }})
		var ended atomic.Bool
		cfg.Trace = &chanws.Trace{Ended: func(error) { ended.Store(true) }}
		_, err := adapt.NewAsyncClient(ctx, serverURL, &adapt.Service{OnOpen: func(*adapt.Caller) error { panic("called") }}, cfg)
		require.ErrorIs(t, err, errBroken)
		require.True(t, ended.Load(), "it has waited for the connection's end")
	})
}

func TestAConnectionThatComesAfterTheCloseIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		var r record
		var a *adapt.AsyncClient
		cfg := h.config()
		cfg.Retry = steady()
		cfg.Logger = slog.New(opened{slog.DiscardHandler, func() {
			if a != nil { // the second one
				_ = a.Close(1000, "")
			}
		}})
		a = asyncClient(t, h, r.service(), cfg)
		first := a.Conn()
		h.drop()
		<-a.Done()
		require.Equal(t, []string{"open", "close 1006 "}, r.all())
		require.Same(t, first, a.Conn())
		synctest.Wait()
	})
}
