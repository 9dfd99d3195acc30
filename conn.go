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
// All methods, and sends on Send, are safe for concurrent use. A message is never
// interleaved with another. What one goroutine passes to Send, [Conn.Write] and
// [Conn.Close] is written in that order.
//
// Every Conn must be closed by its user with [Conn.Close], [Conn.CloseContext] or
// [Conn.CloseNow], like every net.Conn, even if it has ended by itself. Until
// then one goroutine keeps receiving from Send, so that no sender blocks. As a safety
// net, the garbage collector ends that goroutine if the connection has ended and the Conn
// is unreachable. It does not touch a connection that has not ended.
type Conn struct {
	// Send accepts the messages to write, in order. Messages that wait in it are written
	// together, with as few calls to the operating system as possible.
	//
	// The library receives from Send until the user's own Close or CloseNow has returned.
	// While the connection lives, messages are written. After its end they are discarded
	// and counted. A sender that may outlive the connection uses
	//
	//	select {
	//	case c.Send <- m:
	//	case <-c.Done():
	//	}
	//
	// If many goroutines send, check Done first: messages queued after Close has returned
	// take buffer space that the consumer's replies may need.
	//
	// close(c.Send) means "I have said everything". Queued messages are written, then a
	// close frame 1000, and events continue until the peer's close frame arrives, at most
	// Options.CloseTimeout later. If the peer does not read, Options.WriteTimeout bounds
	// the writing. Most peers, this library included, answer a close frame immediately and
	// then send nothing, so receive the replies you need before closing Send. The library
	// never closes Send.
	Send chan<- Message

	pump        *pump.Pump[Event, Message]
	id          string
	subprotocol string
	request     *http.Request
	response    *http.Response
}

// Events returns the channel of events. Every call returns the same channel. [Event]
// describes the order of events. The channel is closed after the terminal event.
func (c *Conn) Events() <-chan Event { return c.pump.Events() }

// Receive returns the next event. It returns the terminal event as a nil Event and an error
// that is a [Close] or an [Error], and again at every later call. All other events have
// a nil error. If ctx ends first, Receive returns ctx's error and the connection stays
// usable.
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

// Write sends one message. It returns nil once the operating system has all of its bytes.
// After the return m's bytes belong to the caller again.
//
// If ctx ends first, Write returns ctx's error and the connection is unharmed: a message
// that has not been started is withdrawn, and the rest of a started one is still written.
// A message that cannot be sent is refused immediately with an error that matches
// [ErrInvalidMessage]. After our close frame, or close(c.Send), the error matches
// net.ErrClosed. After the end of the connection it is Err().
func (c *Conn) Write(ctx context.Context, m Message) error { return c.pump.Write(ctx, m) }

// Close performs the close handshake, RFC 6455 section 7. It writes the messages that Send
// holds, then a close frame with code and reason, and waits for the peer's close frame, at
// most Options.CloseTimeout. From the call on no data event is delivered: events that
// nobody has received are discarded and counted. A receive already in progress in another
// goroutine may still return a message, even if earlier messages have been discarded.
//
// Close returns nil if the connection ended with both close frames, even before the call.
// Otherwise it returns Err(). Code 0 or [StatusNoStatusRcvd] sends a close frame
// without a code; reason must be "" then. An invalid code or reason is refused with an
// error that matches [ErrInvalidMessage], and nothing is closed. A second Close or
// CloseNow waits for the first and returns an error that matches net.ErrClosed. When Close
// has returned, no goroutine of the connection is left. The loop that receives Events may
// call Close.
func (c *Conn) Close(code StatusCode, reason string) error {
	return c.pump.Close(context.Background(), int(code), reason)
}

// CloseContext is [Conn.Close] with a context. If ctx ends first, the connection ends
// immediately, its terminal [Error] matches ctx's cause, and CloseContext returns Err().
func (c *Conn) CloseContext(ctx context.Context, code StatusCode, reason string) error {
	return c.pump.Close(ctx, int(code), reason)
}

// CloseNow ends the connection immediately, without a close handshake. Its terminal [Error]
// then matches net.ErrClosed. It cuts a running Close short. It returns nil if there was
// no Close or CloseNow before, and otherwise an error that matches net.ErrClosed. When it
// has returned, no goroutine of the connection is left. If the connection is failing
// because of the peer's protocol error, CloseNow waits up to one second for our close frame
// to be delivered.
func (c *Conn) CloseNow() error { return c.pump.CloseNow() }

// Flush returns nil once the operating system has everything that this goroutine has sent
// on Send before. Like [Conn.Write] it returns ctx's error if ctx ends first, which harms
// nothing, and an error that matches net.ErrClosed after our close frame.
func (c *Conn) Flush(ctx context.Context) error { return c.pump.Flush(ctx) }

// Closing returns a channel that is closed when further messages will be discarded: when
// our close frame is queued, when a write has failed, or when the connection ends. Events
// may still arrive.
func (c *Conn) Closing() <-chan struct{} { return c.pump.Closing() }

// SetCloseTimeout sets [Options.CloseTimeout] for a close that has not begun yet. A
// negative timeout is no limit.
func (c *Conn) SetCloseTimeout(d time.Duration) { c.pump.SetCloseTimeout(d) }

// Done returns a channel that is closed when the connection has ended. Buffered events may
// still wait then, so do not select Done against Events.
func (c *Conn) Done() <-chan struct{} { return c.pump.Context().Done() }

// Context returns a context that is cancelled when the connection has ended, with Err() as
// its cause. It has the values of the dial's or request's context, but not its end.
func (c *Conn) Context() context.Context { return c.pump.Context() }

// Err returns the terminal event, a [Close] or an [Error], once the connection has ended,
// and nil before.
func (c *Conn) Err() error { return c.pump.Err() }

// ClosedLocally reports whether this side ended the connection, or has begun to: by
// Close, CloseContext, CloseNow, a [Close] message, close(c.Send), or the end of the
// [Listener]. It is false if the peer's close frame, a lost connection or an error came
// first.
func (c *Conn) ClosedLocally() bool { return c.pump.ClosedLocally() }

// ID returns a random string that is unique to this connection, for logs and maps.
func (c *Conn) ID() string { return c.id }

// Subprotocol returns the negotiated subprotocol, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Request returns the upgrade request: the received one on the server, the sent one on
// the client. It has no body, and its Context is Context().
func (c *Conn) Request() *http.Request { return c.request }

// Response returns the server's answer to the upgrade request, with all its headers. On
// the server it is nil, and after [NewConn].
func (c *Conn) Response() *http.Response { return c.response }

// LocalAddr returns the address of this end of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.pump.NetConn().LocalAddr() }

// RemoteAddr returns the address of the peer, or of the proxy before it.
func (c *Conn) RemoteAddr() net.Addr { return c.pump.NetConn().RemoteAddr() }

// Stats returns the connection's counters. They are up to date whenever the pumps wait.
func (c *Conn) Stats() Stats { return Stats(c.pump.Stats()) }

// newConn starts the pumps on a stream whose handshake is done. Context() has the values
// of ctx, not its end.
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
