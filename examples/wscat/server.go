package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/chanws/chanws"
	"golang.org/x/sync/errgroup"
)

// A server prints what its clients send, and sends what is typed to all of them. Only
// its loop uses the fields; the channels are where other goroutines report to it.
type server struct {
	cfg    *config
	screen *screen
	lines  <-chan input // nil: nobody types

	clients map[*chanws.Conn]string // and their names: 1, 2 and so on
	joined  int                     // how many there have ever been
	sending bool                    // a line is going out
	waiting chanws.Message          // a line of a pipe that waits for a client
	failed  int                     // lines that could not be sent
	err     error                   // what ended the input
	pinged  time.Time               // when the last /ping was typed

	listener *chanws.Listener
	events   chan event
	sent     chan error    // a line has gone out to all
	down     chan struct{} // closed when the listener has ended; nil: nothing ends it yet
}

// An event is one of a client's.
type event struct {
	client *chanws.Conn
	chanws.Event
}

func newServer(cfg *config, s *screen, lines <-chan input) *server {
	return &server{
		cfg: cfg, screen: s, lines: lines,
		clients: make(map[*chanws.Conn]string),
		events:  make(chan event),
		sent:    make(chan error),
	}
}

// listen opens the listener. It accepts every origin unless told otherwise: the page
// that is to be debugged comes from another server.
func (s *server) listen() (err error) {
	opts := &chanws.ListenOptions{
		Options:      s.cfg.dial.Options,
		Subprotocols: s.cfg.dial.Subprotocols,
		Header:       s.cfg.dial.Header,
		Origins:      []string{cmp.Or(s.cfg.origin, "*")},
		TLSConfig:    s.cfg.dial.TLSConfig,
	}
	opts.WriteTimeout = 10 * time.Second // a client that does not read delays the others so long
	s.listener, err = chanws.Listen(s.cfg.listen, opts)
	return err
}

// run is one select over new clients, what they send, the keyboard and the clock.
func (s *server) run(ctx context.Context) error {
	if err := s.listen(); err != nil {
		return err
	}
	s.screen.note("listening on %s", s.listener.URL())
	s.screen.invite()

	conns, interrupted, ended := s.listener.Conns(), ctx.Done(), false
	var finished <-chan time.Time // when to close after the end of the input
	for !ended || len(s.clients) > 0 || s.sending {
		in := s.lines
		if s.sending || s.waiting != nil {
			in = nil
		}
		select {
		case c, ok := <-conns:
			if ok {
				s.join(c)
			} else {
				conns = nil
			}
		case ev := <-s.events:
			s.show(ev)
		case line, ok := <-in:
			if ok {
				s.read(line)
			} else if s.lines = nil; s.cfg.wait >= 0 {
				finished = time.After(s.cfg.wait)
			}
		case err := <-s.sent:
			s.sending = false
			s.check(err)
		case <-finished:
			s.close()
		case <-interrupted: // Ctrl-C
			interrupted = nil
			s.close()
		case <-s.down:
			s.down, ended = nil, true
		}
	}
	if s.waiting != nil {
		s.failed++
	}
	if s.err == nil && s.failed > 0 && s.screen.editor == nil { // a script should notice
		return fmt.Errorf("not sent: %d of the lines", s.failed)
	}
	return s.err
}

// close ends the listener and all connections. The loop goes on until they have ended.
func (s *server) close() {
	down := make(chan struct{})
	s.down, s.lines = down, nil
	go func() {
		defer close(down)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.listener.Shutdown(ctx)
	}()
}

// join gives a new client a name, and brings its events to the loop.
func (s *server) join(c *chanws.Conn) {
	s.joined++
	name := strconv.Itoa(s.joined)
	s.clients[c] = name
	s.screen.status("%s connected from %v, %s", name, c.RemoteAddr(), printable(c.Request().URL.RequestURI()))
	s.screen.control("%s", headerLines(c.Request().Header))
	go func() {
		for ev := range c.Events() {
			s.events <- event{c, ev}
		}
	}()
	if s.waiting != nil {
		s.broadcast(s.waiting)
		s.waiting = nil
	}
}

// show prints an event, or that a client has left.
func (s *server) show(ev event) {
	name := s.clients[ev.client]
	if end, terminal := ev.Event.(error); terminal {
		delete(s.clients, ev.client)
		ev.client.CloseNow()
		s.screen.status("%s left: %v", name, end)
		return
	}
	if pong, ok := ev.Event.(chanws.Pong); ok && !s.pinged.IsZero() {
		s.screen.note("%s pong %q after %v", name, pong, time.Since(s.pinged).Round(time.Microsecond))
		return
	}
	s.screen.event(name, ev.Event)
}

// read sends a line to all clients.
func (s *server) read(line input) {
	if line.err != nil {
		s.err = fmt.Errorf("stdin: %w", line.err)
		s.close()
		return
	}
	if line.text == "/quit" {
		s.close()
		return
	}
	m, err := read(line.text, s.screen)
	s.check(err)
	switch {
	case m == nil:
	case len(s.clients) > 0:
		s.broadcast(m)
	case s.screen.editor != nil:
		s.check(errors.New("nobody is connected"))
	default:
		s.waiting = m
	}
}

// broadcast sends m to all clients. Waiting for the slowest keeps a fast pipe from
// filling the memory, and takes place outside the loop, which goes on receiving.
func (s *server) broadcast(m chanws.Message) {
	if _, ok := m.(chanws.Ping); ok {
		s.pinged = time.Now()
	}
	var writes errgroup.Group
	for c := range s.clients {
		writes.Go(func() error {
			err := c.Write(context.Background(), m)
			if !errors.Is(err, chanws.ErrInvalidMessage) {
				return nil // the client has left, which is an event of its own
			}
			return err
		})
	}
	s.sending = true
	go func() { s.sent <- writes.Wait() }()
}

// check prints why a line was not sent.
func (s *server) check(err error) {
	if err != nil {
		s.failed++
		s.screen.note("not sent: %v", err)
	}
}
