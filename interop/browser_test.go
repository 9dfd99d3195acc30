//go:build unix

package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// script gives the page connect, which resolves to a WebSocket once that is open, or
// to what its close event tells if it never is. The socket has next, which resolves
// to the next message, and closed, which resolves to the close event.
const script = `
window.connect = (url, protocols = []) => new Promise(resolve => {
	const ws = new WebSocket(new URL(url, location).href.replace(/^http/, "ws"), protocols);
	ws.binaryType = "arraybuffer";
	const messages = [], waiting = [];
	ws.next = () => messages.length ? Promise.resolve(messages.shift()) : new Promise(r => waiting.push(r));
	ws.onmessage = e => waiting.length ? waiting.shift()(e.data) : messages.push(e.data);
	ws.onopen = () => resolve(window.ws = ws);
	ws.closed = new Promise(r => ws.onclose = e => r({code: e.code, reason: e.reason, clean: e.wasClean}));
	ws.closed.then(resolve);
});
window.echo = async (size, binary) => {
	const sent = await (await fetch("/payload?size=" + size)).arrayBuffer();
	ws.send(binary ? sent : new TextDecoder("utf-8", {fatal: true}).decode(sent));
	const got = await ws.next();
	if ((typeof got != "string") != binary) return "a message of the other kind came back";
	const a = new Uint8Array(sent), b = binary ? new Uint8Array(got) : new TextEncoder().encode(got);
	if (a.length != b.length) return a.length + " bytes have become " + b.length;
	const at = a.findIndex((x, i) => x != b[i]);
	return at < 0 ? "" : "changed at byte " + at;
};
true`

// A closeEvent is what the page is told of the end of a WebSocket.
type closeEvent struct {
	Code   chanws.StatusCode `json:"code"`
	Reason string            `json:"reason"`
	Clean  bool              `json:"clean"`
}

// A site is a server of an empty page and of WebSockets at /ws.
type site struct {
	*httptest.Server
	conns    chan *chanws.Conn
	refusals chan error
}

// newSite starts a site. The page chooses FragmentSize in the query.
func newSite(t *testing.T, opts chanws.UpgradeOptions) *site {
	s := &site{conns: make(chan *chanws.Conn, 16), refusals: make(chan error, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>interop</title>")
	})
	mux.HandleFunc("GET /payload", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.FormValue("size"))
		w.Write(payload(size))
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		opts := opts
		opts.FragmentSize, _ = strconv.Atoi(r.FormValue("fragment"))
		c, err := chanws.Upgrade(w, r, &opts)
		if err != nil {
			s.refusals <- err
			return
		}
		s.conns <- c
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// visit opens the site's page, and connect is there.
func (s *site) visit(t *testing.T, b *chromium) *tab {
	t.Helper()
	page := b.open(t, s.URL)
	page.do(t, script)
	return page
}

// connected lets the page connect, and gives the server's end.
func (s *site) connected(t *testing.T, page *tab, url string) *chanws.Conn {
	t.Helper()
	require.Equal(t, 1, get[int](t, page, fmt.Sprintf("connect(%q).then(ws => ws.readyState)", url)))
	c := receive(t, s.conns)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestABrowsersWebSocket(t *testing.T) {
	t.Parallel()
	b := startChromium(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *chromium)
	}{
		{"gets its messages back unchanged", testBrowserEchoes},
		{"answers pings", testBrowserAnswersPings},
		{"agrees on a subprotocol", testBrowserSubprotocol},
		{"closes with a code and a reason", testBrowserCloses},
		{"sees the server's close code and reason", testBrowserIsClosed},
		{"sees a cut as an unclean end", testBrowserIsCut},
		{"is refused from another origin", testBrowserCrossOrigin},
		{"may come from an origin that is named", testBrowserNamedOrigin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, b)
		})
	}
}

func testBrowserEchoes(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{})
	for _, tc := range []struct {
		fragment int
		sizes    []int
	}{
		{-1, []int{0, 1, 125, 126, 65535, 65536, 1 << 20}},
		{7, []int{0, 1, 125, 126, 65535}},
		{65537, []int{1 << 20}},
	} {
		page := s.visit(t, b)
		c := s.connected(t, page, fmt.Sprintf("/ws?fragment=%d", tc.fragment))
		for _, size := range tc.sizes {
			for _, binary := range []bool{false, true} {
				result := make(chan error, 1)
				var wrong string
				go func() { result <- page.evaluate(fmt.Sprintf("echo(%d, %t)", size, binary), &wrong) }()
				ev := receive(t, c.Events())
				requireMessage(t, dataMessage{binary, payload(size)}, ev)
				c.Send <- ev.(chanws.Message)
				require.NoError(t, receive(t, result))
				require.Empty(t, wrong, "%d bytes, binary: %t, fragments of %d", size, binary, tc.fragment)
			}
		}
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
	}
}

func testBrowserAnswersPings(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{})
	c := s.connected(t, s.visit(t, b), "/ws")
	for _, payload := range []string{"", "are you there?"} {
		require.NoError(t, c.Write(t.Context(), chanws.Ping(payload)))
		ev := receive(t, c.Events())
		require.IsType(t, chanws.Pong{}, ev)
		require.Equal(t, payload, string(ev.(chanws.Pong)))
	}
}

func testBrowserSubprotocol(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{Subprotocols: []string{"chat.v1", "chat.v2"}})
	page := s.visit(t, b)
	require.Equal(t, "chat.v2", get[string](t, page, `connect("/ws", ["chat.v3", "chat.v2"]).then(ws => ws.protocol)`))
	c := receive(t, s.conns)
	defer c.CloseNow()
	require.Equal(t, "chat.v2", c.Subprotocol())
}

func testBrowserCloses(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{})
	page := s.visit(t, b)
	for _, tc := range []struct {
		call string
		want chanws.Close
	}{
		{"ws.close()", chanws.Close{Code: chanws.StatusNoStatusRcvd}},
		{"ws.close(1000, 'done')", chanws.Close{Code: 1000, Reason: "done"}},
		{"ws.close(3000, 'größer als 日本')", chanws.Close{Code: 3000, Reason: "größer als 日本"}},
		{"ws.close(4999)", chanws.Close{Code: 4999}},
	} {
		c := s.connected(t, page, "/ws")
		page.do(t, tc.call)
		require.Equal(t, tc.want, receive(t, c.Events()), tc.call)
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
		require.Equal(t, closeEvent{Code: tc.want.Code, Clean: true}, get[closeEvent](t, page, "ws.closed"), tc.call)
	}
}

func testBrowserIsClosed(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{})
	page := s.visit(t, b)
	for _, sent := range append(closes[:4:4], chanws.Close{Code: chanws.StatusInternalError, Reason: "out of cheese"}) {
		c := s.connected(t, page, "/ws")
		c.Send <- chanws.Text("the last word")
		require.NoError(t, c.Close(sent.Code, sent.Reason))
		require.Equal(t, chanws.CloseStatus(c.Err()), sent.Code, "the browser's answer")
		require.Equal(t, closeEvent{sent.Code, sent.Reason, true}, get[closeEvent](t, page, "ws.closed"))
		require.Equal(t, "the last word", get[string](t, page, "ws.next()"))
	}
}

func testBrowserIsCut(t *testing.T, b *chromium) {
	s := newSite(t, chanws.UpgradeOptions{})
	page := s.visit(t, b)
	c := s.connected(t, page, "/ws")
	require.NoError(t, c.CloseNow())
	require.Equal(t, closeEvent{Code: chanws.StatusAbnormalClosure}, get[closeEvent](t, page, "ws.closed"))
}

func testBrowserCrossOrigin(t *testing.T, b *chromium) {
	mine, other := newSite(t, chanws.UpgradeOptions{}), newSite(t, chanws.UpgradeOptions{})
	page := other.visit(t, b)
	require.Equal(t, closeEvent{Code: chanws.StatusAbnormalClosure}, get[closeEvent](t, page, fmt.Sprintf("connect(%q)", mine.URL+"/ws")))
	var answer *chanws.HTTPError
	require.ErrorAs(t, receive(t, mine.refusals), &answer)
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
}

func testBrowserNamedOrigin(t *testing.T, b *chromium) {
	mine := newSite(t, chanws.UpgradeOptions{Origins: []string{"http://127.0.0.1:*"}})
	page := newSite(t, chanws.UpgradeOptions{}).visit(t, b)
	c := mine.connected(t, page, mine.URL+"/ws")
	page.do(t, "ws.send('hello')")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ev, err := c.Receive(ctx)
	require.NoError(t, err)
	require.Equal(t, chanws.Text("hello"), ev)
}
