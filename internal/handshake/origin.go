package handshake

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// originPolicy decides from which web pages a browser may connect, RFC 6455
// section 10.2. The zero policy admits same origin only.
//
// It is not nhooyr's: that compares "host:port" strings as they stand, so that
// "https://a.example" is foreign to "a.example:443", and lets patterns match over
// the port and ignore the scheme.
type originPolicy struct {
	any      bool     // "*": every origin, "null" too
	null     bool     // "null": that of a page without one: from a file, in a sandbox
	apps     []string // whole origins of other schemes than the web's, in lower case
	patterns []originPattern
}

// An originPattern is [scheme "://"] host [":" port], in lower case. A '*' in a
// part stands for any run of characters of that part.
type originPattern struct {
	scheme string // "" is http and https
	host   string // without the brackets of an IPv6 address
	port   string // "" is the default port of the origin's scheme
}

// newOriginPolicy compiles patterns. Its error begins with the index of the bad
// one, "[2] ...".
func newOriginPolicy(patterns []string) (originPolicy, error) {
	var policy originPolicy
	for i, text := range patterns {
		switch text {
		case "*":
			policy.any = true
			continue
		case "null":
			policy.null = true
			continue
		}
		if err := policy.add(strings.ToLower(text)); err != nil {
			return originPolicy{}, fmt.Errorf("[%d] %q: %w", i, text, err)
		}
	}
	return policy, nil
}

// add compiles an entry in lower case. One with "://" and without a star is a whole
// origin. Of the web's schemes it is a pattern that matches nothing else; of another
// scheme its host may be anything, and is empty for "file://".
func (policy *originPolicy) add(text string) error {
	scheme, host, found := strings.Cut(text, "://")
	if !found || isWeb(scheme) || strings.Contains(text, "*") {
		pattern, err := parseOriginPattern(text)
		policy.patterns = append(policy.patterns, pattern)
		return err
	}
	if err := checkScheme(scheme); err != nil {
		return err
	}
	if err := checkOriginEnd(host); err != nil {
		return err
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("invalid host %q", host)
	}
	policy.apps = append(policy.apps, text)
	return nil
}

func checkScheme(scheme string) error {
	if !only(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.*") {
		return fmt.Errorf("invalid scheme %q", scheme)
	}
	return nil
}

// checkOriginEnd refuses what may follow the host and port in a URL.
func checkOriginEnd(s string) error {
	if i := strings.IndexAny(s, "/?#@"); i >= 0 {
		return fmt.Errorf("an origin ends with the host or port, found %q", s[i:])
	}
	return nil
}

func parseOriginPattern(text string) (p originPattern, err error) {
	rest := strings.ToLower(text)
	if scheme, after, found := strings.Cut(rest, "://"); found {
		if err := checkScheme(scheme); err != nil {
			return p, err
		}
		p.scheme, rest = scheme, after
	}
	if err := checkOriginEnd(rest); err != nil {
		return p, err
	}
	hostRunes := "abcdefghijklmnopqrstuvwxyz0123456789-._*"
	var portPart string
	if inner, isIPv6 := strings.CutPrefix(rest, "["); isIPv6 {
		p.host, portPart, isIPv6 = strings.Cut(inner, "]")
		if !isIPv6 {
			return p, fmt.Errorf("missing ']'")
		}
		hostRunes = "0123456789abcdef:.*"
	} else if i := strings.IndexByte(rest, ':'); i >= 0 {
		p.host, portPart = rest[:i], rest[i:]
	} else {
		p.host = rest
	}
	if !only(p.host, hostRunes) {
		return p, fmt.Errorf("invalid host %q (international names in their xn-- form)", p.host)
	}
	if portPart == "" {
		return p, nil
	}
	if portPart == ":*" {
		p.port = "*"
		return p, nil
	}
	digits, found := strings.CutPrefix(portPart, ":")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !found || err != nil || n == 0 {
		return p, fmt.Errorf("invalid port %q", portPart)
	}
	p.port = strconv.FormatUint(n, 10)
	return p, nil
}

// refuse gives the reason why r's origin is not admitted, or "".
func (policy originPolicy) refuse(r *http.Request) string {
	values := r.Header.Values("Origin")
	if len(values) == 0 || len(values) == 1 && values[0] == "" || policy.any {
		return "" // without an Origin it is no browser, section 4.1
	}
	if len(values) > 1 {
		return "more than one Origin header"
	}
	if values[0] == "null" && policy.null || slices.Contains(policy.apps, strings.ToLower(values[0])) {
		return ""
	}
	refusal := fmt.Sprintf("Origin %s is not allowed for Host %s", quote(values[0]), quote(r.Host))
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return refusal
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = defaultPort(scheme)
	}
	// A page that came in plain text is foreign to a server that is reached by TLS:
	// anybody on its way may have written it.
	downgraded := r.TLS != nil && (scheme == "http" || scheme == "ws")
	if isWeb(scheme) && !downgraded && sameHost(r.Host, scheme, host, port) {
		return ""
	}
	for _, p := range policy.patterns {
		if p.match(scheme, host, port) {
			return ""
		}
	}
	return refusal
}

// sameHost tells whether the Host header is the origin's host and port. A Host
// without a port has the origin's default one: behind a proxy that ends TLS the
// server does not know the scheme that the browser sees.
func sameHost(requestHost, scheme, host, port string) bool {
	u := url.URL{Host: requestHost}
	requestPort := u.Port()
	if requestPort == "" {
		requestPort = defaultPort(scheme)
	}
	return strings.EqualFold(u.Hostname(), host) && requestPort == port
}

func (p originPattern) match(scheme, host, port string) bool {
	if p.scheme == "" && !isWeb(scheme) || p.scheme != "" && !glob(p.scheme, scheme) {
		return false
	}
	wantPort := p.port
	if wantPort == "" {
		wantPort = defaultPort(scheme)
	}
	return glob(p.host, host) && glob(wantPort, port)
}

// isWeb tells whether scheme's hosts are authenticated by DNS or TLS. The host of
// "chrome-extension://" is not.
func isWeb(scheme string) bool { return defaultPort(scheme) != "" }

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// glob matches s against pattern, in which '*' is any run of characters.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, after, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		// The leftmost match leaves the most for the parts that follow.
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}

// only tells whether s is not empty and made of the bytes in set.
func only(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}
