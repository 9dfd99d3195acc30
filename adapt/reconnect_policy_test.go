package adapt_test

import (
	"context"
	"fmt"
	"io"
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

// closingHost is a host that closes each connection with the next of codes after one
// text, and serves from then on.
func closingHost(t *testing.T, codes ...chanws.StatusCode) *host {
	var n atomic.Int64
	return newHost(t, adapt.Handler(shared(&adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
		if i := int(n.Add(1)) - 1; i < len(codes) {
			return chanws.Close{Code: codes[i], Reason: "of the server"}
		}
		return nil
	}}), nil))
}

// subscriber is a service that says something on each connection.
func subscriber(r *record) *adapt.Service {
	s := r.service()
	s.OnOpen = func(c *adapt.Caller) error {
		r.note("open")
		return c.WriteTextMessage("subscribe")
	}
	return s
}

func TestAServersCloseThatMayPassIsReplaced(t *testing.T) {
	for _, code := range []chanws.StatusCode{1001, 1011, 1012, 1013, 1014} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := closingHost(t, code, code)
				var r record
				cfg := h.config()
				cfg.Retry = steady()
				a := asyncClient(t, h, subscriber(&r), cfg)
				time.Sleep(time.Minute)
				require.True(t, a.IsOpen())
				require.Equal(t, []string{"open", "open", "open"}, r.all(), "no OnClose between")
				require.NoError(t, a.Close(1000, ""))
				<-a.Done()
				require.Equal(t, "close 1000 ", r.all()[3])
				synctest.Wait()
			})
		})
	}
}

func TestRetryIsAskedAboutTheEndOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := closingHost(t, 1000, 4000)
		var r record
		var asked []error
		cfg := h.config()
		cfg.Retry = steady()
		cfg.Retry.Retry = func(err error) bool {
			asked = append(asked, err)
			return chanws.CloseStatus(err) == 1000
		}
		a := asyncClient(t, h, subscriber(&r), cfg)
		<-a.Done()
		require.Equal(t, []string{"open", "open", "close 4000 of the server"}, r.all())
		require.Equal(t, []error{chanws.Close{Code: 1000, Reason: "of the server"}, chanws.Close{Code: 4000, Reason: "of the server"}}, asked)
		synctest.Wait()
	})
}

func TestALossThatRetryRefusesIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		var r record
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{Retry: func(error) bool { return false }}
		a := asyncClient(t, h, r.service(), cfg)
		synctest.Wait()
		h.drop()
		<-a.Done()
		require.Equal(t, []string{"open", "close 1006 "}, r.all())
		require.ErrorIs(t, a.Conn().Err(), io.ErrUnexpectedEOF)
		synctest.Wait()
	})
}

func TestDelayAndRetryAfterHoldForAsyncClientsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		inner := adapt.Handler(shared(echoing), nil)
		h := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			dials = append(dials, time.Now())
			if len(dials) == 2 {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			inner.ServeHTTP(w, r)
		}))
		var attempts []int
		cfg := h.config()
		cfg.Retry = &chanws.RedialPolicy{Delay: func(attempt int, err error) time.Duration {
			attempts = append(attempts, attempt)
			return time.Minute
		}}
		a := asyncClient(t, h, nil, cfg)
		synctest.Wait()
		h.drop()
		time.Sleep(time.Hour)
		require.True(t, a.IsOpen())
		require.Equal(t, []int{1, 2}, attempts)
		require.Len(t, dials, 3)
		require.Equal(t, time.Minute, dials[1].Sub(dials[0]))
		require.Equal(t, 10*time.Minute, dials[2].Sub(dials[1]))
		_ = a.Close(1000, "")
		<-a.Done()
		synctest.Wait()
	})
}

func TestAServerThatClosesPolitelyForEverIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var upgrades atomic.Int64
		h := newHost(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			upgrades.Add(1)
			if c, err := chanws.Upgrade(w, r, nil); err == nil {
				_ = c.Close(1001, "")
			}
		}))
		cfg := h.config()
		cfg.Retry = steady()
		a := asyncClient(t, h, nil, cfg)
		time.Sleep(10*time.Minute + 5*time.Second) // 1, 2, 4, 8, 16 s, then 30 s each
		require.EqualValues(t, 1+5+19, upgrades.Load())
		_ = a.Close(1000, "")
		<-a.Done()
		synctest.Wait()
	})
}

// A lossLog is a log handler that keeps the losses.
type lossLog struct {
	slog.Handler
	mu     *sync.Mutex
	losses *[]string
}

func (l lossLog) Enabled(context.Context, slog.Level) bool { return true }

func (l lossLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l lossLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(r.Message, "lost") {
		*l.losses = append(*l.losses, r.Message)
	}
	return nil
}

func TestOnlyConnectionsThatAreReplacedAreLoggedAsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := closingHost(t, 1012, 1000)
		var mu sync.Mutex
		var losses []string
		cfg := h.config()
		cfg.Retry = steady()
		cfg.Logger = slog.New(lossLog{slog.DiscardHandler, &mu, &losses})
		a := asyncClient(t, h, subscriber(new(record)), cfg)
		<-a.Done()
		require.Equal(t, []string{"websocket connection lost"}, losses)
		synctest.Wait()
	})
}
