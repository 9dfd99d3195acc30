package chanws

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// A session is one connection of a [Client]. Without Retry a client has only one.
type session struct {
	conn   *Conn
	events <-chan Event // conn's, or what receiveLoop leaves of them
	queue  chan<- Event // receiveLoop's end of events; nil without handlers
	life   *life
	next   *session    // what has replaced this one; guarded by Client.mu
	passes func() bool // asks Retry about the end of conn, once

	// unread are messages that were taken from events because s was lost before
	// anybody read from it, and drained tells that these are all. Guarded by Client.mu.
	unread  []Message
	drained bool

	left  context.Context // ends when nobody reads from this session any more
	leave context.CancelFunc
}

func (c *Client) newSession(conn *Conn) *session {
	s := &session{conn: conn, events: conn.Events(), life: watch(conn)}
	s.passes = sync.OnceValue(func() bool {
		return !conn.ClosedLocally() && c.redialer.delays.policy.Retry(conn.Err())
	})
	s.left, s.leave = context.WithCancel(c.life)
	if c.opts.OnPing != nil || c.opts.OnPong != nil {
		queue := make(chan Event, cap(s.events))
		s.events, s.queue = queue, queue
	}
	return s
}

// start is called when s is in c.
func (s *session) start(c *Client) {
	if s.queue != nil {
		go s.receiveLoop(c)
	}
}

// drain takes the messages of a lost session, so that its connection need not be
// kept for them. One that has not ended yet, because its pump waits for reads, is
// left alone: its channel is its bound. Called with Client.mu held, while nobody
// reads from s.
func (s *session) drain() {
	if s.conn.Err() == nil {
		return
	}
	for !s.drained {
		select {
		case ev := <-s.events:
			switch ev := ev.(type) {
			case Text:
				s.unread = append(s.unread, ev)
			case Binary:
				s.unread = append(s.unread, ev)
			case Close, Error, nil:
				s.drained = true
			}
		default:
			return // the rest comes with the reads, or with the next loss
		}
	}
}

// end is called when nobody wants anything of s any more.
func (s *session) end() {
	s.leave()
	s.conn.CloseNow()
}

// receiveLoop runs the handlers, and puts aside for the reads what is theirs. The
// terminal event is theirs as well, but the handlers' next connection does not wait for
// them.
func (s *session) receiveLoop(c *Client) {
	defer close(s.queue)
	for ev := range s.conn.Events() {
		if end, terminal := ev.(error); terminal && c.mayReconnect(s, end) {
			c.startReconnect(s, end)
		}
		switch ev := ev.(type) {
		case Ping:
			if c.opts.OnPing != nil {
				c.opts.OnPing(c, ev)
			}
		case Pong:
			if c.opts.OnPong != nil {
				c.opts.OnPong(c, ev)
			}
		case IdleTimeout:
		default:
			select {
			case s.queue <- ev:
			case <-s.left.Done():
				return
			}
		}
	}
}

// read waits for the next message, on as many connections as it takes.
func (c *Client) read(ctx context.Context) (Message, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	c.mu.Lock()
	s := c.reading
	c.mu.Unlock()
	for {
		m, err := c.receive(ctx, s)
		if m != nil || err != nil {
			return m, err
		}
		if s, err = c.following(ctx, s); err != nil {
			return nil, err
		}
	}
}

// receive waits for the next message of s. It gives none and no error when s has
// ended, or the client is closed.
func (c *Client) receive(ctx context.Context, s *session) (Message, error) {
	if m := c.takeUnread(s); m != nil {
		return m, nil
	}
	var timer *time.Timer
	var expired <-chan time.Time
	for {
		var ev Event
		select {
		case ev = <-s.events:
		default:
			if timer == nil && c.opts.ReadTimeout > 0 {
				timer = time.NewTimer(c.opts.ReadTimeout)
				defer timer.Stop()
				expired = timer.C
			}
			select {
			case ev = <-s.events:
			case <-s.left.Done():
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-expired:
				return nil, fmt.Errorf("chanws: no message within ClientOptions.ReadTimeout %v: %w", c.opts.ReadTimeout, os.ErrDeadlineExceeded)
			}
		}
		if c.life.Err() != nil {
			return nil, nil // as a Conn delivers nothing after a local Close
		}
		switch ev := ev.(type) {
		case Text:
			return ev, nil
		case Binary:
			return ev, nil
		case Close, Error, nil:
			return nil, nil
		}
	}
}

// takeUnread gives the first message that drain has taken, or nil.
func (c *Client) takeUnread(s *session) Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.unread) == 0 || c.life.Err() != nil {
		return nil
	}
	m := s.unread[0]
	s.unread = s.unread[1:]
	return m
}

// following gives the session on which a read goes on when s has ended, or s's
// terminal error.
func (c *Client) following(ctx context.Context, s *session) (*session, error) {
	for {
		c.mu.Lock()
		if c.reading == s && s.next != nil {
			c.reading = s.next
		}
		reading := c.reading
		c.mu.Unlock()
		if reading != s {
			s.end()
			return reading, nil
		}
		select {
		case <-s.conn.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		loss := s.conn.Err()
		if !c.mayReconnect(s, loss) {
			return nil, loss
		}
		if err := c.reconnect(ctx, s, loss); err != nil {
			return nil, err
		}
	}
}

// write sends m, on as many connections as it takes.
func (c *Client) write(ctx context.Context, m Message) error {
	if ctx == nil {
		return errNilContext
	}
	for {
		c.mu.Lock()
		s := c.current
		c.mu.Unlock()
		err := s.conn.Write(ctx, m)
		if err == nil || c.opts.Retry == nil || ctx.Err() != nil || errors.Is(err, ErrInvalidMessage) {
			return err
		}
		if err = c.lastWords(ctx, s, err); ctx.Err() != nil || !c.mayReconnect(s, err) {
			return err
		}
		if err = c.reconnect(ctx, s, err); err != nil {
			return err
		}
	}
}
