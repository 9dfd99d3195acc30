package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chanws/chanws"
)

// lastPing follows the last line of a stdin that has ended: its pong tells that the
// server has read everything before it.
const lastPing = "wscat: end of input"

// patience is how long we wait for that pong.
const patience = 10 * time.Second

// A session is one conversation. Only its loop touches it.
type session struct {
	screen  *screen
	wait    time.Duration
	dropped chan drop
	pinged  time.Time         // of the last /ping; zero: answered
	closing chanws.StatusCode // of the close frame that we have sent; 0: none
	hungUp  bool              // by close(Send), so there is nothing to send on any more
	failed  int               // lines that could not be sent
}

// A drop is a message that the library did not send, and why.
type drop struct {
	message chanws.Message
	err     error
}

// drop is called by the library, on a goroutine that must not wait for us.
func (s *session) drop(m chanws.Message, err error) {
	select {
	case s.dropped <- drop{m, err}:
	default:
	}
}

// loop is the whole conversation: one select over the connection, the keyboard and
// the clock. It returns nil after a normal closure.
func (s *session) loop(ctx context.Context, c *chanws.Conn, lines <-chan input) error {
	var pending chanws.Message    // what waits for room in c.Send
	var finished <-chan time.Time // when to close after the end of stdin
	s.screen.prompt()
	for {
		if lines == nil && pending == nil && finished == nil && s.closing == 0 {
			pending = chanws.Ping(lastPing)
		}
		// Only one of these two channels is not nil, and a nil channel is never ready:
		// no line is read while the last one has not gone out. A blocking send instead
		// would stop us from receiving events, and an echo server that waits for us to
		// receive would wait for ever.
		in, out := lines, chan<- chanws.Message(nil)
		if pending != nil {
			in, out = nil, c.Send
		}
		select {
		case ev := <-c.Events():
			if end, terminal := ev.(error); terminal {
				return s.verdict(end)
			}
			if pong, ok := ev.(chanws.Pong); ok && string(pong) == lastPing && finished != nil {
				finished = time.After(s.wait)
			}
			s.show(ev)

		case line, ok := <-in:
			switch {
			case !ok: // Ctrl-D, or the end of a file
				lines = nil
			case line.err != nil:
				return fmt.Errorf("stdin: %w", line.err)
			default:
				pending = s.read(line.text)
			}

		case out <- pending:
			if goodbye, ok := pending.(chanws.Close); ok {
				s.closing = goodbye.Code
			}
			if lines == nil && s.closing == 0 {
				finished = time.After(patience)
			}
			pending = nil

		case d := <-s.dropped:
			s.notSent(d)

		case <-finished:
			// "I have said everything". Why not at once at the end of stdin? WebSocket has
			// no half-close: a server that reads our close frame may answer it without
			// finishing the replies it is at.
			finished = nil
			s.closing, s.hungUp = chanws.StatusNormalClosure, true
			close(c.Send)

		case <-ctx.Done(): // Ctrl-C
			return s.leave(c)
		}
	}
}

// read makes a message of a line; nil if there is nothing to send.
func (s *session) read(line string) chanws.Message {
	defer s.screen.prompt()
	if line == "/help" {
		s.screen.note("%s", commands)
		return nil
	}
	if line == "" && s.screen.keyboard {
		return nil // just Enter
	}
	m, err := parse(line)
	if err != nil {
		s.screen.note("%v", err)
		s.failed++
		return nil
	}
	if _, ok := m.(chanws.Ping); ok {
		s.pinged = time.Now()
	}
	return m
}

// show prints an event.
func (s *session) show(ev chanws.Event) {
	switch ev := ev.(type) {
	case chanws.Text:
		s.screen.text(string(ev))
	case chanws.Binary:
		s.screen.binary(ev)
	case chanws.Ping:
		s.screen.control("ping %q, answered", ev)
	case chanws.Pong:
		if s.pinged.IsZero() {
			s.screen.control("pong %q", ev)
			break
		}
		s.screen.note("pong %q after %v", ev, time.Since(s.pinged).Round(time.Microsecond))
		s.pinged = time.Time{}
	}
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

// verdict tells whether the conversation ended well.
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
	if s.failed > 0 && !s.screen.keyboard { // a script should notice
		return fmt.Errorf("not sent: %d of the lines", s.failed)
	}
	return nil
}

// leave says goodbye after Ctrl-C, but not for long.
func (s *session) leave(c *chanws.Conn) error {
	s.screen.status("interrupted")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := c.CloseContext(ctx, chanws.StatusGoingAway, ""); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// input is a line of stdin, or the error that ended it.
type input struct {
	text string
	err  error
}

// readLines reads lines of any length. The channel is closed at the end of r. The
// goroutine may outlive ctx, because nothing can interrupt a read of stdin; but then
// the program is at its end.
func readLines(ctx context.Context, r io.Reader) <-chan input {
	lines := make(chan input)
	go func() {
		defer close(lines)
		in := bufio.NewReader(r)
		for {
			text, err := in.ReadString('\n')
			if err == nil || text != "" {
				text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
				select {
				case lines <- input{text: text}:
				case <-ctx.Done():
					return
				}
			}
			if err == nil {
				continue
			}
			if err != io.EOF {
				select {
				case lines <- input{err: err}:
				case <-ctx.Done():
				}
			}
			return
		}
	}()
	return lines
}
