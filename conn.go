package chanws

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/pump"
)

// A Conn is a WebSocket connection: events come out of [Conn.Events], messages go
// into [Conn.Send]. [Dial], [Upgrade], [Listener], [NewConn] and package wstest make them.
//
// All methods, and sends on Send, are safe for any number of goroutines; a
// message is never interleaved with another. What one goroutine does with Send,
// [Conn.Write] and [Conn.Close] is written in the order in which it did so.
//
// Every Conn must be closed by its user with [Conn.Close], [Conn.CloseContext] or
// [Conn.CloseNow], like every net.Conn, also when it has ended by itself: until
// then one goroutine goes on receiving from Send, so that no sender hangs. As a safety
// net, the garbage collector ends that goroutine if the connection has ended and the Conn
// is unreachable. It does not touch a connection that has not ended.
type Conn struct {
	// Send takes the messages to write, in order. What waits in it is written with
	// as few calls to the operating system as possible.
	//
	// It is received from until the user's own Close or CloseNow has returned: while
	// the connection lives, to be written, and after its end to be discarded and
	// counted. A sender that may outlive that says
	//
	//	select {
	//	case c.Send <- m:
	//	case <-c.Done():
	//	}
	//
	// The check of Done comes first where there are many senders: after Close has
	// returned, what they still put into Send takes the room of the consumer's replies.
	//
	// close(c.Send) means "I have said everything": what is queued is written, a
	// close frame 1000 goes out, and events go on until the peer's close arrives, at
	// most Options.CloseTimeout later. Options.WriteTimeout bounds what is before the
	// close frame, if the peer does not read. Most peers, this library included, answer a close
	// frame at once and send nothing after it: who waits for replies receives them
	// first. The library never closes Send.
	Send chan<- Message

	pump        *pump.Pump[Event, Message]
	id          string
	subprotocol string
	request     *http.Request
	response    *http.Response
}

// Events gives the channel of what happens on the connection. It is the same
// channel at every call. [Event] tells in which order things come; the channel is
// closed after the terminal event.
func (c *Conn) Events() <-chan Event { return c.pump.Events() }

// Receive waits for the next event. It returns every event but the terminal one
// with a nil error; the terminal one comes as a nil event and an error that is a
// [Close] or an [Error], then and at every later call. When ctx ends first,
// Receive returns ctx's error and the connection lives on.
func (c *Conn) Receive(ctx context.Context) (Event, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	var ev Event
	var ok bool
	select {
	case ev, ok = <-c.pump.Events():
	default:
		select {
		case ev, ok = <-c.pump.Events():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !ok {
		return nil, c.pump.Err()
	}
	if end, terminal := ev.(error); terminal {
		return nil, end
	}
	return ev, nil
}

// Write sends one message and returns when all of its bytes are with the
// operating system; only then it returns nil. After the return m's bytes are the
// caller's again.
//
// When ctx ends first, Write returns ctx's error and the connection is unharmed: a
// message that was not begun is withdrawn, the rest of one that was begun follows
// on its own. A message that cannot be sent is refused at once with an error that
// matches [ErrInvalidMessage]. After a close frame of ours, or close(c.Send), the
// error matches net.ErrClosed; after the end of the connection it is Err().
func (c *Conn) Write(ctx context.Context, m Message) error { return c.pump.Write(ctx, m) }

// Close does the close handshake, RFC 6455 section 7: it writes what Send holds at
// the call, then a close frame with code and reason, and waits for the peer's, at
// most Options.CloseTimeout. From the call on no data event is delivered; what
// nobody has received is discarded and counted. A receive that is going on meanwhile in
// another goroutine may still get a message, and those before it may be gone.
//
// Close returns nil if the connection ended with both close frames, also when that
// was before the call, else Err(). Code 0 or [StatusNoStatusRcvd] sends a close frame
// without a code; reason must be "" then. An invalid code or reason is refused with an
// error that matches [ErrInvalidMessage], and nothing is closed. A second Close or
// CloseNow waits for the first and returns an error that matches net.ErrClosed. When Close has
// returned, no goroutine of the connection is left. It may be called from the loop
// that receives Events.
func (c *Conn) Close(code StatusCode, reason string) error {
	return c.pump.Close(context.Background(), int(code), reason)
}

// CloseContext is [Conn.Close], at most until ctx ends: then the connection is cut,
// its terminal [Error] matches ctx's cause, and Err() is returned.
func (c *Conn) CloseContext(ctx context.Context, code StatusCode, reason string) error {
	return c.pump.Close(ctx, int(code), reason)
}

// CloseNow ends the connection at once, without a close handshake; its terminal
// [Error] then matches net.ErrClosed. It cuts a running Close short, and returns nil
// when it is the first of its kind, else an error that matches net.ErrClosed. When it
// has returned, no goroutine of the connection is left. A close frame that answers an error of the
// peer's is given up to a second to arrive.
func (c *Conn) CloseNow() error { return c.pump.CloseNow() }

// Flush returns when all that this goroutine has sent on Send before is with the
// operating system, and then only with nil. Otherwise it is like [Conn.Write]: a ctx
// that ends harms nothing, and after a close frame of ours the error matches
// net.ErrClosed.
func (c *Conn) Flush(ctx context.Context) error { return c.pump.Flush(ctx) }

// Closing gives a channel that is closed when messages sent from then on will be
// discarded: after our close frame has been queued, after a write that failed, or at
// the connection's end. Events may still come.
func (c *Conn) Closing() <-chan struct{} { return c.pump.Closing() }

// SetCloseTimeout changes [Options.CloseTimeout] for a close that has not begun yet;
// negative waits for ever.
func (c *Conn) SetCloseTimeout(d time.Duration) { c.pump.SetCloseTimeout(d) }

// Done is closed when the connection has ended. Buffered events may still wait
// then, so nobody should select Done against Events.
func (c *Conn) Done() <-chan struct{} { return c.pump.Context().Done() }

// Context is cancelled when the connection has ended, with Err() as its cause. It
// keeps the values of the dial's or request's context, but not its end.
func (c *Conn) Context() context.Context { return c.pump.Context() }

// Err gives the terminal event, a [Close] or an [Error], once the connection has
// ended, and nil before.
func (c *Conn) Err() error { return c.pump.Err() }

// ClosedLocally reports whether this side ended the connection, or has begun to: by
// Close, CloseContext, CloseNow, a [Close] message, close(c.Send), or the end of the
// [Listener]. It is false if the peer's close frame, a lost connection or an error came
// first.
func (c *Conn) ClosedLocally() bool { return c.pump.ClosedLocally() }

// ID is a random string that is unique to this connection, for logs and maps.
func (c *Conn) ID() string { return c.id }

// Subprotocol is the one that was negotiated, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Request is the upgrade request: the received one on the server, the sent one on
// the client. It has no body, and its Context is Context().
func (c *Conn) Request() *http.Request { return c.request }

// Response is the server's answer to the upgrade request, with all its headers. On
// the server it is nil, and after [NewConn].
func (c *Conn) Response() *http.Response { return c.response }

// LocalAddr is the address of this end of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.pump.NetConn().LocalAddr() }

// RemoteAddr is the address of the peer, or of the proxy before it.
func (c *Conn) RemoteAddr() net.Addr { return c.pump.NetConn().RemoteAddr() }

// Stats gives the connection's counters. They are brought up to date whenever the
// connection waits.
func (c *Conn) Stats() Stats { return Stats(c.pump.Stats()) }

// newConn starts the pumps on a stream whose handshake is done. ctx gives
// Context() its values, not its end.
func newConn(ctx context.Context, s *handshake.Stream, client bool, set *settings) *Conn {
	c := &Conn{
		id:          rand.Text(),
		subprotocol: s.Subprotocol,
		response:    s.Response,
	}
	options, onDrop := &set.pump, set.onDrop
	if set.logger != nil {
		logger := set.logger.With("conn", c.id, "peer", s.Conn.RemoteAddr())
		options, onDrop = logLifecycle(logger, set), logDrops(logger, set.onDrop)
	}
	c.pump = pump.Start(pump.Config[Event, Message]{
		Context:  ctx,
		Conn:     s.Conn,
		Buffered: s.Buffered,
		Client:   client,
		Options:  options,
		OnDrop:   onDrop,
		Types:    &types,

		Compression: set.compression.start(s.Deflate, client),
	})
	c.Send = c.pump.Send()
	c.request = s.Request.WithContext(c.pump.Context())
	freeUnreachable(c)
	return c
}

// logLifecycle logs the connection's beginning, and returns options that log its end.
func logLifecycle(logger *slog.Logger, set *settings) *pump.Options {
	logger.Debug("websocket connection open")
	options := set.pump
	ended := options.Trace.Ended
	options.Trace.Ended = func(err error) {
		logger.Debug("websocket connection ended", "err", err)
		if ended != nil {
			ended(err)
		}
	}
	return &options
}

// logDrops returns a hook that logs every dropped message before onDrop is called,
// which may be nil. It allocates nothing if the logger discards debug records.
func logDrops(logger *slog.Logger, onDrop func(Message, error)) func(Message, error) {
	return func(m Message, err error) {
		if logger.Enabled(context.Background(), slog.LevelDebug) {
			logger.Debug("websocket message dropped", "message", describe(m), "err", err)
		}
		if onDrop != nil {
			onDrop(m, err)
		}
	}
}
