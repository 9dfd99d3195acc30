// Package handshake opens WebSocket connections with nhooyr.io/websocket and takes
// the raw stream back from it.
package handshake

import (
	"net"
	"net/http"
)

// A Stream is what an opening handshake leaves: a raw connection on which both
// sides speak frames from now on.
type Stream struct {
	// Conn carries the frames. Its deadlines are cleared.
	Conn net.Conn
	// Buffered holds bytes that came with the handshake and are to be read before
	// those of Conn.
	Buffered []byte
	// Subprotocol is the one that was negotiated, or "".
	Subprotocol string
	// Deflate is how messages may be compressed, or nil.
	Deflate *Deflate
	// Request is the upgrade request, without a body.
	Request *http.Request
	// Response is the server's answer, on the client only, without a body.
	Response *http.Response
}
