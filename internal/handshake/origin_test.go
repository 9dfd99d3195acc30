package handshake

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOriginIsAdmittedOrRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		host     string
		origin   string
		patterns []string
		admitted bool
	}{
		{"none", "a.example", "", nil, true},
		{"same host", "a.example", "https://a.example", nil, true},
		{"same host and port", "a.example:8443", "https://a.example:8443", nil, true},
		{"same host in other case", "A.Example", "https://a.eXample", nil, true},
		{"default port of https in Host", "a.example:443", "https://a.example", nil, true},
		{"default port of https in Origin", "a.example", "https://a.example:443", nil, true},
		{"default port of http in Host", "a.example:80", "http://a.example", nil, true},
		{"same host behind a proxy that ends TLS", "a.example", "https://a.example", nil, true},
		{"IPv6", "[::1]:8080", "http://[::1]:8080", nil, true},
		{"IPv6 default port", "[::1]", "http://[::1]:80", nil, true},

		{"default port of another scheme", "a.example:443", "http://a.example", nil, false},
		{"other port", "a.example:8080", "http://a.example", nil, false},
		{"other host", "a.example", "https://b.example", nil, false},
		{"parent domain", "a.example", "https://example", nil, false},
		{"host as a prefix", "a.example", "https://a.example.evil", nil, false},
		{"host as user name", "a.example", "https://a.example@evil", nil, false},
		{"path", "a.example", "https://a.example/", nil, false},
		{"query", "a.example", "https://a.example?", nil, false},
		{"no scheme", "a.example", "a.example", nil, false},
		{"no host", "a.example", "https://", nil, false},
		{"port only", ":80", "http://:80", nil, false},
		{"no URL", "a.example", "https://a.example:x", nil, false},
		{"null", "null", "null", nil, false},
		{"null by its pattern", "a.example", "null", []string{"null"}, true},
		{"null pattern is of no host", "a.example", "https://null", []string{"null"}, false},
		{"null pattern is exact", "a.example", "Null", []string{"null"}, false},
		{"user name", "a.example", "https://me@a.example", nil, false},
		{"extension with the same host", "localhost", "chrome-extension://localhost", nil, false},

		{"any", "a.example", "https://b.example:9", []string{"*"}, true},
		{"any admits null", "a.example", "null", []string{"x", "*"}, true},
		{"any admits rubbish", "a.example", "://", []string{"*"}, true},
		{"exact", "a.example", "https://b.example", []string{"b.example"}, true},
		{"exact, http", "a.example", "http://b.example", []string{"b.example"}, true},
		{"exact in other case", "a.example", "https://b.example", []string{"B.Example"}, true},
		{"second of the patterns", "a.example", "https://b.example", []string{"c.example", "b.example"}, true},
		{"exact, other scheme", "a.example", "app://b.example", []string{"b.example"}, false},
		{"exact, other port", "a.example", "https://b.example:8443", []string{"b.example"}, false},
		{"subdomain", "a.example", "https://x.b.example", []string{"*.b.example"}, true},
		{"deep subdomain", "a.example", "https://x.y.b.example", []string{"*.b.example"}, true},
		{"subdomain is not the domain", "a.example", "https://b.example", []string{"*.b.example"}, false},
		{"subdomain of a longer name", "a.example", "https://x.b.example.evil", []string{"*.b.example"}, false},
		{"star in the middle", "a.example", "https://x-12-y.example", []string{"x-*-y.example"}, true},
		{"two stars", "a.example", "https://aabaab.example", []string{"*a*b.example"}, true},
		{"text before the star", "a.example", "https://b.example", []string{"c*"}, false},
		{"text between stars", "a.example", "https://b.example", []string{"*c*"}, false},
		{"star does not match twice", "a.example", "https://a", []string{"a*a"}, false},
		{"star does not match the port", "a.example", "https://b.example:8443", []string{"b.*"}, false},
		{"every port", "a.example", "https://b.example:8443", []string{"b.example:*"}, true},
		{"every port includes the default", "a.example", "https://b.example", []string{"b.example:*"}, true},
		{"default port by number", "a.example", "https://b.example", []string{"b.example:443"}, true},
		{"default port of the other scheme by number", "a.example", "http://b.example", []string{"b.example:443"}, false},
		{"one port", "a.example", "http://b.example:8080", []string{"b.example:8080"}, true},
		{"scheme", "a.example", "https://x.b.example", []string{"https://*.b.example"}, true},
		{"other scheme", "a.example", "http://x.b.example", []string{"https://*.b.example"}, false},
		{"scheme of an app", "a.example", "capacitor://localhost", []string{"capacitor://localhost"}, true},
		{"every extension", "a.example", "moz-extension://0-1", []string{"*-extension://*"}, true},
		{"null is no host", "a.example", "null", []string{"*:*", "*://*"}, false},
		{"whole origin", "a.example", "https://b.example:8443", []string{"https://b.example:8443"}, true},
		{"whole origin in other case", "a.example", "HTTPS://B.example:8443", []string{"https://b.Example:8443"}, true},
		{"whole origin, other port", "a.example", "https://b.example:8444", []string{"https://b.example:8443"}, false},
		{"whole origin, no port", "a.example", "https://b.example", []string{"https://b.example:8443"}, false},
		{"whole origin, other scheme", "a.example", "http://b.example:8443", []string{"https://b.example:8443"}, false},
		{"whole origin, default port named", "a.example", "https://b.example", []string{"https://b.example:443"}, true},
		{"whole origin, default port left out", "a.example", "https://b.example:443", []string{"https://b.example"}, true},
		{"whole origin, default port of the other scheme", "a.example", "https://b.example", []string{"https://b.example:80"}, false},
		{"whole origin is no subdomain", "a.example", "https://x.b.example", []string{"https://b.example"}, false},
		{"whole origin, IPv6", "a.example", "http://[::1]:8080", []string{"http://[::1]:8080"}, true},
		{"file", "a.example", "file://", []string{"file://"}, true},
		{"file in other case", "a.example", "File://", []string{"file://"}, true},
		{"file is not null", "a.example", "null", []string{"file://"}, false},
		{"null is not file", "a.example", "file://", []string{"null"}, false},
		{"file by nothing", "a.example", "file://", nil, false},
		{"file by every host", "a.example", "file://", []string{"*://*"}, false},
		{"file is not a file's host", "a.example", "file://b.example", []string{"file://"}, false},
		{"Qt's resources", "a.example", "qrc://", []string{"qrc://"}, true},
		{"Chromium's extension", "a.example", "chrome-extension://abcdefghijklmnop", []string{"chrome-extension://abcdefghijklmnop"}, true},
		{"another extension", "a.example", "chrome-extension://abcdefghijklmnoq", []string{"chrome-extension://abcdefghijklmnop"}, false},
		{"Firefox's extension", "a.example", "moz-extension://0a-1b", []string{"moz-extension://0a-1b"}, true},
		{"Safari's extension", "a.example", "safari-web-extension://0A-1B", []string{"safari-web-extension://0A-1B"}, true},
		{"Electron's app", "a.example", "app://.", []string{"app://."}, true},
		{"Visual Studio Code's view", "a.example", "vscode-webview://0ps_x~1", []string{"vscode-webview://0ps_x~1"}, true},
		{"Windows' app", "a.example", "ms-appx-web://a.b_c", []string{"ms-appx-web://a.b_c"}, true},
		{"Wails in development", "a.example", "wails://wails.localhost:34115", []string{"wails://wails.localhost:34115"}, true},
		{"an app at another port", "a.example", "wails://wails.localhost:1", []string{"wails://wails.localhost"}, false},
		{"an app with the same host", "localhost", "app://localhost", nil, false},
		{"an encoded host", "a.example", "app://b%20c", []string{"app://b%20c"}, true},
		{"IPv6 pattern", "a.example", "http://[::1]:8080", []string{"[::1]:*"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			policy, err := newOriginPolicy(tc.patterns)
			require.NoError(t, err)
			r := &http.Request{Host: tc.host, Header: http.Header{}}
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			reason := policy.refuse(r)
			require.Equal(t, tc.admitted, reason == "", reason)
			if !tc.admitted {
				require.Contains(t, reason, quote(tc.origin))
				require.Contains(t, reason, "for Host "+quote(tc.host))
			}
		})
	}
}

func TestPlainTextPageIsForeignToAServerReachedByTLS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		origin   string
		patterns []string
		admitted bool
	}{
		{"https://a.example", nil, true},
		{"wss://a.example", nil, true},
		{"http://a.example", nil, false},
		{"ws://a.example", nil, false},
		{"http://a.example", []string{"http://a.example"}, true},
		{"http://a.example", []string{"a.example"}, true},
	} {
		policy, err := newOriginPolicy(tc.patterns)
		require.NoError(t, err)
		r := &http.Request{Host: "a.example", Header: http.Header{"Origin": {tc.origin}}, TLS: &tls.ConnectionState{}}
		require.Equal(t, tc.admitted, policy.refuse(r) == "", tc)
		r.TLS = nil // maybe behind a proxy that ends TLS
		require.Empty(t, policy.refuse(r))
	}
}

func TestTwoOriginsAreRefused(t *testing.T) {
	t.Parallel()
	r := &http.Request{Host: "a.example", Header: http.Header{"Origin": {"https://a.example", "https://a.example"}}}
	require.NotEmpty(t, originPolicy{}.refuse(r))
}

func TestEmptyOriginIsNone(t *testing.T) {
	t.Parallel()
	r := &http.Request{Host: "a.example", Header: http.Header{"Origin": {""}}}
	require.Empty(t, originPolicy{}.refuse(r))
}

func TestInvalidOriginPatternIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", " ", "b.example/", "https://b.example/", "https://b.example/path", "b.example?x", "b.example#x", "u@b.example",
		"b.example:", "b.example:0", "b.example:65536", "b.example:http", "b.example:8*", "b.example:1:2", ":80",
		"[::1", "[::1]80", "[]", "[b.example]", "://b.example", "ht tp://b.example", "https://", "b example", "[a-z].example", "bücher.example", "b?.example",
		"file:///", "file://a/b", "app://u@x", "app:// ", "app://b c", "app://b\x7f", "app://bü", "a_b://c", "://", "*://", "file://?", "http://",
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			_, err := newOriginPolicy([]string{"ok.example", pattern})
			require.ErrorContains(t, err, "[1] ")
			require.ErrorContains(t, err, quote(pattern))
		})
	}
}

// Every origin that can be refused for itself can be admitted for itself.
func FuzzEveryOriginCanBeAdmitted(f *testing.F) {
	for _, origin := range []string{"https://b.example", "file://", "null", "app://.", "http://[::1]:80", "x://y:z", "https://a:0443", "HTTP://A:080"} {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		policy, err := newOriginPolicy([]string{origin})
		if err != nil || policy.any || !strings.Contains(origin, "://") || strings.Contains(origin, "*") {
			t.Skip()
		}
		r := &http.Request{Host: "other.example", Header: http.Header{"Origin": {origin}}}
		scheme, _, _ := strings.Cut(strings.ToLower(origin), "://")
		if u, err := url.Parse(origin); isWeb(scheme) && (err != nil || u.Port() != strings.TrimLeft(u.Port(), "0")) {
			t.Skip() // no browser writes it so
		}
		if reason := policy.refuse(r); reason != "" {
			t.Fatal(reason)
		}
		r.Header.Set("Origin", origin+"x")
		if policy.refuse(r) == "" {
			t.Fatalf("%q admits %q", origin, origin+"x")
		}
	})
}

func FuzzOriginPatternMatchesItself(f *testing.F) {
	for _, host := range []string{"a.example", "x-12-y.example", "localhost", "a"} {
		f.Add(host, uint16(8080))
	}
	f.Fuzz(func(t *testing.T, host string, port uint16) {
		pattern, err := parseOriginPattern("https://" + host)
		if err != nil || pattern.port != "" {
			t.Skip()
		}
		if !glob(pattern.host, pattern.host) {
			t.Fatalf("%q does not match itself", host)
		}
		if !glob("*"+pattern.host+"*", "x"+pattern.host+"y") {
			t.Fatalf("%q between stars does not match", host)
		}
	})
}
