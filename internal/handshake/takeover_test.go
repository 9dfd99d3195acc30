package handshake

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStreamIsTheRawConnection(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	_, _, client := exchange(t, httpServer(t, handler), goodRequest+"\r\n")
	stream := (<-results).stream
	require.IsType(t, (*net.TCPConn)(nil), stream.Conn)

	_, err := stream.Conn.Write([]byte("from the server"))
	require.NoError(t, err)
	_, err = client.Write([]byte("from the client"))
	require.NoError(t, err)
	got := make([]byte, 15)
	_, err = io.ReadFull(client, got)
	require.NoError(t, err)
	require.Equal(t, "from the server", string(got))
	_, err = io.ReadFull(stream.Conn, got)
	require.NoError(t, err)
	require.Equal(t, "from the client", string(got))
}

func TestBytesBehindTheRequestAreBuffered(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"x", "two frames", strings.Repeat("long ", 3000)} {
		handler, results := acceptor(t, ServerOptions{}, nil)
		_, _, client := exchange(t, httpServer(t, handler), goodRequest+"\r\n"+sent)
		require.NoError(t, client.(*net.TCPConn).CloseWrite())
		stream := (<-results).stream
		require.NotEmpty(t, stream.Buffered)
		rest, err := io.ReadAll(stream.Conn)
		require.NoError(t, err)
		require.Equal(t, sent, string(stream.Buffered)+string(rest))
	}
}

// A hijackable writer gives conn away, or err.
type hijackable struct {
	http.ResponseWriter
	conn net.Conn
	err  error
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), h.err
}

// An unwrapper has nothing but Unwrap, and counts what it is told to answer.
type unwrapper struct {
	http.ResponseWriter
	status *[]int
}

func (u unwrapper) Unwrap() http.ResponseWriter { return u.ResponseWriter }
func (u unwrapper) WriteHeader(code int) {
	*u.status = append(*u.status, code)
	u.ResponseWriter.WriteHeader(code)
}

func TestMiddlewareThatOnlyUnwrapsSeesARefusalButNo101(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		request string
		status  int
		seen    []int
	}{{"accepted", goodRequest, 101, nil}, {"refused", with("Upgrade", ""), 426, []int{426}}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{}, nil)
			var inner, outer []int
			answer, _, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
				handler(unwrapper{unwrapper{w, &inner}, &outer}, r)
			}), tc.request+"\r\n")
			require.Equal(t, tc.status, answer.StatusCode)
			require.Equal(t, tc.status == 101, (<-results).err == nil)
			require.Equal(t, tc.seen, inner)
			require.Equal(t, tc.seen, outer)
		})
	}
}

// A lazy writer remembers the status until something is written, as those of gin
// and of compressing middleware do.
type lazy struct {
	http.ResponseWriter
	status int
}

func (l *lazy) WriteHeader(code int) { l.status = code }
func (l *lazy) Write(p []byte) (int, error) {
	l.ResponseWriter.WriteHeader(l.status)
	return l.ResponseWriter.Write(p)
}
func (l *lazy) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(l.ResponseWriter).Hijack()
}

func TestWriterThatOnlyRemembersItsStatusLosesNo101(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	answer, _, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		var seen []int
		handler(unwrapper{&lazy{ResponseWriter: w}, &seen}, r)
	}), goodRequest+"\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.NoError(t, (<-results).err)
}

// A statically hijackable writer has the method, whatever is below.
type staticallyHijackable struct{ http.ResponseWriter }

func (h staticallyHijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

func TestClientIsNotTold101WhenTheHijackFails(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(staticallyHijackable{w}, r) })
	answer, body, _ := exchange(t, httpServer(t, http.TimeoutHandler(inner, patience, "").ServeHTTP), goodRequest+"\r\n")
	require.Equal(t, 501, answer.StatusCode)
	require.Contains(t, body, "http.Hijacker")
	require.Empty(t, answer.Header.Values("Upgrade"))
	require.ErrorIs(t, (<-results).err, errors.ErrUnsupported)
}

func TestHeadersOfThe101CannotBreakItsLines(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	answer, _, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-A"] = []string{"1\r\nX-Evil: 2\n\nX-Evil: 3"}
		w.Header()["X-B: 1\r\nX-Evil"] = []string{"4"}
		handler(w, r)
	}), goodRequest+"\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.NoError(t, (<-results).err)
	require.Equal(t, "1  X-Evil: 2  X-Evil: 3", answer.Header.Get("X-A"))
	require.NotContains(t, answer.Header, "X-Evil")
}

func TestWithoutHijackerTheAnswerIs501(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, func(*http.Request) error {
		t.Error("Authorize was asked")
		return nil
	})
	answer, body, _ := exchange(t, httpServer(t, http.TimeoutHandler(handler, patience, "").ServeHTTP), goodRequest+"\r\n")
	require.Equal(t, 501, answer.StatusCode)
	require.Contains(t, body, "http.Hijacker")
	require.Error(t, (<-results).err)
}

func TestFailedHijackIs500(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{})
	require.NoError(t, err)
	broken := errors.New("broken")
	w := httptest.NewRecorder()
	_, err = s.Accept(hijackable{ResponseWriter: w, err: broken}, newRequest(t), nil, nil)
	require.ErrorIs(t, err, broken)
	require.ErrorAs(t, err, new(*Refusal))
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "broken")
}

// A witness remembers the last deadline, what was written under it, and whether it
// was closed.
type witness struct {
	net.Conn
	deadline, writing time.Time
	written           bytes.Buffer
	closed            bool
	deadlineErr       error
	writeErr          error
}

func (w *witness) SetDeadline(d time.Time) error { w.deadline = d; return w.deadlineErr }
func (w *witness) Close() error                  { w.closed = true; return nil }
func (w *witness) Write(p []byte) (int, error) {
	w.writing = w.deadline
	w.written.Write(p)
	return len(p), w.writeErr
}

func TestThe101HasADeadlineThatIsClearedAfterIt(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{})
	require.NoError(t, err)
	conn := &witness{}
	stream, err := s.Accept(hijackable{ResponseWriter: httptest.NewRecorder(), conn: conn}, newRequest(t), nil, nil)
	require.NoError(t, err)
	require.Same(t, conn, stream.Conn)
	require.True(t, strings.HasPrefix(conn.written.String(), "HTTP/1.1 101 Switching Protocols\r\n"))
	require.WithinRange(t, conn.writing, time.Now(), time.Now().Add(answerTimeout))
	require.Zero(t, conn.deadline)
	require.False(t, conn.closed, "by nhooyr")
}

func TestConnectionThatFailsAfterTheHijackIsClosed(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for name, conn := range map[string]*witness{"deadline": {deadlineErr: gone}, "write": {writeErr: gone}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(ServerOptions{})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			_, err = s.Accept(hijackable{ResponseWriter: w, conn: conn}, newRequest(t), nil, nil)
			require.ErrorIs(t, err, gone)
			require.NotErrorAs(t, err, new(*Refusal))
			require.True(t, conn.closed)
			require.Empty(t, w.Body.String())
		})
	}
}

func TestHeadersGoOutWithThe101(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{Header: http.Header{"x-option": {"1", "2"}, "Set-Cookie": {"b=2"}}}, nil)
	answer, _, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		w.Header().Set("X-Middleware", "yes")
		for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept"} {
			w.Header().Set(name, "7")
		}
		handler(w, r)
	}), goodRequest+"\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.NoError(t, (<-results).err)
	require.NotEmpty(t, answer.Header.Get("Date"))
	answer.Header.Del("Date")
	require.Equal(t, http.Header{
		"X-Option":             {"1", "2"},
		"X-Middleware":         {"yes"},
		"Set-Cookie":           {"a=1", "b=2"},
		"Connection":           {"Upgrade"},
		"Upgrade":              {"websocket"},
		"Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
	}, answer.Header)
}

func TestTLSStreamIsTheTLSConnection(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	r.Header = newRequest(t).Header
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 101, answer.StatusCode)
	stream := (<-results).stream
	require.NotNil(t, stream.Request.TLS)
	_, err = stream.Conn.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(answer.Body, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func TestWhatMiddlewareSaysOfAContentDoesNotGoOutWithThe101(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{Header: http.Header{"Content-Language": {"en"}}}, nil)
	content := []string{
		"Content-Type", "Content-Encoding", "content-length", "Transfer-Encoding", "Content-Language", "Content-Location",
		"Content-Range", "Content-Disposition", "Content-MD5", "ETag", "Last-Modified", "Accept-Ranges", "Trailer",
	}
	answer, _, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range content {
			w.Header()[name] = []string{"1"} // as it is written
		}
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		handler(w, r)
	}), goodRequest+"\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.NoError(t, (<-results).err)
	require.Equal(t, []string{"en"}, answer.Header["Content-Language"], "that of the options")
	for _, name := range content {
		if name != "Content-Language" {
			require.Empty(t, answer.Header.Values(name), name)
		}
	}
	require.Empty(t, answer.TransferEncoding)
	require.Equal(t, "Accept-Encoding", answer.Header.Get("Vary"))
	require.NotEmpty(t, answer.Header.Get("Content-Security-Policy"))
}

// A buffering writer gives away what it has not sent, as servers other than net/http do.
type buffering struct {
	http.ResponseWriter
	conn net.Conn
	out  *bufio.Writer
}

func (b buffering) Write(p []byte) (int, error) { return b.out.Write(p) }
func (b buffering) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return b.conn, bufio.NewReadWriter(bufio.NewReader(b.conn), b.out), nil
}

func TestHandlerThatHasWrittenBeforeIs500(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{})
	require.NoError(t, err)
	conn := &witness{}
	w := buffering{httptest.NewRecorder(), conn, bufio.NewWriter(conn)}
	_, err = io.WriteString(w, "hello")
	require.NoError(t, err)
	stream, err := s.Accept(w, newRequest(t), nil, nil)
	require.Nil(t, stream)
	var refusal *Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 500, refusal.StatusCode)
	require.ErrorContains(t, err, "the handler has written to the ResponseWriter before the upgrade (5 bytes")
	require.True(t, conn.closed)
	answer, err := http.ReadResponse(bufio.NewReader(&conn.written), nil)
	require.NoError(t, err)
	require.Equal(t, 500, answer.StatusCode)
	require.True(t, answer.Close)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "Internal Server Error\n", string(body))
	require.WithinRange(t, conn.writing, time.Now(), time.Now().Add(answerTimeout))
}

// A status recorder of a middleware that forgot Unwrap.
type recorder struct{ http.ResponseWriter }

func TestErrorNamesTheWriterWithoutAHijackerAndTheAnswerDoesNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wrap func(http.Handler) http.Handler
		typ  string
	}{
		"no Unwrap": {func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var seen []int
				h.ServeHTTP(unwrapper{recorder{w}, &seen}, r)
			})
		}, "handshake.recorder"},
		"TimeoutHandler": {func(h http.Handler) http.Handler { return http.TimeoutHandler(h, patience, "") }, "*http.timeoutWriter"},
		"a Hijacker of nothing": {func(h http.Handler) http.Handler {
			return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(staticallyHijackable{w}, r) }), patience, "")
		}, "handshake.staticallyHijackable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{}, nil)
			answer, body, _ := exchange(t, httpServer(t, tc.wrap(handler).ServeHTTP), goodRequest+"\r\n")
			require.Equal(t, 501, answer.StatusCode)
			require.NotContains(t, body, tc.typ)
			err := (<-results).err
			require.ErrorContains(t, err, "ResponseWriter "+tc.typ+" ")
			require.ErrorIs(t, err, errors.ErrUnsupported)
		})
	}
}
