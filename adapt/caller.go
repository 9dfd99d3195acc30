package adapt

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/chanws/chanws"
)

// A Caller is the connection as callbacks see it: what one writes to, closes, and
// keeps things with. It may be kept and used by any number of goroutines, inside
// callbacks and outside, also after the connection has ended.
//
// A write puts the message in line and returns; it waits while the line is full,
// because the peer does not read. Messages are written in the order in which one
// goroutine gave them, each as a whole, whatever others write meanwhile. A write
// returns an error at once when the message is invalid, and when the connection has
// ended or this side has begun to close it; what fails later reaches OnError or
// OnClose. [Caller.Flush] is for those who need to know.
type Caller struct {
	settings *settings
	// leave ends a client's reconnecting; nil on a server.
	leave func()

	conn   atomic.Pointer[chanws.Conn] // written under mu
	closed atomic.Bool                 // this side closes; written under mu

	mu         sync.Mutex
	attributes map[string]any
	failures   []error // of streams, for OnError
	finished   bool    // no task may begin any more
	tasks      sync.WaitGroup
}

// settings are what the connections of one service share.
type settings struct {
	validate   func(any) error
	manualPong bool
	logger     *slog.Logger // nil: silent
}

var silent = slog.New(slog.DiscardHandler)

func (s *settings) log() *slog.Logger {
	if s.logger == nil {
		return silent
	}
	return s.logger
}

// log is the logger for what happens on the connection, if there is one yet.
func (c *Caller) log() *slog.Logger {
	if c.settings.logger == nil || c.Conn() == nil {
		return c.settings.log()
	}
	return c.settings.logger.With("conn", c.ConnectionID())
}

// Conn is the connection. Its events are the callbacks' own: nobody else should
// receive them. With [ClientConfig.Retry] it changes.
func (c *Caller) Conn() *chanws.Conn { return c.conn.Load() }

// ConnectionID is [chanws.Conn.ID]: a random string for logs and maps.
func (c *Caller) ConnectionID() string { return c.Conn().ID() }

// NegotiatedSubProtocol is the subprotocol that was agreed on, or "".
func (c *Caller) NegotiatedSubProtocol() string { return c.Conn().Subprotocol() }

// Request is the upgrade request, with its path values: the received one on the
// server, the sent one on the client.
func (c *Caller) Request() *http.Request { return c.Conn().Request() }

// Context ends with the connection, with what ended it as its cause. It has the
// values of the upgrade request's context on the server, and those of
// [NewAsyncClient]'s on the client.
func (c *Caller) Context() context.Context { return c.Conn().Context() }

// IsSecure tells whether the connection uses TLS.
func (c *Caller) IsSecure() bool {
	r := c.Request()
	switch r.URL.Scheme {
	case "wss", "https":
		return true
	}
	return r.TLS != nil
}

// IsOpen tells whether anything can still be said: it is false once this side has
// begun to close, after a write that failed, and when the connection has ended.
func (c *Caller) IsOpen() bool { return !c.closed.Load() && !isClosed(c.Conn().Closing()) }

// SetAttribute stores a value with the connection, for whatever the user needs. On a
// client it outlives reconnections.
func (c *Caller) SetAttribute(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attributes == nil {
		c.attributes = make(map[string]any)
	}
	c.attributes[key] = value
}

// Attribute gives a stored value, or nil.
func (c *Caller) Attribute(key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attributes[key]
}

// RemoveAttribute removes a stored value and returns it, or nil.
func (c *Caller) RemoveAttribute(key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	value := c.attributes[key]
	delete(c.attributes, key)
	return value
}

// take makes conn the connection, unless this side has closed.
func (c *Caller) take(conn *chanws.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false
	}
	c.conn.Store(conn)
	return true
}

// spawn runs a task of the connection in a goroutine of its own, unless the last
// callback has returned already.
func (c *Caller) spawn(task func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return false
	}
	c.tasks.Go(task)
	return true
}

// finish waits for the tasks.
func (c *Caller) finish() {
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	c.tasks.Wait()
}

// failed notes the failure of a stream, for OnError to be told when the connection
// has ended.
func (c *Caller) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, err)
}

// takeFailures gives what failed has noted.
func (c *Caller) takeFailures() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	failures := c.failures
	c.failures = nil
	return failures
}
