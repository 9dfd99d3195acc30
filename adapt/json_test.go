package adapt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

type order struct {
	X string `json:"x"`
	N int    `json:"n"`
}

// An enumeration that is text.
type color string

func (c *color) UnmarshalText(b []byte) error {
	if s := string(b); s != "RED" && s != "BLUE" {
		return fmt.Errorf("%q is no color", s)
	}
	*c = color(b)
	return nil
}

// A type that reads its own JSON.
type strict struct{ N int }

func (s *strict) UnmarshalJSON(b []byte) error {
	var v struct{ N *int }
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if v.N == nil {
		return errors.New("n is missing")
	}
	s.N = *v.N
	return nil
}

// echo gives a handler that answers with what it has been given.
func echo[T any]() func(*adapt.Caller, chanws.Message) error {
	return adapt.JSONMessage(func(_ *adapt.Caller, in T) (T, error) { return in, nil })
}

// exchanged gives what a handler answers to a message: the answer, or the close.
func exchanged(t *testing.T, handle func(*adapt.Caller, chanws.Message) error, m chanws.Message) (answer chanws.Event) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnMessage: handle}, chanws.Options{})
		s.Send <- m
		answer = <-s.Events()
		s.CloseNow()
		<-s.served
	})
	return answer
}

// shouted is a string type that decodes itself.
type shouted string

func (s *shouted) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	*s = shouted(strings.ToUpper(text))
	return err
}

func TestMessagesAreDecodedAndResultsEncoded(t *testing.T) {
	for _, tc := range []struct {
		handle func(*adapt.Caller, chanws.Message) error
		in     chanws.Message
		out    chanws.Event
	}{
		{echo[string](), chanws.Text(`"quoted" <&>`), chanws.Text(`"quoted" <&>`)},
		{echo[string](), chanws.Binary("bytes"), chanws.Text("bytes")},
		{echo[level](), chanws.Text("high"), chanws.Text("high")},
		{echo[color](), chanws.Text("RED"), chanws.Text("RED")},
		{echo[json.Number](), chanws.Text("no number"), chanws.Text("no number")},
		{echo[[]byte](), chanws.Binary("bytes"), chanws.Binary("bytes")},
		{echo[[]byte](), chanws.Text("text"), chanws.Binary("text")},
		{echo[json.RawMessage](), chanws.Text(`{"a": 1}`), chanws.Text(`{"a":1}`)},
		{echo[int](), chanws.Text("55"), chanws.Text("55")},
		{echo[int](), chanws.Binary("55"), chanws.Text("55")},
		{echo[float64](), chanws.Text("1.5"), chanws.Text("1.5")},
		{echo[bool](), chanws.Text("true"), chanws.Text("true")},
		{echo[order](), chanws.Text(`{"x":"a\"b","n":2}`), chanws.Text(`{"x":"a\"b","n":2}`)},
		{echo[order](), chanws.Binary(`{"x":"a"}`), chanws.Text(`{"x":"a","n":0}`)},
		{echo[*order](), chanws.Text(`{"n":1}`), chanws.Text(`{"x":"","n":1}`)},
		{echo[[]order](), chanws.Text(`[{"n":1}]`), chanws.Text(`[{"x":"","n":1}]`)},
		{echo[any](), chanws.Text(`{"a":[1,"b",null]}`), chanws.Text(`{"a":[1,"b",null]}`)},
		{echo[strict](), chanws.Text(`{"n":3}`), chanws.Text(`{"N":3}`)},
		{echo[shouted](), chanws.Text(`"Hi"`), chanws.Text("HI")},
	} {
		require.Equal(t, tc.out, exchanged(t, tc.handle, tc.in), "%v", tc.in)
	}
}

func TestWhatCannotBeDecodedClosesWith1003(t *testing.T) {
	for _, tc := range []struct {
		handle func(*adapt.Caller, chanws.Message) error
		in     chanws.Message
	}{
		{echo[order](), chanws.Text(`[]`)},
		{echo[order](), chanws.Binary(`<xml/>`)},
		{echo[[]order](), chanws.Text(`{}`)},
		{echo[int](), chanws.Text(`Hello`)},
		{echo[int](), chanws.Text(`1 2`)},
		{echo[color](), chanws.Text(`GREEN`)},
		{echo[strict](), chanws.Text(`{}`)},
		{echo[any](), chanws.Text(``)},
		{echo[color](), chanws.Text(strings.Repeat("ü", 100))},
	} {
		end, ok := exchanged(t, tc.handle, tc.in).(chanws.Close)
		require.True(t, ok)
		require.EqualValues(t, 1003, end.Code)
		require.True(t, strings.HasPrefix(end.Reason, "data binding failed: "), end.Reason)
		require.LessOrEqual(t, len(end.Reason), 123)
		require.True(t, utf8.ValidString(end.Reason))
	}
}

func TestNilResultsSendNothingAndACloseCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := []any{nil, (*order)(nil), 7, chanws.Ping("p"), chanws.Close{Code: 3000, Reason: "done"}}
		s := serve(t, &adapt.Service{OnTextMessage: adapt.JSON(func(_ *adapt.Caller, i int) (any, error) { return results[i], nil })}, chanws.Options{})
		for i := range results {
			s.Send <- chanws.Text(fmt.Sprint(i))
		}
		expect(t, s.Conn, chanws.Text("7"), chanws.Ping("p"), chanws.Close{Code: 3000, Reason: "done"})
		<-s.served
	})
}

func TestAHandlersErrorIsItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		s := serve(t, &adapt.Service{
			OnTextMessage: adapt.JSON(func(_ *adapt.Caller, in string) (any, error) {
				if in == "encode" {
					return make(chan int), nil
				}
				return 1, errBroken
			}),
			OnError: func(_ *adapt.Caller, err error) error { told = append(told, err); return nil },
		}, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Text("encode")
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.Len(t, told, 2)
		require.Equal(t, errBroken, told[0])
		require.ErrorIs(t, told[1], chanws.ErrInvalidMessage)
	})
}

func TestWhatCannotBeDecodedGoesToTheNearestErrorHandler(t *testing.T) {
	handle := adapt.JSON(func(_ *adapt.Caller, in order) (string, error) { return "fine", nil })
	for _, tc := range []struct {
		name           string
		route, onError bool
		want           []chanws.Event
	}{
		{"the route's", true, true, []chanws.Event{chanws.Text("route"), chanws.Text("fine")}},
		{"OnError", false, true, []chanws.Event{chanws.Text("OnError"), chanws.Text("fine")}},
		{"none", false, false, []chanws.Event{chanws.Close{Code: 1003, Reason: "data binding failed: json: cannot unmarshal string into Go struct field order.n of type int"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				telling := func(name string) func(*adapt.Caller, error) error {
					return func(c *adapt.Caller, err error) error {
						var d *chanws.DecodeError
						require.ErrorAs(t, err, &d)
						require.Equal(t, "adapt_test.order", d.Type.String())
						require.Equal(t, chanws.Text(`{"event":"a","n":"x"}`), d.Message)
						return c.WriteTextMessage(name)
					}
				}
				route := adapt.Route{Value: "a", Handle: handle}
				svc := &adapt.Service{}
				if tc.route {
					route.OnBindError = telling("route")
				}
				if tc.onError {
					svc.OnError = telling("OnError")
				}
				svc.Dispatch = &adapt.Dispatch{Key: "event", Routes: []adapt.Route{route}}
				s := serve(t, svc, chanws.Options{})
				s.Send <- chanws.Text(`{"event":"a","n":"x"}`)
				s.Send <- chanws.Text(`{"event":"a","n":1}`)
				expect(t, s.Conn, tc.want...)
				s.Close(1000, "")
				<-s.served
			})
		})
	}
}

func TestARoutesErrorHandlerMayClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{{
			Name:        "onHeartbeat",
			Handle:      adapt.JSON(func(*adapt.Caller, int) (any, error) { return nil, nil }),
			OnBindError: func(*adapt.Caller, error) error { return chanws.Close{Code: 1007} },
		}}}}, chanws.Options{})
		s.Send <- chanws.Text(`{"event":"heartbeat"}`)
		expect(t, s.Conn, chanws.Close{Code: 1007})
		<-s.served
	})
}

func TestSomebodyElsesDecodeErrorIsAnErrorLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
			return &chanws.DecodeError{Message: chanws.Text("x"), Err: errBroken}
		}}, chanws.Options{})
		s.Send <- chanws.Text("a")
		require.EqualValues(t, 1011, chanws.CloseStatus(ending(t, s.Conn)))
		<-s.served
	})
}

func TestWhatValidateRefusesStaysAwayFromTheHandler(t *testing.T) {
	for _, onError := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			svc := &adapt.Service{OnMessage: adapt.JSONMessage(func(_ *adapt.Caller, in order) (int, error) { return in.N, nil })}
			if onError {
				svc.OnError = func(c *adapt.Caller, err error) error {
					var v *chanws.ValidationError
					require.ErrorAs(t, err, &v)
					require.ErrorIs(t, err, errBroken)
					return c.WriteTextMessage("refused")
				}
			}
			c := serveConfig(t, svc, &adapt.ServiceConfig{Validate: func(v any) error {
				if v.(order).N < 0 {
					return errBroken
				}
				return nil
			}})
			c.Send <- chanws.Text(`{"n":-1}`)
			c.Send <- chanws.Binary(`{"n":-1}`)
			c.Send <- chanws.Text(`{"n":1}`)
			if onError {
				expect(t, c, chanws.Text("refused"), chanws.Text("refused"))
			}
			expect(t, c, chanws.Text("1"))
			require.NoError(t, c.Close(1000, ""))
			synctest.Wait()
		})
	}
}
