package handshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	//lint:ignore SA1019 the last release under this path; nothing else here depends on it
	"nhooyr.io/websocket"
)

// ClientOptions are what [Dial] needs to know. The zero value works; nothing in it
// is ever changed.
type ClientOptions struct {
	Header             http.Header
	Cookies            []*http.Cookie
	Subprotocols       []string
	RequireSubprotocol bool
	Deflate            *DeflateOffer // nil: none
	HTTPClient         *http.Client
	TLSConfig          *tls.Config
	// Timeout bounds the whole handshake. 0: none.
	Timeout time.Duration
	// Authorize may change every request, also those that follow a redirect.
	Authorize func(context.Context, *http.Request) error
}

// InvalidError is the error for a URL or an option that no attempt can succeed with.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }
func (e *InvalidError) Unwrap() error { return e.Err }

// ResponseError is the error for an answer that opens no WebSocket connection: one
// that is not 101, or a 101 that breaks RFC 6455 section 4.1. Body holds its first
// KiB.
type ResponseError struct {
	Response *http.Response
	Body     []byte
	Err      error
}

func (e *ResponseError) Error() string { return e.Err.Error() }
func (e *ResponseError) Unwrap() error { return e.Err }

// TimeoutError is the error for a handshake that took too long. It matches
// context.DeadlineExceeded and os.ErrDeadlineExceeded.
type TimeoutError struct {
	After time.Duration
	by    string // the option, where it is not HandshakeTimeout
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("handshake timed out after %v%s", e.After, e.by)
}

// Timeout and Temporary make it a net.Error.
func (e *TimeoutError) Timeout() bool   { return true }
func (e *TimeoutError) Temporary() bool { return true }

// Is matches both sentinels for a deadline.
func (e *TimeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// Ended gives the error for a ctx that has ended: one that matches ctx.Err() as well
// as its cause.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Dial does the client's opening handshake, RFC 6455 section 4.1, and gives the raw
// connection. ctx bounds the handshake only. An error is an [*InvalidError], before
// anything is dialled, a [*ResponseError] for the server's answer, a
// [*TimeoutError], what [Ended] gives when ctx has ended, or one of the network or
// TLS. No error leaves a connection behind.
func Dial(ctx context.Context, rawURL string, o ClientOptions) (*Stream, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	header, host, err := o.header()
	if err != nil {
		return nil, err
	}
	values := context.WithoutCancel(ctx)
	ctx, cancel := o.limit(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return nil, Ended(ctx)
	}
	d := &dialer{options: &o, values: values}
	resp, err := d.open(ctx, u, header, host)
	if err != nil {
		d.abort(ctx)
		return nil, d.at(u, d.explain(ctx, resp, err))
	}
	s, err := d.takeBack(ctx)
	if err != nil {
		d.abort(ctx)
		return nil, d.at(u, err)
	}
	return s, nil
}

// limit applies the timeouts.
func (o *ClientOptions) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := &TimeoutError{After: o.Timeout}
	if c := o.HTTPClient; c != nil && c.Timeout > 0 && (limit.After <= 0 || c.Timeout < limit.After) {
		limit = &TimeoutError{After: c.Timeout, by: " (HTTPClient.Timeout)"}
	}
	if limit.After <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit.After, limit)
}

// A dialer is one Dial at work. It is the http.RoundTripper between nhooyr's
// handshake and the user's transport: nhooyr sees a 101 with a body that it can
// neither read nor close, and the true one stays here.
type dialer struct {
	options *ClientOptions
	values  context.Context // the caller's, which does not end
	host    string          // that overrides the URL's, or ""
	base    http.RoundTripper
	sockets sockets

	asked   *url.URL       // of the latest attempt
	sent    *http.Request  // of the latest attempt that was answered
	answer  *http.Response // to it, or nil
	body    []byte         // the beginning of answer's, if that is not 101
	late    bool           // the latest attempt has outlived ctx
	deflate *Deflate       // that the answer agrees to

	mu      sync.Mutex   // a foreign transport may trace from anywhere
	conns   []net.Conn   // that the latest attempt's trace has named
	begun   bool         // its response has begun
	alpn    string       // what its TLS handshake has negotiated
	refusal *proxyAnswer // what a proxy has answered it
}

// open lets nhooyr do the handshake, and ends nhooyr's own connection. With an error
// it gives what nhooyr shows of the answer, or nil.
func (d *dialer) open(ctx context.Context, u *url.URL, header http.Header, host string) (*http.Response, error) {
	var client http.Client
	if d.options.HTTPClient != nil {
		client = *d.options.HTTPClient
	}
	d.host = host
	d.base = d.transport(ctx, client.Transport)
	client.Transport = d
	client.Timeout = 0 // in ctx already
	check := client.CheckRedirect
	if check == nil {
		check = checkRedirect
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(header["Referer"]) == 0 {
			req.Header.Del("Referer") // net/http's: the URL before, with the tokens in its query
		}
		return check(req, via)
	}
	//lint:ignore SA1019 see the import
	conn, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient:   &client,
		HTTPHeader:   header,
		Host:         host,
		Subprotocols: d.options.Subprotocols,
	})
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // "failed to WebSocket dial: "
		}
		return resp, err
	}
	//lint:ignore SA1019 see the import
	_ = conn.CloseNow() // ends its goroutine; the body's Close does nothing
	return nil, d.verify()
}

// checkRedirect is for clients without one of their own: net/http's limit, which
// nhooyr would lift, and no way from TLS to plain text.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme == "http" {
		return errors.New("redirect from wss to ws refused; HTTPClient.CheckRedirect may allow it")
	}
	return nil
}

// RoundTrip makes one attempt: the first request, or one after a redirect.
func (d *dialer) RoundTrip(given *http.Request) (*http.Response, error) {
	d.forget()
	req, err := d.request(given)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	// A RoundTripper that does not mind ctx may mind the end of its connection.
	stop := context.AfterFunc(ctx, d.closeTraced)
	defer stop()
	trip := startRoundTrip(d.base, req.WithContext(httptrace.WithClientTrace(ctx, d.trace())))
	resp, err, ok := trip.result(ctx)
	if !ok {
		d.late = true
		return nil, Ended(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !stop() && resp.StatusCode == http.StatusSwitchingProtocols {
		d.late = true // and closeTraced has closed it
		go resp.Body.Close()
		return nil, Ended(ctx)
	}
	d.sent, d.answer = req, resp
	shown := *resp
	if resp.StatusCode != http.StatusSwitchingProtocols {
		d.body = trip.excerpt(ctx, resp)
		shown.Body = io.NopCloser(bytes.NewReader(d.body))
		return &shown, nil
	}
	shown.Header = resp.Header.Clone()
	shown.Header.Del("Sec-WebSocket-Extensions") // negotiated here, not there; see verify
	shown.Body = sealed{}
	return &shown, nil
}

// request is what given becomes: a RoundTripper must not change what it is given.
func (d *dialer) request(given *http.Request) (*http.Request, error) {
	req := given.Clone(given.Context())
	d.asked = req.URL
	if d.options.Deflate != nil {
		req.Header.Set(extensionsHeader, d.options.Deflate.String())
	}
	if d.host == "" {
		req.Host = "" // that of the URL, which Authorize may change
	}
	if d.options.Authorize != nil {
		if err := d.authorize(req); err != nil {
			return nil, fmt.Errorf("authorize: %w", err)
		}
	}
	if req.Host == "" {
		req.Host = req.URL.Host
	}
	escapeURL(req.URL)
	d.asked = req.URL
	return req, nil
}

// authorize lets the user change the request.
func (d *dialer) authorize(req *http.Request) error {
	before, given := req.Header.Clone(), *req.URL
	if err := d.options.Authorize(req.Context(), req); err != nil {
		return err
	}
	if err := sameHandshake(before, req.Header); err != nil {
		return err
	}
	for name, values := range req.Header { // net/http would drop "Host", and send "host" beside its own
		if strings.EqualFold(name, "Host") && len(values) > 0 {
			req.Host = values[0]
			delete(req.Header, name)
		}
	}
	// The http.Client has made a header of the URL's user before Authorize changed it.
	if u := req.URL.User; u != nil && (given.User == nil || *u != *given.User) && slices.Equal(req.Header["Authorization"], before["Authorization"]) {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	switch req.URL.Scheme { // net/http knows no other names
	case "ws":
		req.URL.Scheme = "http"
	case "wss":
		req.URL.Scheme = "https"
	}
	return nil
}

// trace learns what an attempt's transport does.
func (d *dialer) trace() *httptrace.ClientTrace {
	note := func(f func()) {
		d.mu.Lock()
		defer d.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { note(func() { d.conns = append(d.conns, info.Conn) }) },
		GotFirstResponseByte: func() { note(func() { d.begun = true }) },
		TLSHandshakeDone: func(state tls.ConnectionState, _ error) {
			note(func() { d.alpn = state.NegotiatedProtocol })
		},
	}
}

// forget forgets the attempt before.
func (d *dialer) forget() {
	d.asked, d.sent, d.answer, d.body = nil, nil, nil, nil
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns, d.begun, d.alpn, d.refusal = nil, false, "", nil
}

// refuse keeps what a proxy has answered.
func (d *dialer) refuse(by *proxyAnswer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusal = by
}

// closeTraced closes the connection of an attempt that does not end, unless others may
// use it too.
func (d *dialer) closeTraced() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) == 1 && d.alpn != "h2" {
		d.conns[0].Close()
	}
}

// tracedConn gives the connection below the answer, or nil. A transport that made
// further requests in the context of ours has named several; which of them is the
// answer's cannot be told.
func (d *dialer) tracedConn() net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) != 1 || d.answer.ProtoMajor != 1 {
		return nil
	}
	return d.conns[0]
}

// sealed is the body that nhooyr gets: it must not read what may never come, and not
// close what is ours.
type sealed struct{}

func (sealed) Read([]byte) (int, error)  { return 0, io.EOF }
func (sealed) Write([]byte) (int, error) { return 0, net.ErrClosed }
func (sealed) Close() error              { return nil }

// verify checks what nhooyr does not: RFC 6455 section 4.1, steps 5 and 6 on the
// answer, strictly.
func (d *dialer) verify() (err error) {
	h := d.answer.Header
	for _, name := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"} {
		if n := len(h.Values(name)); n > 1 {
			return fmt.Errorf("the server sent %d %s headers", n, name)
		}
	}
	if d.deflate, err = d.options.Deflate.accept(h); err != nil {
		return err
	}
	offered := d.options.Subprotocols
	chosen := h.Get("Sec-WebSocket-Protocol")
	if chosen != "" && !slices.Contains(offered, chosen) {
		return fmt.Errorf("the server chose the subprotocol %q, which was not offered", chosen)
	}
	if chosen == "" && d.options.RequireSubprotocol {
		return fmt.Errorf("the server chose none of the subprotocols %q", offered)
	}
	return nil
}

// abort frees what a failed handshake leaves.
func (d *dialer) abort(ctx context.Context) {
	if d.answer != nil && d.answer.StatusCode == http.StatusSwitchingProtocols {
		before(ctx, func() { d.answer.Body.Close() })
	}
	d.sockets.close()
}

// takeBack gives the raw connection below the 101.
func (d *dialer) takeBack(ctx context.Context) (*Stream, error) {
	conn, ahead, err := d.rawConn(ctx)
	if err != nil {
		return nil, err
	}
	resp := *d.answer
	resp.Body = http.NoBody
	resp.Request = d.sent.WithContext(d.values)
	return &Stream{
		Conn:        conn,
		Buffered:    ahead,
		Subprotocol: resp.Header.Get("Sec-WebSocket-Protocol"),
		Deflate:     d.deflate,
		Request:     resp.Request,
		Response:    &resp,
	}, nil
}

// rawConn gives the connection, and the bytes that net/http has read ahead of it.
func (d *dialer) rawConn(ctx context.Context) (net.Conn, []byte, error) {
	conn := d.tracedConn()
	body, writable := d.answer.Body.(io.ReadWriteCloser)
	if conn == nil || conn.SetReadDeadline(longAgo) != nil {
		if !writable {
			return nil, nil, invalid("HTTPClient: its Transport answers with a body that cannot be written to: %T", d.answer.Body)
		}
		return bodyConn{body}, nil, nil
	}
	// A conn that ignores its deadline, or is not the one below the body, must not
	// hold us for longer than ctx.
	stop := context.AfterFunc(ctx, func() {
		conn.Close()
		d.answer.Body.Close()
	})
	var ahead bytes.Buffer
	// With a deadline in the past only what is in memory can be read. The error is
	// that timeout, or one that conn gives again at the next read.
	read := before(ctx, func() { _, _ = ahead.ReadFrom(d.answer.Body) })
	if !stop() || !read {
		return nil, nil, Ended(ctx)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	if ahead.Len() == 0 {
		return conn, nil, nil
	}
	return conn, ahead.Bytes(), nil
}

var longAgo = time.Unix(1, 0)

// bodyConn is a connection of which the transport shows only the 101's body.
type bodyConn struct{ io.ReadWriteCloser }

type hiddenAddr struct{}

func (hiddenAddr) Network() string { return "websocket" }
func (hiddenAddr) String() string  { return "hidden by the HTTP client's transport" }

var errNoDeadline = fmt.Errorf("the HTTP client's transport hides its net.Conn: deadlines: %w", errors.ErrUnsupported)

func (bodyConn) LocalAddr() net.Addr              { return hiddenAddr{} }
func (bodyConn) RemoteAddr() net.Addr             { return hiddenAddr{} }
func (bodyConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (bodyConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (bodyConn) SetWriteDeadline(time.Time) error { return errNoDeadline }
