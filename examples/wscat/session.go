package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/chanws/chanws"
)

// lastPing follows the last line of an input that has ended: its pong says that the
// server has read everything before it.
const lastPing = "wscat: end of input"

// patience is how long to wait for that pong.
const patience = 10 * time.Second

// A session is a conversation with a server, over one connection or, with -reconnect,
// several. Only its loop uses the fields, dropped excepted.
type session struct {
	cfg     *config
	screen  *screen
	lines   <-chan input // nil: nobody types
	dropped chan drop

	ended   bool           // lines is closed
	pending chanws.Message // waits for room in Send, or for a connection
	failed  int            // lines that could not be sent

	pinged  time.Time         // when the last /ping was sent; zero: it is answered
	closing chanws.StatusCode // of the close frame that this side has sent; 0: none
	hungUp  bool              // Send is closed
}

// A drop is a message that the library did not send, and why.
type drop struct {
	message chanws.Message
	err     error
}

func newSession(cfg *config, s *screen, lines <-chan input) *session {
	return &session{cfg: cfg, screen: s, lines: lines, dropped: make(chan drop, 16)}
}

// drop is Options.OnDrop. It must not block.
func (s *session) drop(m chanws.Message, err error) {
	select {
	case s.dropped <- drop{m, err}:
	default:
	}
}

// converse uses c until its end.
func (s *session) converse(ctx context.Context, c *chanws.Conn) error {
	defer c.CloseNow()
	s.screen.connected(s.cfg.url, c)
	return s.loop(ctx, c)
}

// loop is one select over the connection, the keyboard and the clock. It returns nil
// after a normal closure.
func (s *session) loop(ctx context.Context, c *chanws.Conn) error {
	s.closing, s.pinged = 0, time.Time{}
	var finished <-chan time.Time // when to close after the end of the input
	for {
		if s.ended && s.pending == nil && finished == nil && s.closing == 0 && s.cfg.wait >= 0 {
			s.pending = chanws.Ping(lastPing)
		}
		// Only one of these two channels is not nil, and a nil channel is never ready:
		// no line is read until the last one has gone out. A blocking send instead
		// would keep us from receiving events, and an echo server that waits for us to
		// receive would wait without end.
		in, out := s.lines, chan<- chanws.Message(nil)
		if s.pending != nil {
			in, out = nil, c.Send
		}
		select {
		case ev := <-c.Events():
			if end, terminal := ev.(error); terminal {
				return s.verdict(end)
			}
			if pong, ok := ev.(chanws.Pong); ok && string(pong) == lastPing && finished != nil {
				finished = time.After(s.cfg.wait)
			}
			s.show(ev)

		case line, ok := <-in:
			switch {
			case !ok: // Ctrl-D, or the end of a file
				s.lines, s.ended = nil, true
			case line.err != nil:
				return fmt.Errorf("stdin: %w", line.err)
			default:
				s.pending = s.read(line.text)
			}

		case out <- s.pending:
			if goodbye, ok := s.pending.(chanws.Close); ok {
				s.closing = goodbye.Code
			}
			if s.ended && s.closing == 0 {
				finished = time.After(patience)
			}
			s.pending = nil

		case d := <-s.dropped:
			s.notSent(d)

		case <-finished:
			// close(Send) says "I have said everything". It comes only now, because
			// WebSocket has no half-close: a server that reads our close frame may
			// answer it without finishing its replies.
			finished = nil
			s.closing, s.hungUp = chanws.StatusNormalClosure, true
			close(c.Send)

		case <-ctx.Done(): // Ctrl-C
			return s.leave(c)
		}
	}
}

// read makes a message of a line. It returns nil if there is nothing to send.
func (s *session) read(line string) chanws.Message {
	m, err := read(line, s.screen)
	if err != nil {
		s.failed++
		s.screen.note("not sent: %v", err)
	}
	if _, ok := m.(chanws.Ping); ok {
		s.pinged = time.Now()
	}
	return m
}

// show prints an event.
func (s *session) show(ev chanws.Event) {
	if pong, ok := ev.(chanws.Pong); ok && !s.pinged.IsZero() && string(pong) != lastPing {
		s.screen.note("pong %q after %v", pong, time.Since(s.pinged).Round(time.Microsecond))
		s.pinged = time.Time{}
		return
	}
	s.screen.event("", ev)
}

// notSent prints what the library did not send, and why.
func (s *session) notSent(d drop) {
	if !errors.Is(d.err, chanws.ErrInvalidMessage) {
		// It was too late, and the end of the connection says why; or it is a ping that
		// was received while there was no room for it.
		return
	}
	if _, ok := d.message.(chanws.Close); ok && !s.hungUp {
		s.closing = 0
	}
	s.failed++
	s.screen.note("not sent: %v", d.err)
}

// verdict returns nil if the conversation ended well.
func (s *session) verdict(end error) error {
	for len(s.dropped) > 0 {
		s.notSent(<-s.dropped)
	}
	var closed chanws.Close
	if !errors.As(end, &closed) {
		return fmt.Errorf("the connection failed: %w", end)
	}
	switch closed.Code {
	case chanws.StatusNormalClosure, chanws.StatusGoingAway, chanws.StatusNoStatusRcvd:
	case s.closing: // the answer to ours
	default:
		return closed
	}
	s.screen.status("%v", closed)
	if s.failed > 0 && s.screen.editor == nil { // a script should notice
		return fmt.Errorf("not sent: %d of the lines", s.failed)
	}
	return nil
}

// lost reports whether c ended in a way after which -reconnect connects again: not if
// this side closed it or was interrupted, nor if the server said goodbye or refused us.
func (s *session) lost(ctx context.Context, c *chanws.Conn) bool {
	if s.closing != 0 || ctx.Err() != nil || errors.Is(c.Err(), net.ErrClosed) {
		return false
	}
	switch chanws.CloseStatus(c.Err()) {
	case -1, // no close frame
		chanws.StatusGoingAway, chanws.StatusNoStatusRcvd, chanws.StatusInternalError,
		chanws.StatusServiceRestart, chanws.StatusTryAgainLater, chanws.StatusBadGateway:
		return true
	}
	return false
}

// leave closes after Ctrl-C, but does not wait long.
func (s *session) leave(c *chanws.Conn) error {
	s.screen.status("interrupted")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := c.CloseContext(ctx, chanws.StatusGoingAway, ""); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
