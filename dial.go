package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/handshake"
)

// DialOptions are the settings of [Dial]. The zero value, and a nil pointer, are all
// defaults. Nothing in them is ever changed, so that one value serves any number of
// calls, also at once.
type DialOptions struct {
	Options

	// Header is sent with the upgrade request. "Host" overrides the URL's host. What
	// belongs to the handshake is refused: Connection, Upgrade, Sec-WebSocket-*,
	// Content-Length, Transfer-Encoding, Trailer. A redirect to another host takes all
	// of it along but Authorization and Cookie, as net/http does: a secret in a header
	// of another name belongs into Authorize. The URL that redirects is not told as
	// Referer.
	Header http.Header
	// Cookies are sent after those in Header, those of HTTPClient's Jar after them.
	Cookies []*http.Cookie
	// Subprotocols are offered to the server in this order of preference, RFC 6455
	// section 1.9. Each is a token and there once; case counts.
	Subprotocols []string
	// RequireSubprotocol makes it an error when the server chooses none of
	// Subprotocols.
	RequireSubprotocol bool

	// HTTPClient makes the upgrade request: its Transport brings proxies, TLS and
	// custom dialling, its Jar, CheckRedirect and Timeout do what they always do. Of
	// an *http.Transport a copy is used, with HTTP/1.1 alone and without keep-alive.
	// Another RoundTripper must answer 101 with a body that is an io.ReadWriteCloser;
	// if it does not call httptrace's GotConn for that, or for several requests, the
	// connection has neither deadlines nor addresses. A net.Conn of its own dialling
	// must obey its deadlines: with one that ignores them Dial fails when its time is
	// over. Without a Transport it is a copy of
	// http.DefaultTransport, without CheckRedirect at most 10 redirects are followed
	// and none from wss to ws. Through an HTTP proxy wss is tunnelled with CONNECT,
	// but ws is not: net/http asks the proxy itself, and many refuse to upgrade.
	// Default: a client with neither.
	HTTPClient *http.Client
	// TLSConfig is for wss and https. Together with HTTPClient it is an error: set
	// its Transport's TLSClientConfig instead. Default: that of
	// http.DefaultTransport.
	TLSConfig *tls.Config

	// HandshakeTimeout is a deadline over everything that Dial does: resolving,
	// connecting, TLS, redirects, upgrade. Default 30 s; negative: none.
	HandshakeTimeout time.Duration

	// Authorize is called for every request before it is sent, also for those that
	// follow a redirect, so that tokens are fresh. It may change the URL and the
	// header, but not what belongs to the handshake. A redirect may lead to another
	// host: look at the request's URL before you add a secret. Its error ends Dial.
	// Its context ends with the handshake.
	Authorize func(context.Context, *http.Request) error
}

const defaultHandshakeTimeout = 30 * time.Second

// A HandshakeError is a server's answer that opens no WebSocket connection: one that
// is not 101 Switching Protocols, or a 101 that breaks RFC 6455 section 4.1.
type HandshakeError struct {
	StatusCode int         // 401
	Status     string      // "401 Unauthorized"
	Header     http.Header // of the answer
	Body       []byte      // its first KiB
	Err        error       // what is wrong with it
}

// Error gives the status and the beginning of the body, or what is wrong with a 101.
func (e *HandshakeError) Error() string {
	text := "websocket handshake: " + e.Status
	if e.Status == "" {
		text = fmt.Sprintf("websocket handshake: %d", e.StatusCode)
	}
	refused := e.StatusCode != http.StatusSwitchingProtocols
	redirected := e.StatusCode >= 300 && e.StatusCode < 400
	if body := excerpt(e.Body); refused && !redirected && body != "" {
		return text + ": " + body
	}
	if e.Err != nil && (!refused || redirected) {
		return text + ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives e.Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// excerpt gives the beginning of a body as one line of printable text.
func excerpt(body []byte) string {
	const most = 200
	text := strings.Join(strings.FieldsFunc(string(body), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError
	}), " ")
	if len(text) <= most {
		return text
	}
	cut := most
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}

// Dial opens a connection to a ws:// or wss:// URL; http and https stand for them.
// ctx bounds the handshake only, RFC 6455 section 4.1: the connection keeps ctx's
// values, but outlives its end. opts may be nil.
//
// Dial returns when the handshake is done. Its error is one of
//
//   - one that names the option, or says what is wrong with the URL, before anything
//     was dialled;
//   - a *[HandshakeError] for an answer that is not 101, or not a valid one;
//   - one that matches os.ErrDeadlineExceeded and context.DeadlineExceeded when
//     HandshakeTimeout has expired;
//   - one that matches ctx.Err() and ctx's cause when ctx has ended;
//   - what Authorize or HTTPClient returned;
//   - one of the network or of TLS: a *net.OpError, *net.DNSError,
//     *tls.CertificateVerificationError and so on; http.ErrSchemeMismatch for wss to a
//     server that answers without TLS.
//
// Match them with errors.Is and errors.As. Their texts show neither the URL's
// user and password nor its query. A failed Dial leaves no connection and no goroutine, as
// far as HTTPClient's Transport is an *http.Transport or leaves none.
func Dial(ctx context.Context, url string, opts *DialOptions) (*Conn, error) {
	if opts == nil {
		opts = new(DialOptions)
	}
	settings, err := opts.Options.normalize()
	if err != nil {
		return nil, &handshake.InvalidError{Err: err}
	}
	stream, err := handshake.Dial(ctx, url, handshake.ClientOptions{
		Header:             opts.Header,
		Cookies:            opts.Cookies,
		Subprotocols:       opts.Subprotocols,
		RequireSubprotocol: opts.RequireSubprotocol,
		Deflate:            settings.compression.offer(),
		HTTPClient:         opts.HTTPClient,
		TLSConfig:          opts.TLSConfig,
		Timeout:            orDefault(opts.HandshakeTimeout, defaultHandshakeTimeout),
		Authorize:          opts.Authorize,
	})
	if err != nil {
		return nil, dialError(url, err)
	}
	return newConn(ctx, stream, true, settings), nil
}

// dialError gives a handshake's error its public face.
func dialError(url string, err error) error {
	var unusable *handshake.InvalidError
	if errors.As(err, &unusable) {
		return fmt.Errorf("chanws: dial: %w", err)
	}
	var answer *handshake.ResponseError
	if errors.As(err, &answer) {
		err = &HandshakeError{
			StatusCode: answer.Response.StatusCode,
			Status:     answer.Response.Status,
			Header:     answer.Response.Header,
			Body:       answer.Body,
			Err:        answer.Err,
		}
	}
	return fmt.Errorf("chanws: dial %s: %w", handshake.Show(url), err)
}
