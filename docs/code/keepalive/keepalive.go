// Package keepalive is the code of docs/keepalive.md.
package keepalive

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/chanws/chanws"
)

var options = chanws.Options{
	PingInterval: 25 * time.Second,
	PongTimeout:  10 * time.Second,
	WriteTimeout: 10 * time.Second,
}

func why(err error) string {
	var end chanws.Close
	var wrong *chanws.ProtocolError
	switch {
	case errors.As(err, &end):
		return fmt.Sprint("the peer closed: ", end.Code, " ", end.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the peer was silent, or took no bytes, for too long"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was dropped"
	case errors.As(err, &wrong):
		return "the peer broke a rule or a limit: " + wrong.Reason
	case errors.Is(err, net.ErrClosed):
		return "we closed"
	}
	return err.Error()
}

func watchRoundTrip(o *chanws.Options, report func(time.Duration)) {
	o.Trace = &chanws.Trace{KeepalivePong: report} // must not block
}

func serveBrowser(c *chanws.Conn) { // with Options.IdleTimeout of 20 s
	defer c.CloseNow()
	for ev := range c.Events() {
		switch ev.(type) {
		case chanws.Text:
			// ...
		case chanws.IdleTimeout:
			c.Send <- chanws.Text(`{"type":"heartbeat"}`)
		}
	}
}
