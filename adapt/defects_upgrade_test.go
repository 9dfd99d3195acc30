package adapt_test

import (
	"context"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestDefectAbsent_LifecycleCallbacksCannotBeNamedByThePeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.Dispatch = &adapt.Dispatch{Key: "event", Routes: named("onHello")}
		s := serve(t, svc, chanws.Options{})
		want := []string{"open"}
		for _, event := range []string{"onOpen", "OnOpen", "open", "onError", "error", "onClose", "close", "onIdleTimeout", "ping", "onTextMessage", "nothing"} {
			text := `{"event":"` + event + `"}`
			s.Send <- chanws.Text(text)
			want = append(want, "text "+text)
		}
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.Equal(t, append(want, "close 1000 "), r.all())
	})
}

func TestDefectAbsent_InnerCapitalsAreKept(t *testing.T) {
	t.Parallel()
	require.Equal(t, "onUnSubscribe", dispatched(t, &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: named("onUnsubscribe", "onUnSubscribe")}}, `{"event":"unSubscribe"}`))
	require.Equal(t, "onUnsubscribe", dispatched(t, &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: named("onUnsubscribe", "onUnSubscribe")}}, `{"event":"unsubscribe"}`))
}

func TestDefectAbsent_TypesMayBeNamedLikeCallbacks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"onPing", "onClose", "onError", "onOpen"} {
		svc := &adapt.Service{
			OnPing:   func(*adapt.Caller, []byte) error { panic("called") },
			Dispatch: &adapt.Dispatch{Key: "event", Routes: named(name)},
		}
		require.Equal(t, name, dispatched(t, svc, `{"event":"`+name[2:]+`"}`))
	}
}

func TestDefectAbsent_UnmatchedTypesGoToOnMessage(t *testing.T) {
	t.Parallel()
	svc := &adapt.Service{
		OnMessage: func(c *adapt.Caller, _ chanws.Message) error { return c.WriteTextMessage("any") },
		Dispatch:  &adapt.Dispatch{Key: "event", Routes: named("onHello")},
	}
	require.Equal(t, "any", dispatched(t, svc, `{"event":"other"}`))
	svc.OnTextMessage = replying("text")
	require.ErrorIs(t, svc.Validate(), adapt.ErrInvalidService, "there is nothing to be in doubt about")
}

func TestDefectAbsent_BinaryPicksItsHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.Dispatch = &adapt.Dispatch{Key: "event", Routes: named("onHello")}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Binary(`{"event":"hello"}`)
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.Equal(t, []string{"open", `binary {"event":"hello"}`, "close 1000 "}, r.all())

		s = serve(t, bMirror(), chanws.Options{})
		s.Send <- chanws.Binary("b")
		expect(t, s.Conn, chanws.Binary("b"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestDefectAbsent_RoutingIsExact(t *testing.T) {
	t.Parallel()
	l := listen(t, "/chat", echoing)
	mustDial(t, l, "/chat")
	for _, path := range []string{"/Chat", "/CHAT", "/chats", "/mychat", "/chat/x", "/a/chat", "/cha", "/"} {
		_, err := dial(t, l, path)
		requireStatus(t, 404, err)
	}
}

func TestDefectAbsent_TheRootIsNotEveryPath(t *testing.T) {
	t.Parallel()
	l := listen(t, "/{$}", echoing)
	mustDial(t, l, "/")
	_, err := dial(t, l, "/below")
	requireStatus(t, 404, err)
}

func TestDefectAbsent_SeveralServicesAndPathsShareAListener(t *testing.T) {
	t.Parallel()
	l := newListener(t, nil)
	require.NoError(t, l.Start())
	for path, pattern := range map[string]string{
		"/taxi/drivers": "/taxi/drivers", "/taxi/riders": "/taxi/riders",
		"/taxi/drivers/7": "/taxi/drivers/{id}", "/Taxi/drivers": "/Taxi/drivers", "/taxi/drivers/7/seats": "/taxi/drivers/{id}/seats",
	} {
		require.NoError(t, l.Attach(pattern, shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(pattern) }}), nil))
		expect(t, mustDial(t, l, path), chanws.Text(pattern))
	}
}

func TestDefectAbsent_AMissingHeaderEndsTheHandshake(t *testing.T) {
	t.Parallel()
	opened := false
	up := func(r *http.Request) (*adapt.Service, error) {
		if r.Header.Get("X-Key") == "" {
			return nil, &adapt.UpgradeError{StatusCode: 400, Message: "X-Key is missing"}
		}
		return &adapt.Service{OnOpen: func(*adapt.Caller) error { opened = true; return nil }}, nil
	}
	answer := refused(t, up, nil, nil)
	require.Equal(t, 400, answer.StatusCode)
	require.Equal(t, "X-Key is missing\n", string(answer.Body))
	require.False(t, opened)
}

func TestDefectAbsent_ParametersMayBeAnything(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/rates/{rate}", func(r *http.Request) (*adapt.Service, error) {
		rate, ok := new(big.Rat).SetString(r.PathValue("rate"))
		if !ok {
			return nil, &adapt.UpgradeError{StatusCode: 404}
		}
		n := 7
		if s := r.URL.Query().Get("n"); s != "" {
			var err error
			if n, err = strconv.Atoi(s); err != nil {
				return nil, err
			}
		}
		return &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			return c.WriteTextMessage(rate.FloatString(20) + " " + strconv.Itoa(n))
		}}, nil
	}, nil)
	expect(t, mustDial(t, l, "/rates/0.12345678901234567890?n=1"), chanws.Text("0.12345678901234567890 1"))
	expect(t, mustDial(t, l, "/rates/2"), chanws.Text("2.00000000000000000000 7"))
	_, err := dial(t, l, "/rates/2?n=abc")
	requireStatus(t, 400, err)
	_, err = dial(t, l, "/rates/abc")
	requireStatus(t, 404, err)
}

func TestDefectAbsent_DetachWorks(t *testing.T) {
	t.Parallel()
	l := listen(t, "/echo", echoing)
	c := mustDial(t, l, "/echo")
	require.NoError(t, l.Detach("/echo"))
	_, err := dial(t, l, "/echo")
	requireStatus(t, 404, err)
	c.Send <- chanws.Text("goes on")
	expect(t, c, chanws.Text("goes on"))
	require.NoError(t, c.Close(1000, ""))
}

func TestDefectAbsent_GracefulStopSays1001AndDrains(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	l := listen(t, "/", &adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error {
		<-release
		return c.WriteTextMessage("answer to " + text)
	}})
	c := mustDial(t, l, "/")
	c.Send <- chanws.Text("a")
	c.Send <- chanws.Ping("p")
	expect(t, c, chanws.Pong("p"))
	stopped := make(chan error, 1)
	go func() { stopped <- l.GracefulStop(context.Background()) }()
	eventually(t, func() bool {
		_, err := dial(t, l, "/")
		var refused *chanws.HandshakeError
		return errors.As(err, &refused) && refused.StatusCode == 503
	})
	close(release)
	expect(t, c, chanws.Text("answer to a"))
	require.EqualValues(t, 1001, chanws.CloseStatus(ending(t, c)))
	require.NoError(t, receive(t, stopped))
}

func TestDefectAbsent_ImmediateStopCuts(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{true, false} {
		for range 20 {
			errs := make(chan error, 1)
			l := listen(t, "/", &adapt.Service{
				OnOpen: func(c *adapt.Caller) error {
					c.WriteTextMessage("here")
					if busy {
						<-c.Context().Done()
					}
					return nil
				},
				OnError: func(_ *adapt.Caller, err error) error { errs <- err; return nil },
			})
			c := mustDial(t, l, "/")
			expect(t, c, chanws.Text("here"))
			require.NoError(t, l.ImmediateStop())
			require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
			require.ErrorIs(t, receive(t, errs), net.ErrClosed)
		}
	}
}

func TestDefectAbsent_OriginsAreChecked(t *testing.T) {
	t.Parallel()
	evil := http.Header{"Origin": {"https://evil.test"}}
	require.Equal(t, 403, refused(t, shared(echoing), nil, evil).StatusCode)
	synctest.Test(t, func(t *testing.T) {
		opts := defectHost(t, echoing, &adapt.ServiceConfig{Origins: []string{"*.good.test"}}).options()
		opts.Header = http.Header{"Origin": {"https://www.good.test"}}
		c, err := chanws.Dial(t.Context(), serverURL, &opts)
		require.NoError(t, err)
		require.NoError(t, c.Close(1000, ""))
		opts.Header = evil
		_, err = chanws.Dial(t.Context(), serverURL, &opts)
		requireStatus(t, 403, err)
		synctest.Wait()
	})
}

func TestDefectAbsent_NothingOfAConnectionIsKept(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*chanws.Conn){
		func(c *chanws.Conn) { c.Close(1000, "") },
		func(c *chanws.Conn) { c.CloseNow() },
	} {
		services, callers := make(chan weak.Pointer[adapt.Service], 1), make(chan weak.Pointer[adapt.Caller], 1)
		l := scenarioListener(t, "/", func(*http.Request) (*adapt.Service, error) {
			s := &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- weak.Make(c); return nil }}
			services <- weak.Make(s)
			return s, nil
		}, nil)
		c := mustDial(t, l, "/")
		service, caller := receive(t, services), receive(t, callers)
		end(c)
		eventually(t, func() bool {
			runtime.GC()
			return service.Value() == nil && caller.Value() == nil
		})
	}
}

func TestDefectAbsent_ADroppedConnectionFreesItsPlace(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	l := newListener(t, &adapt.ListenerConfig{MaxConns: 1})
	require.NoError(t, l.Attach("/", shared(&adapt.Service{OnOpen: func(*adapt.Caller) error { opened.Add(1); return nil }}), nil))
	require.NoError(t, l.Start())
	for range 3 {
		var c *chanws.Conn
		eventually(t, func() bool {
			var err error
			c, err = dial(t, l, "/")
			return err == nil
		})
		_, err := dial(t, l, "/")
		requireStatus(t, 503, err)
		c.CloseNow()
	}
	require.LessOrEqual(t, opened.Load(), int32(3))
}

func TestDefectAbsent_ServerWritesTimeOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{WriteTimeout: 300 * time.Millisecond, CloseTimeout: 500 * time.Millisecond})
		began := time.Now()
		require.NoError(t, c.WriteBinaryMessage(make([]byte, 1<<20)))
		require.Error(t, c.Flush())
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		<-c.Context().Done()
		require.Equal(t, 800*time.Millisecond, time.Since(began), "the peer's last words have their time")
		require.Equal(t, "timeout", kind(<-served))
	})
}

func TestDefectAbsent_KeepaliveEndsASilentPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, bare, served := mute(t, chanws.Options{PingInterval: time.Second, PongTimeout: 300 * time.Millisecond})
		ping := make([]byte, 2)
		_, err := io.ReadFull(bare, ping)
		require.NoError(t, err)
		require.Equal(t, byte(0x89), ping[0])
		require.Equal(t, time.Second, time.Since(began))
		<-c.Context().Done()
		require.Equal(t, 1300*time.Millisecond, time.Since(began))
		require.Equal(t, "timeout", kind(<-served))
	})
}

func TestDefectAbsent_TheOutboundQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		c, bare, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		done := make(chan error)
		go func() {
			for {
				if err := c.WriteBinaryMessage(make([]byte, 32<<10)); err != nil {
					done <- err
					return
				}
				written.Add(1)
			}
		}()
		time.Sleep(time.Hour)
		require.Less(t, written.Load(), int64(20))
		bare.(interface{ Drop() }).Drop()
		require.Error(t, <-done)
		require.ErrorIs(t, <-served, io.ErrUnexpectedEOF)
	})
}
