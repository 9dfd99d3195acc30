// Package chanws gives WebSocket connections (RFC 6455) as typed Go channels.
//
// [Dial], [Upgrade] and [Listen] make a [Conn]. What happens on it is received from
// [Conn.Events], what is to be said is sent on [Conn.Send]:
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
// It delivers data and control events in wire order until it ends, for whatever
// reason, and then exactly one terminal event: a [Close] if the peer said goodbye
// with a close frame, an [Error] otherwise. Then the channel is closed. So a loop
// over Events never ends in silence, and never hangs when the connection is gone.
//
// [Conn.Err] gives the terminal event from then on, [Conn.Done] is closed, and
// [Conn.Context] is cancelled with it as the cause. Those three come before the
// terminal event itself: buffered events may still wait when Done is closed.
//
// There are three ways to end a connection from this side. [Conn.Close] does the
// close handshake and waits for it: what Send holds is written, then a close frame,
// and the peer has [Options.CloseTimeout] to answer. [Conn.CloseNow] cuts it.
// close(c.Send) says that there is nothing more to say, and leaves the event loop
// running until the peer says so too.
//
// Every Conn must be closed with Close or CloseNow, like every net.Conn, also when it
// has ended by itself. Until then Send goes on being received from, so that no sender
// hangs; when the call has returned, no goroutine of the connection is left.
//
// # Back-pressure
//
// Both channels are bounded, and so is what lies between them and the socket. A
// consumer that does not receive stops the read pump, and TCP's flow control then
// stops the peer; a peer that does not read stops the senders. [Options.Overflow] has
// other policies for who cannot wait.
//
// # Other ways to use it
//
// [Client] is the same connection for code that calls and waits. Package adapt has a
// callback for each kind of event. Package wstest makes connections in memory, which
// work inside testing/synctest bubbles.
package chanws
