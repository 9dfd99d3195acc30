package adapt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func newListener(t testing.TB, cfg *adapt.ListenerConfig) *adapt.Listener {
	t.Helper()
	l, err := adapt.NewListener("127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.ImmediateStop() })
	return l
}

func listen(t testing.TB, pattern string, s *adapt.Service) *adapt.Listener {
	t.Helper()
	l := newListener(t, nil)
	require.NoError(t, l.Attach(pattern, shared(s), nil))
	require.NoError(t, l.Start())
	return l
}

func dial(t testing.TB, l *adapt.Listener, path string) (*chanws.Conn, error) {
	c, err := chanws.Dial(t.Context(), "ws://"+l.Addr().String()+path, nil)
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, err
}

func mustDial(t testing.TB, l *adapt.Listener, path string) *chanws.Conn {
	t.Helper()
	c, err := dial(t, l, path)
	require.NoError(t, err)
	return c
}

func requireStatus(t testing.TB, status int, err error) {
	t.Helper()
	var refused *chanws.HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.StatusCode)
}

// echoing is a service that echoes texts.
var echoing = &adapt.Service{OnTextMessage: (*adapt.Caller).WriteTextMessage}

func TestAListenerServesWhatIsAttached(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/chat/{room}", func(r *http.Request) (*adapt.Service, error) {
		return &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			return c.WriteTextMessage(r.PathValue("room") + " " + c.Request().PathValue("room"))
		}}, nil
	}, nil))
	require.NoError(t, l.Attach("/a-b/c-d", shared(echoing), nil))
	require.NoError(t, l.Attach("/all/", shared(echoing), nil))
	require.NoError(t, l.Start())

	expect(t, mustDial(t, l, "/chat/blue"), chanws.Text("blue blue"))
	c := mustDial(t, l, "/a-b/c-d")
	c.Send <- chanws.Text("x")
	expect(t, c, chanws.Text("x"))
	mustDial(t, l, "/all/x/y/z")

	for _, path := range []string{"/", "/chat", "/chat/a/b", "/other"} {
		_, err := dial(t, l, path)
		requireStatus(t, 404, err)
	}
	require.NoError(t, l.Attach("/late", shared(echoing), nil))
	mustDial(t, l, "/late")
}

func TestWhatCannotBeAttachedIsAnError(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/a/{x}", shared(echoing), nil))
	require.Error(t, l.Attach("/a/{x}", shared(echoing), nil), "twice")
	require.ErrorContains(t, l.Attach("/a/{y}", shared(echoing), nil), "conflict")
	require.Error(t, l.Attach("", shared(echoing), nil))
	require.Error(t, l.Attach("/{", shared(echoing), nil))
	require.ErrorContains(t, l.Attach("/b", nil, nil), "nil")
	require.ErrorContains(t, l.Attach("/b", shared(echoing), &adapt.ServiceConfig{Options: chanws.Options{EventBuffer: -1}}), "EventBuffer")
	require.ErrorContains(t, l.Attach("/b", shared(echoing), &adapt.ServiceConfig{Origins: []string{"a b"}}), "Origins")
	require.NoError(t, l.Attach("/b", shared(echoing), nil))
	require.NoError(t, l.Start())
	mustDial(t, l, "/a/1")
	mustDial(t, l, "/b")
}

func TestDetachEndsUpgradesAndNoConnection(t *testing.T) {
	l := listen(t, "/echo", echoing)
	c := mustDial(t, l, "/echo")
	require.ErrorIs(t, l.Detach("/other"), adapt.ErrNotAttached)
	require.NoError(t, l.Detach("/echo"))
	require.ErrorIs(t, l.Detach("/echo"), adapt.ErrNotAttached)
	_, err := dial(t, l, "/echo")
	requireStatus(t, 404, err)
	c.Send <- chanws.Text("still here")
	expect(t, c, chanws.Text("still here"))
	require.NoError(t, l.Attach("/echo", shared(echoing), nil))
	mustDial(t, l, "/echo")
}

func TestAListenerIsStartedOnceAndNotAfterAStop(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Start())
	require.Error(t, l.Start())
	require.NoError(t, l.ImmediateStop())
	require.ErrorIs(t, l.Start(), net.ErrClosed)
	require.ErrorIs(t, l.Attach("/", shared(echoing), nil), net.ErrClosed)
}

func TestAListenerThatWasNeverStartedIsStoppedToo(t *testing.T) {
	for _, stop := range []func(*adapt.Listener) error{(*adapt.Listener).ImmediateStop, func(l *adapt.Listener) error { return l.GracefulStop(t.Context()) }} {
		var again *adapt.Listener
		err := errors.New("none was tried")
		for range 10 { // somebody else may be given the port that is free now
			l := newListener(t, nil)
			require.NoError(t, stop(l))
			if again, err = adapt.NewListener(l.Addr().String(), nil); err == nil {
				break
			}
		}
		require.NoError(t, err, "the port is free")
		require.NoError(t, again.ImmediateStop())
	}
}

func TestGracefulStopSaysGoodbyeAfterWhatWasReceived(t *testing.T) {
	begun, release := make(chan struct{}, 10), make(chan struct{})
	closes := make(chan chanws.StatusCode, 1)
	l := listen(t, "/", &adapt.Service{
		OnTextMessage: func(c *adapt.Caller, text string) error {
			begun <- struct{}{}
			<-release
			return c.WriteTextMessage(text)
		},
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error { closes <- code; return nil },
	})
	c := mustDial(t, l, "/")
	c.Send <- chanws.Text("a")
	c.Send <- chanws.Text("b")
	c.Send <- chanws.Ping("p")
	receive(t, begun)
	expect(t, c, chanws.Pong("p")) // b is received too
	stopped := make(chan error, 1)
	go func() { stopped <- l.GracefulStop(context.Background()) }()
	eventually(t, func() bool {
		_, err := dial(t, l, "/")
		var refused *chanws.HandshakeError
		return errors.As(err, &refused) && refused.StatusCode == 503
	})
	require.Empty(t, stopped)
	close(release)
	expect(t, c, chanws.Text("a"), chanws.Text("b"), chanws.Close{Code: 1001, Reason: "server is shutting down"})
	require.NoError(t, receive(t, stopped))
	require.EqualValues(t, 1001, receive(t, closes))
	_, err := dial(t, l, "/")
	require.ErrorAs(t, err, new(*net.OpError))
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select that has the choice would take either
		require.NoError(t, l.GracefulStop(impatient), "it is over")
	}
	require.NoError(t, l.ImmediateStop())
}

// eventually asks until ok: for what becomes true without a sign of it.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		require.True(t, time.Now().Before(deadline))
	}
}

func TestGracefulStopCutsWhenItsPatienceEnds(t *testing.T) {
	errs := make(chan error, 1)
	release := make(chan struct{})
	begun := make(chan struct{})
	l := listen(t, "/", &adapt.Service{
		OnTextMessage: func(*adapt.Caller, string) error {
			close(begun)
			<-release
			return nil
		},
		OnError: func(_ *adapt.Caller, err error) error { errs <- err; return nil },
	})
	c := mustDial(t, l, "/")
	c.Send <- chanws.Text("x")
	receive(t, begun)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBroken)
	require.ErrorIs(t, l.GracefulStop(ctx), errBroken)
	require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
	close(release)
	require.ErrorIs(t, receive(t, errs), net.ErrClosed)
}

func TestImmediateStopCutsEverythingAlsoAGracefulStop(t *testing.T) {
	release := make(chan struct{})
	begun := make(chan struct{})
	l := listen(t, "/", &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
		close(begun)
		<-release
		return nil
	}})
	c := mustDial(t, l, "/")
	c.Send <- chanws.Text("x")
	receive(t, begun)
	stopped := make(chan error, 1)
	go func() { stopped <- l.GracefulStop(context.Background()) }()
	eventually(t, func() bool { return errors.Is(l.Attach("/x", shared(echoing), nil), net.ErrClosed) })
	require.NoError(t, l.ImmediateStop())
	require.ErrorIs(t, receive(t, stopped), net.ErrClosed)
	require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
	close(release)
}

func TestImmediateStopLetsNoneOfManyConnectionsSayGoodbye(t *testing.T) {
	l := listen(t, "/", &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("here") }})
	idle := make([]*chanws.Conn, 50)
	for i := range idle {
		idle[i] = mustDial(t, l, "/")
		expect(t, idle[i], chanws.Text("here"))
	}
	require.NoError(t, l.ImmediateStop())
	for _, c := range idle {
		require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
	}
}

func TestAnUpgradeThatOvertakesImmediateStopIsCut(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Start())
	var r record
	stop := slog.New(opened{slog.DiscardHandler, func() { _ = l.ImmediateStop() }})
	require.NoError(t, l.Attach("/", shared(r.service()), &adapt.ServiceConfig{Options: chanws.Options{Logger: stop}}))
	c := mustDial(t, l, "/")
	require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
	eventually(t, func() bool { return len(r.all()) == 2 })
	require.Contains(t, r.all()[1], "error ")
}

func TestWhoIsRefusedHasItsConnectionClosed(t *testing.T) {
	l := listen(t, "/here", echoing)
	resp, err := http.Get("http://" + l.Addr().String() + "/elsewhere")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.True(t, resp.Close, "else it would hold a stop up")
}

func TestAHandshakeInProgressIsRefusedByAStop(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{})
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/", func(*http.Request) (*adapt.Service, error) {
		close(begun)
		<-release
		return echoing, nil
	}, nil))
	require.NoError(t, l.Start())
	dialled := make(chan error, 1)
	go func() {
		_, err := dial(t, l, "/")
		dialled <- err
	}()
	receive(t, begun)
	stopped := make(chan error, 1)
	go func() { stopped <- l.GracefulStop(context.Background()) }()
	eventually(t, func() bool { return errors.Is(l.Attach("/x", shared(echoing), nil), net.ErrClosed) })
	close(release)
	requireStatus(t, 503, receive(t, dialled))
	require.NoError(t, receive(t, stopped))
}

func TestACallbackMayStopItsListenerAtOnce(t *testing.T) {
	stopped := make(chan error, 1)
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/", shared(&adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
		stopped <- l.ImmediateStop()
		return nil
	}}), nil))
	require.NoError(t, l.Start())
	c := mustDial(t, l, "/")
	c.Send <- chanws.Text("x")
	require.NoError(t, receive(t, stopped))
	ending(t, c)
}

func TestMaxConnsIsALimit(t *testing.T) {
	l := newListener(t, &adapt.ListenerConfig{MaxConns: 2})
	require.NoError(t, l.Attach("/", shared(echoing), nil))
	require.NoError(t, l.Start())
	a, b := mustDial(t, l, "/"), mustDial(t, l, "/")
	for range 3 {
		_, err := dial(t, l, "/")
		requireStatus(t, 503, err)
	}
	for _, c := range []*chanws.Conn{a, b} {
		require.NoError(t, c.Close(1000, ""))
		eventually(t, func() bool { // its place is free when its callbacks are through
			_, err := dial(t, l, "/")
			return err == nil
		})
	}
	_, err := dial(t, l, "/")
	requireStatus(t, 503, err)
}

func TestLongHeadersAreRefused(t *testing.T) {
	l := listen(t, "/", echoing)
	_, err := chanws.Dial(t.Context(), "ws://"+l.Addr().String()+"/", &chanws.DialOptions{Header: http.Header{"X-Long": {strings.Repeat("x", 20_000)}}})
	requireStatus(t, 431, err)
}

func TestAListenerForTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificates := server.TLS.Certificates
	server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	_, err := adapt.NewListener("127.0.0.1:0", &adapt.ListenerConfig{TLSConfig: &tls.Config{}})
	require.ErrorContains(t, err, "certificate")
	l := newListener(t, &adapt.ListenerConfig{TLSConfig: &tls.Config{Certificates: certificates}})
	secure := make(chan bool, 2)
	require.NoError(t, l.Attach("/", shared(&adapt.Service{
		OnOpen:        func(c *adapt.Caller) error { secure <- c.IsSecure(); return nil },
		OnTextMessage: (*adapt.Caller).WriteTextMessage,
	}), nil))
	require.NoError(t, l.Start())
	texts := make(chan string, 1)
	client, err := adapt.NewAsyncClient(t.Context(), "wss://"+l.Addr().String()+"/", &adapt.Service{
		OnOpen:        func(c *adapt.Caller) error { secure <- c.IsSecure(); return c.WriteTextMessage("x") },
		OnTextMessage: func(_ *adapt.Caller, text string) error { texts <- text; return nil },
	}, &adapt.ClientConfig{DialOptions: chanws.DialOptions{TLSConfig: &tls.Config{RootCAs: roots}}})
	require.NoError(t, err)
	require.Equal(t, "x", receive(t, texts))
	require.True(t, receive(t, secure))
	require.True(t, receive(t, secure))
	require.NoError(t, client.Close(1000, ""))
	receive(t, client.Done())

	_, err = adapt.NewAsyncClient(t.Context(), "wss://"+l.Addr().String()+"/", nil, nil)
	require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
}

func TestListenersThatCannotListenSaySo(t *testing.T) {
	l := newListener(t, nil)
	_, err := adapt.NewListener(l.Addr().String(), nil)
	require.ErrorAs(t, err, new(*net.OpError))
	for _, cfg := range []*adapt.ListenerConfig{{MaxConns: -1}, {MaxHeaderBytes: -1}} {
		_, err := adapt.NewListener("127.0.0.1:0", cfg)
		require.ErrorContains(t, err, "negative")
	}
}
