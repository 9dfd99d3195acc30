package handshake

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rawHeads answers 101 to every request, and sends the octets of their heads.
func rawHeads(t *testing.T) (addr string, heads <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	all := make(chan string, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				head, err := readHead(c)
				if err != nil {
					return
				}
				all <- head
				req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
				if err != nil {
					_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
					return
				}
				_, _ = io.WriteString(c, header101(req))
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String(), all
}

// readHead reads up to the empty line, and nothing behind it.
func readHead(c net.Conn) (string, error) {
	var head strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := c.Read(b); err != nil {
			return "", err
		}
		head.Write(b)
	}
	return head.String(), nil
}

func TestRequestHasTheHeaderNamesOfTheRFC(t *testing.T) {
	t.Parallel()
	addr, heads := rawHeads(t)
	s, err := Dial(t.Context(), "ws://"+addr, ClientOptions{
		Header:       http.Header{"x-lower": {"1"}},
		Subprotocols: []string{"chat"},
		Deflate:      &DeflateOffer{},
	})
	require.NoError(t, err)
	closeLater(t, s)
	head := <-heads
	for _, line := range []string{
		"\r\nConnection: Upgrade\r\n",
		"\r\nUpgrade: websocket\r\n",
		"\r\nSec-WebSocket-Key: ",
		"\r\nSec-WebSocket-Version: 13\r\n",
		"\r\nSec-WebSocket-Protocol: chat\r\n",
		"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
		"\r\nx-lower: 1\r\n",
	} {
		require.Equal(t, 1, strings.Count(head, line), head)
	}
	require.NotContains(t, head, "Websocket")
	require.Equal(t, "13", s.Request.Header.Get("Sec-WebSocket-Version"), "the request itself has canonical names")
	require.Equal(t, "websocket", s.Request.Header.Get("Upgrade"))
}

func TestAnswersHaveTheHeaderNamesOfTheRFC(t *testing.T) {
	t.Parallel()
	handler, _ := acceptor(t, ServerOptions{Subprotocols: []string{"chat"}, Deflate: &DeflatePolicy{}}, nil)
	server := httpServer(t, handler)
	head := func(request string) string {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, request+"\r\n")
		require.NoError(t, err)
		head, err := readHead(conn)
		require.NoError(t, err)
		return head
	}
	accepted := head(goodRequest + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
	for _, line := range []string{
		"HTTP/1.1 101 Switching Protocols\r\n",
		"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
		"\r\nSec-WebSocket-Protocol: chat\r\n",
		"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
	} {
		require.Equal(t, 1, strings.Count(accepted, line), accepted)
	}
	require.NotContains(t, accepted, "Websocket")

	refused := head(with("Sec-WebSocket-Version", ""))
	require.Contains(t, refused, "HTTP/1.1 426 ")
	require.Contains(t, refused, "\r\nSec-WebSocket-Version: 13\r\n")
	require.NotContains(t, refused, "Websocket")
}

func TestURLIsSentWithWhatItMayNotHoldEncoded(t *testing.T) {
	t.Parallel()
	addr, heads := rawHeads(t)
	for given, sent := range map[string]string{
		"":                                   "/",
		"/a b?c d":                           "/a%20b?c%20d",
		"/\"<>|{}\\^`?\"<>|{}\\^`":           "/%22%3C%3E%7C%7B%7D%5C%5E%60?%22%3C%3E%7C%7B%7D%5C%5E%60",
		"/größe?größe=€":                     "/gr%C3%B6%C3%9Fe?gr%C3%B6%C3%9Fe=%E2%82%AC",
		"/\xff?\xff":                         "/%FF?%FF",
		"/a%2Fb c|d%7c?x=%2F%zz&y=1+1 |":     "/a%2Fb%20c%7Cd%7c?x=%2F%zz&y=1+1%20%7C",
		"/!$&'()*+,;=:@[]-._~?!$'()*,;:@[]/": "/!$&'()*+,;=:@[]-._~?!$'()*,;:@[]/",
		"?only=query here":                   "/?only=query%20here",
		"/%20?%20":                           "/%20?%20",
	} {
		s, err := Dial(t.Context(), "ws://"+addr+given, ClientOptions{})
		require.NoError(t, err, given)
		require.NoError(t, s.Conn.Close())
		line, _, _ := strings.Cut(<-heads, "\r\n")
		require.Equal(t, "GET "+sent+" HTTP/1.1", line, given)
	}
}

// What Authorize and redirects say is no better.
func TestURLOfEveryAttemptIsEncoded(t *testing.T) {
	t.Parallel()
	addr, heads := rawHeads(t)
	s, err := Dial(t.Context(), "ws://"+addr, ClientOptions{Authorize: func(_ context.Context, req *http.Request) error {
		req.URL.Path, req.URL.RawQuery = "/a b", "token=x y|z"
		return nil
	}})
	require.NoError(t, err)
	closeLater(t, s)
	require.Contains(t, <-heads, "GET /a%20b?token=x%20y%7Cz HTTP/1.1\r\n")
	require.Equal(t, "token=x%20y%7Cz", s.Request.URL.RawQuery)

	first := badServer(t, say("HTTP/1.1 302 Found\r\nLocation: ws://"+addr+"/a{b?ö ü\r\nContent-Length: 0\r\n\r\n"))
	s, err = Dial(t.Context(), first.url("/"), ClientOptions{})
	require.NoError(t, err)
	closeLater(t, s)
	require.Contains(t, <-heads, "GET /a%7Bb?%C3%B6%20%C3%BC HTTP/1.1\r\n")
}

func TestHostFollowsTheURLUnlessItIsSet(t *testing.T) {
	t.Parallel()
	addr, heads := rawHeads(t)
	for name, tc := range map[string]struct {
		header    http.Header
		authorize func(*http.Request)
		host      string
	}{
		"neither":               {nil, func(*http.Request) {}, "given.example"},
		"URL":                   {nil, func(r *http.Request) { r.URL.Host = "other.example:81" }, "other.example:81"},
		"whole URL":             {nil, func(r *http.Request) { r.URL = &url.URL{Scheme: "ws", Host: "other.example"} }, "other.example"},
		"URL and Host":          {nil, func(r *http.Request) { r.URL.Host, r.Host = "other.example", "third.example" }, "third.example"},
		"URL, and the old Host": {nil, func(r *http.Request) { r.URL.Host, r.Host = "other.example", "given.example" }, "given.example"},
		"Host":                  {nil, func(r *http.Request) { r.Host = "third.example" }, "third.example"},
		"Host as a header":      {nil, func(r *http.Request) { r.URL.Host = "other.example"; r.Header.Set("Host", "third.example") }, "third.example"},
		"Host in another case":  {nil, func(r *http.Request) { r.Header["host"] = []string{"third.example"} }, "third.example"},
		"URL beside the option": {http.Header{"Host": {"option.example"}}, func(r *http.Request) { r.URL.Host = "other.example" }, "option.example"},
	} {
		client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("tcp", addr)
		}}}
		s, err := Dial(t.Context(), "ws://given.example/", ClientOptions{HTTPClient: client, Header: tc.header,
			Authorize: func(_ context.Context, r *http.Request) error { tc.authorize(r); return nil }})
		require.NoError(t, err, name)
		require.NoError(t, s.Conn.Close())
		head := <-heads
		require.Equal(t, 1, strings.Count(head, "\r\nHost: "+tc.host+"\r\n"), name)
		require.Equal(t, 1, strings.Count(strings.ToLower(head), "\r\nhost:"), name)
		require.Equal(t, tc.host, s.Request.Host, name)
	}
}

func TestErrorNamesTheURLThatWasDialled(t *testing.T) {
	t.Parallel()
	srv := badServer(t, say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
	_, err := Dial(t.Context(), "ws://given.example/a", ClientOptions{Authorize: func(_ context.Context, r *http.Request) error {
		r.URL = &url.URL{Scheme: "ws", Host: srv.Addr().String(), Path: "/b", RawQuery: "token=secret"}
		return nil
	}})
	var moved *MovedError
	require.ErrorAs(t, err, &moved)
	require.Equal(t, srv.url("/b"), moved.URL)
	require.ErrorAs(t, err, new(*ResponseError))

	first := badServer(t, say("HTTP/1.1 302 Found\r\nLocation: "+srv.url("/c")+"\r\nContent-Length: 0\r\n\r\n"))
	_, err = Dial(t.Context(), first.url("/"), ClientOptions{})
	require.ErrorAs(t, err, &moved)
	require.Equal(t, srv.url("/c"), moved.URL)

	for _, scheme := range []string{"ws://", "http://"} {
		_, err = Dial(t.Context(), scheme+srv.Addr().String()+"/a b?c", ClientOptions{})
		require.NotErrorAs(t, err, &moved, "it is the URL that was given")
	}
}

func FuzzEscapedURL(f *testing.F) {
	for _, s := range []string{"", "/a b", "/a%2Fb|c?d e%20", "?ü", "/%zz?%", "/a\x7f?\x00", "//x?/?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse("http://h" + s)
		if err != nil || u.Host != "h" {
			return
		}
		path := u.Path
		escapeURL(u)
		sent := u.RequestURI()
		if i := strings.IndexFunc(sent, func(r rune) bool { return r > 0x7f || strings.ContainsRune(" \"<>\\^`{|}", r) }); i >= 0 {
			t.Fatalf("%q is sent as %q", s, sent)
		}
		if u.Path != path {
			t.Fatalf("%q: the path %q became %q", s, path, u.Path)
		}
		again := *u
		escapeURL(&again)
		if again.RequestURI() != sent {
			t.Fatalf("%q is sent as %q, then as %q", s, sent, again.RequestURI())
		}
		// What a path's octets mean has not changed.
		if back, err := url.ParseRequestURI(sent); err == nil && back.Path != path && path != "" && !strings.HasPrefix(path, "//") {
			t.Fatalf("%q is sent as %q", fmt.Sprint(path), sent)
		}
	})
}
