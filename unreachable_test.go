package chanws_test

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// collected collects garbage until what it is asked about has happened.
func collected(t *testing.T, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "nothing was freed")
		runtime.GC()
	}
}

// goroutinesReturn returns a function that waits until there are no more goroutines than
// now.
func goroutinesReturn(t *testing.T) (back func()) {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		collected(t, func() bool { return runtime.NumGoroutine() <= before })
	}
}

// What the users of these connections forget is Close.
func TestConnsThatHaveEndedAndAreForgottenLeaveNoGoroutine(t *testing.T) {
	for name, use := range map[string]func(c *chanws.Conn){
		"after a loop over the events": func(c *chanws.Conn) {
			for ev := range c.Events() {
				if text, ok := ev.(chanws.Text); ok {
					c.Send <- text
				}
			}
		},
		"after Receive": func(c *chanws.Conn) {
			for {
				if _, err := c.Receive(c.Context()); err != nil {
					return
				}
			}
		},
		"after Done": func(c *chanws.Conn) {
			<-c.Request().Context().Done()
		},
		"at once": func(*chanws.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			back := goroutinesReturn(t)
			l, err := chanws.Listen("127.0.0.1:0", nil)
			require.NoError(t, err)
			for range 250 {
				c, err := chanws.Dial(t.Context(), l.URL(), nil)
				require.NoError(t, err)
				go use(<-l.Conns())
				require.NoError(t, c.Write(t.Context(), chanws.Text("hello")))
				require.NoError(t, c.CloseNow())
			}
			require.NoError(t, l.Close())
			back()
		})
	}
}

func TestClientsThatHaveEndedAndAreForgottenLeaveNoGoroutine(t *testing.T) {
	back := goroutinesReturn(t)
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	for range 100 {
		_, err := chanws.Dial(t.Context(), l.URL(), nil)
		require.NoError(t, err)
		require.NoError(t, (<-l.Conns()).CloseNow())
	}
	require.NoError(t, l.Close())
	back()
}

// echoOver answers until the connection ends. It has no Conn.
func echoOver(events <-chan chanws.Event, send chan<- chanws.Message) {
	for ev := range events {
		if text, ok := ev.(chanws.Text); ok {
			send <- text
		}
	}
}

func TestAForgottenConnThatLivesIsNotTouched(t *testing.T) {
	back := goroutinesReturn(t)
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	c, err := chanws.Dial(t.Context(), l.URL(), nil)
	require.NoError(t, err)
	served := make(chan (<-chan struct{}), 1)
	forgotten := make(chan weak.Pointer[chanws.Conn], 1)
	go func() {
		s := <-l.Conns()
		events, send := s.Events(), s.Send
		served <- s.Context().Done()
		forgotten <- weak.Make(s)
		echoOver(events, send)
	}()
	s := <-forgotten
	talk := func() {
		for range 1000 {
			require.NoError(t, c.Write(t.Context(), chanws.Text("still there?")))
			ev, err := c.Receive(t.Context())
			require.NoError(t, err)
			require.Equal(t, chanws.Event(chanws.Text("still there?")), ev)
		}
	}
	for range 10 {
		talk()
		runtime.GC()
	}
	require.NotNil(t, s.Value(), "the listener has it as long as it lives")
	require.NoError(t, c.CloseNow())
	<-<-served
	collected(t, func() bool { return s.Value() == nil })
	require.NoError(t, l.Close())
	back()
}

// A client is in nobody's registry.
func TestAForgottenClientThatLivesIsNotTouched(t *testing.T) {
	back := goroutinesReturn(t)
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	events, send, c := forgetfulDial(t, l.URL())
	s := <-l.Conns()
	go echoOver(events, send)
	collected(t, func() bool { return c.Value() == nil })
	for range 1000 {
		require.NoError(t, s.Write(t.Context(), chanws.Text("still there?")))
		ev, err := s.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Event(chanws.Text("still there?")), ev)
	}
	require.NoError(t, s.CloseNow())
	require.NoError(t, l.Close())
	back()
	// Nobody receives any more, but there is room for a loop's last replies.
	for range 2 * 64 {
		select {
		case send <- chanws.Text("late"):
		default:
			require.Fail(t, "Send is full")
		}
	}
}

func forgetfulDial(t *testing.T, url string) (<-chan chanws.Event, chan<- chanws.Message, weak.Pointer[chanws.Conn]) {
	c, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	return c.Events(), c.Send, weak.Make(c)
}

// The garbage collector is outside of a bubble, whose channels it must not touch.
func TestAForgottenConnInABubbleIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := wstest.NetPipe(t)
		l := oneListener{make(chan net.Conn, 1)}
		l.c <- far
		defer close(l.c)
		copies := make(chan chanws.Conn, 2) // not the Conns themselves
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := chanws.Upgrade(w, r, nil)
			if err == nil {
				copies <- *s
			}
		}))
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
		c, err := chanws.Dial(t.Context(), "ws://test/", &chanws.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		require.NoError(t, err)
		server, client := <-copies, *c
		require.NoError(t, server.CloseNow())
		<-c.Done()
		synctest.Wait()
		forgotten := weak.Make(c)
		c = nil
		collected(t, func() bool { return forgotten.Value() == nil })
		runtime.GC()
		require.NoError(t, client.CloseNow())
	})
}
