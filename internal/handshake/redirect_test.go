package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// redirecting answers /n with a redirect to /n-1, and /0 with a 101.
func redirecting(t *testing.T, scheme string) *rawServer {
	var srv *rawServer
	srv = badServer(t, func(c net.Conn, req *http.Request) {
		var n int
		_, _ = fmt.Sscanf(req.URL.Path, "/%d", &n)
		if n == 0 {
			answer101()(c, req)
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s%s/%d\r\nContent-Length: 5\r\n\r\nmoved", scheme, srv.Addr(), n-1)
	})
	return srv
}

func TestDialFollowsRedirects(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http://", "ws://", "//"} {
		srv := redirecting(t, scheme)
		var authorized []string
		s, err := Dial(t.Context(), srv.url("/3"), ClientOptions{Authorize: func(_ context.Context, req *http.Request) error {
			authorized = append(authorized, req.URL.Path)
			req.Header.Set("Authorization", "Bearer "+req.URL.Path)
			return nil
		}})
		require.NoError(t, err)
		closeLater(t, s)
		require.Equal(t, []string{"/3", "/2", "/1", "/0"}, authorized)
		require.Equal(t, "/0", s.Request.URL.Path)
		require.Equal(t, "Bearer /0", s.Request.Header.Get("Authorization"))
		for range 3 {
			srv.gone(t) // one connection each, and none is kept
		}
	}
}

func TestDialStopsAtRedirects(t *testing.T) {
	t.Parallel()
	srv := redirecting(t, "ws://")
	mine := errors.New("no way")
	for name, tc := range map[string]struct {
		path string
		stop func(*http.Request, []*http.Request) error
		text string
	}{
		"too many":        {"/11", nil, "stopped after 10 redirects"},
		"CheckRedirect":   {"/2", func(*http.Request, []*http.Request) error { return mine }, "no way"},
		"UseLastResponse": {"/2", func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, "answered 307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(t.Context(), srv.url(tc.path), ClientOptions{HTTPClient: &http.Client{CheckRedirect: tc.stop}})
			var answer *ResponseError
			require.ErrorAs(t, err, &answer)
			require.Equal(t, 307, answer.Response.StatusCode)
			require.ErrorContains(t, err, tc.text)
			require.Equal(t, tc.text == "no way", errors.Is(err, mine))
		})
	}

	secure := httptest.NewTLSServer(http.RedirectHandler(srv.url("/0"), http.StatusFound))
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	_, err := Dial(t.Context(), secure.URL, ClientOptions{TLSConfig: &tls.Config{RootCAs: roots}})
	require.ErrorContains(t, err, "redirect from wss to ws refused")
}

func TestLocationThatCannotBeParsedIsNotShown(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"http://me:secret@a b/", "ws://a:x/?token=secret", "%zz?secret"} {
		srv := badServer(t, say("HTTP/1.1 302 Found\r\nLocation: "+location+"\r\nContent-Length: 0\r\n\r\n"))
		_, err := Dial(t.Context(), srv.url("/"), ClientOptions{})
		var answer *ResponseError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, 302, answer.Response.StatusCode)
		require.ErrorContains(t, err, "the redirect's Location cannot be parsed")
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestRedirectDoesNotTellWhereItCameFrom(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][]string{"": nil, "https://mine.example/": {"https://mine.example/"}} {
		got := make(chan *http.Request, 1)
		other := badServer(t, func(c net.Conn, req *http.Request) {
			got <- req
			answer101()(c, req)
		})
		first := badServer(t, say("HTTP/1.1 302 Found\r\nLocation: "+other.url("/")+"\r\nContent-Length: 0\r\n\r\n"))
		o := ClientOptions{Header: http.Header{"X-Mine": {"1"}}}
		if given != "" {
			o.Header.Set("Referer", given)
		}
		s, err := Dial(t.Context(), first.url("/?token=secret"), o)
		require.NoError(t, err)
		closeLater(t, s)
		req := <-got
		require.Equal(t, want, req.Header["Referer"])
		require.Equal(t, "1", req.Header.Get("X-Mine"))
	}
}
