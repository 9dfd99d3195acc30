package adapt_test

import (
	"errors"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// A bEvent is a message with a type.
type bEvent struct {
	Event string `json:"event"`
}

// bDispatching is a service with routes by the key "event".
func bDispatching(routes ...adapt.Route) *adapt.Service {
	return &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: routes}}
}

// bNamed is a route that answers with an event of its own.
func bNamed(name, answer string) adapt.Route {
	return adapt.Route{Name: name, Handle: adapt.JSON(func(*adapt.Caller, any) (bEvent, error) { return bEvent{answer}, nil })}
}

// bNoInt is a route for what no object can be.
func bNoInt(name string) adapt.Route {
	return adapt.Route{Name: name, Handle: adapt.JSON(func(_ *adapt.Caller, in int) (int, error) { return in, nil })}
}

func TestScenario193_AnEventReachesItsRoute(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(adapt.Route{Name: "onPing", Handle: adapt.JSON(func(c *adapt.Caller, in any) (any, error) {
		return nil, c.WriteMessage([]any{in, bEvent{"pong"}})
	})}), chanws.Text(`{"event":"ping"}`))
	require.Equal(t, []bEvent{{"ping"}, {"pong"}}, bRead[[]bEvent](t, c))
}

func TestScenario194_RepliesByCallerAndByReturnOnOneConnection(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(
		adapt.Route{Name: "onSubscribe", Handle: func(c *adapt.Caller, _ string) error { return c.WriteMessage(bEvent{"subscribed"}) }},
		bNamed("onHeartbeat", "alive"),
	), chanws.Text(`{"event":"subscribe"}`))
	require.Equal(t, bEvent{"subscribed"}, bRead[bEvent](t, c))
	bSend(t, c, chanws.Text(`{"event":"heartbeat"}`))
	require.Equal(t, bEvent{"alive"}, bRead[bEvent](t, c))
}

func TestScenario195_ATypeWithoutRouteGoesToOnMessage(t *testing.T) {
	t.Parallel()
	s := bDispatching(bNamed("onPing", "pong"))
	s.OnMessage = func(c *adapt.Caller, m chanws.Message) error { return c.WriteMessage(m) }
	bExpect(t, bAsk(t, s, chanws.Text(`{"event":"other"}`)), chanws.Text(`{"event":"other"}`))
}

func TestScenario196_ATypeWithoutRouteAndOnMessageIsIgnored(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(bNamed("onPing", "pong")), chanws.Text(`{"event":"other"}`))
	bSend(t, c, chanws.Text(`{"event":"ping"}`))
	require.Equal(t, bEvent{"pong"}, bRead[bEvent](t, c))
}

// A byte slice always binds here: it gets the text's bytes. An int is what cannot.
func TestScenario197_ByteParameterThatCannotBindCloses1003(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(
		adapt.Route{Name: "onBytes", Handle: adapt.JSON(func(_ *adapt.Caller, in []byte) ([]byte, error) { return in, nil })},
		bNoInt("onInt"),
	), chanws.Text(`{"event":"bytes"}`))
	bExpect(t, c, chanws.Binary(`{"event":"bytes"}`))
	bSend(t, c, chanws.Text(`{"event":"int"}`))
	bRequireClosed(t, c, 1003, "data binding failed: ")
}

func TestScenario198_OnErrorRepliesToWhatCannotBind(t *testing.T) {
	t.Parallel()
	s := bDispatching(bNoInt("onMessages"))
	s.OnError = bTelling
	c := bAsk(t, s, chanws.Text(`{"event":"Messages"}`))
	bRequireTold(t, c, "int")
	require.True(t, c.IsOpen())
}

func TestScenario199_OnBindErrorRepliesAndOnMessageGetsWhatHasNoKey(t *testing.T) {
	t.Parallel()
	route := bNoInt("onMessages")
	route.OnBindError = func(c *adapt.Caller, err error) error {
		if !errors.As(err, new(*chanws.DecodeError)) {
			return err
		}
		return c.WriteTextMessage("by OnBindError")
	}
	s := bDispatching(route)
	s.OnMessage = func(c *adapt.Caller, _ chanws.Message) error { return c.WriteTextMessage("by OnMessage") }
	s.OnError = bTelling
	c := bAsk(t, s, chanws.Text(`{"event":"Messages"}`))
	bExpect(t, c, chanws.Text("by OnBindError"))
	bSend(t, c, chanws.Text(`{"type":"Messages"}`))
	bExpect(t, c, chanws.Text("by OnMessage"))
}

func TestScenario200_ALeadingUnderscoreIsNoPartOfTheName(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(bNamed("onPing", "pong")), chanws.Text(`{"event":"_ping"}`))
	require.Equal(t, bEvent{"pong"}, bRead[bEvent](t, c))
}

func TestScenario201_UnderscoresAndSpacesSeparateWords(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(bNamed("onThisPingMessage", "pong")), chanws.Text(`{"event":"this_ping message"}`))
	require.Equal(t, bEvent{"pong"}, bRead[bEvent](t, c))
}

func TestScenario202_OnMessageDoesNotShadowARoute(t *testing.T) {
	t.Parallel()
	s := &adapt.Service{
		OnMessage: func(c *adapt.Caller, _ chanws.Message) error { return c.WriteTextMessage("by OnMessage") },
		Dispatch:  &adapt.Dispatch{Key: "type", Routes: []adapt.Route{bNamed("onConnectionInit", "connection_ack")}},
	}
	c := bAsk(t, s, chanws.Text(`{"type":"connection_init"}`))
	require.Equal(t, bEvent{"connection_ack"}, bRead[bEvent](t, c))
}

func TestScenario203_ARouteByValue(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(adapt.Route{Value: "subscribe", Handle: adapt.JSON(func(_ *adapt.Caller, in bStrict) (string, error) {
		return "onSubscribeMessage " + in.Data, nil
	})}), chanws.Text(`{"event":"subscribe","data":"x"}`))
	bExpect(t, c, chanws.Text("onSubscribeMessage x"))
}

// encoding/json misses no field: a type's own UnmarshalJSON does.
func TestScenario204_AMissingFieldGoesToOnBindError(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bDispatching(adapt.Route{
		Value:       "subscribe",
		Handle:      adapt.JSON(func(*adapt.Caller, bStrict) (string, error) { return "onSubscribeMessage", nil }),
		OnBindError: func(c *adapt.Caller, _ error) error { return c.WriteTextMessage("onSubscribeMessageError") },
	}), chanws.Text(`{"event":"subscribe"}`))
	bExpect(t, c, chanws.Text("onSubscribeMessageError"))
}
