package adapt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// hostInGroup serves s in one's own http.Server, and returns a URL to dial.
func hostInGroup(t testing.TB, g *chanws.Group, s *adapt.Service) (*httptest.Server, string) {
	server := httptest.NewServer(adapt.Handler(shared(s), &adapt.ServiceConfig{Group: g}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { g.Close() })
	return server, "ws" + strings.TrimPrefix(server.URL, "http")
}

func dialURL(t testing.TB, url string) *chanws.Conn {
	c, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestShutdownOfAGroupServesWhatWasReceivedAndWaitsForTheLastCallback(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 10), make(chan struct{})
	closing, finish := make(chan chanws.StatusCode, 1), make(chan struct{})
	var g chanws.Group
	server, url := hostInGroup(t, &g, &adapt.Service{
		OnTextMessage: func(c *adapt.Caller, text string) error {
			begun <- struct{}{}
			<-release
			return c.WriteTextMessage(text)
		},
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error {
			closing <- code
			<-finish
			return nil
		},
	})
	_, other := hostInGroup(t, &g, echoing)
	c := dialURL(t, url)
	c.Send <- chanws.Text("a")
	c.Send <- chanws.Text("b")
	c.Send <- chanws.Ping("p")
	receive(t, begun)
	expect(t, c, chanws.Pong("p")) // b is received too
	stopped := make(chan error, 1)
	server.Config.RegisterOnShutdown(func() { stopped <- g.Shutdown(context.Background()) })
	require.NoError(t, server.Config.Shutdown(t.Context()))
	eventually(t, func() bool {
		early, err := chanws.Dial(t.Context(), other, nil)
		if err == nil {
			early.CloseNow()
		}
		var refused *chanws.HandshakeError
		return errors.As(err, &refused) && refused.StatusCode == 503
	})
	close(release)
	expect(t, c, chanws.Text("a"), chanws.Text("b"), chanws.Close{Code: 1001, Reason: "server is shutting down"})
	require.EqualValues(t, 1001, receive(t, closing))
	require.Empty(t, stopped, "OnClose still runs")
	eventually(t, func() bool { return g.Len() == 1 }) // those from before the 503 have left
	require.Empty(t, slices.Collect(g.Conns()), "its connection is not alive")
	close(finish)
	require.NoError(t, receive(t, stopped))
	require.Zero(t, g.Len())
}

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAGroupsShutdownWaitsForNoCallbackWhenItsPatienceEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *chanws.Group){
		"Shutdown": func(t *testing.T, g *chanws.Group) { require.ErrorIs(t, g.Shutdown(ended(t)), context.Canceled) },
		"Close":    func(t *testing.T, g *chanws.Group) { require.NoError(t, g.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, release := make(chan struct{}), make(chan struct{})
			errs := make(chan error, 1)
			var g chanws.Group
			_, url := hostInGroup(t, &g, &adapt.Service{
				OnTextMessage: func(*adapt.Caller, string) error { close(begun); <-release; return nil },
				OnError:       func(_ *adapt.Caller, err error) error { errs <- err; return nil },
			})
			c := dialURL(t, url)
			c.Send <- chanws.Text("x")
			receive(t, begun)
			require.Len(t, slices.Collect(g.Conns()), 1)
			end(t, &g)
			require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
			_, err := chanws.Dial(t.Context(), url, nil)
			requireStatus(t, 503, err)
			close(release)
			require.ErrorIs(t, receive(t, errs), net.ErrClosed)
			eventually(t, func() bool { return g.Len() == 0 })
		})
	}
}

func TestACallbackMayCloseItsGroup(t *testing.T) {
	t.Parallel()
	var g chanws.Group
	closed := make(chan error, 1)
	_, url := hostInGroup(t, &g, &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
		closed <- g.Close()
		return nil
	}})
	c := dialURL(t, url)
	c.Send <- chanws.Text("x")
	require.NoError(t, receive(t, closed))
	ending(t, c)
}

func TestAGroupMayBeSharedByAHandlerAndAListener(t *testing.T) {
	t.Parallel()
	var g chanws.Group
	var mu sync.Mutex
	served := make(map[*chanws.Conn]bool)
	s := &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		mu.Lock()
		served[c.Conn()] = true
		mu.Unlock()
		return c.WriteTextMessage("open")
	}}
	_, url := hostInGroup(t, &g, s)
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/in", shared(s), &adapt.ServiceConfig{Group: &g}))
	require.NoError(t, l.Attach("/out", shared(echoing), nil))
	require.NoError(t, l.Start())
	a, b, out := dialURL(t, url), mustDial(t, l, "/in"), mustDial(t, l, "/out")
	expect(t, a, chanws.Text("open"))
	expect(t, b, chanws.Text("open"))
	conns := slices.Collect(g.Conns())
	require.Len(t, conns, 2)
	mu.Lock()
	require.True(t, served[conns[0]] && served[conns[1]], "they are the Conns of the callbacks")
	mu.Unlock()

	require.NoError(t, g.Shutdown(t.Context()))
	for _, c := range []*chanws.Conn{a, b} {
		require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(ending(t, c)))
	}
	_, err := dial(t, l, "/in")
	requireStatus(t, 503, err)
	out.Send <- chanws.Text("still here")
	expect(t, out, chanws.Text("still here"))
	require.NoError(t, l.GracefulStop(t.Context()))
	require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(ending(t, out)))
}

func TestAnUpgradeInProgressDoesNotEscapeAGroup(t *testing.T) {
	t.Parallel()
	var g chanws.Group
	begun, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(adapt.Handler(func(*http.Request) (*adapt.Service, error) {
		close(begun)
		<-release
		return echoing, nil
	}, &adapt.ServiceConfig{Group: &g}))
	defer server.Close()
	dialled := make(chan error, 1)
	go func() {
		_, err := chanws.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		dialled <- err
	}()
	receive(t, begun)
	require.NoError(t, g.Shutdown(t.Context()))
	close(release)
	requireStatus(t, 503, receive(t, dialled))
}
