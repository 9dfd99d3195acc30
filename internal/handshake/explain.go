package handshake

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MovedError is the error of an attempt at another URL than Dial was given: that of a
// redirect, or of Authorize. Its text leaves the URL to the caller.
type MovedError struct {
	URL string // as Show returns it
	Err error
}

func (e *MovedError) Error() string { return e.Err.Error() }
func (e *MovedError) Unwrap() error { return e.Err }

// at names the URL of the latest attempt, if it is not the one that was given.
func (d *dialer) at(given *url.URL, err error) error {
	if d.asked == nil {
		return err
	}
	asked := *d.asked
	if given.Scheme == "ws" || given.Scheme == "wss" {
		asked.Scheme = strings.Replace(asked.Scheme, "http", "ws", 1)
	}
	if show(&asked) == show(given) {
		return err
	}
	return &MovedError{show(&asked), err}
}

// explain returns the error for a handshake that failed. What the server answered
// counts most, then what a proxy did, then that ctx has ended.
func (d *dialer) explain(ctx context.Context, resp *http.Response, err error) error {
	var request *url.Error // net/http's, which repeats the URL
	switch {
	case errors.As(err, &request):
		err = request.Err
		if strings.HasPrefix(err.Error(), "failed to parse Location header") {
			err = errors.New("the redirect's Location cannot be parsed, and is not shown as it may hold a token")
		}
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		err = fmt.Errorf("the server answered %d, not 101", resp.StatusCode)
	}
	if d.answer != nil { // resp is nil here for a redirect that was not followed
		return &ResponseError{Response: d.answer, Body: d.body, Err: err}
	}
	d.mu.Lock()
	refusal, begun, alpn := d.refusal, d.begun, d.alpn
	d.mu.Unlock()
	if refusal != nil {
		return refusal.error()
	}
	if ctx.Err() == nil && !deadlinePassed(ctx, err) {
		return d.advise(err, alpn)
	}
	<-ctx.Done()
	if alpn == "h2" {
		return fmt.Errorf("%w: %s", Ended(ctx), spokeHTTP2)
	}
	if _, own := d.base.(*transport); d.late && begun && !own {
		return fmt.Errorf("%w: the server has answered, but HTTPClient's Transport %T has not returned; it must not read the body of a 101", Ended(ctx), d.base)
	}
	return Ended(ctx)
}

// deadlinePassed reports whether err is ctx's deadline, though ctx does not say so
// yet: package net has a timer of its own for it, which may be a little ahead.
func deadlinePassed(ctx context.Context, err error) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline) &&
		(errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded))
}

const spokeHTTP2 = `the TLS handshake chose HTTP/2 ("h2" by ALPN), and a WebSocket handshake needs HTTP/1.1: offer "http/1.1" alone in NextProtos`

// advise says what err means and what to do, where its own text does not.
func (d *dialer) advise(err error, alpn string) error {
	peer, withTLS, withoutTLS := "the server", "dial wss://", "dial ws://"
	var op *net.OpError
	toProxy := errors.As(err, &op) && op.Op == proxyOp
	if toProxy {
		peer, withTLS, withoutTLS = "the proxy", "its URL needs https://", "its URL needs http://"
	}
	text := err.Error()
	switch {
	case alpn == "h2" && !toProxy:
		return &plainError{spokeHTTP2, err}
	case strings.Contains(text, `malformed HTTP response "\x00\x00`): // a SETTINGS frame
		return &plainError{peer + " speaks HTTP/2 alone at this port, and a WebSocket handshake needs HTTP/1.1", err}
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert
		return &plainError{peer + " speaks TLS at this port: " + withTLS, err}
	case strings.Contains(text, "malformed HTTP "):
		return fmt.Errorf("%s does not speak HTTP at this port: %w", peer, err)
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(text, "first record does not look like a TLS handshake"):
		return fmt.Errorf("%w: %s speaks no TLS at this port: %s", err, peer, withoutTLS)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("%w: if it is to be trusted, add it or its issuer to %s.RootCAs", err, d.tlsConfig())
	case strings.Contains(text, "tls: certificate required"), strings.Contains(text, "remote error: tls: bad certificate"):
		return fmt.Errorf("%w: %s asks for a client certificate: set %s.Certificates", err, peer, d.tlsConfig())
	case strings.Contains(text, "tls: no application protocol") && !toProxy:
		return fmt.Errorf("%w: the server insists on an ALPN protocol: name it in %s.NextProtos", err, d.tlsConfig())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection without a complete HTTP response: %w", peer, err)
	}
	return err
}

// tlsConfig names the field that the user has to set.
func (d *dialer) tlsConfig() string {
	if d.options.HTTPClient != nil {
		return "HTTPClient.Transport.TLSClientConfig"
	}
	return "TLSConfig"
}

// Printable returns the beginning of text that a peer has sent as one line that a terminal
// and a log may show.
func Printable(text string) string {
	const most = 200
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError
	}), " ")
	if len(line) <= most {
		return line
	}
	cut := most
	for !utf8.RuneStart(line[cut]) {
		cut--
	}
	return line[:cut] + "..."
}

// A plainError is an error in plain words instead of its own.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }
