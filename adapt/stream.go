package adapt

import (
	"fmt"
	"iter"

	"github.com/chanws/chanws"
)

// JSONStream is [JSON] for a function whose result is a sequence. Its elements are
// sent as [Stream] does.
func JSONStream[In, Out any](f func(*Caller, In) iter.Seq2[Out, error]) func(*Caller, string) error {
	mustBeSet("JSONStream", f == nil)
	return func(c *Caller, text string) error {
		in, err := bind[In](c, chanws.Text(text))
		if err != nil {
			return err
		}
		return Stream(c, f(c, in))
	}
}

// Stream sends the elements of a sequence, each as a message of its own, as
// [Caller.WriteMessage] does, nil elements left out. It returns at once: the sequence
// is ranged over in a goroutine of its own, so that other callbacks run meanwhile, and
// their replies, and those of other streams, come between the elements. It may be
// called in any callback, OnOpen too.
//
// The next element is asked for when the one before it is in line, so that a peer
// that does not read holds up the sequence. At the end of the sequence nothing is
// sent. An error in it ends the stream and closes the connection: with a [chanws.Close]
// in the error's chain, or else with 1011 and the error's text, which OnError gets when
// the connection has ended; a panic likewise, but without the text. A [chanws.Close] as
// element closes too.
//
// When the connection ends or is closed, so does the stream, at the next element. A
// sequence that waits for something else than time should watch [Caller.Context].
// There is no limit to the streams of a connection but the memory.
func Stream[Out any](c *Caller, seq iter.Seq2[Out, error]) error {
	const op = "stream"
	conn := c.Conn()
	if err := c.refusal(conn, op); err != nil {
		return err
	}
	if seq == nil {
		return nil
	}
	elements := func(yield func(any, error) bool) {
		for v, err := range seq {
			if !yield(v, err) {
				return
			}
		}
	}
	if !c.spawn(func() { c.stream(conn, elements) }) {
		return &ClosureError{op, errCloseSent}
	}
	return nil
}

// stream sends a sequence, and closes the connection if that fails.
func (c *Caller) stream(conn *chanws.Conn, elements iter.Seq2[any, error]) {
	err := guard("stream", func() error { return c.sendAll(conn, elements) })
	if err == nil || conn.Err() != nil || c.closed.Load() || foretells(err, conn) {
		if p, panicked := err.(*PanicError); panicked {
			c.logPanic(p)
		}
		return
	}
	end, reported := chanws.Close{Code: chanws.StatusInternalError, Reason: panicReason}, err
	switch p, panicked := err.(*PanicError); {
	case panicked:
		c.logPanic(p)
	default:
		if closed, ok := wantsClose(err); ok {
			end, reported = closed, nil
			break
		}
		end.Reason = fit("streaming failed: " + err.Error())
		reported = &streamError{err}
	}
	if reported != nil {
		c.failed(reported)
	}
	c.closeWith(end)
}

// sendAll sends a sequence until it ends or fails, or the connection does.
func (c *Caller) sendAll(conn *chanws.Conn, elements iter.Seq2[any, error]) error {
	for v, err := range elements {
		if err != nil {
			return err
		}
		if isNil(v) {
			continue
		}
		if end, ok := v.(chanws.Close); ok {
			return end
		}
		if err := c.writeValue(conn, v); err != nil {
			return fmt.Errorf("send an element: %w", err)
		}
	}
	return nil
}
