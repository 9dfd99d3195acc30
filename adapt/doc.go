// Package adapt calls functions for what happens on a WebSocket connection: a [Service]
// has one function for each kind of event, and a [Caller] is what they answer through.
//
//   - The callbacks of a connection run one at a time and in order, and exactly one last
//     callback says how it ended.
//   - While a callback runs, pings are answered, and a close or a dropped connection is noticed.
//   - A panic in a callback is recovered. It closes its own connection and nothing else.
//   - A write queues its message and returns, so that a busy connection is written with few
//     calls to the operating system. [Caller.Flush] waits for the result.
//
// The names are those of Ballerina's websocket module; docs/ballerina.md compares the two.
//
//	l, err := adapt.NewListener(":8080", nil)
//	...
//	l.Attach("/echo/{name}", func(r *http.Request) (*adapt.Service, error) {
//		name := r.PathValue("name")
//		return &adapt.Service{
//			OnTextMessage: func(c *adapt.Caller, text string) error {
//				return c.WriteTextMessage(name + ": " + text)
//			},
//		}, nil
//	}, nil)
//	l.Start()
//
// [Handler] is the same inside any net/http server, [NewAsyncClient] the same on a
// client's connection, and [Serve] the bridge itself: channels in, callbacks out.
//
// # The order of callbacks
//
// The callbacks of one connection run one at a time, in this order:
//
//	OnOpen  (OnTextMessage | OnBinaryMessage | OnMessage | OnPing | OnPong | OnIdleTimeout)*  (OnClose | OnError)
//
// The last one is there exactly once, whatever ends the connection: OnClose when it
// ended with the peer's close frame, be that an answer to ours, or because the peer
// dropped it (1006); OnError when it ended otherwise. OnError also comes in between,
// for what went wrong in a callback, and just before the last one for the streams
// that failed; [Caller.IsOpen] tells whether the connection goes on.
//
// While a callback runs, pings are answered, and a close or a drop is noticed:
// [Caller.Context] ends then. The messages that have come before are still handed
// over. Once this side has begun to close, no further message is.
//
// # What a callback returns
//
//   - nil: the connection goes on;
//   - a [chanws.Close], also a wrapped one: the connection is closed with it; Code 0 is a
//     close frame without a code. One that must not be sent, as with code 1006 or with a
//     reason and no code, cuts the connection, and the peer sees 1006;
//   - what the connection itself ended with, as a write returns it: nothing, because
//     OnClose or OnError is about to be called with it;
//   - another error, also that of a write to another connection: OnError gets it, and may
//     return a Close; without OnError the connection is closed with 1011. Two errors of
//     [JSON] and its kind are milder without OnError: a message that could not be decoded
//     closes with 1003, and one that Validate refused is logged, and the connection stays
//     open.
//
// A panic is recovered, logged with its stack and the connection's ID, closes the
// connection with 1011, and reaches OnError as a *[PanicError]. The process and the
// other connections go on. OnError is never called for what OnError did: an error or
// a panic there closes the connection with 1011.
//
// # Replies
//
// A Caller's writes put a message in line and return, so that what waits goes out
// with few calls to the operating system. [JSON] makes a handler of a function with
// a decoded argument and a result to be sent; [JSONStream] sends a sequence of
// results while other messages are being handled.
//
// # Errors
//
//	a handshake was refused                     *chanws.HandshakeError
//	wss:// to a server without TLS              http.ErrSchemeMismatch
//	the handshake took too long                 os.ErrDeadlineExceeded
//	a TLS problem                               *tls.CertificateVerificationError; an alert from the peer is a *net.OpError
//	no token for the handshake                  what DialOptions.Authorize returned
//	the connection was dropped or reset         io.ErrUnexpectedEOF
//	a write or a pong took too long             os.ErrDeadlineExceeded
//	the peer closed                             chanws.Close
//	a frame or message was too large            *chanws.ProtocolError, Code 1009
//	a frame broke the protocol                  *chanws.ProtocolError, Code 1002
//	text that is not UTF-8                      *chanws.ProtocolError, Code 1007
//	a message that cannot be sent               chanws.ErrInvalidMessage
//	something around a close                    *adapt.ClosureError
//	   after a close                            and net.ErrClosed
//	   after a write that failed                and net.ErrClosed, and what that failed with
//	   the peer did not answer it               and os.ErrDeadlineExceeded
//	   the peer dropped instead                 and io.ErrUnexpectedEOF
//	   code or reason must not be sent          and chanws.ErrInvalidMessage
//	a timeout that is none                      adapt.ErrInvalidTimeout
//	a message that is not what JSON wants       *chanws.DecodeError
//	a value that Validate refuses               *chanws.ValidationError
//	a callback panicked                         *adapt.PanicError
//	refuse an upgrade                           *adapt.UpgradeError, *adapt.AuthnError, *adapt.AuthzError
//	a service, pattern or option cannot work    adapt.ErrInvalidService, or one that names it
//	there is nothing to detach                  adapt.ErrNotAttached
package adapt
