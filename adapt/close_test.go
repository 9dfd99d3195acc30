package adapt_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestCloseInAnyCallbackWaitsForNothingButThePeer(t *testing.T) {
	for _, cb := range callbacks {
		t.Run(cb.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				errs := make(chan error, 1)
				var took time.Duration
				closes := 0
				svc := &adapt.Service{OnClose: func(*adapt.Caller, chanws.StatusCode, string) error { closes++; return nil }}
				cb.set(svc, func(c *adapt.Caller) error {
					began := time.Now()
					errs <- c.Close(4000, "bye")
					took = time.Since(began)
					if cb.last {
						closes++
					}
					return nil
				})
				s := serve(t, svc, chanws.Options{IdleTimeout: time.Second})
				cb.provoke(s.Conn)
				require.NoError(t, <-errs)
				require.NoError(t, <-s.served)
				require.Zero(t, took)
				require.Equal(t, 1, closes, "OnClose is called once")
				if !cb.last {
					require.Equal(t, chanws.Close{Code: 4000, Reason: "bye"}, ending(t, s.Conn))
				}
			})
		})
	}
}

func TestCloseInOnErrorAfterADropTellsOfTheDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, bare := wstest.Raw(t, nil)
		errs := make(chan error, 1)
		served := start(server, &adapt.Service{OnClose: func(c *adapt.Caller, _ chanws.StatusCode, _ string) error {
			errs <- c.Close(1000, "")
			return nil
		}})
		bare.Close()
		err := <-errs
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorAs(t, err, new(*adapt.ClosureError))
		<-served
	})
}

// mute is a server's session with a peer that answers nothing.
func mute(t *testing.T, opts chanws.Options) (*adapt.Caller, net.Conn, <-chan error) {
	server, bare := wstest.Raw(t, &chanws.UpgradeOptions{Options: opts})
	callers := make(chan *adapt.Caller, 1)
	served := start(server, &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; return nil }})
	return <-callers, bare, served
}

func TestCloseWaitsForTheAnswerAsLongAsItIsTold(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, 250 * time.Millisecond, 3 * time.Second, 7 * time.Second /* more than CloseTimeout */} {
		synctest.Test(t, func(t *testing.T) {
			c, _, served := mute(t, chanws.Options{})
			began := time.Now()
			err := c.CloseTimeout(1000, "", d)
			require.Equal(t, d, time.Since(began))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorAs(t, err, new(*adapt.ClosureError))
			require.False(t, c.IsOpen())
			require.ErrorIs(t, <-served, os.ErrDeadlineExceeded)
		})
	}
}

func TestCloseUsesTheServicesCloseTimeout(t *testing.T) {
	for _, tc := range []struct{ set, want time.Duration }{{0, 60 * time.Second}, {1500 * time.Millisecond, 1500 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			errs := make(chan error, 1)
			var took time.Duration
			h := newHost(t, adapt.Handler(shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error {
				began := time.Now()
				err := c.Close(1000, "")
				took = time.Since(began)
				errs <- err
				return nil
			}}), &adapt.ServiceConfig{Options: chanws.Options{CloseTimeout: tc.set}}))
			silenced(t, h)
			require.ErrorIs(t, <-errs, os.ErrDeadlineExceeded)
			require.Equal(t, tc.want, took)
		})
	}
}

// silenced does a handshake with h and then says nothing more.
func silenced(t *testing.T, h *host) net.Conn {
	c, err := h.dial(t.Context(), "", "")
	require.NoError(t, err)
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: server.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	require.NoError(t, err)
	return c
}

func TestCloseTimeoutZeroDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{})
		began := time.Now()
		require.NoError(t, c.CloseTimeout(1000, "", 0))
		require.False(t, c.IsOpen())
		require.Zero(t, time.Since(began))
		<-served
		require.Equal(t, time.Second, time.Since(began), "the close frame has time to arrive")
	})
}

func TestInvalidClosesChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{})
		for _, code := range []chanws.StatusCode{-1, 20, 999, 1004, 1006, 1015, 2999, 5000} {
			err := c.Close(code, "")
			require.ErrorIs(t, err, chanws.ErrInvalidMessage)
			require.ErrorAs(t, err, new(*adapt.ClosureError))
			require.NotErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, c.CloseTimeout(code, "", 0), chanws.ErrInvalidMessage)
		}
		require.ErrorIs(t, c.Close(1000, strings.Repeat("x", 124)), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(1000, "\xff"), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(0, "a reason"), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(1005, "a reason"), chanws.ErrInvalidMessage)
		for _, d := range []time.Duration{-2, -10, -10 * time.Second, -1500 * time.Millisecond} {
			require.ErrorIs(t, c.CloseTimeout(1000, "", d), adapt.ErrInvalidTimeout)
		}
		require.True(t, c.IsOpen())
		require.NoError(t, c.WriteTextMessage("still here"))
		c.CloseNow()
		<-served
	})
}

func TestASecondCloseFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{})
		first := make(chan error, 1)
		go func() { first <- c.CloseTimeout(1000, "", time.Minute) }()
		synctest.Wait()
		began := time.Now()
		for _, err := range []error{c.Close(1000, ""), c.CloseTimeout(1000, "", 0), c.WriteTextMessage("x"), c.WriteBinaryMessage(nil), c.Ping(nil), c.Flush(), c.WriteMessage(chanws.Close{Code: 1000})} {
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorAs(t, err, new(*adapt.ClosureError))
		}
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, c.CloseNow(), net.ErrClosed, "but it cuts the first one short")
		require.ErrorIs(t, <-first, net.ErrClosed)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, <-served, net.ErrClosed)
	})
}

func TestADataFrameAheadOfTheAnswerDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, bare, served := mute(t, chanws.Options{})
		first := make(chan error, 1)
		go func() { first <- c.Close(1000, "") }()
		synctest.Wait()
		bare.Write(masked(1, "late"))
		bare.Write(masked(8, "\x0f\xa0other code"))
		require.NoError(t, <-first, "another code in the answer is no failure")
		require.NoError(t, <-served)
	})
}

func TestADropInsteadOfTheAnswerIsToldToWhoCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, bare, served := mute(t, chanws.Options{})
		first := make(chan error, 1)
		go func() { first <- c.Close(1000, "") }()
		synctest.Wait()
		bare.Close()
		err := <-first
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorIs(t, err, net.ErrClosed)
		<-served
	})
}

func TestCloseNowLeavesThePeerWith1006(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnOpen = func(c *adapt.Caller) error { return c.CloseNow() }
		svc.OnError = func(_ *adapt.Caller, err error) error {
			r.note("error %v", errors.Is(err, net.ErrClosed))
			return nil
		}
		s := serve(t, svc, chanws.Options{})
		require.ErrorIs(t, ending(t, s.Conn), io.ErrUnexpectedEOF)
		<-s.served
		require.Equal(t, []string{"error true"}, r.all())
	})
}

func TestClosingTheConnectionBelowIsSeenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, bare, served := mute(t, chanws.Options{})
		go func() { // an answer, and no close of its own, which Serve would be the first to see
			_, _ = io.ReadFull(bare, make([]byte, 4))
			_, _ = bare.Write(masked(8, "\x03\xe8"))
		}()
		require.NoError(t, c.Conn().Close(1000, ""))
		require.NoError(t, c.Close(1000, ""), "both close frames are out")
		require.NoError(t, <-served)
	})
}

func TestMinusOneWaitsForTheAnswerForEver(t *testing.T) {
	for _, d := range []time.Duration{-1, -time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c, bare, served := mute(t, chanws.Options{})
			time.AfterFunc(24*time.Hour, func() { bare.Write(masked(8, "\x03\xe8")) })
			require.NoError(t, c.CloseTimeout(1000, "", d))
			require.NoError(t, <-served)
		})
	}
}

func TestAReturnedCloseWaitsForTheAnswerAsLongAsTheServiceSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		callers := make(chan *adapt.Caller, 1)
		svc.OnOpen = func(c *adapt.Caller) error {
			callers <- c
			return chanws.Close{Code: 1000}
		}
		svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %s", kind(err)); return nil }
		h := newHost(t, adapt.Handler(shared(svc), &adapt.ServiceConfig{Options: chanws.Options{CloseTimeout: 5 * time.Second}}))
		silenced(t, h)
		began := time.Now()
		<-(<-callers).Context().Done()
		require.Equal(t, 5*time.Second, time.Since(began))
		synctest.Wait()
		require.Equal(t, []string{"error timeout"}, r.all())
	})
}
