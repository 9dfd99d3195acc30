package adapt_test

import (
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// messages is a service that hands over all that it gets.
func messages() (*adapt.Service, <-chan chanws.Message) {
	got := make(chan chanws.Message, 16)
	return &adapt.Service{OnMessage: func(_ *adapt.Caller, m chanws.Message) error { got <- m; return nil }}, got
}

func TestScenario060_ReturnedStringIsTheReply(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(_ *adapt.Caller, text string) (string, error) { return text, nil }),
	}, nil, &chanws.ClientOptions{DialOptions: chanws.DialOptions{Options: chanws.Options{WriteTimeout: time.Second}}})
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioRead(t, c, chanws.Text("Hi"))
}

func TestScenario061_FiveTextsInOrder(t *testing.T) {
	t.Parallel()
	s, got := messages()
	c := scenarioDial(t, s, &adapt.ServiceConfig{Subprotocols: []string{"xml"}}, &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{
			Subprotocols: []string{"xml", "my-protocol"},
			Options:      chanws.Options{MaxFrameSize: math.MaxInt64},
		},
		ReadTimeout: math.MaxInt64,
	})
	require.Equal(t, "xml", c.Subprotocol())
	require.False(t, c.IsSecure())
	require.True(t, c.IsOpen())
	c.SetAttribute("key", "value")
	require.Equal(t, "value", c.Attribute("key"))
	require.Equal(t, "value", c.RemoveAttribute("key"))
	require.Nil(t, c.Attribute("key"))
	id := c.ID()
	require.NotEmpty(t, id)
	texts := []chanws.Message{chanws.Text("one"), chanws.Text("two"), chanws.Text("three"), chanws.Text("four"), chanws.Text("five")}
	for _, m := range texts {
		scenarioWrite(t, c, m)
	}
	for _, m := range texts {
		require.Equal(t, m, receive(t, got))
	}
	require.Equal(t, id, c.ID())
	require.NoError(t, c.Close(1000, ""))
	require.False(t, c.IsOpen())
}

func TestScenario062_FiveBinaryMessagesInOrder(t *testing.T) {
	t.Parallel()
	s, got := messages()
	c := scenarioDial(t, s, nil, nil)
	for i := range byte(5) {
		scenarioWrite(t, c, chanws.Binary{i, i + 1})
	}
	for i := range byte(5) {
		require.Equal(t, chanws.Binary{i, i + 1}, receive(t, got))
	}
}

func TestScenario063_TextAndBinaryKeepOrderAndType(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		return errors.Join(
			c.WriteTextMessage("a"), c.WriteBinaryMessage([]byte("b")),
			c.WriteTextMessage("c"), c.WriteBinaryMessage([]byte("d")),
		)
	}}, nil, nil)
	scenarioRead(t, c, chanws.Text("a"), chanws.Binary("b"), chanws.Text("c"), chanws.Binary("d"))
}

// proxied sends m through a service that hands it on by a client of its own.
func proxied(t *testing.T, m chanws.Message) {
	t.Helper()
	remote := scenarioListener(t, "/", shared(&adapt.Service{
		OnMessage: func(c *adapt.Caller, m chanws.Message) error { return c.WriteMessage(m) },
	}), nil)
	ended := make(chan struct{})
	c := scenarioDial(t, &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			a, err := adapt.NewAsyncClient(c.Context(), scenarioURL(remote, "/"), &adapt.Service{
				OnMessage: func(_ *adapt.Caller, m chanws.Message) error { return c.WriteMessage(m) },
			}, nil)
			c.SetAttribute("remote", a)
			return err
		},
		OnMessage: func(c *adapt.Caller, m chanws.Message) error {
			return c.Attribute("remote").(*adapt.AsyncClient).WriteMessage(m)
		},
		OnClose: func(c *adapt.Caller, code chanws.StatusCode, reason string) error {
			defer close(ended)
			return c.Attribute("remote").(*adapt.AsyncClient).Close(code, reason)
		},
	}, nil, nil)
	scenarioWrite(t, c, m)
	scenarioRead(t, c, m)
	require.NoError(t, c.Close(1000, ""))
	receive(t, ended)
}

func TestScenario064_ProxyRelaysText(t *testing.T) {
	t.Parallel()
	proxied(t, chanws.Text("Hi"))
}

func TestScenario065_ProxyRelaysBinary(t *testing.T) {
	t.Parallel()
	proxied(t, chanws.Binary("Hi"))
}

func TestScenario066_TextToABinaryServiceIsIgnored(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{OnBinaryMessage: (*adapt.Caller).WriteBinaryMessage}, nil, nil)
	scenarioWrite(t, c, chanws.Text("ignored"))
	scenarioWrite(t, c, chanws.Binary("delivered"))
	scenarioRead(t, c, chanws.Binary("delivered"))
}

func TestScenario067_PongWithoutOnPongIsIgnored(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, echoing, nil, nil)
	require.NoError(t, c.Pong(t.Context(), []byte("pong")))
	scenarioWrite(t, c, chanws.Text("delivered"))
	scenarioRead(t, c, chanws.Text("delivered"))
}

func TestScenario068_BinaryToATextServiceIsIgnored(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, echoing, nil, nil)
	scenarioWrite(t, c, chanws.Binary("ignored"))
	scenarioWrite(t, c, chanws.Text("delivered"))
	scenarioRead(t, c, chanws.Text("delivered"))
}

func TestScenario069_IdlenessWithoutOnIdleTimeoutIsIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serveConfig(t, echoing, &adapt.ServiceConfig{Options: chanws.Options{IdleTimeout: time.Second}})
		time.Sleep(10 * time.Second)
		c.Send <- chanws.Text("delivered")
		expect(t, c, chanws.Text("delivered"))
		require.NoError(t, c.Close(1000, ""))
	})
}

func TestScenario070_CallerHasAttributesAndFacts(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		c.SetAttribute("test", "testAttr")
		facts := []any{c.Attribute("test"), c.RemoveAttribute("test"), c.Attribute("test"), c.IsSecure(), c.NegotiatedSubProtocol(), c.IsOpen(), c.ConnectionID() != ""}
		return c.WriteMessage(facts)
	}}, &adapt.ServiceConfig{Subprotocols: []string{"xml"}}, &chanws.ClientOptions{DialOptions: chanws.DialOptions{Subprotocols: []string{"xml"}}})
	scenarioRead(t, c, chanws.Text(`["testAttr","testAttr",null,false,"xml",true,true]`))
}

func TestScenario071_BytesOfCallbacksMayBeKept(t *testing.T) {
	t.Parallel()
	// Go has no readonly values: the bytes belong to the callback for good.
	var kept [][]byte
	keep := func(c *adapt.Caller, b []byte) error {
		if kept = append(kept, b); len(kept) < 3 {
			return nil
		}
		return errors.Join(c.WriteBinaryMessage(kept[0]), c.WriteBinaryMessage(kept[1]), c.WriteBinaryMessage(kept[2]))
	}
	c := scenarioDial(t, &adapt.Service{OnBinaryMessage: keep, OnPing: keep}, nil, nil)
	scenarioWrite(t, c, chanws.Binary("one"))
	require.NoError(t, c.Ping(t.Context(), []byte("two")))
	scenarioWrite(t, c, chanws.Binary("three"))
	scenarioRead(t, c, chanws.Binary("one"), chanws.Binary("two"), chanws.Binary("three"))
}

func TestScenario072_ReturnedErrorHarmsNoPeer(t *testing.T) {
	t.Parallel()
	// The module freezes the connection: here OnError gets the error, and 1011 is without it.
	broken := func(*adapt.Caller, string) error { return errBroken }
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: broken,
		OnError:       func(c *adapt.Caller, err error) error { return c.WriteTextMessage(err.Error()) },
	}, nil, nil)
	scenarioWrite(t, c, chanws.Text("a"))
	scenarioRead(t, c, chanws.Text("broken"))
	scenarioWrite(t, c, chanws.Text("b"))
	scenarioRead(t, c, chanws.Text("broken"))

	c = scenarioDial(t, &adapt.Service{OnTextMessage: broken}, nil, nil)
	scenarioWrite(t, c, chanws.Text("a"))
	require.Equal(t, chanws.StatusInternalError, chanws.CloseStatus(scenarioReadError(t, c)))
}

func TestScenario073_TextThatCannotBeBoundReachesOnError(t *testing.T) {
	t.Parallel()
	unbound(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(*adapt.Caller, int) (string, error) { return "called", nil }),
	}, chanws.Text("Hello"))
}

func TestScenario074_BinaryThatCannotBeBoundReachesOnError(t *testing.T) {
	t.Parallel()
	unbound(t, &adapt.Service{
		OnMessage: adapt.JSONMessage(func(*adapt.Caller, int) (string, error) { return "called", nil }),
	}, chanws.Binary("Hello"))
}

// unbound sends what a service of numbers cannot decode, and then what it can.
func unbound(t *testing.T, s *adapt.Service, m chanws.Message) {
	t.Helper()
	s.OnError = func(c *adapt.Caller, err error) error {
		if decode := (*chanws.DecodeError)(nil); errors.As(err, &decode) {
			return c.WriteMessage(decode.Message)
		}
		return err
	}
	c := scenarioDial(t, s, nil, nil)
	scenarioWrite(t, c, m)
	scenarioRead(t, c, m)
	scenarioWrite(t, c, chanws.Text("1"))
	if s.OnMessage != nil {
		scenarioWrite(t, c, chanws.Binary("1"))
		scenarioRead(t, c, chanws.Text("called"))
	}
	scenarioRead(t, c, chanws.Text("called"))
}

func TestScenario075_CookiesGoBothWays(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/", func(r *http.Request) (*adapt.Service, error) {
		cookie, err := r.Cookie("username")
		if err != nil {
			return nil, err
		}
		answer := &http.Cookie{Name: "username", Value: "name"}
		return &adapt.Service{
			Header: http.Header{"Set-Cookie": {answer.String()}},
			OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(cookie.Value) },
		}, nil
	}, nil)
	c := scenarioClient(t, l, "/", &chanws.ClientOptions{DialOptions: chanws.DialOptions{
		Cookies: []*http.Cookie{{Name: "username", Value: "sent"}},
	}})
	scenarioRead(t, c, chanws.Text("sent"))
	cookies := c.Response().Cookies()
	require.Len(t, cookies, 1)
	require.Equal(t, "username=name", cookies[0].String())
}
