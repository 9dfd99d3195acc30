package handshake

import (
	"bufio"
	"bytes"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"
)

// answerTimeout bounds the writing of the 101: some hundred bytes into a socket
// that has not been written to.
const answerTimeout = 10 * time.Second

// A takeover is the ResponseWriter that nhooyr writes to when the connection has
// been hijacked. It keeps for itself what nhooyr says of errors, writes the 101 to
// the connection, and lends that to nhooyr.
type takeover struct {
	before http.Header // what goes out besides the handshake's
	header http.Header // nhooyr's: the handshake's

	conn     net.Conn
	buffered []byte // read behind the request
	switched bool   // the 101 has been written
	err      error  // of writing it
}

// hijack takes the connection that w writes to.
func (t *takeover) hijack(w http.ResponseWriter) error {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	t.conn = conn
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Reader.Peek(n)
		t.buffered = bytes.Clone(b)
	}
	return nil
}

func (t *takeover) Header() http.Header { return t.header }

func (t *takeover) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader writes the 101, as net/http would: no value ends its line.
func (t *takeover) WriteHeader(code int) {
	if code != http.StatusSwitchingProtocols || t.switched || t.err != nil {
		return
	}
	t.switched = true
	maps.Copy(t.before, t.header)
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = t.before.Write(&head)
	head.WriteString("\r\n")
	if t.err = t.conn.SetDeadline(time.Now().Add(answerTimeout)); t.err == nil {
		_, t.err = t.conn.Write(head.Bytes())
	}
}

// Hijack lends the connection to nhooyr, with buffers of its own.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if t.err != nil {
		return nil, nil, t.err
	}
	lent := lentConn{t.conn}
	return lent, bufio.NewReadWriter(bufio.NewReaderSize(lent, 16), bufio.NewWriterSize(lent, 16)), nil
}

// A lentConn can't be closed by its borrower.
type lentConn struct{ net.Conn }

func (lentConn) Close() error { return nil }

// answerHeader gives the headers of a 101 besides the handshake's own: those that a
// handler or middleware has set before, as any answer of net/http has them, and the
// user's.
func answerHeader(set, added http.Header) http.Header {
	h := make(http.Header, len(set)+len(added))
	for _, from := range []http.Header{set, added} {
		for name, values := range from {
			if !isHandshakeHeader(name) {
				h[name] = append(slices.Clone(h[name]), values...)
			}
		}
	}
	if _, ok := h["Date"]; !ok {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return h
}

// canHijack looks for a Hijacker where http.ResponseController will.
func canHijack(w http.ResponseWriter) bool {
	for ; w != nil; w = unwrap(w) {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
	}
	return false
}

// unwrap gives the next writer below w, or nil.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}
