package handshake

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every test's patience, for what should come at once.
const patience = 20 * time.Second

const goodRequest = "GET /chat?x=1 HTTP/1.1\r\n" +
	"Host: a.example\r\n" +
	"Connection: Upgrade\r\n" +
	"Upgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// with is the good request with a header line replaced, or taken away by "".
func with(name, line string) string {
	var out strings.Builder
	for l := range strings.SplitAfterSeq(goodRequest, "\r\n") {
		if strings.HasPrefix(l, name+":") {
			l = line
		}
		out.WriteString(l)
	}
	return out.String()
}

type acceptance struct {
	stream *Stream
	err    error
}

// httpServer runs an HTTP server whose handler accepts by way of accept.
func httpServer(t *testing.T, accept http.HandlerFunc) *httptest.Server {
	server := httptest.NewUnstartedServer(accept)
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// acceptor is a server's handler, and what its Accepts have given.
func acceptor(t *testing.T, o ServerOptions, authorize func(*http.Request) error) (http.HandlerFunc, <-chan acceptance) {
	s, err := NewServer(o)
	require.NoError(t, err)
	results := make(chan acceptance, 8)
	return func(w http.ResponseWriter, r *http.Request) {
		stream, err := s.Accept(w, r, authorize, nil)
		if stream != nil {
			t.Cleanup(func() { stream.Conn.Close() })
		}
		results <- acceptance{stream, err}
	}, results
}

// exchange sends raw bytes and reads the answer to them.
func exchange(t *testing.T, server *httptest.Server, request string) (*http.Response, string, net.Conn) {
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer, "", conn
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(body), conn
}

func TestMalformedUpgradeIsAnsweredOnceAndClearly(t *testing.T) {
	t.Parallel()
	upgradeHeader := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	versionHeader := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}}
	for _, tc := range []struct {
		name    string
		request string
		status  int
		header  http.Header
		body    string
	}{
		{"plain GET", "GET / HTTP/1.1\r\nHost: a\r\n", 426, upgradeHeader, "the Upgrade header is missing"},
		{"POST", strings.Replace(goodRequest, "GET", "POST", 1), 405, http.Header{"Allow": {"GET"}}, `"POST"`},
		{"lower case get", strings.Replace(goodRequest, "GET", "get", 1), 405, http.Header{"Allow": {"GET"}}, `"get"`},
		{"HTTP/1.0", strings.Replace(goodRequest, "HTTP/1.1", "HTTP/1.0", 1), 426, http.Header{"Upgrade": {"websocket"}}, `"HTTP/1.0"`},
		{"no Upgrade", with("Upgrade", ""), 426, upgradeHeader, "the Upgrade header is missing"},
		{"other Upgrade", with("Upgrade", "Upgrade: h2c\r\n"), 426, upgradeHeader, `the Upgrade header is "h2c"`},
		{"longer Upgrade", with("Upgrade", "Upgrade: websockets\r\n"), 426, upgradeHeader, `"websockets"`},
		{"no Connection", with("Connection", ""), 426, upgradeHeader, "the Connection header is missing"},
		{"other Connection", with("Connection", "Connection: keep-alive\r\n"), 426, upgradeHeader, `"keep-alive"`},
		{"no version", with("Sec-WebSocket-Version", ""), 426, versionHeader, "Sec-WebSocket-Version is missing"},
		{"old version", with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"), 426, versionHeader, `"8"`},
		{"two versions", with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8\r\n"), 426, versionHeader, `"13, 8"`},
		{"no key", with("Sec-WebSocket-Key", ""), 400, nil, "0 Sec-WebSocket-Key headers"},
		{"two keys", goodRequest + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400, nil, "2 Sec-WebSocket-Key headers"},
		{"empty key", with("Sec-WebSocket-Key", "Sec-WebSocket-Key:\r\n"), 400, nil, "not 16 bytes"},
		{"short key", with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"), 400, nil, "not 16 bytes"},
		{"long key", with("Sec-WebSocket-Key", "Sec-WebSocket-Key: "+strings.Repeat("A", 200)+"\r\n"), 400, nil, `..."`},
		{"key in no base64", with("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n"), 400, nil, "not 16 bytes"},
		{"body", goodRequest + "Content-Length: 3\r\n\r\nabc", 400, nil, "no body"},
		{"chunked body", goodRequest + "Transfer-Encoding: chunked\r\n\r\n0\r\n", 400, nil, "no body"},
		{"cross origin", goodRequest + "Origin: https://evil.example\r\n", 403, nil, `Origin "https://evil.example" is not allowed`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{}, func(*http.Request) error {
				t.Error("Authorize was asked")
				return nil
			})
			answer, body, conn := exchange(t, httpServer(t, handler), tc.request+"\r\n")
			require.Equal(t, tc.status, answer.StatusCode)
			require.Equal(t, "text/plain; charset=utf-8", answer.Header.Get("Content-Type"))
			require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
			require.Contains(t, body, tc.body)
			require.Less(t, len(body), 250)
			for name, values := range tc.header {
				require.Equal(t, values, answer.Header[name])
			}
			result := <-results
			require.Nil(t, result.stream)
			var refusal *Refusal
			require.ErrorAs(t, result.err, &refusal)
			require.Equal(t, tc.status, refusal.StatusCode)
			require.Equal(t, body, refusal.Message+"\n")
			require.ErrorContains(t, result.err, tc.body)

			// Nothing comes after the answer.
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			rest, err := io.ReadAll(conn)
			if err == nil {
				require.Empty(t, rest)
			}
		})
	}
}

func TestUpgradeIsAnsweredAsTheRFCAsks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, request string }{
		{"sample", goodRequest},
		{"tokens in lists and other case", strings.NewReplacer(
			"Connection: Upgrade", "Connection: keep-alive, uPGRADE",
			"Upgrade: websocket", "Upgrade: foo, WebSocket").Replace(goodRequest)},
		{"tokens in several lines", strings.NewReplacer(
			"Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade").Replace(goodRequest)},
		{"same origin", goodRequest + "Origin: https://A.example\r\n"},
		{"spaces around the key", strings.Replace(goodRequest, "dGhl", "  dGhl", 1)},
		{"close beside upgrade", strings.Replace(goodRequest, "Connection: Upgrade", "Connection: Upgrade, close", 1)},
		{"an extension that nobody knows", goodRequest + "Sec-WebSocket-Extensions: permessage-deflate, x; y=\"z\"\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{Subprotocols: []string{"chat"}}, nil)
			answer, _, _ := exchange(t, httpServer(t, handler), tc.request+"\r\n")
			require.Equal(t, 101, answer.StatusCode)
			require.Equal(t, []string{"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, answer.Header["Sec-Websocket-Accept"])
			require.Equal(t, []string{"websocket"}, answer.Header["Upgrade"])
			require.Equal(t, []string{"Upgrade"}, answer.Header["Connection"])
			for _, name := range []string{"Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Content-Length", "Transfer-Encoding", "Content-Type"} {
				require.NotContains(t, answer.Header, name)
			}
			result := <-results
			require.NoError(t, result.err)
			require.Empty(t, result.stream.Subprotocol)
			require.Empty(t, result.stream.Buffered)
			require.Nil(t, result.stream.Response)
		})
	}
}

func TestSubprotocolIsTheClientsFirstThatTheServerHas(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		server   []string
		lines    []string
		selected string
	}{
		{"client's order", []string{"b", "a"}, []string{"a, b"}, "a"},
		{"several lines", []string{"c"}, []string{"a", "b ,c"}, "c"},
		{"empty elements", []string{"c"}, []string{",, c ,"}, "c"},
		{"case matters", []string{"Chat"}, []string{"chat"}, ""},
		{"none in common", []string{"a"}, []string{"b"}, ""},
		{"none at the server", nil, []string{"b"}, ""},
		{"none at the client", []string{"a"}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{Subprotocols: tc.server}, nil)
			request := goodRequest
			for _, line := range tc.lines {
				request += "Sec-WebSocket-Protocol: " + line + "\r\n"
			}
			answer, _, _ := exchange(t, httpServer(t, handler), request+"\r\n")
			require.Equal(t, 101, answer.StatusCode)
			require.Equal(t, tc.selected, answer.Header.Get("Sec-Websocket-Protocol"))
			require.Equal(t, tc.selected != "", len(answer.Header["Sec-Websocket-Protocol"]) == 1)
			require.Equal(t, tc.selected, (<-results).stream.Subprotocol)
		})
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		err    error
		status int
		body   string
		header http.Header
	}{
		{"any error", errors.New("secret"), 403, "Forbidden\n", nil},
		{"chosen answer", &Refusal{StatusCode: 401, Message: "who are you?", Header: http.Header{"www-authenticate": {"Basic"}}}, 401, "who are you?\n", http.Header{"Www-Authenticate": {"Basic"}}},
		{"no status", &Refusal{}, 403, "Forbidden\n", nil},
		{"redirect", &Refusal{StatusCode: 307, Header: http.Header{"Location": {"/there"}}}, 307, "Temporary Redirect\n", http.Header{"Location": {"/there"}}},
		{"other content", &Refusal{StatusCode: 400, Message: "{}", Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"99"}, "Set-Cookie": {"b=2"}}}, 400, "{}\n", http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"a=1", "b=2"}}},
		{"success", &Refusal{StatusCode: 200, Message: "secret"}, 500, "Internal Server Error\n", nil},
		{"no status at all", &Refusal{StatusCode: 7}, 500, "Internal Server Error\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{}, func(r *http.Request) error {
				if r.URL.Query().Get("x") != "1" {
					t.Error("not the request")
				}
				return tc.err
			})
			answer, body, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Set-Cookie", "a=1")
				w.Header().Set("Content-Length", "1")
				handler(w, r)
			}), goodRequest+"\r\n")
			require.Equal(t, tc.status, answer.StatusCode)
			require.Equal(t, tc.body, body)
			for name, values := range tc.header {
				require.Equal(t, values, answer.Header[name])
			}
			result := <-results
			require.Nil(t, result.stream)
			var refusal *Refusal
			require.ErrorAs(t, result.err, &refusal)
			require.Equal(t, tc.status, refusal.StatusCode)
			if _, chosen := tc.err.(*Refusal); !chosen {
				require.ErrorIs(t, result.err, tc.err)
				require.ErrorContains(t, result.err, "403 Forbidden: secret")
			}
		})
	}
}

func TestPanicInAuthorizeIsTheHTTPServersAffair(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, "mine", func() {
		s.Accept(hijackable{ResponseWriter: w}, newRequest(t), func(*http.Request) error { panic("mine") }, nil)
	})
	require.Empty(t, w.Body.String())
}

func newRequest(t *testing.T) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(goodRequest + "\r\n")))
	require.NoError(t, err)
	return r
}

func TestHTTP2IsRefusedWith505(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	answer, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 2, answer.ProtoMajor)
	require.Equal(t, 505, answer.StatusCode)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"HTTP/2.0"`)
	err = (<-results).err
	require.ErrorContains(t, err, "http.Server.Protocols")
	require.ErrorContains(t, err, "http.Server.TLSNextProto")
	require.NotContains(t, string(body), "TLSNextProto")
}

func TestErrorSaysWhatAProxyInFrontMustPassOn(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"no Upgrade":    with("Upgrade", ""),
		"no Connection": with("Connection", "Connection: close\r\n"),
		"HTTP/1.0":      strings.Replace(goodRequest, "HTTP/1.1", "HTTP/1.0", 1),
	} {
		handler, results := acceptor(t, ServerOptions{}, nil)
		_, body, _ := exchange(t, httpServer(t, handler), request+"\r\n")
		require.ErrorContains(t, (<-results).err, "proxy_set_header Upgrade", name)
		require.NotContains(t, body, "proxy", name)
	}
	for name, request := range map[string]string{
		"no WebSocket client": "GET / HTTP/1.1\r\nHost: a\r\n",
		"another version":     with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"),
	} {
		handler, results := acceptor(t, ServerOptions{}, nil)
		exchange(t, httpServer(t, handler), request+"\r\n")
		require.NotContains(t, (<-results).err.Error(), "proxy", name)
	}
}

func TestErrorOfAnOriginSaysWhereToAdmitIt(t *testing.T) {
	t.Parallel()
	for origin, advice := range map[string]string{
		"https://evil.example:8443":      `add "https://evil.example:8443" to UpgradeOptions.Origins`,
		"file://":                        `add "file://" to UpgradeOptions.Origins`,
		"null":                           `add "null" to UpgradeOptions.Origins`,
		"https://evil.example/no-origin": "",
		"*":                              "",
		"https://*":                      "",
		"*.example":                      "",
	} {
		handler, results := acceptor(t, ServerOptions{}, nil)
		answer, body, _ := exchange(t, httpServer(t, handler), goodRequest+"Origin: "+origin+"\r\n\r\n")
		require.Equal(t, 403, answer.StatusCode)
		err := (<-results).err
		require.ErrorContains(t, err, `Origin "`+origin+`" is not allowed for Host "a.example"`)
		require.NotContains(t, body, "Origins")
		if advice == "" {
			require.NotContains(t, err.Error(), "Origins")
			continue
		}
		require.ErrorContains(t, err, advice)
	}
}

func TestInvalidServerOptionNamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want    string
		options ServerOptions
	}{
		{`Subprotocols[1] ""`, ServerOptions{Subprotocols: []string{"a", ""}}},
		{`Subprotocols[0] "a,b"`, ServerOptions{Subprotocols: []string{"a,b"}}},
		{`Origins[1] "a/"`, ServerOptions{Origins: []string{"*", "a/"}}},
		{`Header "": invalid name`, ServerOptions{Header: http.Header{"": {"a"}}}},
		{`Header "a b": invalid name`, ServerOptions{Header: http.Header{"a b": {"a"}}}},
		{`Header "A": its value holds a control character`, ServerOptions{Header: http.Header{"A": {"b\r\nc: d"}}}},
		{`Header "B": its value holds a control character`, ServerOptions{Header: http.Header{"B": {"\t ok", "secret\x7f"}}}},
		{`Header "sec-websocket-accept": belongs to the handshake`, ServerOptions{Header: http.Header{"sec-websocket-accept": {"a"}}}},
		{`Header "Sec-WebSocket-Protocol"`, ServerOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"a"}}}},
		{`Header "Sec-WebSocket-Extensions"`, ServerOptions{Header: http.Header{"Sec-WebSocket-Extensions": nil}}},
		{`Header "Upgrade"`, ServerOptions{Header: http.Header{"Upgrade": {"a"}}}},
		{`Header "Connection"`, ServerOptions{Header: http.Header{"Connection": {"a"}}}},
		{`Header "Content-Length"`, ServerOptions{Header: http.Header{"Content-Length": {"0"}}}},
		{`Header "Transfer-Encoding"`, ServerOptions{Header: http.Header{"Transfer-Encoding": {"chunked"}}}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			t.Parallel()
			_, err := NewServer(tc.options)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestSpacesAroundTheKeyDoNotCount(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{})
	require.NoError(t, err)
	r := newRequest(t)
	r.Header["Sec-Websocket-Key"] = []string{" dGhlIHNhbXBsZSBub25jZQ==\t"} // as no parser leaves it
	conn := &witness{}
	_, err = s.Accept(hijackable{ResponseWriter: httptest.NewRecorder(), conn: conn}, r, nil, nil)
	require.NoError(t, err)
	require.Contains(t, conn.written.String(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
}

func TestHeadersOfAnotherAnswerDoNotGoOutWithARefusal(t *testing.T) {
	t.Parallel()
	handler, _ := acceptor(t, ServerOptions{}, nil)
	answer, body, _ := exchange(t, httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Etag", "Last-Modified"} {
			w.Header().Set(name, "X")
		}
		handler(w, r)
	}), with("Upgrade", "")+"\r\n")
	require.Equal(t, 426, answer.StatusCode)
	require.Contains(t, body, "Upgrade")
	require.Empty(t, answer.TransferEncoding)
	require.Empty(t, answer.Trailer)
	for _, name := range []string{"Etag", "Last-Modified"} {
		require.NotContains(t, answer.Header, name)
	}
}

// compressing writes through a gzip.Writer, as middleware that sets Content-Encoding
// before it calls the handler does.
type compressing struct {
	http.ResponseWriter
	body io.Writer
}

func (w compressing) Write(p []byte) (int, error) { return w.body.Write(p) }

func TestRefusalThroughCompressingMiddlewareKeepsItsEncoding(t *testing.T) {
	t.Parallel()
	handler, _ := acceptor(t, ServerOptions{}, nil)
	server := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		body := gzip.NewWriter(w)
		defer body.Close()
		handler(compressing{w, body}, r)
	})
	answer, body, _ := exchange(t, server, with("Upgrade", "")+"\r\n")
	require.Equal(t, 426, answer.StatusCode)
	require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"))
	plain, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	require.Contains(t, string(text), "Upgrade header is missing")
}

func TestServerKeepsItsOwnCopyOfTheOptions(t *testing.T) {
	t.Parallel()
	o := ServerOptions{Subprotocols: []string{"a"}, Header: http.Header{"X": {"1"}}}
	handler, _ := acceptor(t, o, nil)
	o.Subprotocols[0] = "b"
	o.Header["X"][0] = "2"
	answer, _, _ := exchange(t, httpServer(t, handler), goodRequest+"Sec-WebSocket-Protocol: b, a\r\n\r\n")
	require.Equal(t, "a", answer.Header.Get("Sec-Websocket-Protocol"))
	require.Equal(t, "1", answer.Header.Get("X"))
}

func TestStreamsRequestKeepsWhatAConnNeedsAndNothingElse(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{}, nil)
	mux := http.NewServeMux()
	requests := make(chan *http.Request, 1)
	mux.HandleFunc("GET /{room}", func(w http.ResponseWriter, r *http.Request) {
		handler(w, r)
		requests <- r
	})
	exchange(t, httpServer(t, mux.ServeHTTP), goodRequest+"Sec-WebSocket-Extensions: x\r\nCookie: a=1\r\n\r\n")
	given, kept := <-requests, (<-results).stream.Request
	require.NotSame(t, given, kept)
	require.Equal(t, "chat", kept.PathValue("room"))
	require.Equal(t, "GET /{room}", kept.Pattern)
	require.Equal(t, "1", kept.URL.Query().Get("x"))
	require.Equal(t, "a.example", kept.Host)
	require.Equal(t, "/chat?x=1", kept.RequestURI)
	require.Equal(t, given.RemoteAddr, kept.RemoteAddr)
	require.Equal(t, "x", kept.Header.Get("Sec-WebSocket-Extensions"))
	require.Equal(t, given.Header, kept.Header)
	require.Equal(t, http.NoBody, kept.Body)
	require.NoError(t, kept.Context().Err())
	require.Nil(t, kept.Context().Value(http.ServerContextKey))
}
