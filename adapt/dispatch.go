package adapt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Dispatch hands text messages to handlers by their type: the string at a key of
// the JSON object that the message is.
//
//	&adapt.Dispatch{
//		Key: "event",
//		Routes: []adapt.Route{
//			{Value: "subscribe", Handle: adapt.JSONStream(subscribe)},
//			{Name: "onHeartbeat", Handle: adapt.JSON(heartbeat)},
//		},
//	}
//
// A route is found by the type itself first, then by the name that is made of it. A
// message without a route, or without a type because it is no JSON object or has no
// string at Key, goes to OnTextMessage, or else to OnMessage, or else is ignored.
//
// No type ever reaches a callback of the connection's life: {"event":"onOpen"} and
// {"event":"ping"} go to routes of that name, not to OnOpen and OnPing.
type Dispatch struct {
	// Key is the name of the object's member that holds the type.
	Key string
	// Routes are the handlers. There is at most one for each type.
	Routes []Route
}

// A Route is a handler of [Dispatch]. Either Value or Name is set.
type Route struct {
	// Value is the type that leads here, letter by letter.
	Value string

	// Name leads here if it is made of the type: "on", then each word of the type with
	// a capital at its beginning. A word is a run of letters and digits. Capitals within a
	// word are kept, or else become small as the module has it: the type
	// "un subscribe" leads to onUnSubscribe, "this_ping message" to
	// onThisPingMessage, "_ping" to onPing, and "unSubscribe" to onUnSubscribe if
	// there is such a route, else to onUnsubscribe.
	Name string

	// Handle gets the whole message: a handler made by [JSON] or [JSONStream], or a
	// function of one's own.
	Handle func(*Caller, string) error

	// OnBindError is called instead of OnError when [JSON] or [JSONStream] could not
	// decode the message, with a *[chanws.DecodeError] in the error's chain. What it
	// returns is treated as what OnError returns.
	OnBindError func(*Caller, error) error
}

// label names a route in logs and errors.
func (r *Route) label() string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("route %q", r.Value)
}

// routes is a Dispatch, indexed.
type routes struct {
	key    string
	values map[string]*Route
	names  map[string]*Route
}

// newRoutes checks d.
func newRoutes(d *Dispatch) (*routes, error) {
	if d.Key == "" {
		return nil, errors.New("no Key: want the name of the JSON member that holds the type")
	}
	t := &routes{key: d.Key, values: make(map[string]*Route), names: make(map[string]*Route)}
	for i := range d.Routes {
		r := &d.Routes[i]
		switch {
		case r.Handle == nil:
			return nil, fmt.Errorf("route %d (%s) has no Handle", i, r.label())
		case (r.Value == "") == (r.Name == ""):
			return nil, fmt.Errorf("route %d: Value %q and Name %q: want one of the two", i, r.Value, r.Name)
		case t.values[r.Value] != nil:
			return nil, fmt.Errorf("two routes for the type %q", r.Value)
		case t.names[r.Name] != nil:
			return nil, fmt.Errorf("two routes named %s", r.Name)
		case r.Name != "" && !nameable(r.Name):
			return nil, fmt.Errorf("route %d: no type makes the name %q: want \"on\" and a word with a capital, as in onSubscribe", i, r.Name)
		}
		if r.Name != "" {
			t.names[r.Name] = r
		} else {
			t.values[r.Value] = r
		}
	}
	for value := range t.values {
		if r := t.named(value); r != nil {
			return nil, fmt.Errorf("two routes for the type %q: its own, and %s", value, r.Name)
		}
	}
	return t, nil
}

// find gives the route for a message, or nil.
func (t *routes) find(message string) *Route {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(message), &members) != nil {
		return nil
	}
	member, ok := members[t.key]
	if !ok || member[0] != '"' {
		return nil
	}
	var value string
	if json.Unmarshal(member, &value) != nil {
		return nil
	}
	if r := t.values[value]; r != nil {
		return r
	}
	return t.named(value)
}

// named gives the route whose name a type makes, or nil.
func (t *routes) named(value string) *Route {
	if r := t.names[routeName(value, keep)]; r != nil {
		return r
	}
	return t.names[routeName(value, strings.ToLower)]
}

// routeName makes the name of a handler from a type.
func routeName(value string, rest func(string) string) string {
	var name strings.Builder
	name.WriteString("on")
	for word := range strings.FieldsFuncSeq(value, notOfWord) {
		first, size := utf8.DecodeRuneInString(word)
		name.WriteRune(unicode.ToUpper(first))
		name.WriteString(rest(word[size:]))
	}
	return name.String()
}

func keep(s string) string { return s }

func notOfWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// nameable tells whether there is a type that makes the name.
func nameable(name string) bool {
	rest, ok := strings.CutPrefix(name, "on")
	return ok && rest != "" && routeName(rest, keep) == name
}
