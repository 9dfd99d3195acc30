package chanws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// A Client is a client's connection for code that calls and waits instead of
// receiving from channels: [Client.ReadMessage] and its kin are blocking receives on
// [Conn.Events].
//
// All methods are safe for concurrent use. Concurrent reads return different messages. Every
// Client must be closed with [Client.Close] or [Client.CloseNow], even if its connection has
// ended by itself.
//
// Pings are answered and the peer's close frame is noticed even if nobody reads, until
// [Options.EventBuffer] messages wait. Ping and Pong events occupy the same buffer until the
// next read skips them, unless OnPing or OnPong is set.
type Client struct {
	url  string
	opts ClientOptions

	life context.Context // ends with Close and CloseNow
	end  context.CancelFunc

	redialer redialer // NewClient's, then the reconnection's

	mu           sync.Mutex
	current      *session   // what is written to
	reading      *session   // what is read from: current, or a lost one before it
	reconnecting *reconnect // under way, or nil
	attributes   map[string]any
}

// ClientOptions are the settings of [NewClient]. A zero field is the default that
// its comment names.
type ClientOptions struct {
	DialOptions

	// ReadTimeout is how long one read waits for a message. Its error matches
	// os.ErrDeadlineExceeded, the connection stays as it is, and the next read waits
	// anew. The time of a reconnection does not count. Default and negative: none.
	ReadTimeout time.Duration

	// OnPing and OnPong are called for every ping and pong, except the pongs that
	// answer PingInterval's pings. A ping has been answered already, unless
	// ManualPong is set. The bytes belong to the handler.
	//
	// If one of them is set, the client has one more goroutine for each connection. It
	// runs the handlers, one at a time and in order, even if nobody reads, and keeps up to
	// EventBuffer messages for the reads. It blocks when EventBuffer messages are waiting.
	// It exits when the connection has ended and everything received has been read, or
	// after Close or CloseNow, once a running handler returns.
	//
	// A handler may call any method except the reads: they would wait for messages that
	// the handler itself is holding up. Close and CloseNow do not wait for the handlers,
	// so a handler may call them.
	OnPing, OnPong func(*Client, []byte)

	// OnConnect is called with each new connection, the first one included, before a
	// read or write of the client uses it. This is the place to log in and to subscribe.
	// It may write to c and receive from it; an event that it receives reaches no read.
	//
	// An error closes c and counts as a failed attempt. RedialPolicy.Retry is asked about
	// it; if c had ended by then, otherwise than by this side, the error that Retry gets
	// matches the end of c too. Without Retry, NewClient returns the error.
	//
	// ctx ends with the connection, and with the context of NewClient while that runs, or
	// later with Close and CloseNow; then c is closed. ctx has no deadline of its own.
	// OnConnect must not call the client's reads and writes, which wait for it. Default
	// none.
	OnConnect func(ctx context.Context, c *Conn) error

	// Retry makes the client connect again; nil: it does not.
	//
	// NewClient then tries by the policy until it has a connection. Later, if the
	// connection ends and [RedialPolicy.Retry] says so, by default when it was lost or
	// when the server restarts, the next read or write connects again by the policy. A
	// client with OnPing or OnPong does so by itself. The connecting goes on in a goroutine
	// of its own, until there is a connection, the policy gives up, or the client is
	// closed. Retry and Delay are called by that goroutine, or by reads and writes.
	//
	// A read or write waits for the new connection and goes on there, at most until its
	// context ends. What the peer sent meanwhile is not sent again. Messages received
	// before a loss are kept, up to EventBuffer per connection, and are read first, so a
	// client that writes and reconnects must read too. A text or binary write that failed
	// is sent again: the peer gets it at least once, not exactly once. Pings, pongs and
	// closes are never repeated.
	//
	// A connection that this side has closed stays closed. An end that Retry takes for
	// final is what reads and writes return. When the policy gives up, the error matches
	// both the end of the connection and the last attempt's error, and the next read or
	// write begins anew.
	Retry *RedialPolicy

	// Validate is called with the result of every read, as the read is to return it:
	// a string, a []byte, a [Message], or what [ReadJSON] has decoded. An error makes
	// the read return a *[ValidationError]; the connection stays open. Default none.
	Validate func(any) error
}

// An UnexpectedMessageError is returned by a read for the other kind of message.
// Nothing is lost: the message is in it. The connection stays open.
type UnexpectedMessageError struct {
	Message Message // [Text] or [Binary]
}

// Error returns the kind and the size of the message, and where it is.
func (e *UnexpectedMessageError) Error() string {
	return fmt.Sprintf("chanws: unexpected %s: it is in this error's Message; ReadMessage returns both kinds", describe(e.Message))
}

// A ValidationError is returned by a read whose result [ClientOptions.Validate] has
// refused. The connection stays open.
type ValidationError struct {
	Message Message // as it was received: [Text] or [Binary]
	Err     error   // what Validate has returned
}

// Error tells what Validate did.
func (e *ValidationError) Error() string {
	return fmt.Sprintf("chanws: validate %s: %v", describe(e.Message), e.Err)
}

// Unwrap gives e.Err.
func (e *ValidationError) Unwrap() error { return e.Err }

// A DecodeError is returned by [ReadJSON] for a message that is no JSON, or not of
// the wanted type. Nothing is lost: the message is in it. The connection stays open.
type DecodeError struct {
	Message Message      // [Text] or [Binary]
	Type    reflect.Type // the wanted type
	Err     error        // of encoding/json
}

// Error tells the wanted type and what was wrong.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("chanws: decode %s as %v: %v", describe(e.Message), e.Type, e.Err)
}

// Unwrap gives e.Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// clone is a copy of what reconnections need unchanged.
func (o *ClientOptions) clone() ClientOptions {
	kept := *o
	kept.Header = o.Header.Clone()
	kept.Subprotocols = slices.Clone(o.Subprotocols)
	kept.Cookies = slices.Clone(o.Cookies)
	for i, cookie := range kept.Cookies {
		if cookie != nil {
			mine := *cookie
			kept.Cookies[i] = &mine
		}
	}
	return kept
}

// NewClient connects to url and returns when the handshake is done. It takes what
// [Dial] takes and fails as Dial does. ctx bounds no more than the call, with all
// its attempts. nil opts are all defaults; of others NewClient keeps a copy, and
// shares what is behind the pointers HTTPClient, TLSConfig and Trace.
func NewClient(ctx context.Context, url string, opts *ClientOptions) (*Client, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	c := &Client{url: url}
	if opts != nil {
		c.opts = opts.clone()
	}
	policy := RedialPolicy{MaxAttempts: 1}
	if c.opts.Retry != nil {
		policy = *c.opts.Retry
	}
	policy, err := policy.normalize()
	if err != nil {
		return nil, err
	}
	c.redialer = redialer{dial: c.open, delays: backoff{policy: policy}}
	conn, err := c.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.WithoutCancel(ctx))
	s := c.newSession(conn)
	c.current, c.reading = s, s
	s.start(c)
	return c, nil
}

// ReadMessage waits for the next message, a [Text] or a [Binary]. Messages that
// came between two reads are returned in order.
//
// When ctx ends first, it returns ctx's error, and when ReadTimeout does, an error
// that matches os.ErrDeadlineExceeded; the connection is unharmed by both. Once all
// that came before has been read, a connection that has ended gives its terminal
// [Close] or [Error], at every call. From the call of Close or CloseNow on reads
// return nothing else, at the latest when that has ended the connection.
func (c *Client) ReadMessage(ctx context.Context) (Message, error) {
	m, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	return validated(c, m, m)
}

// ReadTextMessage is [Client.ReadMessage] for text. A binary message comes as an
// *[UnexpectedMessageError].
func (c *Client) ReadTextMessage(ctx context.Context) (string, error) {
	m, err := c.read(ctx)
	if err != nil {
		return "", err
	}
	text, ok := m.(Text)
	if !ok {
		return "", &UnexpectedMessageError{m}
	}
	return validated(c, m, string(text))
}

// ReadBinaryMessage is [Client.ReadMessage] for bytes, which belong to the caller.
// A text message comes as an *[UnexpectedMessageError].
func (c *Client) ReadBinaryMessage(ctx context.Context) ([]byte, error) {
	m, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	binary, ok := m.(Binary)
	if !ok {
		return nil, &UnexpectedMessageError{m}
	}
	return validated(c, m, []byte(binary))
}

// ReadJSON is [Client.ReadMessage] for JSON, in a message of either kind. What does
// not decode into a T comes as a *[DecodeError].
func ReadJSON[T any](ctx context.Context, c *Client) (T, error) {
	var v, zero T
	m, err := c.read(ctx)
	if err != nil {
		return zero, err
	}
	var data []byte
	switch m := m.(type) {
	case Text:
		data = []byte(m)
	case Binary:
		data = m
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return zero, &DecodeError{Message: m, Type: reflect.TypeFor[T](), Err: err}
	}
	return validated(c, m, v)
}

// validated gives v, which a read has made of m, if Validate agrees.
func validated[T any](c *Client, m Message, v T) (T, error) {
	if c.opts.Validate != nil {
		if err := c.opts.Validate(v); err != nil {
			var none T
			return none, &ValidationError{Message: m, Err: err}
		}
	}
	return v, nil
}

// WriteTextMessage sends s, which must be valid UTF-8. It returns as [Conn.Write]
// does: nil only when the message is with the operating system.
func (c *Client) WriteTextMessage(ctx context.Context, s string) error { return c.write(ctx, Text(s)) }

// WriteBinaryMessage sends b, as [Client.WriteTextMessage] does a text. After the
// return b is the caller's again.
func (c *Client) WriteBinaryMessage(ctx context.Context, b []byte) error {
	return c.write(ctx, Binary(b))
}

// WriteJSON sends v as JSON in a text message, as [Client.WriteTextMessage] does.
func WriteJSON(ctx context.Context, c *Client, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("chanws: encode %T: %w", v, err)
	}
	return c.write(ctx, Text(data))
}

// Ping sends a ping with at most 125 bytes of data. It does not wait for the pong,
// which [ClientOptions.OnPong] gets.
func (c *Client) Ping(ctx context.Context, data []byte) error {
	return c.Conn().Write(ctx, Ping(data))
}

// Pong sends a pong with at most 125 bytes of data: the answer to a ping with
// [Options.ManualPong], or a heartbeat that nobody asked for.
func (c *Client) Pong(ctx context.Context, data []byte) error {
	return c.Conn().Write(ctx, Pong(data))
}

// Close does the close handshake of the current connection, as [Conn.Close] does,
// and ends every reconnection. Reads that wait return.
func (c *Client) Close(code StatusCode, reason string) error {
	if wrong := frame.CheckClose(int(code), reason); wrong != nil {
		return fmt.Errorf("chanws: %w: %w", ErrInvalidMessage, wrong)
	}
	return c.shut().Close(code, reason)
}

// CloseNow ends the current connection at once, as [Conn.CloseNow] does, and every
// reconnection. Reads that wait return.
func (c *Client) CloseNow() error { return c.shut().CloseNow() }

// Conn is the current connection, for its addresses, counters, Send and Done. With
// Retry it changes. Its events are the reads' own: nobody else should receive them.
// Its end is the client's: close the client instead.
func (c *Client) Conn() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.conn
}

// ID is [Conn.ID] of the current connection.
func (c *Client) ID() string { return c.Conn().ID() }

// Subprotocol is the one that was negotiated, or "".
func (c *Client) Subprotocol() string { return c.Conn().Subprotocol() }

// Response is the server's answer to the upgrade request of the current connection.
func (c *Client) Response() *http.Response { return c.Conn().Response() }

// IsSecure tells whether the current connection uses TLS.
func (c *Client) IsSecure() bool {
	switch c.Conn().Request().URL.Scheme {
	case "wss", "https":
		return true
	}
	return false
}

// IsOpen tells whether the current connection has not ended. One that is closing is
// open until the close handshake is done.
func (c *Client) IsOpen() bool { return c.Conn().Err() == nil }

// SetAttribute stores a value with the client, for whatever the user needs. It
// outlives reconnections.
func (c *Client) SetAttribute(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attributes == nil {
		c.attributes = make(map[string]any)
	}
	c.attributes[key] = value
}

// Attribute gives a stored value, or nil.
func (c *Client) Attribute(key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attributes[key]
}

// RemoveAttribute removes a stored value and returns it, or nil.
func (c *Client) RemoveAttribute(key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	value := c.attributes[key]
	delete(c.attributes, key)
	return value
}
