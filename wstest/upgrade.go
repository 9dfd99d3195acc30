package wstest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/chanws/chanws"
)

// upgrade does the server's side of the handshake on far, with the library and
// just as much of an HTTP server as that needs. When it fails, far is closed
// after the answer.
func upgrade(far *conn, opts *chanws.UpgradeOptions) (s *chanws.Conn, err error) {
	defer func() {
		if s == nil {
			far.Close()
		}
	}()
	buffered := bufio.NewReader(far)
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	// As in net/http, the request ends when its handler returns.
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), http.LocalAddrContextKey, far.LocalAddr()))
	defer cancel()
	r = r.WithContext(ctx)
	r.RemoteAddr = far.RemoteAddr().String()
	return chanws.Upgrade(&responseWriter{conn: far, buffered: buffered, header: make(http.Header)}, r, opts)
}

// A responseWriter writes the answer to one request, as it comes, and ends it by
// closing the connection, if nobody takes that over.
type responseWriter struct {
	conn     *conn
	buffered *bufio.Reader
	header   http.Header
	status   int // 0 until the header is written
	hijacked bool
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	if w.status != 0 || w.hijacked {
		return
	}
	w.status = status
	if status != http.StatusSwitchingProtocols {
		w.header.Set("Connection", "close")
	}
	fmt.Fprintf(w.conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	w.header.Write(w.conn)
	io.WriteString(w.conn, "\r\n")
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if w.hijacked {
		return 0, http.ErrHijacked
	}
	w.WriteHeader(http.StatusOK)
	return w.conn.Write(p)
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	w.hijacked = true
	return w.conn, bufio.NewReadWriter(w.buffered, bufio.NewWriter(w.conn)), nil
}
