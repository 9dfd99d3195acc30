package handshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Finished returns the stream of a handshake that somebody else has done on conn. It
// clears conn's deadlines. r may be nil. Its error begins with the name of the bad
// field.
func Finished(conn net.Conn, subprotocol string, buffered []byte, r *http.Request) (*Stream, error) {
	if !isFieldName(subprotocol) && subprotocol != "" {
		return nil, invalid("Subprotocol %q: is no token of RFC 9110", subprotocol)
	}
	_ = conn.SetDeadline(time.Time{}) // one that has no deadlines has none to clear
	if r == nil {
		r = unknownRequest(conn)
	}
	return &Stream{Conn: conn, Buffered: bytes.Clone(buffered), Subprotocol: subprotocol, Request: bare(r)}, nil
}

// unknownRequest returns a request that can be asked for everything, and says only
// what conn shows.
func unknownRequest(conn net.Conn) *http.Request {
	r := (&http.Request{
		Method:     http.MethodGet,
		URL:        &url.URL{Path: "/"},
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{},
	}).WithContext(context.Background())
	if addr := conn.RemoteAddr(); addr != nil {
		r.RemoteAddr = addr.String()
	}
	if encrypted, ok := conn.(*tls.Conn); ok {
		if state := encrypted.ConnectionState(); state.HandshakeComplete {
			r.TLS = &state
		}
	}
	return r
}
