package adapt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("broken")

// callbacks gives, for every callback but OnError, a service where that one returns or
// panics, and what makes it run.
var callbacks = []struct {
	name string
	set  func(*adapt.Service, func(*adapt.Caller) error)
	// provoke is done by the client.
	provoke func(*chanws.Conn)
	// last tells that the callback comes when the connection has ended.
	last bool
}{
	{name: "OnOpen", set: func(s *adapt.Service, f func(*adapt.Caller) error) { s.OnOpen = f }, provoke: func(*chanws.Conn) {}},
	{name: "OnTextMessage", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnTextMessage = func(c *adapt.Caller, _ string) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Text("x") }},
	{name: "OnBinaryMessage", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnBinaryMessage = func(c *adapt.Caller, _ []byte) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Binary("x") }},
	{name: "OnMessage", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnMessage = func(c *adapt.Caller, _ chanws.Message) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Binary("x") }},
	{name: "OnPing", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnPing = func(c *adapt.Caller, _ []byte) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Ping("x") }},
	{name: "OnPong", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnPong = func(c *adapt.Caller, _ []byte) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Pong("x") }},
	{name: "OnIdleTimeout", set: func(s *adapt.Service, f func(*adapt.Caller) error) { s.OnIdleTimeout = f }, provoke: func(*chanws.Conn) {}},
	{name: `route "x"`, set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.Dispatch = &adapt.Dispatch{Key: "type", Routes: []adapt.Route{{Value: "x", Handle: func(c *adapt.Caller, _ string) error { return f(c) }}}}
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Text(`{"type":"x"}`) }},
	{name: "OnClose", set: func(s *adapt.Service, f func(*adapt.Caller) error) {
		s.OnClose = func(c *adapt.Caller, _ chanws.StatusCode, _ string) error { return f(c) }
	}, provoke: func(c *chanws.Conn) { c.Send <- chanws.Close{Code: 4321} }, last: true},
}

// provoked runs f in each callback. It gives what the client's connection ended with,
// and the errors that OnError got.
func provoked(t *testing.T, f func(*adapt.Caller) error, check func(t *testing.T, name string, last bool, end error, told []error)) {
	for _, cb := range callbacks {
		t.Run(cb.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				svc := &adapt.Service{OnError: func(_ *adapt.Caller, err error) error {
					told = append(told, err)
					return nil
				}}
				cb.set(svc, f)
				s := serve(t, svc, chanws.Options{IdleTimeout: 3 * time.Second})
				cb.provoke(s.Conn)
				time.Sleep(4 * time.Second)
				if s.Err() == nil {
					s.CloseNow()
				}
				<-s.served
				check(t, cb.name, cb.last, s.Err(), told)
			})
		})
	}
}

func TestAPanicInAnyCallbackClosesOnlyItsConnection(t *testing.T) {
	provoked(t, func(*adapt.Caller) error { panic(errBroken) }, func(t *testing.T, name string, last bool, end error, told []error) {
		want := chanws.Close{Code: 1011, Reason: "Unexpected condition"}
		if last {
			want = chanws.Close{Code: 4321}
		}
		require.Equal(t, want, end)
		require.Len(t, told, 1)
		var p *adapt.PanicError
		require.ErrorAs(t, told[0], &p)
		require.Equal(t, name, p.Callback)
		require.Equal(t, errBroken, p.Value)
		require.ErrorIs(t, p, errBroken)
		require.Contains(t, string(p.Stack), "reply_test.go")
		require.Contains(t, p.Error(), "broken")
	})
}

func TestAReturnedCloseCloses(t *testing.T) {
	for _, wrap := range []func(chanws.Close) error{
		func(c chanws.Close) error { return c },
		func(c chanws.Close) error { return fmt.Errorf("not any more: %w", c) },
	} {
		provoked(t, func(*adapt.Caller) error { return wrap(chanws.Close{Code: 3555, Reason: "custom"}) }, func(t *testing.T, name string, last bool, end error, told []error) {
			if last {
				require.Equal(t, chanws.Close{Code: 4321}, end)
			} else {
				require.Equal(t, chanws.Close{Code: 3555, Reason: "custom"}, end)
			}
			require.Empty(t, told)
		})
	}
}

func TestAReturnedErrorReachesOnErrorAndTheConnectionStaysOpen(t *testing.T) {
	provoked(t, func(*adapt.Caller) error { return errBroken }, func(t *testing.T, name string, last bool, end error, told []error) {
		if last {
			require.Equal(t, chanws.Close{Code: 4321}, end)
		} else {
			require.ErrorContains(t, end, "without a close handshake", "it was open until the client cut it")
		}
		require.Equal(t, []error{errBroken}, told)
	})
}

func TestAReturnedErrorThatNobodyHandlesClosesWith1011(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		s := serve(t, &adapt.Service{
			OnTextMessage: func(*adapt.Caller, string) error { return errBroken },
			OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error {
				r.note("close %d", int(code))
				return nil
			},
		}, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Text("b")
		end := ending(t, s.Conn)
		require.EqualValues(t, 1011, chanws.CloseStatus(end))
		require.NotContains(t, end.Error(), "broken", "the peer does not see the error")
		<-s.served
		require.Equal(t, []string{"close 1011"}, r.all())
	})
}

func TestNoFurtherMessageIsHandedOverAfterAReturnedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnTextMessage = func(_ *adapt.Caller, text string) error {
			r.note("text %s", text)
			time.Sleep(time.Second)
			return chanws.Close{Code: 1000}
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Text("b")
		s.Send <- chanws.Ping("p")
		<-s.served
		require.Equal(t, []string{"open", "text a", "close 1000 "}, r.all())
	})
}

func TestACloseThatMustNotBeSentCutsTheConnection(t *testing.T) {
	for _, end := range []chanws.Close{{Code: -1}, {Code: 999}, {Code: 1006}, {Code: 1015}, {Code: 5555}, {Reason: "r"}, {Code: 1005, Reason: "r"}} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, &adapt.Service{OnOpen: func(*adapt.Caller) error { return end }}, chanws.Options{})
			require.ErrorIs(t, ending(t, s.Conn), io.ErrUnexpectedEOF)
			<-s.served
		})
	}
}

func TestAReturnedReasonIsCutAtACharacterBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnOpen: func(*adapt.Caller) error {
			return chanws.Close{Code: 1000, Reason: "a" + strings.Repeat("ü", 100)}
		}}, chanws.Options{})
		require.Equal(t, chanws.Close{Code: 1000, Reason: "a" + strings.Repeat("ü", 61)}, ending(t, s.Conn))
		<-s.served
	})
}

func TestWhatOnErrorReturns(t *testing.T) {
	for _, tc := range []struct {
		name    string
		onError func() error
		want    error
	}{
		{"a Close closes", func() error { return chanws.Close{Code: 1007, Reason: "no"} }, chanws.Close{Code: 1007, Reason: "no"}},
		{"an error closes with 1011", func() error { return errBroken }, chanws.Close{Code: 1011, Reason: "handler failed"}},
		{"a panic closes with 1011", func() error { panic(errBroken) }, chanws.Close{Code: 1011, Reason: "Unexpected condition"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				s := serve(t, &adapt.Service{
					OnTextMessage: func(*adapt.Caller, string) error { return errors.New("first") },
					OnError:       func(*adapt.Caller, error) error { calls++; return tc.onError() },
				}, chanws.Options{})
				s.Send <- chanws.Text("a")
				require.Equal(t, tc.want, ending(t, s.Conn))
				<-s.served
				require.Equal(t, 1, calls)
			})
		})
	}
}

func TestPanicsAreLoggedWithTheConnectionsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var id string
		c := serveConfig(t, &adapt.Service{OnTextMessage: func(c *adapt.Caller, _ string) error {
			id = c.ConnectionID()
			panic("boom")
		}}, &adapt.ServiceConfig{Options: chanws.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))}})
		c.Send <- chanws.Text("a")
		require.EqualValues(t, 1011, chanws.CloseStatus(ending(t, c)))
		synctest.Wait()
		require.NotEmpty(t, id)
		for _, part := range []string{"conn=" + id, "panic=boom", "callback=OnTextMessage", "stack="} {
			require.Contains(t, log.String(), part)
		}
	})
}

func TestAWriteAfterTheOwnCloseReachesOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnTextMessage = func(c *adapt.Caller, _ string) error {
			if err := c.CloseTimeout(1001, "", 0); err != nil {
				return err
			}
			return c.WriteTextMessage("too late")
		}
		svc.OnError = func(_ *adapt.Caller, err error) error {
			require.ErrorAs(t, err, new(*adapt.ClosureError))
			r.note("error %v", err)
			return nil
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("a")
		require.NoError(t, <-s.served)
		require.Equal(t, []string{"open", "error adapt: write text message: this side has already closed the connection", "close 1001 "}, r.all())
	})
}

func TestACloseReturnedAfterCloseIsNoError(t *testing.T) {
	for _, again := range []error{chanws.Close{Code: 1000}, fmt.Errorf("wrapped: %w", chanws.Close{Code: 1000})} {
		synctest.Test(t, func(t *testing.T) {
			var r record
			svc := r.service()
			svc.OnOpen = func(c *adapt.Caller) error {
				_ = c.Close(4000, "first")
				return again
			}
			s := serve(t, svc, chanws.Options{})
			expect(t, s.Conn, chanws.Close{Code: 4000, Reason: "first"})
			<-s.served
			require.Equal(t, []string{"close 4000 "}, r.all())
		})
	}
}

func TestWhatAFailedWriteReturnsIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := wstest.Raw(t, &chanws.UpgradeOptions{Options: chanws.Options{WriteTimeout: time.Second}})
		var r record
		svc := r.service()
		svc.OnOpen = func(c *adapt.Caller) error {
			_ = c.WriteBinaryMessage(make([]byte, 1<<20))
			return c.Flush()
		}
		svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %s", kind(err)); return nil }
		<-start(server, svc)
		require.Equal(t, []string{"error timeout"}, r.all())
	})
}
