package chanws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/chanws/chanws/internal/handshake"
)

// DialOptions are the settings of [Dial]. The zero value, and a nil pointer, are all
// defaults. Nothing in them is ever changed, so that one value serves any number of
// calls, also at once.
type DialOptions struct {
	Options

	// Header is sent with the upgrade request. "Host" overrides the URL's host. What
	// belongs to the handshake is refused: Connection, Upgrade, Sec-WebSocket-*,
	// Content-Length, Transfer-Encoding, Trailer.
	//
	// After a redirect Header is sent again. As in net/http, Authorization and Cookie are
	// left out if the host is neither the first one nor a subdomain of it; the port does
	// not count. Set a secret in another header in Authorize instead. No Referer is sent
	// when a redirect is followed.
	Header http.Header
	// Cookies are sent after those in Header, those of HTTPClient's Jar after them.
	Cookies []*http.Cookie
	// Subprotocols are offered to the server in this order of preference, RFC 6455
	// section 1.9. Each is a token and there once; case counts.
	Subprotocols []string
	// RequireSubprotocol makes it an error when the server chooses none of
	// Subprotocols.
	RequireSubprotocol bool

	// HTTPClient makes the upgrade request. Its Transport brings proxies, TLS and custom
	// dialling; its Jar, CheckRedirect and Timeout do what they always do. Default: a
	// client with none of them.
	//
	// An *http.Transport is copied, and the copy speaks HTTP/1.1 without keep-alive. A
	// client without a Transport gets a copy of http.DefaultTransport, which takes its
	// proxies from the environment, for ws and wss as for http and https. An HTTP proxy
	// is asked for a tunnel with CONNECT for both (RFC 6455 section 4.1). A net.Conn of
	// its own dialling must obey its deadlines, or Dial fails when its time is over.
	//
	// Another RoundTripper is used unchanged, and HTTP proxies and the spelling of header
	// names are its own. It must answer 101 with a body that is an io.ReadWriteCloser,
	// and must not read that. If it does not call httptrace's GotConn for its request, or
	// calls it for several requests, the connection has neither deadlines nor addresses.
	//
	// Without a CheckRedirect at most 10 redirects are followed, and none from wss to ws.
	HTTPClient *http.Client
	// TLSConfig is for wss and https. Together with HTTPClient it is an error: set its
	// Transport's TLSClientConfig instead. By ALPN the protocols in NextProtos are
	// offered, except h2, which has no upgrade; if there are none, http/1.1. Default:
	// that of http.DefaultTransport.
	TLSConfig *tls.Config

	// HandshakeTimeout is a deadline over everything that Dial does: resolving,
	// connecting, TLS, redirects, upgrade. Default 30 s; negative: none.
	HandshakeTimeout time.Duration

	// Authorize is called for every request before it is sent, also for those that
	// follow a redirect, so that tokens are fresh. It may change the URL, the header and
	// the Host, but not what belongs to the handshake. The request's Host is empty unless
	// Header has one: then the Host header is that of the URL, also of a URL that
	// Authorize has set. A redirect may lead to another host: look at the request's URL
	// before you add a secret. Its error ends Dial. Its context ends with the handshake.
	Authorize func(context.Context, *http.Request) error
}

const defaultHandshakeTimeout = 30 * time.Second

// A HandshakeError is a server's answer that opens no WebSocket connection: one that
// is not 101 Switching Protocols, or a 101 that breaks RFC 6455 section 4.1. It may
// also be the answer of an HTTP proxy to CONNECT, for example 407; its text says so.
type HandshakeError struct {
	StatusCode int         // 401
	Status     string      // "401 Unauthorized"
	Header     http.Header // of the answer
	Body       []byte      // its first KiB
	Err        error       // what is wrong with it
}

// Error returns the status and the beginning of the body, or what is wrong with a 101.
func (e *HandshakeError) Error() string {
	const prefix = "websocket handshake: "
	if errors.As(e.Err, new(*handshake.ProxyError)) {
		return prefix + e.Err.Error()
	}
	text := prefix + handshake.Printable(e.Status)
	if e.Status == "" {
		text = fmt.Sprintf("%s%d", prefix, e.StatusCode)
	}
	class := e.StatusCode / 100
	if class == 2 {
		text += ": no WebSocket endpoint at this URL, want 101"
	}
	refused := e.StatusCode != http.StatusSwitchingProtocols
	if body := handshake.Printable(string(e.Body)); refused && class != 3 && body != "" {
		return text + ": " + body
	}
	if e.Err != nil && (!refused || class == 3) {
		return text + ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives e.Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Dial opens a connection to a ws:// or wss:// URL; http and https stand for them.
// ctx bounds the handshake only, RFC 6455 section 4.1: the connection keeps ctx's
// values, but outlives its end. opts may be nil.
//
// Dial returns when the handshake is done. Its error is one of
//
//   - one that names the option, or says what is wrong with the URL, before anything
//     was dialled;
//   - a *[HandshakeError] for an answer that is not 101, or not a valid one, of the
//     server or of a proxy;
//   - one that matches os.ErrDeadlineExceeded and context.DeadlineExceeded when
//     HandshakeTimeout has expired;
//   - one that matches ctx.Err() and ctx's cause when ctx has ended;
//   - what Authorize or HTTPClient returned;
//   - one of the network or of TLS: a *net.OpError, *net.DNSError,
//     *tls.CertificateVerificationError and so on; http.ErrSchemeMismatch for wss to a
//     server that answers without TLS.
//
// Match them with errors.Is and errors.As. Their texts name the URL that was dialled
// last, without user, password and query. ctx and the timeouts hold whatever HTTPClient's
// Transport does. A failed Dial leaves no connection and no goroutine behind (with a
// RoundTripper that is not an *http.Transport, only as far as that one returns).
//
// In url's path and query, spaces, "<>\^`{|} and what is not ASCII are percent-encoded;
// what is encoded already is sent unchanged.
func Dial(ctx context.Context, url string, opts *DialOptions) (*Conn, error) {
	if ctx == nil {
		return nil, errNilContext
	}
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
	where := handshake.Show(url)
	var moved *handshake.MovedError
	if errors.As(err, &moved) {
		where, err = moved.URL+" (from "+where+")", moved.Err
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
	return fmt.Errorf("chanws: dial %s: %w", where, err)
}
