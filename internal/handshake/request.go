package handshake

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func invalid(format string, args ...any) error {
	return &InvalidError{fmt.Errorf(format, args...)}
}

// parseURL checks a URL by RFC 6455 section 3; http and https stand for ws and wss.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil && strings.Contains(raw, "@"):
		return nil, invalid("URL: it cannot be parsed, and is not shown as it may hold a password")
	case err != nil:
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		shown, _, _ := strings.Cut(raw, "?")
		return nil, invalid("URL %q: %w; want ws://host or wss://host", shown, err)
	case u.Scheme == "":
		return nil, invalid("URL %q: no scheme; want ws:// or wss://", show(u))
	case !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme):
		return nil, invalid("URL %q: scheme %q; want ws:// or wss://", show(u), u.Scheme)
	case u.Hostname() == "":
		return nil, invalid("URL %q: no host; want %s://host", show(u), u.Scheme)
	case strings.Contains(raw, "#"):
		return nil, invalid("URL %q: it has a fragment, which RFC 6455 section 3 forbids", show(u))
	}
	escapeURL(u)
	return u, nil
}

// Show gives a valid URL for an error or a log: without its user, password and
// query, where tokens are.
func Show(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "URL"
	}
	return show(u)
}

func show(u *url.URL) string {
	if u.Opaque != "" {
		return u.Scheme + ":..." // what looks like a path may be a password
	}
	shown := *u
	shown.User, shown.RawQuery, shown.Fragment, shown.RawFragment, shown.ForceQuery = nil, "", "", "", false
	return shown.String()
}

// header checks the options, and gives the header to send and the Host that
// overrides the URL's, or "".
func (o *ClientOptions) header() (h http.Header, host string, err error) {
	if o.TLSConfig != nil && o.HTTPClient != nil {
		return nil, "", invalid("TLSConfig and HTTPClient: not both; HTTPClient.Transport has a TLSClientConfig of its own")
	}
	if o.TLSConfig != nil && slices.Equal(o.TLSConfig.NextProtos, []string{"h2"}) {
		return nil, "", invalid(`TLSConfig.NextProtos offers HTTP/2 ("h2") alone, and a WebSocket handshake needs HTTP/1.1: leave it empty, or add "http/1.1"`)
	}
	if err := o.checkSubprotocols(); err != nil {
		return nil, "", err
	}
	h = http.Header{}
	var cookies []string
	for _, name := range slices.Sorted(maps.Keys(o.Header)) {
		values := o.Header[name]
		if err := checkField(name, values); err != nil {
			return nil, "", err
		}
		switch http.CanonicalHeaderKey(name) {
		case "Host":
			if host != "" || len(values) != 1 || !isHost(values[0]) {
				return nil, "", invalid("Header %q: want one host", name)
			}
			host = values[0]
		case "Cookie":
			cookies = append(cookies, values...)
		default:
			h[name] = slices.Clone(values)
		}
	}
	if len(cookies) > 0 {
		h.Set("Cookie", strings.Join(cookies, "; "))
	}
	for i, c := range o.Cookies {
		if c == nil {
			return nil, "", invalid("Cookies: number %d is nil", i)
		}
		sent := http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted}
		if err := sent.Valid(); err != nil {
			return nil, "", invalid("Cookies: %q: %w", c.Name, err)
		}
		(&http.Request{Header: h}).AddCookie(&sent)
	}
	return h, host, nil
}

// checkField checks a header of the user's.
func checkField(name string, values []string) error {
	switch {
	case !isFieldName(name):
		return invalid("Header %q: not a header name", name)
	case http.CanonicalHeaderKey(name) == "Sec-Websocket-Protocol":
		return invalid("Header %q: belongs to the handshake; use Subprotocols", name)
	case isHandshakeHeader(name):
		return invalid("Header %q: belongs to the handshake", name)
	}
	for _, v := range values {
		if !isFieldValue(v) {
			return invalid("Header %q: its value holds a control character", name)
		}
	}
	return nil
}

func (o *ClientOptions) checkSubprotocols() error {
	for i, p := range o.Subprotocols {
		if !isFieldName(p) {
			return invalid("Subprotocols: %q is no token of RFC 7230", p)
		}
		if slices.Contains(o.Subprotocols[:i], p) {
			return invalid("Subprotocols: %q is there twice", p)
		}
	}
	if o.RequireSubprotocol && len(o.Subprotocols) == 0 {
		return invalid("RequireSubprotocol: there are no Subprotocols to choose from")
	}
	return nil
}

// sameHandshake reports what Authorize has changed of the handshake's headers, as an
// error. net/http would send a name that is not canonical as it is written.
func sameHandshake(before, after http.Header) error {
	for _, h := range []http.Header{before, after} {
		for name := range h {
			if isHandshakeHeader(name) && !slices.Equal(before[name], after[name]) {
				return fmt.Errorf("the header %s belongs to the handshake", wireName(name))
			}
		}
	}
	return nil
}

// isHost tells whether s can be a Host header: a host, maybe with a port.
func isHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && s != "" && u.Host == s
}
