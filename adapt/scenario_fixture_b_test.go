package adapt_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The fixtures of the scenarios 121 to 232 of the module's own tests.

// bContext ends when a test has waited long enough.
func bContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	t.Cleanup(cancel)
	return ctx
}

// bListen serves s on the loopback until the end of the test, and gives its URL.
func bListen(t testing.TB, s *adapt.Service, cfg *adapt.ServiceConfig) string {
	t.Helper()
	return "ws://" + bStart(t, s, cfg, nil)
}

// bListenTLS is bListen for wss.
func bListenTLS(t testing.TB, s *adapt.Service, secure *tls.Config) string {
	t.Helper()
	return "wss://" + bStart(t, s, nil, &adapt.ListenerConfig{TLSConfig: secure, HandshakeTimeout: 20 * time.Second})
}

func bStart(t testing.TB, s *adapt.Service, cfg *adapt.ServiceConfig, lc *adapt.ListenerConfig) string {
	t.Helper()
	require.NoError(t, s.Validate())
	l, err := adapt.NewListener("127.0.0.1:0", lc)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.ImmediateStop()) })
	require.NoError(t, l.Attach("/", shared(s), cfg))
	require.NoError(t, l.Start())
	return l.Addr().String()
}

// bDial connects until the end of the test.
func bDial(t testing.TB, url string, opts *chanws.ClientOptions) *chanws.Client {
	t.Helper()
	c, err := chanws.NewClient(bContext(t), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// bAsk sends a message to a service of its own, and gives the client for the answer.
func bAsk(t testing.TB, s *adapt.Service, m chanws.Message) *chanws.Client {
	t.Helper()
	c := bDial(t, bListen(t, s, nil), nil)
	bSend(t, c, m)
	return c
}

func bSend(t testing.TB, c *chanws.Client, messages ...chanws.Message) {
	t.Helper()
	for _, m := range messages {
		require.NoError(t, c.Conn().Write(bContext(t), m))
	}
}

// bExpect reads messages.
func bExpect(t testing.TB, c *chanws.Client, want ...chanws.Message) {
	t.Helper()
	for _, w := range want {
		m, err := c.ReadMessage(bContext(t))
		require.NoError(t, err)
		require.Equal(t, w, m)
	}
}

// bRead reads a value.
func bRead[T any](t testing.TB, c *chanws.Client) T {
	t.Helper()
	v, err := chanws.ReadJSON[T](bContext(t), c)
	require.NoError(t, err)
	return v
}

// bEchoing is a service that decodes every message as a T and sends it back.
func bEchoing[T any]() *adapt.Service {
	return &adapt.Service{OnMessage: adapt.JSONMessage(func(_ *adapt.Caller, in T) (T, error) { return in, nil })}
}

// bReplying is a service that answers every text with v.
func bReplying(v any) *adapt.Service {
	return &adapt.Service{OnTextMessage: func(c *adapt.Caller, _ string) error { return c.WriteMessage(v) }}
}

// bMirror is a service that sends messages back as they are.
func bMirror() *adapt.Service {
	return &adapt.Service{OnMessage: func(c *adapt.Caller, m chanws.Message) error { return c.WriteMessage(m) }}
}

// bRequireEcho sends a message to bEchoing[T] and reads it as a T.
func bRequireEcho[T any](t testing.TB, m chanws.Message, want T) {
	t.Helper()
	require.Equal(t, want, bRead[T](t, bAsk(t, bEchoing[T](), m)))
}

// bRequireUndecodable sends a message through a mirror and reads it in vain as a T.
func bRequireUndecodable[T any](t testing.TB, m chanws.Message) {
	t.Helper()
	c := bAsk(t, bMirror(), m)
	_, err := chanws.ReadJSON[T](bContext(t), c)
	var undecodable *chanws.DecodeError
	require.ErrorAs(t, err, &undecodable)
	require.Equal(t, m, undecodable.Message, "nothing is lost")
	require.True(t, c.IsOpen())
}

// bRequireUnbound sends a message to bEchoing[T] that is none.
func bRequireUnbound[T any](t testing.TB, m chanws.Message) {
	t.Helper()
	bRequireClosed(t, bAsk(t, bEchoing[T](), m), 1003, "data binding failed: ")
}

// bRequireClosed reads a close frame.
func bRequireClosed(t testing.TB, c *chanws.Client, code chanws.StatusCode, prefix string) {
	t.Helper()
	_, err := c.ReadMessage(bContext(t))
	var end chanws.Close
	require.ErrorAs(t, err, &end)
	require.Equal(t, code, end.Code)
	require.True(t, strings.HasPrefix(end.Reason, prefix), end.Reason)
	require.False(t, c.IsOpen())
}

// bTelling sends back what goes wrong.
func bTelling(c *adapt.Caller, err error) error { return c.WriteTextMessage("told: " + err.Error()) }

// A bPoint is a record.
type bPoint struct {
	X string `json:"x"`
	Y int    `json:"y"`
}

// A bStrict is a record without optional fields.
type bStrict struct {
	Event string `json:"event"`
	Data  string `json:"data"`
}

func (s *bStrict) UnmarshalJSON(b []byte) error {
	var v struct{ Event, Data *string }
	switch err := json.Unmarshal(b, &v); {
	case err != nil:
		return err
	case v.Event == nil || v.Data == nil:
		return errors.New("a field is missing")
	}
	*s = bStrict{*v.Event, *v.Data}
	return nil
}

// A bColor is an enumeration.
type bColor string

func (c *bColor) UnmarshalText(b []byte) error {
	if s := string(b); s != "RED" && s != "BLUE" {
		return fmt.Errorf("%q is no color", s)
	}
	*c = bColor(b)
	return nil
}

// A bXML is a text that must be well-formed.
type bXML string

func (x *bXML) UnmarshalText(b []byte) error {
	for d, elements := xml.NewDecoder(strings.NewReader(string(b))), 0; ; {
		token, err := d.Token()
		if _, element := token.(xml.StartElement); element {
			elements++
		}
		switch {
		case err == io.EOF && elements == 0:
			return errors.New("no element")
		case err == io.EOF:
			*x = bXML(b)
			return nil
		case err != nil:
			return err
		}
	}
}

// A bDecimal is a number with all its digits.
type bDecimal struct{ digits json.Number }

func (d *bDecimal) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &d.digits) }
func (d bDecimal) MarshalJSON() ([]byte, error)  { return []byte(d.digits), nil }

// A bEither is a bEvent or a bPoint, and nothing else.
type bEither struct{ message any }

func (e *bEither) UnmarshalJSON(b []byte) error {
	var event bEvent
	var point bPoint
	switch {
	case bClosed(b, &event):
		e.message = event
	case bClosed(b, &point):
		e.message = point
	default:
		return errors.New("neither an event nor a point")
	}
	return nil
}

// bClosed decodes a record that has no other fields.
func bClosed(b []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v) == nil
}
