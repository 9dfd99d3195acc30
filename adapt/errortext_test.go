package adapt_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The error texts that users see are a specification: each says what was wrong, with
// the value, and what to do about it.

func TestAnInvalidServiceSaysWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	onText := func(*adapt.Caller, string) error { return nil }
	onBinary := func(*adapt.Caller, []byte) error { return nil }
	onMessage := func(*adapt.Caller, chanws.Message) error { return nil }
	dispatch := func(key string, routes ...adapt.Route) *adapt.Service {
		return &adapt.Service{Dispatch: &adapt.Dispatch{Key: key, Routes: routes}}
	}
	for want, s := range map[string]*adapt.Service{
		"nil: want a *Service": nil,
		"OnMessage beside OnTextMessage: OnMessage is called for both kinds, so set one of them":                        {OnMessage: onMessage, OnTextMessage: onText},
		"OnMessage beside OnBinaryMessage: OnMessage is called for both kinds, so set one of them":                      {OnMessage: onMessage, OnBinaryMessage: onBinary},
		`Header "Upgrade" belongs to the handshake`:                                                                     {Header: http.Header{"Upgrade": {"x"}}},
		"Dispatch: no Key: want the name of the JSON member that holds the type":                                        dispatch(""),
		`Dispatch: route 1 (route "b") has no Handle`:                                                                   dispatch("type", adapt.Route{Value: "a", Handle: onText}, adapt.Route{Value: "b"}),
		"Dispatch: route 0 (onSubscribe) has no Handle":                                                                 dispatch("type", adapt.Route{Name: "onSubscribe"}),
		`Dispatch: route 0: Value "" and Name "": want one of the two`:                                                  dispatch("type", adapt.Route{Handle: onText}),
		`Dispatch: route 0: Value "x" and Name "onX": want one of the two`:                                              dispatch("type", adapt.Route{Value: "x", Name: "onX", Handle: onText}),
		`Dispatch: two routes for the type "x"`:                                                                         dispatch("type", adapt.Route{Value: "x", Handle: onText}, adapt.Route{Value: "x", Handle: onText}),
		`Dispatch: two routes for the type "x": its own, and onX`:                                                       dispatch("type", adapt.Route{Value: "x", Handle: onText}, adapt.Route{Name: "onX", Handle: onText}),
		`Dispatch: route 0: no type makes the name "subscribe": want "on" and a word with a capital, as in onSubscribe`: dispatch("type", adapt.Route{Name: "subscribe", Handle: onText}),
	} {
		err := s.Validate()
		require.ErrorIs(t, err, adapt.ErrInvalidService)
		require.EqualError(t, err, "adapt: invalid service: "+want)
	}
}

func TestAWriteThatIsRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	const codes = " must not be sent: want 1000 to 1003, 1007 to 1014, 3000 to 4999, or 0 for none"
	for want, do := range map[string]func(*adapt.Caller) error{
		"write text message: invalid message: text is not valid UTF-8: 0xff at byte 1; want a binary message for other bytes": func(c *adapt.Caller) error { return c.WriteTextMessage("a\xff") },
		"write message: invalid message: text is not valid UTF-8: 0x80 at byte 0; want a binary message for other bytes":      func(c *adapt.Caller) error { return c.WriteMessage(chanws.Text("\x80")) },
		"write message: invalid message: nil: want a string, bytes, a chanws.Message, or a value for JSON":                    func(c *adapt.Caller) error { return c.WriteMessage(nil) },
		"write message: invalid message: encode chan int: json: unsupported type: chan int":                                   func(c *adapt.Caller) error { return c.WriteMessage(make(chan int)) },
		"write message: invalid message: *chanws.Text is no message type: want chanws.Text, Binary, Ping, Pong or Close": func(c *adapt.Caller) error {
			text := chanws.Text("text")
			return c.WriteMessage(&text)
		},
		"write message: invalid message: *chanws.Close is no message type: want chanws.Text, Binary, Ping, Pong or Close": func(c *adapt.Caller) error {
			return c.WriteMessage(&chanws.Close{Code: 1000})
		},
		"ping: invalid message: ping of 200 bytes: want at most 125":                                      func(c *adapt.Caller) error { return c.Ping(make([]byte, 200)) },
		"pong: invalid message: pong of 126 bytes: want at most 125":                                      func(c *adapt.Caller) error { return c.Pong(make([]byte, 126)) },
		"close: invalid message: close code 42" + codes:                                                   func(c *adapt.Caller) error { return c.Close(42, "") },
		"close: invalid message: close code 1006" + codes:                                                 func(c *adapt.Caller) error { return c.CloseTimeout(1006, "", 0) },
		"write message: invalid message: close code 5000" + codes:                                         func(c *adapt.Caller) error { return c.WriteMessage(chanws.Close{Code: 5000}) },
		"close: invalid message: close reason of 200 bytes: want at most 123":                             func(c *adapt.Caller) error { return c.Close(1000, strings.Repeat("r", 200)) },
		`close: invalid message: close reason "bye" without a close code: want 1000 for a normal closure`: func(c *adapt.Caller) error { return c.Close(0, "bye") },
		"close: invalid timeout: -5s: want 0 or more, or -1 to wait without limit":                        func(c *adapt.Caller) error { return c.CloseTimeout(1000, "", -5*time.Second) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _, served := mute(t, chanws.Options{})
			require.EqualError(t, do(c), "adapt: "+want)
			require.True(t, c.IsOpen())
			require.NoError(t, c.CloseNow())
			<-served
		})
	}
}

func TestAClosedCallerSaysWhatWasClosed(t *testing.T) {
	t.Parallel()
	const (
		own   = "this side has already closed the connection"
		twice = "chanws: the connection has already been closed by an earlier Close or CloseNow"
		now   = "chanws: connection closed by CloseNow, without a close handshake"
	)
	closeIt := func(c *adapt.Caller) error { return c.Close(1000, "") }
	closeNow := func(c *adapt.Caller) error { return c.CloseNow() }
	below := func(c *adapt.Caller) error { return c.Conn().CloseNow() }
	closing := func(c *adapt.Caller) error { return c.Conn().Write(c.Context(), chanws.Close{Code: 1000}) }
	write := func(c *adapt.Caller) error { return c.WriteTextMessage("x") }
	flush := func(c *adapt.Caller) error { return c.Flush() }
	stream := func(c *adapt.Caller) error { return adapt.Stream[int](c, nil) }
	for name, tc := range map[string]struct {
		first, then func(*adapt.Caller) error
		want        string
	}{
		"Close after Close":                       {closeIt, closeIt, "adapt: close: " + own},
		"Close after CloseNow":                    {closeNow, closeIt, "adapt: close: " + own},
		"CloseNow after Close":                    {closeIt, closeNow, twice},
		"CloseNow after CloseNow":                 {closeNow, closeNow, twice},
		"a write after Close":                     {closeIt, write, "adapt: write text message: " + own},
		"Flush after Close":                       {closeIt, flush, "adapt: flush: " + own},
		"a stream after CloseNow":                 {closeNow, stream, "adapt: stream: " + own},
		"a write after the Conn's CloseNow":       {below, write, "adapt: write text message: " + now},
		"Flush after the Conn's CloseNow":         {below, flush, "adapt: flush: " + now},
		"a write after a close frame of the Conn": {closing, write, "adapt: write text message: nothing can be written any more: the connection is closing"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, bare, served := mute(t, chanws.Options{})
				if name != "a write after a close frame of the Conn" {
					go answerClose(bare)
				}
				require.NoError(t, tc.first(c))
				err := tc.then(c)
				require.ErrorIs(t, err, net.ErrClosed)
				require.EqualError(t, err, tc.want)
				c.CloseNow()
				<-served
			})
		})
	}
}

func TestAFrameAboveTheServicesLimitIsNamedOnBothSides(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.ImmediateStop()
	service := &adapt.Service{OnError: func(_ *adapt.Caller, err error) error { failed <- err; return nil }}
	require.NoError(t, l.Attach("/", func(*http.Request) (*adapt.Service, error) { return service, nil }, nil))
	require.NoError(t, l.Start())
	c, err := chanws.Dial(t.Context(), "ws://"+l.Addr().String(), nil)
	require.NoError(t, err)
	defer c.CloseNow()
	c.Send <- chanws.Binary(make([]byte, 70_000))
	const reason = "frame of 70000 bytes, more than Options.MaxFrameSize 65536"
	require.EqualError(t, receive(t, failed), "websocket protocol: "+reason+" (1009 (message too big))")
	require.ErrorContains(t, ending(t, c), `websocket closed: 1009 (message too big): "`+reason+`"; send smaller messages`)
}

func TestServeOfANilConnIsAnError(t *testing.T) {
	t.Parallel()
	err := adapt.Serve(nil, &adapt.Service{})
	require.EqualError(t, err, "adapt: serve: nil *chanws.Conn: check the error of what made it")
}

func TestAHandlerOfANilFunctionPanicsWhenItIsMade(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "adapt: JSON: nil function", func() { adapt.JSON[int, int](nil) })
	require.PanicsWithValue(t, "adapt: JSONMessage: nil function", func() { adapt.JSONMessage[int, int](nil) })
	require.PanicsWithValue(t, "adapt: JSONStream: nil function", func() { adapt.JSONStream[int, int](nil) })
}

func TestAnErrorOfTheConnectionIsFoundInThatOfTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{})
		err := c.CloseTimeout(1000, "", 50*time.Millisecond)
		var closure *adapt.ClosureError
		require.True(t, errors.As(err, &closure))
		// The connection's own timer and that of the call expire at the same time.
		require.Regexp(t, "^adapt: close: chanws: .*no answer to the close frame within (CloseTimeout )?50ms: i/o timeout$", err.Error())
		<-served
	})
}

func TestAPatternThatCannotBeAttachedSaysWhy(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Attach("/room/{a}", shared(echoing), nil))
	for pattern, want := range map[string]string{
		"":                 `empty pattern: want a path such as "/chat", or "/" for every path`,
		"POST /x":          `method "POST": a handshake is a GET request, want "/x"`,
		"HEAD  /x":         `method "HEAD": a handshake is a GET request, want "/x"`,
		"get\t/x":          `method "get": a handshake is a GET request, want "/x"`,
		"ws://a.example/x": `host "ws:": want a host without scheme and port, as in "example.com/chat"`,
		"a.example:80/x":   `host "a.example:80": want a host without scheme and port, as in "example.com/chat"`,
		"GET [::1]:80/x":   `host "[::1]:80": want a host without scheme and port, as in "example.com/chat"`,
		"/room/{b}":        `pattern "/room/{b}" conflicts with pattern "/room/{a}": /room/{b} matches the same requests as /room/{a}`,
		"/room/{a}":        "there is a service already",
		"/{":               `parsing "/{": at offset 1: bad wildcard segment (must end with '}')`,
	} {
		require.EqualError(t, l.Attach(pattern, shared(echoing), nil), fmt.Sprintf("adapt: attach %q: %s", pattern, want))
	}
	require.EqualError(t, l.Attach("/nil", nil, nil), `adapt: attach "/nil": the UpgradeFunc is nil: want a function that returns the service`)
}

func TestAPatternWithAMethodOrAHostIsServed(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Attach("GET /get", shared(echoing), nil))
	require.NoError(t, l.Attach("127.0.0.1/host", shared(echoing), nil))
	require.NoError(t, l.Start())
	mustDial(t, l, "/get")
	mustDial(t, l, "/host")
}

func TestAListenerThatWasStoppedSaysSo(t *testing.T) {
	l := newListener(t, nil)
	require.NoError(t, l.Start())
	require.EqualError(t, l.Start(), "adapt: start: the listener has already been started")
	require.NoError(t, l.ImmediateStop())
	for want, err := range map[string]error{
		"adapt: start: the listener has been stopped":      l.Start(),
		`adapt: attach "/": the listener has been stopped`: l.Attach("/", shared(echoing), nil),
	} {
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func TestAListenerThatCannotBeMadeSaysWhy(t *testing.T) {
	for want, cfg := range map[string]*adapt.ListenerConfig{
		"adapt: ListenerConfig.MaxConns -4 must not be negative":                                                     {MaxConns: -4},
		"adapt: ListenerConfig.MaxHeaderBytes -5 must not be negative":                                               {MaxHeaderBytes: -5},
		"adapt: ListenerConfig.TLSConfig has no certificate: set Certificates, GetCertificate or GetConfigForClient": {TLSConfig: &tls.Config{}},
	} {
		_, err := adapt.NewListener("127.0.0.1:0", cfg)
		require.EqualError(t, err, want)
	}
	_, err := adapt.NewListener("8080", nil)
	require.EqualError(t, err, `adapt: listen tcp: address 8080: missing port in address; want host:port, for example ":8080"`)
	require.ErrorAs(t, err, new(*net.OpError))
}

func TestANilContextIsAnErrorNotAPanic(t *testing.T) {
	var none context.Context
	const want = "chanws: nil context: want context.Background() or another"
	for _, policy := range []*chanws.RedialPolicy{nil, {}} {
		_, err := adapt.NewAsyncClient(none, "ws://127.0.0.1:1", nil, &adapt.ClientConfig{Retry: policy})
		require.EqualError(t, err, want)
	}
	l := newListener(t, nil)
	require.EqualError(t, l.GracefulStop(none), want)
	require.NoError(t, l.ImmediateStop())
}
