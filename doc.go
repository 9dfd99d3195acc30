// Package chanws provides WebSocket connections (RFC 6455) as typed Go channels.
//
// [Dial], [Upgrade] and [Listen] make a [Conn]. Events are received from [Conn.Events], and
// messages are sent on [Conn.Send]:
//
//	for ev := range c.Events() {
//		switch m := ev.(type) {
//		case chanws.Text:
//			c.Send <- chanws.Text(strings.ToUpper(string(m)))
//		case chanws.Close, chanws.Error:
//			log.Println(m)
//		}
//	}
//	c.CloseNow()
//
// # The life of a connection
//
// A connection is open from the moment its constructor returns. Two goroutines of
// the library run it, the read pump and the write pump, and no more.
//
// It delivers data and control events in wire order until it ends, and then exactly one
// terminal event: a [Close] if the peer sent a close frame, an [Error] otherwise. Then the
// channel is closed. A loop over Events therefore always ends with a reason, and never
// hangs when the connection is gone.
//
// From then on [Conn.Err] returns the terminal event, [Conn.Done] is closed, and
// [Conn.Context] is cancelled with it as the cause. These three happen before the terminal
// event is delivered: buffered events may still wait when Done is closed.
//
// There are three ways to end a connection from this side. [Conn.Close] performs the close
// handshake and waits for it: the messages in Send are written, then a close frame, and the
// peer has [Options.CloseTimeout] to answer. [Conn.CloseNow] ends the connection immediately.
// close(c.Send) says that no message follows, and leaves the event loop running until the
// peer closes too.
//
// Every Conn must be closed with Close or CloseNow, like every net.Conn, even if it has
// ended by itself. Until then the library receives from Send, so that no sender blocks.
// After the call no goroutine of the connection is left.
//
// # Back-pressure
//
// Both channels are bounded, and so are the buffers between them and the socket. A
// consumer that does not receive stops the read pump, and TCP's flow control then stops the
// peer. A peer that does not read stops the senders. [Options.Overflow] has other policies
// for consumers that cannot wait.
//
// # Other ways to use it
//
// [Client] is the same connection for code that calls and waits. Package adapt has a
// callback for each kind of event. Package wstest makes connections in memory, which
// work inside testing/synctest bubbles.
package chanws
