package adapt

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/chanws/chanws"
)

// JSON makes a handler of text messages, for OnTextMessage and for a [Route], of a
// function with a decoded argument and a result that is sent as [Caller.WriteMessage]
// does. A nil result (an interface or a pointer) sends nothing; a [chanws.Close]
// closes the connection.
//
// The message is decoded as JSON into an In, with three exceptions: an In that is a
// string type is the text as it is, through its UnmarshalText if it has one (a
// json.Number is such a type without one: it takes any text, a number or not); one that
// is a byte slice type is the text's bytes; and a type with an UnmarshalJSON is
// always decoded.
//
// A message that cannot be decoded goes to the Route's OnBindError, or else to
// OnError, as a *[chanws.DecodeError], and the connection stays open. Without both it
// is closed with 1003. What [ServiceConfig.Validate] refuses goes to OnError as a
// *[chanws.ValidationError], or else to the log, and the connection stays open.
//
// JSON panics if f is nil.
func JSON[In, Out any](f func(*Caller, In) (Out, error)) func(*Caller, string) error {
	mustBeSet("JSON", f == nil)
	handle := JSONMessage(f)
	return func(c *Caller, text string) error { return handle(c, chanws.Text(text)) }
}

// JSONMessage is [JSON] for OnMessage: it makes a handler of messages of both kinds.
// A binary message is decoded like a text with the same bytes.
func JSONMessage[In, Out any](f func(*Caller, In) (Out, error)) func(*Caller, chanws.Message) error {
	mustBeSet("JSONMessage", f == nil)
	return func(c *Caller, m chanws.Message) error {
		in, err := bind[In](c, m)
		if err != nil {
			return err
		}
		out, err := f(c, in)
		if err != nil {
			return err
		}
		return c.reply(out)
	}
}

// mustBeSet panics if the function of a handler is nil: it would panic for every message
// otherwise, and only then.
func mustBeSet(maker string, isNil bool) {
	if isNil {
		panic("adapt: " + maker + ": nil function")
	}
}

// reply sends a handler's result.
func (c *Caller) reply(out any) error {
	if isNil(out) {
		return nil
	}
	if end, ok := out.(chanws.Close); ok {
		return end
	}
	return c.WriteMessage(out)
}

// bind decodes a message, and asks Validate.
func bind[In any](c *Caller, m chanws.Message) (In, error) {
	var in, none In
	if err := decode(m, &in); err != nil {
		return none, bindingError{&chanws.DecodeError{Message: m, Type: reflect.TypeFor[In](), Err: err}}
	}
	if validate := c.settings.validate; validate != nil {
		if err := validate(in); err != nil {
			return none, &chanws.ValidationError{Message: m, Err: err}
		}
	}
	return in, nil
}

// decode makes *in of a message.
func decode(m chanws.Message, in any) error {
	var text string
	var data []byte
	switch m := m.(type) {
	case chanws.Text:
		text = string(m)
	case chanws.Binary:
		text, data = string(m), m
	default:
		return fmt.Errorf("%T is no data message", m)
	}
	if s, ok := in.(*string); ok {
		*s = text
		return nil
	}
	if data == nil {
		data = []byte(text)
	}
	if _, ok := in.(json.Unmarshaler); ok {
		return json.Unmarshal(data, in)
	}
	value := reflect.ValueOf(in).Elem()
	switch kind := value.Kind(); {
	case kind == reflect.String:
		if u, ok := in.(encoding.TextUnmarshaler); ok {
			return u.UnmarshalText(data)
		}
		value.SetString(text)
		return nil
	case isBytes(value.Type()):
		value.SetBytes(data)
		return nil
	}
	return json.Unmarshal(data, in)
}

// encode makes a message of a value.
func encode(v any) (chanws.Message, error) {
	switch v := v.(type) {
	case nil:
		return nil, fmt.Errorf("%w: nil: want a string, bytes, a chanws.Message, or a value for JSON", chanws.ErrInvalidMessage)
	case chanws.Message:
		return v, nil
	case string:
		return chanws.Text(v), nil
	}
	if _, ok := v.(json.Marshaler); !ok {
		value := reflect.ValueOf(v)
		switch kind := value.Kind(); {
		case kind == reflect.String:
			if m, ok := v.(encoding.TextMarshaler); ok {
				text, err := m.MarshalText()
				return chanws.Text(text), encodingError(v, err)
			}
			return chanws.Text(value.String()), nil
		case isBytes(value.Type()):
			return chanws.Binary(append([]byte(nil), value.Bytes()...)), nil
		}
	}
	data, err := json.Marshal(v)
	return chanws.Text(data), encodingError(v, err)
}

func encodingError(v any, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: encode %T: %w", chanws.ErrInvalidMessage, v, err)
}

// isBytes tells whether t is a byte slice type.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// isNil tells whether v is nil, or a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	value := reflect.ValueOf(v)
	return value.Kind() == reflect.Pointer && value.IsNil()
}
