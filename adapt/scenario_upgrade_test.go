package adapt_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestScenario014_UpgradeErrorRefusesWith400(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/cancel", refusing(&adapt.UpgradeError{Message: "Cannot proceed with websocket upgrade"}), nil)
	refused := scenarioRefused(t, l, "/cancel", nil)
	require.Equal(t, "400 Bad Request", refused.Status)
	require.Equal(t, "Cannot proceed with websocket upgrade\n", string(refused.Body))
}

func TestScenario015_UpgradeErrorRefusesWith400BelowItsPath(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/cancel/", refusing(&adapt.UpgradeError{Message: "Cannot proceed with websocket upgrade"}), nil)
	require.Equal(t, "400 Bad Request", scenarioRefused(t, l, "/cancel/xyz", nil).Status)
}

func TestScenario016_UnknownPathIsAHandshakeError(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/known", shared(echoing), nil)
	require.Equal(t, 404, scenarioRefused(t, l, "/known/unknown", nil).StatusCode)
}

func TestScenario017_NoServiceAtTheRootIs404(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/helloWorld/ws", shared(echoing), nil)
	require.Equal(t, "404 Not Found", scenarioRefused(t, l, "/", nil).Status)
}

func TestScenario018_PanicInAnUpgradeIs500(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	l := scenarioListener(t, "/", func(*http.Request) (*adapt.Service, error) {
		if calls.Add(1) == 1 {
			panic("secret")
		}
		return echoing, nil
	}, nil)
	refused := scenarioRefused(t, l, "/", nil)
	require.Equal(t, 500, refused.StatusCode)
	// The module sends the panic's text.
	require.NotContains(t, string(refused.Body), "secret")
	scenarioClient(t, l, "/", nil)
}

func TestScenario019_HandshakeTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
			time.Sleep(2 * time.Second)
			return echoing, nil
		}, nil))
		opts := chanws.ClientOptions{DialOptions: h.options()}
		opts.HandshakeTimeout = time.Second
		began := time.Now()
		_, err := chanws.NewClient(t.Context(), "ws://server.test/", &opts)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		time.Sleep(2 * time.Second)
	})
}

func TestScenario020_HandshakeTimeoutEndsWithTheHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
			time.Sleep(2 * time.Second)
			return &adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error {
				time.Sleep(5 * time.Second)
				return c.WriteTextMessage(text)
			}}, nil
		}, nil))
		opts := chanws.ClientOptions{DialOptions: h.options()}
		opts.HandshakeTimeout = 4 * time.Second
		c, err := chanws.NewClient(t.Context(), "ws://server.test/", &opts)
		require.NoError(t, err)
		scenarioWrite(t, c, chanws.Text("slow"))
		scenarioRead(t, c, chanws.Text("slow"))
		require.NoError(t, c.Close(1000, ""))
	})
}

func TestScenario021_MalformedURLIsAnError(t *testing.T) {
	t.Parallel()
	_, err := chanws.NewClient(t.Context(), "xxx", nil)
	require.ErrorContains(t, err, "xxx")
	var refused *chanws.HandshakeError
	require.NotErrorAs(t, err, &refused)
}

func TestScenario022_URLWithoutSchemeIsAnError(t *testing.T) {
	t.Parallel()
	_, err := chanws.NewClient(t.Context(), "127.0.0.1:9090/echo", nil)
	require.ErrorContains(t, err, "URL")
	var dialled *net.OpError
	require.NotErrorAs(t, err, &dialled)
}

func TestScenario042_CustomHeadersAndEveryKindOfParameter(t *testing.T) {
	t.Parallel()
	var count atomic.Int32
	closed := make(chan bool, 2)
	l := scenarioListener(t, "/isOpen/{matrix}/{i}/{b}/{f}", func(r *http.Request) (*adapt.Service, error) {
		// Matrix parameters are part of the path's value; the module strips them.
		name, matrix, _ := strings.Cut(r.PathValue("matrix"), ";")
		i, err1 := strconv.Atoi(r.PathValue("i"))
		b, err2 := strconv.ParseBool(r.PathValue("b"))
		f, err3 := strconv.ParseFloat(r.PathValue("f"), 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		number := count.Add(1)
		return &adapt.Service{
			Header: http.Header{"X-Some-Header": {"some-header-value"}},
			OnTextMessage: func(c *adapt.Caller, text string) error {
				if text == "close" {
					// The module gives an error for a timeout of 0, by accident.
					err := c.CloseTimeout(1000, "", 0)
					closed <- c.IsOpen()
					return err
				}
				return c.WriteTextMessage(fmt.Sprint(number, " ", name, " ", matrix, " ", i, " ", b, " ", f, " ", r.URL.Query().Get("x")))
			},
		}, nil
	}, nil)
	for _, number := range []string{"1", "2"} {
		c := scenarioClient(t, l, "/isOpen/abc;a=4;b=5/22/true/1.5?x=y", nil)
		require.Equal(t, "some-header-value", c.Response().Header.Get("X-Some-Header"))
		scenarioWrite(t, c, chanws.Text("tell"))
		scenarioRead(t, c, chanws.Text(number+" abc a=4;b=5 22 true 1.5 y"))
		scenarioWrite(t, c, chanws.Text("close"))
		scenarioReadClose(t, c, 1000, "")
		require.False(t, receive(t, closed))
	}
}

func TestScenario043_PathValueOfTheWrongTypeIs404(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/path/{i}", func(r *http.Request) (*adapt.Service, error) {
		if _, err := strconv.Atoi(r.PathValue("i")); err != nil {
			return nil, &adapt.UpgradeError{StatusCode: http.StatusNotFound}
		}
		return echoing, nil
	}, nil)
	require.Equal(t, 404, scenarioRefused(t, l, "/path/abc", nil).StatusCode)
	scenarioClient(t, l, "/path/22", nil)
}

func TestScenario044_PlainHTTPBesideAService(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("/ws", adapt.Handler(shared(echoing), nil))
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Hello World!") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	resp, err := server.Client().Get(server.URL + "/hello")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "Hello World!", string(body))

	c, err := chanws.NewClient(t.Context(), server.URL+"/ws", nil)
	require.NoError(t, err)
	scenarioWrite(t, c, chanws.Text("hi"))
	scenarioRead(t, c, chanws.Text("hi"))
	require.NoError(t, c.Close(1000, ""))
}

func TestScenario045_IsOpenIsFalseInOnClose(t *testing.T) {
	t.Parallel()
	open := make(chan bool, 1)
	c := scenarioDial(t, &adapt.Service{OnClose: func(c *adapt.Caller, _ chanws.StatusCode, _ string) error {
		open <- c.IsOpen()
		return nil
	}}, nil, nil)
	require.NoError(t, c.Close(1000, ""))
	require.False(t, receive(t, open))
}

func TestScenario046_HyphensInPaths(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/echo-base/web-socket", shared(echoing), nil)
	c := scenarioClient(t, l, "/echo-base/web-socket", nil)
	scenarioWrite(t, c, chanws.Text("hi"))
	scenarioRead(t, c, chanws.Text("hi"))
}

func TestScenario047_ClientWithoutCallbacksConnects(t *testing.T) {
	t.Parallel()
	opened := make(chan bool, 1)
	l := scenarioListener(t, "/", shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error {
		opened <- true
		return c.WriteTextMessage("nobody hears this")
	}}), nil)
	a := scenarioAsync(t, l, "/", nil, nil)
	require.True(t, receive(t, opened))
	require.NoError(t, a.Close(1000, ""))
}

// Not parallel: nobody else may get the port that becomes free.
func TestScenario048_AttachStartConnectDetachStop(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/", shared(echoing), nil))
	require.NoError(t, l.Start())
	c := scenarioClient(t, l, "/", nil)
	scenarioWrite(t, c, chanws.Text("hi"))
	scenarioRead(t, c, chanws.Text("hi"))
	require.NoError(t, l.Detach("/"))
	stopped := make(chan error, 1)
	go func() { stopped <- l.GracefulStop(t.Context()) }()
	// The module sends no close frame.
	require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(scenarioReadError(t, c)))
	require.NoError(t, receive(t, stopped))
	_, err := chanws.NewClient(t.Context(), scenarioURL(l, "/"), nil)
	var dialled *net.OpError
	require.ErrorAs(t, err, &dialled)
}

func TestScenario049_DetachOfAnUnknownServiceIsAnError(t *testing.T) {
	t.Parallel()
	l := newListener(t, nil)
	require.ErrorIs(t, l.Detach("/unknown"), adapt.ErrNotAttached)
	// The module has no immediateStop.
	require.NoError(t, l.Start())
	require.NoError(t, l.ImmediateStop())
}

// Not parallel: nobody else may get the port that is free.
func TestScenario050_RefusedConnectionIsANetworkError(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, unused.Close())
	_, err = chanws.NewClient(t.Context(), "ws://"+unused.Addr().String(), nil)
	var dialled *net.OpError
	require.ErrorAs(t, err, &dialled)
	require.Equal(t, "dial", dialled.Op)
}

func TestScenario053_TLSWithoutACertificateIsAnError(t *testing.T) {
	t.Parallel()
	// The module reads the files itself; here that is crypto/tls, before the listener.
	_, err := tls.LoadX509KeyPair("", "")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = adapt.NewListener("127.0.0.1:0", &adapt.ListenerConfig{TLSConfig: &tls.Config{}})
	require.ErrorContains(t, err, "certificate")
}

func TestScenario058_PortZeroPicksAPort(t *testing.T) {
	t.Parallel()
	// An error in the module.
	l := newListener(t, nil)
	require.NotZero(t, l.Addr().(*net.TCPAddr).Port)
}

func TestScenario059_NegativeIdleTimeoutIsAnError(t *testing.T) {
	t.Parallel()
	l := newListener(t, nil)
	err := l.Attach("/", shared(echoing), &adapt.ServiceConfig{Options: chanws.Options{IdleTimeout: -1}})
	require.ErrorContains(t, err, "IdleTimeout")
}
