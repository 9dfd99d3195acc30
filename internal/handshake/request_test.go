package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDialSendsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := badServer(t, func(c net.Conn, req *http.Request) {
		got <- req
		answer101("Set-Cookie: session=7")(c, req)
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	o := func() ClientOptions {
		return ClientOptions{
			Header: http.Header{
				"Host": {"example.com"}, "X-Raw": {"1", "2\t"}, "x-lower": {"ä"}, "cookie": {"a=1", "b=2"},
			},
			Cookies:      []*http.Cookie{{Name: "c", Value: "3", Path: "/ignored"}},
			Subprotocols: []string{"v2", "v1"},
			HTTPClient:   &http.Client{Jar: jar, Timeout: time.Hour},
		}
	}
	given, untouched := o(), o()
	for _, cookies := range []string{"a=1; b=2; c=3", "a=1; b=2; c=3; session=7"} {
		s, err := Dial(t.Context(), strings.Replace(srv.url("/"), "ws://", "ws://me:secret@", 1), given)
		require.NoError(t, err)
		closeLater(t, s)
		req := <-got
		require.Equal(t, "example.com", req.Host)
		require.Equal(t, []string{"1", "2"}, req.Header["X-Raw"])
		require.Equal(t, []string{"ä"}, req.Header["X-Lower"])
		require.Equal(t, []string{cookies}, req.Header["Cookie"])
		require.Equal(t, "v2,v1", req.Header.Get("Sec-WebSocket-Protocol"))
		user, password, _ := req.BasicAuth()
		require.Equal(t, "me:secret", user+":"+password)
		require.Empty(t, req.Header["Accept-Encoding"])
		require.Equal(t, untouched, given)
	}
}

func TestDialAuthorizes(t *testing.T) {
	t.Parallel()
	srv := badServer(t, answer101())
	mine := errors.New("no token")
	_, err := Dial(t.Context(), srv.url("/"), ClientOptions{Authorize: func(context.Context, *http.Request) error { return mine }})
	require.ErrorIs(t, err, mine)

	for _, name := range []string{
		"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
		"Content-Length", "Transfer-Encoding", "Trailer", "content-length", "transfer-encoding", "sec-websocket-key",
	} {
		_, err = Dial(t.Context(), srv.url("/"), ClientOptions{Authorize: func(_ context.Context, req *http.Request) error {
			if strings.HasPrefix(name, "Sec-") {
				req.Header.Set(name, "5")
			} else {
				req.Header[name] = []string{"5"}
			}
			return nil
		}})
		require.ErrorContains(t, err, "belongs to the handshake", name)
	}

	s, err := Dial(t.Context(), srv.url("/"), ClientOptions{Timeout: time.Hour, Authorize: func(ctx context.Context, req *http.Request) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		req.URL.RawQuery = "token=1"
		return nil
	}})
	require.NoError(t, err)
	closeLater(t, s)
	require.Equal(t, "token=1", s.Request.URL.RawQuery)
}

func TestUserInAURLOfAuthorizeIsSent(t *testing.T) {
	t.Parallel()
	mine := url.UserPassword("mine", "new")
	for name, tc := range map[string]struct {
		given     string
		authorize func(*http.Request)
		want      string
	}{
		"instead of none":         {"", func(r *http.Request) { r.URL.User = mine }, "mine:new"},
		"instead of another":      {"first:old@", func(r *http.Request) { r.URL.User = mine }, "mine:new"},
		"unchanged":               {"first:old@", func(*http.Request) {}, "first:old"},
		"unchanged, header taken": {"first:old@", func(r *http.Request) { r.Header.Del("Authorization") }, ":"},
		"beside a header":         {"", func(r *http.Request) { r.URL.User = mine; r.SetBasicAuth("head", "er") }, "head:er"},
	} {
		got := make(chan *http.Request, 1)
		srv := badServer(t, func(c net.Conn, req *http.Request) {
			got <- req
			answer101()(c, req)
		})
		s, err := Dial(t.Context(), "ws://"+tc.given+srv.Addr().String(), ClientOptions{Authorize: func(_ context.Context, r *http.Request) error {
			tc.authorize(r)
			return nil
		}})
		require.NoError(t, err, name)
		closeLater(t, s)
		user, password, _ := (<-got).BasicAuth()
		require.Equal(t, tc.want, user+":"+password, name)
	}
}

func TestAuthorizeMaySendTheRequestElsewhere(t *testing.T) {
	t.Parallel()
	srv := badServer(t, answer101())
	host := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(host.Close)
	for _, elsewhere := range []string{srv.url("/?ticket=1"), strings.Replace(host.URL, "https", "wss", 1)} {
		s, err := Dial(t.Context(), "ws://127.0.0.1:1/", ClientOptions{
			TLSConfig: &tls.Config{InsecureSkipVerify: true},
			Authorize: func(_ context.Context, req *http.Request) (err error) {
				req.URL, err = url.Parse(elsewhere)
				return err
			},
		})
		if strings.HasPrefix(elsewhere, "wss") {
			var answer *ResponseError
			require.ErrorAs(t, err, &answer)
			require.Equal(t, 404, answer.Response.StatusCode)
			continue
		}
		require.NoError(t, err)
		closeLater(t, s)
		require.Equal(t, "ticket=1", s.Request.URL.RawQuery)
	}
}

func TestDialRefusesInvalidOptions(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options ClientOptions
		text    string
	}{
		"header name":          {ClientOptions{Header: http.Header{"X Y": {"1"}}}, `Header "X Y": not a header name`},
		"empty header name":    {ClientOptions{Header: http.Header{"": {"1"}}}, `Header ""`},
		"header value":         {ClientOptions{Header: http.Header{"X-Y": {"1", "secret\r\nEvil: 1"}}}, `Header "X-Y": its value holds a control character`},
		"key":                  {ClientOptions{Header: http.Header{"sec-websocket-key": {"1"}}}, `Header "sec-websocket-key": belongs to the handshake`},
		"extensions":           {ClientOptions{Header: http.Header{"Sec-WebSocket-Extensions": {"1"}}}, "belongs to the handshake"},
		"protocol":             {ClientOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"1"}}}, "use Subprotocols"},
		"connection":           {ClientOptions{Header: http.Header{"Connection": {"close"}}}, `Header "Connection"`},
		"upgrade":              {ClientOptions{Header: http.Header{"upgrade": {"h2c"}}}, `Header "upgrade"`},
		"host":                 {ClientOptions{Header: http.Header{"Host": {"a/b"}}}, `Header "Host"`},
		"empty host":           {ClientOptions{Header: http.Header{"Host": {""}}}, `Header "Host"`},
		"two hosts":            {ClientOptions{Header: http.Header{"Host": {"a"}, "host": {"b"}}}, `Header "host"`},
		"nil cookie":           {ClientOptions{Cookies: []*http.Cookie{nil}}, "Cookies: number 0 is nil"},
		"cookie name":          {ClientOptions{Cookies: []*http.Cookie{{Name: "a b", Value: "1"}}}, `Cookies: "a b"`},
		"cookie value":         {ClientOptions{Cookies: []*http.Cookie{{Name: "a", Value: "1;2"}}}, `Cookies: "a"`},
		"empty subprotocol":    {ClientOptions{Subprotocols: []string{""}}, `Subprotocols: ""`},
		"subprotocol":          {ClientOptions{Subprotocols: []string{"a", "b,c"}}, `Subprotocols: "b,c"`},
		"subprotocol twice":    {ClientOptions{Subprotocols: []string{"a", "b", "a"}}, `Subprotocols: "a" is there twice`},
		"required of none":     {ClientOptions{RequireSubprotocol: true}, "RequireSubprotocol"},
		"both TLS and client":  {ClientOptions{TLSConfig: &tls.Config{}, HTTPClient: &http.Client{}}, "TLSConfig and HTTPClient"},
		"non-ASCII in a token": {ClientOptions{Subprotocols: []string{"ä"}}, "Subprotocols"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(t.Context(), "ws://127.0.0.1:0/", tc.options)
			var unusable *InvalidError
			require.ErrorAs(t, err, &unusable)
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestDialRefusesInvalidURLs(t *testing.T) {
	t.Parallel()
	for raw, text := range map[string]string{
		"":                              "no scheme; want ws:// or wss://",
		"example.com/chat":              `URL "example.com/chat": no scheme`,
		"//me:secret@example.com/":      "no scheme",
		"127.0.0.1:80/chat":             "want ws://host",
		"localhost:80/chat?t=secret":    `scheme "localhost"`,
		"ftp://me:secret@example.com/":  `scheme "ftp"; want ws:// or wss://`,
		"me:secret@example.com":         `scheme "me"`,
		"ws:///chat":                    `URL "ws:///chat": no host`,
		"ws://:80/chat":                 "no host",
		"wss:example.com":               "no host",
		"ws://example.com/#frag":        "fragment",
		"ws://example.com/?t=secret#":   "fragment",
		"ws://example.com:port/?secret": "invalid port",
		"ws://me:sec%zzret@example.com": "may hold a password",
		"ws://me:secret/x@example.com":  "may hold a password",
		"ws://exa mple.com":             "invalid character",
	} {
		_, err := Dial(t.Context(), raw, ClientOptions{})
		var unusable *InvalidError
		require.ErrorAs(t, err, &unusable, raw)
		require.ErrorContains(t, err, text)
		require.NotContains(t, err.Error(), "sec%zzret")
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestShowHidesSecrets(t *testing.T) {
	t.Parallel()
	require.Equal(t, "wss://example.com:8443/chat", Show("wss://me:secret@example.com:8443/chat?token=secret"))
	require.Equal(t, "URL", Show("ws://me:%zz@h"))
}
