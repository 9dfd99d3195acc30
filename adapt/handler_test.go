package adapt_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// refused gives the answer of a handshake that must fail.
func refused(t *testing.T, up adapt.UpgradeFunc, cfg *adapt.ServiceConfig, header http.Header) (answer *chanws.HandshakeError) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts := newHost(t, adapt.Handler(up, cfg)).options()
		opts.Header = header
		_, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
		require.ErrorAs(t, err, &answer)
	})
	return answer
}

func TestAnUpgradeFuncRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		up     adapt.UpgradeFunc
		status int
		body   string
	}{
		{"with an UpgradeError's status", refusing(&adapt.UpgradeError{StatusCode: 429, Message: "later"}), 429, "later\n"},
		{"with a wrapped UpgradeError's status", refusing(fmt.Errorf("full: %w", &adapt.UpgradeError{StatusCode: 503})), 503, "Service Unavailable\n"},
		{"with 400 for an UpgradeError without status", refusing(&adapt.UpgradeError{Message: "no room"}), 400, "no room\n"},
		{"with 400 and its text for another error", refusing(errBroken), 400, "broken\n"},
		{"with 401", refusing(&adapt.AuthnError{Message: "who are you?"}), 401, "who are you?\n"},
		{"with 403", refusing(fmt.Errorf("x: %w", &adapt.AuthzError{})), 403, "Forbidden\n"},
		{"with 404", refusing(&adapt.UpgradeError{StatusCode: 404}), 404, "Not Found\n"},
		{"with 500 for a status that refuses nothing", refusing(&adapt.UpgradeError{StatusCode: 200}), 500, "Internal Server Error\n"},
		{"with 500 for a panic", func(*http.Request) (*adapt.Service, error) { panic("secret") }, 500, "Internal Server Error\n"},
		{"with 401 for a panic that says so", func(*http.Request) (*adapt.Service, error) { panic(&adapt.AuthnError{}) }, 401, "Unauthorized\n"},
		{"with 500 for a nil service", shared(nil), 500, "adapt: invalid service: nil: want a *Service\n"},
		{"with 500 for a service that cannot work", shared(&adapt.Service{Dispatch: &adapt.Dispatch{}}), 500, "adapt: invalid service: Dispatch: no Key: want the name of the JSON member that holds the type\n"},
		{"with 500 for a nil UpgradeError", refusing((*adapt.UpgradeError)(nil)), 500, "Internal Server Error\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := refused(t, tc.up, nil, nil)
			require.Equal(t, tc.status, answer.StatusCode)
			require.Equal(t, tc.body, string(answer.Body))
		})
	}
}

func refusing(err error) adapt.UpgradeFunc {
	return func(*http.Request) (*adapt.Service, error) { return nil, err }
}

func TestARefusalHasItsHeaders(t *testing.T) {
	answer := refused(t, refusing(&adapt.UpgradeError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Basic"}}}), nil, nil)
	require.Equal(t, "Basic", answer.Header.Get("WWW-Authenticate"))
}

func TestAuthorizeComesBeforeTheUpgradeFuncAndTheOriginBeforeBoth(t *testing.T) {
	never := func(*http.Request) (*adapt.Service, error) { panic("called") }
	for _, tc := range []struct {
		err    error
		status int
		body   string
	}{
		{errBroken, 403, "Forbidden\n"},
		{&adapt.AuthnError{Message: "m"}, 401, "m\n"},
		{&adapt.UpgradeError{Message: "m"}, 403, "m\n"},
		{&adapt.UpgradeError{StatusCode: 402}, 402, "Payment Required\n"},
	} {
		answer := refused(t, never, &adapt.ServiceConfig{Authorize: func(*http.Request) error { return tc.err }}, nil)
		require.Equal(t, tc.status, answer.StatusCode)
		require.Equal(t, tc.body, string(answer.Body))
	}
	answer := refused(t, never, &adapt.ServiceConfig{Authorize: func(*http.Request) error { panic("called") }}, http.Header{"Origin": {"http://evil.test"}})
	require.Equal(t, 403, answer.StatusCode)
}

func TestSelectSubprotocolChoosesAfterTheUpgradeFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upgraded := false
		h := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
			upgraded = true
			return &adapt.Service{}, nil
		}, &adapt.ServiceConfig{SelectSubprotocol: func(_ *http.Request, offered []string) (string, error) {
			require.True(t, upgraded)
			require.Equal(t, []string{"a", "b"}, offered)
			return "b", nil
		}}))
		opts := h.options()
		opts.Subprotocols = []string{"a", "b"}
		c, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
		require.NoError(t, err)
		require.Equal(t, "b", c.Subprotocol())
		require.NoError(t, c.Close(1000, ""))
	})
}

func TestErrorsOfSelectSubprotocolAreAnsweredAsThoseOfAuthorize(t *testing.T) {
	for _, tc := range []struct {
		err    error
		panics bool
		status int
		body   string
	}{
		{errBroken, false, 403, "Forbidden\n"},
		{&adapt.AuthnError{Message: "m"}, false, 401, "m\n"},
		{&adapt.UpgradeError{Message: "m"}, false, 403, "m\n"},
		{errBroken, true, 500, "Internal Server Error\n"},
		{&adapt.AuthnError{Message: "m"}, true, 401, "m\n"},
		{nil, false, 500, "Internal Server Error\n"}, // which chooses what was not offered
	} {
		answer := refused(t, shared(&adapt.Service{}), &adapt.ServiceConfig{SelectSubprotocol: func(*http.Request, []string) (string, error) {
			if tc.panics {
				panic(tc.err)
			}
			return "chat", tc.err
		}}, nil)
		require.Equal(t, tc.status, answer.StatusCode)
		require.Equal(t, tc.body, string(answer.Body))
	}
}

func TestAHandlerThatCannotWorkAnswers500AndSaysWhy(t *testing.T) {
	for _, h := range []struct {
		up   adapt.UpgradeFunc
		cfg  *adapt.ServiceConfig
		body string
	}{
		{nil, nil, "adapt: handler: the UpgradeFunc is nil: want a function that returns the service"},
		{shared(&adapt.Service{}), &adapt.ServiceConfig{Options: chanws.Options{MaxMessageSize: -2}}, "MaxMessageSize"},
		{shared(&adapt.Service{}), &adapt.ServiceConfig{Options: chanws.Options{CompressionLevel: 10}}, "CompressionLevel"},
		{shared(&adapt.Service{}), &adapt.ServiceConfig{Subprotocols: []string{"a b"}}, "Subprotocols"},
		{shared(&adapt.Service{}), &adapt.ServiceConfig{Subprotocols: []string{"a"}, SelectSubprotocol: func(*http.Request, []string) (string, error) { return "a", nil }}, "SelectSubprotocol"},
	} {
		answer := refused(t, h.up, h.cfg, nil)
		require.Equal(t, 500, answer.StatusCode)
		require.Contains(t, string(answer.Body), h.body)
	}
}

func TestAnUpgradeThatFailsHereIsLogged(t *testing.T) {
	var log bytes.Buffer
	cfg := &adapt.ServiceConfig{Options: chanws.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))}}
	refused(t, func(*http.Request) (*adapt.Service, error) { panic("secret") }, cfg, nil)
	require.Contains(t, log.String(), "panic=secret")
	log.Reset()
	refused(t, shared(nil), cfg, nil)
	require.Contains(t, log.String(), "invalid service")
}

func TestHeadersOfTheServiceAreOnThe101(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveConfig(t, &adapt.Service{Header: http.Header{"Set-Cookie": {"username=name", "b=c"}, "x-lower": {"1"}}}, nil)
		require.Equal(t, []string{"username=name", "b=c"}, c.Response().Header.Values("Set-Cookie"))
		require.Equal(t, "1", c.Response().Header.Get("X-Lower"))
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
	})
}

func TestAnUpgradeFuncMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
			time.Sleep(2 * time.Second)
			return &adapt.Service{}, nil
		}, nil))
		opts := h.options()
		opts.HandshakeTimeout = time.Second
		_, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		opts.HandshakeTimeout = 3 * time.Second
		c, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
		require.NoError(t, err)
		require.NoError(t, c.Close(1000, ""))
		time.Sleep(time.Minute)
	})
}

func TestEachConnectionMayHaveAServiceOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("GET /{name}", adapt.Handler(func(r *http.Request) (*adapt.Service, error) {
			greeting := r.Header.Get("X-Greeting") + r.PathValue("name") + r.URL.Query().Get("mark")
			return &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(greeting) }}, nil
		}, nil))
		h := newHost(t, mux)
		for _, name := range []string{"alice", "bob"} {
			opts := h.options()
			opts.Header = http.Header{"X-Greeting": {"hello-"}}
			c, err := chanws.Dial(t.Context(), "ws://server.test/"+name+"?mark=!", &opts)
			require.NoError(t, err)
			expect(t, c, chanws.Text("hello-"+name+"!"))
			require.NoError(t, c.Close(1000, ""))
		}
		synctest.Wait()
	})
}

func TestTheDefaultsAreTheModules(t *testing.T) {
	t.Run("frames of more than 65536 bytes are refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var r record
			svc := r.service()
			svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %s", kind(err)); return nil }
			svc.OnTextMessage = func(_ *adapt.Caller, s string) error { r.note("%d", len(s)); return nil }
			c := serveConfig(t, svc, nil)
			c.Send <- chanws.Text(strings.Repeat("x", 65536))
			c.Send <- chanws.Text(strings.Repeat("x", 65537))
			require.EqualValues(t, 1009, chanws.CloseStatus(ending(t, c)))
			c.CloseNow()
			synctest.Wait()
			require.Equal(t, []string{"open", "65536", "error protocol"}, r.all())
		})
	})
	t.Run("messages are sent in fragments of 65536 bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			big := strings.Repeat("ü", 100_000)
			h := newHost(t, adapt.Handler(shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(big) }}), nil))
			opts := h.options()
			opts.MaxFrameSize = 65536
			c, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
			require.NoError(t, err)
			require.Equal(t, chanws.Text(big), <-c.Events())
			synctest.Wait() // the counters are brought up to date when the connection waits
			require.EqualValues(t, 4, c.Stats().FramesReceived)
			require.NoError(t, c.Close(1000, ""))
			synctest.Wait()
		})
	})
	t.Run("but messages of more than 1 MiB are refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(shared(&adapt.Service{}), nil))
			opts := h.options()
			opts.FragmentSize = 65536
			c, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
			require.NoError(t, err)
			_ = c.Write(t.Context(), chanws.Text(strings.Repeat("x", 1<<20+1)))
			require.EqualValues(t, 1009, chanws.CloseStatus(ending(t, c)))
			c.CloseNow()
			synctest.Wait()
		})
	})
}

// A wrapped response writer is what middleware hands on; only Unwrap shows the true one.
type wrapped struct{ http.ResponseWriter }

type unwrapping struct{ wrapped }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestAHandlerWorksBehindMiddlewareThatUnwraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var r record
		rooms := http.NewServeMux()
		rooms.Handle("/rooms/{room}", adapt.Handler(func(req *http.Request) (*adapt.Service, error) {
			svc := r.service()
			svc.OnTextMessage = func(c *adapt.Caller, _ string) error {
				return c.WriteMessage(fmt.Sprint(c.Request().PathValue("room"), " ", c.Context().Value(key{}), " ", req.PathValue("room")))
			}
			return svc, nil
		}, nil))
		outer := http.NewServeMux()
		outer.HandleFunc("/v1/", func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("X-Middleware", "was here")
			ctx, cancel := context.WithCancel(context.WithValue(req.Context(), key{}, "alice"))
			defer cancel() // ends with the handshake, as net/http's own does
			http.StripPrefix("/v1", rooms).ServeHTTP(unwrapping{wrapped{w}}, req.WithContext(ctx))
		})
		outer.HandleFunc("/blind/", func(w http.ResponseWriter, req *http.Request) {
			http.StripPrefix("/blind", rooms).ServeHTTP(wrapped{w}, req)
		})
		h := newHost(t, outer)
		c := h.connect("/v1/rooms/blue")
		require.Equal(t, "was here", c.Response().Header.Get("X-Middleware"))
		c.Send <- chanws.Text("x")
		expect(t, c, chanws.Text("blue alice blue"))
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
		require.Equal(t, []string{"open", "close 1000 "}, r.all())

		opts := h.options()
		_, err := chanws.Dial(t.Context(), "ws://server.test/blind/rooms/blue", &opts)
		requireStatus(t, 501, err)
		require.Len(t, r.all(), 2, "no callback without a connection")
		synctest.Wait()
	})
}
