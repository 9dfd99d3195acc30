package handshake

import (
	"bufio"
	"bytes"
	"fmt"
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
	unsent   int    // bytes that were written before, and wait in the server's buffer
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
	t.unsent = rw.Writer.Buffered()
	return nil
}

// refuse answers 500 on a connection that has been hijacked, and closes it. What waits
// in the server's buffer is dropped.
func (t *takeover) refuse(err error) *Refusal {
	defer t.conn.Close()
	if t.conn.SetDeadline(time.Now().Add(answerTimeout)) == nil {
		text := http.StatusText(http.StatusInternalServerError)
		_, _ = fmt.Fprintf(t.conn, "HTTP/1.1 500 %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n", text, len(text)+1, text)
	}
	return &Refusal{StatusCode: http.StatusInternalServerError, Err: err}
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
	_ = wireHeader(t.before).Write(&head)
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

// answerHeader returns the headers of a 101 besides the handshake's own: those that a
// handler or middleware has set before, and the user's. A 101 has no content, so what
// middleware has said about a content is dropped.
func answerHeader(set, added http.Header) http.Header {
	h := make(http.Header, len(set)+len(added))
	for name, values := range set {
		if !isHandshakeHeader(name) && !isContentHeader(name) {
			h[name] = slices.Clone(values)
		}
	}
	for name, values := range added {
		h[name] = append(h[name], values...)
	}
	if _, ok := h["Date"]; !ok {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return h
}

// isContentHeader reports whether a header is about the content of its answer, RFC 9110
// section 8.
func isContentHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Content-Range", "Content-Disposition",
		"Content-Digest", "Content-Md5", "Repr-Digest", "Digest", "Accept-Ranges", "Etag", "Last-Modified":
		return true
	}
	return false
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

// innermost returns the last writer below w, where the way to a Hijacker ends.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for next := unwrap(w); next != nil; next = unwrap(w) {
		w = next
	}
	return w
}

// unwrap gives the next writer below w, or nil.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}
