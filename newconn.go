package chanws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/chanws/chanws/internal/handshake"
)

// ConnOptions are the settings of [NewConn]. A zero field is the default that its
// comment names.
type ConnOptions struct {
	// Options are those of both sides. Compression must be off: a handshake would
	// have to negotiate it.
	Options

	// Client makes it the client's end, which masks what it sends and receives
	// unmasked frames, RFC 6455 section 5.1. Default: the server's.
	Client bool
	// Subprotocol is the one that the handshake has chosen. Default: none.
	Subprotocol string
	// Buffered holds bytes that have been read behind the handshake. They are read
	// before those of the net.Conn. NewConn makes a copy. Default: none.
	Buffered []byte
	// Request is the upgrade request, for [Conn.Request]. Default: a GET request for
	// "/" without headers, which has the RemoteAddr of the net.Conn, and its TLS state if
	// it is a *tls.Conn.
	Request *http.Request
	// Context gives [Conn.Context] its values, not its end. Default: that of Request,
	// or else the background context.
	Context context.Context
}

// NewConn returns a Conn over a connection whose opening handshake somebody else has
// done: the hijacked connection of another HTTP server, a stream of HTTP/2 (RFC 8441)
// behind the methods of net.Conn, or a net.Pipe between two parts of a program. nc
// carries frames from its first byte on, after Buffered. nil opts are all defaults: a
// server's end.
//
// The Conn owns nc and closes it. If NewConn fails, nc remains the caller's; the
// error names the option. NewConn clears nc's deadlines and sets them later. On an nc
// that has no working deadlines, WriteTimeout does nothing, and the connection ends by
// closing nc, whose Close has to interrupt Read and Write. Addresses may be nil.
//
// [Conn.Response] returns nil, and no extension is in use.
func NewConn(nc net.Conn, opts *ConnOptions) (*Conn, error) {
	if opts == nil {
		opts = &ConnOptions{}
	}
	set, err := opts.Options.normalize()
	switch {
	case err != nil:
		return nil, err
	case nc == nil:
		return nil, errors.New("chanws: new conn: the net.Conn is nil")
	case opts.Compression > CompressionDisabled:
		return nil, errors.New("chanws: Options.Compression must be off for NewConn, which negotiates no extension: leave it CompressionDefault")
	}
	stream, err := handshake.Finished(nc, opts.Subprotocol, opts.Buffered, opts.Request)
	if err != nil {
		return nil, fmt.Errorf("chanws: ConnOptions.%w", err)
	}
	ctx := opts.Context
	if ctx == nil && opts.Request != nil {
		ctx = opts.Request.Context()
	}
	if ctx == nil {
		ctx = context.Background()
	}
	return newConn(ctx, stream, opts.Client, set), nil
}
