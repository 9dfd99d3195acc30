package handshake

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	//lint:ignore SA1019 the last release under this path; docs/dependencies.md says why it is used
	"nhooyr.io/websocket"
)

// ServerOptions are what a server's side of the handshake may be told.
type ServerOptions struct {
	Subprotocols []string
	// SelectSubprotocol chooses instead of Subprotocols.
	SelectSubprotocol func(r *http.Request, offered []string) (string, error)
	Origins           []string
	Header            http.Header    // added to the 101
	Deflate           *DeflatePolicy // nil: no compression
}

// A Server accepts opening handshakes, RFC 6455 section 4.2. It is safe for
// concurrent use.
type Server struct {
	subprotocols []string
	choose       func(r *http.Request, offered []string) (string, error) // or nil
	origins      originPolicy
	header       http.Header
	deflate      *DeflatePolicy
}

// A Refusal is an answer other than 101.
type Refusal struct {
	StatusCode int    // 0 is 403
	Message    string // the text of the body; "" is that of StatusCode
	Header     http.Header
	// Err is what caused the refusal; the peer does not see it. It may be nil.
	Err error
}

// Error is the status and the message, and what the peer did not see.
func (f *Refusal) Error() string {
	text := fmt.Sprintf("%d %s", f.StatusCode, http.StatusText(f.StatusCode))
	if f.Message != "" {
		text += ": " + f.Message
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap gives f.Err.
func (f *Refusal) Unwrap() error { return f.Err }

// NewServer checks the options. Its error, an *[InvalidError], begins with the name
// of the bad field.
func NewServer(o ServerOptions) (*Server, error) {
	if o.SelectSubprotocol != nil && len(o.Subprotocols) > 0 {
		return nil, invalid("SelectSubprotocol and Subprotocols: not both; SelectSubprotocol chooses instead of the list")
	}
	for i, name := range o.Subprotocols {
		if !isFieldName(name) {
			return nil, invalid("Subprotocols[%d] %q: is no token of RFC 9110", i, name)
		}
	}
	origins, err := newOriginPolicy(o.Origins)
	if err != nil {
		return nil, invalid("Origins%w", err)
	}
	header := make(http.Header, len(o.Header))
	for name, values := range o.Header {
		if !isFieldName(name) {
			return nil, invalid("Header %q: invalid name", name)
		}
		if isHandshakeHeader(name) {
			return nil, invalid("Header %q: belongs to the handshake", name)
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return nil, invalid("Header %q: its value holds a control character", name)
			}
			header.Add(name, v)
		}
	}
	return &Server{
		subprotocols: slices.Clone(o.Subprotocols),
		choose:       o.SelectSubprotocol,
		origins:      origins,
		header:       header,
		deflate:      o.Deflate,
	}, nil
}

// Accept answers the upgrade request r. When nothing else is wrong, authorize is
// called, then SelectSubprotocol, then admit, and then the 101 is written. An error of
// them that is a *[Refusal] is the answer, any other one is 403. authorize and admit
// may be nil.
//
// The connection is taken from the HTTP server before the 101 goes out, so that no
// client is told 101 for one that cannot be had. The 101 does not pass through w
// then: what wraps w sees a hijack and no status. The headers that were set on w
// go out with it.
//
// When Accept fails with a *Refusal the answer has been written; after any other
// error the connection has been closed.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, authorize func(*http.Request) error, admit func() error) (*Stream, error) {
	refusal := checkRequest(r)
	if refusal == nil && !canHijack(w) {
		refusal = noHijack(w, errors.ErrUnsupported)
	}
	if refusal == nil {
		refusal = s.checkOrigin(r)
	}
	var subprotocol string
	if refusal == nil {
		subprotocol, refusal = s.decide(r, authorize, admit)
	}
	if refusal != nil {
		return nil, Refuse(w, *refusal)
	}
	return s.switchProtocols(w, r, subprotocol)
}

// checkOrigin is the answer to a web page that may not connect, or nil.
func (s *Server) checkOrigin(r *http.Request) *Refusal {
	reason := s.origins.refuse(r)
	if reason == "" {
		return nil
	}
	refusal := &Refusal{StatusCode: http.StatusForbidden, Message: reason}
	origin := r.Header.Get("Origin")
	// A star is no browser's, and would admit others.
	if _, invalid := newOriginPolicy([]string{origin}); invalid == nil && !strings.Contains(origin, "*") && len(r.Header.Values("Origin")) == 1 {
		refusal.Err = fmt.Errorf("to admit it, add %s to UpgradeOptions.Origins", quote(origin))
	}
	return refusal
}

// decide asks the user about a request that is in order.
func (s *Server) decide(r *http.Request, authorize func(*http.Request) error, admit func() error) (subprotocol string, _ *Refusal) {
	if authorize != nil {
		if err := authorize(r); err != nil {
			return "", refusalOf(err)
		}
	}
	subprotocol, err := s.selectSubprotocol(r)
	if err != nil {
		return "", refusalOf(err)
	}
	if admit != nil {
		if err := admit(); err != nil {
			return "", refusalOf(err)
		}
	}
	return subprotocol, nil
}

// refusalOf is the answer that err chooses, or 403.
func refusalOf(err error) *Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &Refusal{StatusCode: http.StatusForbidden, Err: err}
}

// switchProtocols takes the connection from the HTTP server and writes the 101.
func (s *Server) switchProtocols(w http.ResponseWriter, r *http.Request, subprotocol string) (*Stream, error) {
	deflate, extensions := s.selectDeflate(r)
	// nhooyr sees nothing but what it has to answer. What has been negotiated here
	// needs no second opinion.
	plain := r.WithContext(r.Context())
	plain.Header = http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {strings.TrimSpace(r.Header.Get("Sec-Websocket-Key"))},
	}
	//lint:ignore SA1019 see the import
	opts := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}
	if subprotocol != "" {
		plain.Header.Set("Sec-Websocket-Protocol", subprotocol)
		opts.Subprotocols = []string{subprotocol}
	}

	t := &takeover{before: answerHeader(w.Header(), s.header), header: make(http.Header)}
	if extensions != "" {
		t.before.Set(extensionsHeader, extensions)
	}
	if err := t.hijack(w); err != nil {
		return nil, Refuse(w, *noHijack(w, err))
	}
	if t.unsent > 0 {
		return nil, t.refuse(fmt.Errorf("the handler has written to the ResponseWriter before the upgrade (%d bytes were still in its buffer)", t.unsent))
	}
	//lint:ignore SA1019 see the import
	c, err := websocket.Accept(t, plain, opts)
	if err == nil {
		// Ends nhooyr's goroutine. The socket is not its own.
		//lint:ignore SA1019 see the import
		err = c.CloseNow()
	}
	if t.err != nil {
		err = t.err
	}
	if err == nil {
		err = t.conn.SetDeadline(time.Time{})
	}
	if err != nil {
		t.conn.Close()
		return nil, fmt.Errorf("after the hijack: %w", err)
	}
	return &Stream{Conn: t.conn, Buffered: t.buffered, Subprotocol: subprotocol, Deflate: deflate, Request: bare(r)}, nil
}

// noHijack is the answer when the connection cannot be had. Only the error names the
// type of the writer that has no Hijacker: it is none of the client's business.
func noHijack(w http.ResponseWriter, err error) *Refusal {
	if errors.Is(err, errors.ErrUnsupported) {
		return &Refusal{StatusCode: http.StatusNotImplemented, Message: "this server does not give its connections away (no http.Hijacker)",
			Err: fmt.Errorf("the ResponseWriter %T has neither a Hijack method nor an Unwrap method that leads to one: %w", innermost(w), err)}
	}
	return &Refusal{StatusCode: http.StatusInternalServerError, Err: err}
}

// selectSubprotocol returns what SelectSubprotocol chooses, or else the first of the
// client's, in its order of preference, that the server has too; section 4.2.2, point
// 5.
func (s *Server) selectSubprotocol(r *http.Request) (string, error) {
	offered := listed(r.Header, "Sec-Websocket-Protocol")
	if s.choose == nil {
		for _, name := range offered {
			if slices.Contains(s.subprotocols, name) {
				return name, nil
			}
		}
		return "", nil
	}
	chosen, err := s.choose(r, slices.Clone(offered))
	switch {
	case err != nil:
		return "", err
	case chosen != "" && (!slices.Contains(offered, chosen) || !isFieldName(chosen)):
		return "", &Refusal{StatusCode: http.StatusInternalServerError,
			Err: fmt.Errorf("SelectSubprotocol returned %s, and the client offers %q: return one of those, or \"\"", quote(chosen), offered)}
	}
	return chosen, nil
}

// selectDeflate gives what the first acceptable offer of compression agrees to, and
// the answer's header.
func (s *Server) selectDeflate(r *http.Request) (*Deflate, string) {
	if s.deflate == nil {
		return nil, ""
	}
	offers, _ := parseExtensions(r.Header) // checked before
	return s.deflate.choose(offers)
}

// checkRequest gives what is wrong with r as an upgrade request, section 4.2.1, or
// nil.
func checkRequest(r *http.Request) *Refusal {
	var dropped error
	upgrade := func(message string) *Refusal {
		return &Refusal{StatusCode: http.StatusUpgradeRequired, Message: message, Err: dropped,
			Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}}
	}
	bad := func(message string) *Refusal {
		return &Refusal{StatusCode: http.StatusBadRequest, Message: message}
	}
	keys := r.Header.Values("Sec-Websocket-Key")
	if len(keys) > 0 {
		dropped = errDropped
	}
	versions := listed(r.Header, "Sec-Websocket-Version")
	_, malformed := parseExtensions(r.Header)
	switch {
	case r.ProtoMajor != 1:
		return &Refusal{StatusCode: http.StatusHTTPVersionNotSupported, Message: "a WebSocket handshake needs HTTP/1.1, not " + quote(r.Proto), Err: errHTTP2}
	case r.Method != http.MethodGet:
		return &Refusal{StatusCode: http.StatusMethodNotAllowed, Message: "a WebSocket handshake is a GET request, not " + quote(r.Method),
			Header: http.Header{"Allow": {http.MethodGet}}}
	case !r.ProtoAtLeast(1, 1):
		return upgrade("a WebSocket handshake needs HTTP/1.1, not " + quote(r.Proto))
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return upgrade("the Upgrade header is " + shown(r.Header, "Upgrade") + `, not "websocket"`)
	case !hasToken(r.Header, "Connection", "Upgrade"):
		return upgrade("the Connection header is " + shown(r.Header, "Connection") + `, without "Upgrade"`)
	case len(versions) != 1 || versions[0] != "13":
		// Section 4.4.
		dropped = nil
		refusal := upgrade("Sec-WebSocket-Version is " + shown(r.Header, "Sec-Websocket-Version") + `, not "13"`)
		refusal.Header.Set("Sec-WebSocket-Version", "13")
		return refusal
	case len(keys) != 1:
		return bad(fmt.Sprintf("%d Sec-WebSocket-Key headers instead of one", len(keys)))
	case !isKey(strings.TrimSpace(keys[0])):
		return bad("Sec-WebSocket-Key is " + quote(keys[0]) + ", not 16 bytes in base64")
	case malformed != nil:
		return bad(malformed.Error())
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return bad("a WebSocket handshake has no body")
	}
	return nil
}

// What the server's author should know of a refusal, and the client need not.
var (
	errDropped = errors.New("the client asks for a WebSocket connection: a proxy in front of this server has to pass on the request's Upgrade and Connection headers, and to speak HTTP/1.1 (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection upgrade)")
	errHTTP2   = errors.New("to turn HTTP/2 off, set http.Server.Protocols to one with SetHTTP1(true) alone, or http.Server.TLSNextProto to an empty map")
)

func isKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

// Refuse writes f as a small text answer, and returns what it has written: a status
// code that refuses nothing becomes 500.
func Refuse(w http.ResponseWriter, f Refusal) *Refusal {
	if f.StatusCode == 0 {
		f.StatusCode = http.StatusForbidden
	}
	if f.StatusCode < 300 || f.StatusCode > 599 {
		f.Err = errors.Join(fmt.Errorf("status code %d refuses nothing", f.StatusCode), f.Err)
		f.StatusCode, f.Message = http.StatusInternalServerError, ""
	}
	message := f.Message
	if message == "" {
		message = http.StatusText(f.StatusCode)
	}
	h := w.Header()
	// Content-Encoding stays, as in http.Error: middleware that has set it compresses
	// what is written here.
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	for name, values := range f.Header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Content-Length", "Transfer-Encoding", "Trailer":
		case "Connection", "Set-Cookie":
			h[name] = append(slices.Clone(h[name]), values...)
		default:
			h[wireName(name)] = slices.Clone(values)
		}
	}
	w.WriteHeader(f.StatusCode)
	io.WriteString(w, message+"\n")
	return &f
}

// bare is a copy of r that holds on to no more than a Conn's Request must give.
func bare(r *http.Request) *http.Request {
	// A shallow copy keeps the router's pattern and path values.
	r = r.WithContext(context.Background())
	r.Body, r.GetBody, r.MultipartForm, r.Response = http.NoBody, nil, nil, nil
	//lint:ignore SA1019 dropped because it would hold on to its maker
	r.Cancel = nil
	return r
}

// isHandshakeHeader tells whether a header of a 101 is for the handshake alone to
// set.
func isHandshakeHeader(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return strings.HasPrefix(name, "Sec-Websocket-")
}

// isFieldName tells whether s is a token, RFC 9110 section 5.6.2.
func isFieldName(s string) bool {
	return only(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
}

// isFieldValue tells whether s is a field value, RFC 9110 section 5.5.
func isFieldValue(s string) bool {
	for _, b := range []byte(s) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// listed gives the elements of a list header, from all its lines.
func listed(h http.Header, name string) []string {
	var all []string
	for _, line := range h[name] {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(listed(h, name), func(s string) bool { return strings.EqualFold(s, token) })
}

// shown is a header as an error message shows it.
func shown(h http.Header, name string) string {
	if len(h[name]) == 0 {
		return "missing"
	}
	return quote(strings.Join(h[name], ", "))
}

// quote is s, cut where an error message would become long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
