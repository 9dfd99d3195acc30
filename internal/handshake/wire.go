package handshake

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// wireName returns a header's name as RFC 6455 section 11.3 spells it. Names are
// case-insensitive, but some peers compare them by case, and net/http's spelling is
// Sec-Websocket-Key.
func wireName(name string) string {
	const theirs, ours = "Sec-Websocket-", "Sec-WebSocket-"
	if rest, ok := strings.CutPrefix(name, theirs); ok {
		return ours + rest
	}
	return name
}

// wireHeader is a copy of h, which has canonical names, with the names of the wire.
func wireHeader(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	for name, values := range h {
		out[wireName(name)] = slices.Clone(values)
	}
	return out
}

// escapeURL percent-encodes what RFC 3986 allows in no path and query. What is encoded
// stays as it is; net/url would encode parts of it again, or send a query raw.
func escapeURL(u *url.URL) {
	u.RawQuery = escape(u.RawQuery)
	u.RawPath = escape(u.RawPath)
	u.Opaque = escape(u.Opaque)
}

func escape(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 || mustEscape(byte(r)) }) {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if mustEscape(c) {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mustEscape leaves control characters alone: they are an error, of net/url or
// net/http.
func mustEscape(c byte) bool {
	return c >= 0x80 || strings.IndexByte(" \"<>\\^`{|}", c) >= 0
}
