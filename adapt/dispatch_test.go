package adapt_test

import (
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// replying is a handler that answers with a text.
func replying(text string) func(*adapt.Caller, string) error {
	return func(c *adapt.Caller, _ string) error { return c.WriteTextMessage(text) }
}

// named are routes by name that answer with their name.
func named(names ...string) []adapt.Route {
	var routes []adapt.Route
	for _, name := range names {
		routes = append(routes, adapt.Route{Name: name, Handle: replying(name)})
	}
	return routes
}

// dispatched gives what a service with these routes answers to a text.
func dispatched(t *testing.T, svc *adapt.Service, text string) (answer string) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text(text)
		synctest.Wait() // after a close frame of the client's nothing can be answered
		close(s.Send)
		for ev := range s.Events() {
			if text, ok := ev.(chanws.Text); ok {
				answer += string(text)
			}
		}
		<-s.served
	})
	return answer
}

func TestARouteIsFoundByTheNameThatTheTypeMakes(t *testing.T) {
	svc := &adapt.Service{
		OnTextMessage: replying("none"),
		Dispatch: &adapt.Dispatch{Key: "event", Routes: named(
			"onHeartbeat", "onUnSubscribe", "onPing", "onThisPingMessage", "onConnectionInit", "onUnsubscribe", "onHello2You", "onÜber")},
	}
	for text, want := range map[string]string{
		`{"event":"heartbeat"}`:                "onHeartbeat",
		`{"event":"HEARTBEAT"}`:                "onHeartbeat",
		`{"event":"un subscribe"}`:             "onUnSubscribe",
		`{"event":"unSubscribe"}`:              "onUnSubscribe",
		`{"event":"unsubscribe"}`:              "onUnsubscribe",
		`{"event":"_ping"}`:                    "onPing",
		`{"event":"ping"}`:                     "onPing",
		`{"event":"this_ping message"}`:        "onThisPingMessage",
		`{"event":"this-_ ping  message!"}`:    "onThisPingMessage",
		`{"event":"connection_init"}`:          "onConnectionInit",
		`{"event":"hello 2 you"}`:              "onHello2You",
		`{"event":"über"}`:                     "onÜber",
		`{"x":[1],"event":"heartbeat","y":{}}`: "onHeartbeat",
		`{"event":"\u0068eartbeat"}`:           "onHeartbeat",
		`{"event":"other"}`:                    "none",
		`{"event":""}`:                         "none",
		`{"event":123}`:                        "none",
		`{"event":null}`:                       "none",
		`{"event":["heartbeat"]}`:              "none",
		`{"Event":"heartbeat"}`:                "none",
		`{"other":"heartbeat"}`:                "none",
		`["heartbeat"]`:                        "none",
		`"heartbeat"`:                          "none",
		`heartbeat`:                            "none",
		`null`:                                 "none",
		``:                                     "none",
		`{"event":"onHeartbeat"}`:              "none",
	} {
		require.Equal(t, want, dispatched(t, svc, text), text)
	}
}

func TestWithoutARouteOfItsOwnCapitalsATypeLosesThem(t *testing.T) {
	svc := &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: named("onUnsubscribe")}}
	require.Equal(t, "onUnsubscribe", dispatched(t, svc, `{"event":"unSubscribe"}`))
}

func TestARouteByValueIsFoundLetterByLetter(t *testing.T) {
	svc := &adapt.Service{
		OnMessage: func(c *adapt.Caller, _ chanws.Message) error { return c.WriteTextMessage("none") },
		Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{
			{Value: "subscribe", Handle: replying("subscribed")},
			{Value: "a b", Handle: replying("spaced")},
			{Name: "onOther", Handle: replying("other")},
		}},
	}
	require.Equal(t, "subscribed", dispatched(t, svc, `{"event":"subscribe"}`))
	require.Equal(t, "spaced", dispatched(t, svc, `{"event":"a b"}`))
	require.Equal(t, "other", dispatched(t, svc, `{"event":"other"}`))
	require.Equal(t, "none", dispatched(t, svc, `{"event":"Subscribe"}`))
	require.Equal(t, "none", dispatched(t, svc, `{"event":"onSubscribe"}`))
}

func TestWhatHasNoRouteAndNoOtherHandlerIsIgnored(t *testing.T) {
	svc := &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: named("onPing")}}
	require.Empty(t, dispatched(t, svc, `{"event":"other"}`))
	require.Empty(t, dispatched(t, svc, `event123`))
}

func TestNoTypeReachesACallbackOfTheConnectionsLife(t *testing.T) {
	for _, event := range []string{"onOpen", "open", "onClose", "close", "onError", "error", "onPing", "ping", "onIdleTimeout", "onTextMessage", "onMessage"} {
		synctest.Test(t, func(t *testing.T) {
			var r record
			svc := r.service()
			svc.OnTextMessage = nil
			svc.Dispatch = &adapt.Dispatch{Key: "event"}
			s := serve(t, svc, chanws.Options{})
			s.Send <- chanws.Text(`{"event":"` + event + `"}`)
			require.NoError(t, s.Close(1000, ""))
			<-s.served
			require.Equal(t, []string{"open", "close 1000 "}, r.all())
		})
	}
}

func TestBinaryMessagesAreNotDispatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.Dispatch = &adapt.Dispatch{Key: "event", Routes: named("onPing")}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Binary(`{"event":"ping"}`)
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.Equal(t, []string{"open", `binary {"event":"ping"}`, "close 1000 "}, r.all())
	})
}

func TestServicesThatCannotWorkAreTold(t *testing.T) {
	text := func(*adapt.Caller, string) error { return nil }
	message := func(*adapt.Caller, chanws.Message) error { return nil }
	dispatch := func(key string, routes ...adapt.Route) *adapt.Service {
		return &adapt.Service{Dispatch: &adapt.Dispatch{Key: key, Routes: routes}}
	}
	for name, s := range map[string]*adapt.Service{
		"nil":                               nil,
		"OnMessage beside OnTextMessage":    {OnMessage: message, OnTextMessage: text},
		"OnMessage beside OnBinaryMessage":  {OnMessage: message, OnBinaryMessage: func(*adapt.Caller, []byte) error { return nil }},
		"Dispatch without key":              dispatch("", adapt.Route{Value: "a", Handle: text}),
		"two routes of one value":           dispatch("k", adapt.Route{Value: "a", Handle: text}, adapt.Route{Value: "a", Handle: text}),
		"two routes of one name":            dispatch("k", adapt.Route{Name: "onA", Handle: text}, adapt.Route{Name: "onA", Handle: text}),
		"a value whose name is a route":     dispatch("k", adapt.Route{Name: "onA", Handle: text}, adapt.Route{Value: "a", Handle: text}),
		"a route without handler":           dispatch("k", adapt.Route{Name: "onA"}),
		"a route without value and name":    dispatch("k", adapt.Route{Handle: text}),
		"a route with value and name":       dispatch("k", adapt.Route{Value: "a", Name: "onB", Handle: text}),
		"a name without on":                 dispatch("k", adapt.Route{Name: "Subscribe", Handle: text}),
		"a name with a small letter":        dispatch("k", adapt.Route{Name: "onsubscribe", Handle: text}),
		"a name that is only on":            dispatch("k", adapt.Route{Name: "on", Handle: text}),
		"a name with an underscore":         dispatch("k", adapt.Route{Name: "onA_b", Handle: text}),
		"a header that is the handshake's":  {Header: map[string][]string{"Sec-Websocket-Accept": {"x"}}},
		"a header that ends the connection": {Header: map[string][]string{"connection": {"close"}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, s.Validate(), adapt.ErrInvalidService)
		})
	}
	require.NoError(t, (&adapt.Service{}).Validate())
	require.NoError(t, dispatch("k", named("onA", "onAB", "onAb")...).Validate())
}
