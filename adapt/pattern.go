package adapt

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
)

// checkPattern returns an error for a pattern that http.ServeMux takes, but that no
// handshake can match, and for an empty one. ServeMux finds what else is wrong.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New(`empty pattern: want a path such as "/chat", or "/" for every path`)
	}
	method, rest, found := strings.Cut(strings.ReplaceAll(pattern, "\t", " "), " ")
	if !found {
		method, rest = "", pattern
	}
	if method != "" && method != http.MethodGet {
		return fmt.Errorf("method %q: a handshake is a GET request, want %q", method, strings.TrimLeft(rest, " "))
	}
	host, _, _ := strings.Cut(strings.TrimLeft(rest, " "), "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return fmt.Errorf("host %q: want a host without scheme and port, as in \"example.com/chat\"", host)
	}
	return nil
}

var registeredAt = regexp.MustCompile(` \(registered at [^)]*\)`)

// withoutPlaces removes from an error of http.ServeMux where the patterns were
// registered, which is a place in this package, and joins its lines.
func withoutPlaces(text string) string {
	return strings.ReplaceAll(registeredAt.ReplaceAllString(text, ""), ":\n", ": ")
}
