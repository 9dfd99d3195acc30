package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// start runs the program and returns the address of its page. stop is Ctrl-C.
func start(t *testing.T, addr string) (url string, stop func() error) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	result := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-addr", addr}, stdout)
		stdout.Close()
		result <- err
	}()
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		require.NoError(t, <-result)
	}
	require.Equal(t, about+"\n", first)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSuffix(line, " in two tabs\n"), "chat: open ")
	require.True(t, ok, line)
	stopped := false
	stop = func() error {
		stopped = true
		interrupt()
		return <-result
	}
	t.Cleanup(func() {
		if !stopped {
			require.NoError(t, stop())
		}
	})
	return url, stop
}

// A visitor does what the page does.
type visitor struct {
	t *testing.T
	*chanws.Conn
}

func visit(t *testing.T, url string) visitor {
	t.Helper()
	c, err := chanws.Dial(t.Context(), url+"/ws", &chanws.DialOptions{
		Header: http.Header{"Origin": {url}}, // as a browser says it
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return visitor{t, c}
}

func (v visitor) say(m message) { v.Send <- encode(m) }

func (v visitor) join(room, name string) { v.say(message{Type: "join", Room: room, Name: name}) }

// hear returns the next message, without the time that it was said at.
func (v visitor) hear() message {
	v.t.Helper()
	ev, err := v.Receive(v.t.Context())
	require.NoError(v.t, err)
	var m message
	require.NoError(v.t, json.Unmarshal([]byte(ev.(chanws.Text)), &m))
	for _, said := range append(m.Messages, m) {
		require.Equal(v.t, said.Type == "message", said.At > 0, said)
	}
	m.At = 0
	return m
}

// hearType hears until it hears a message of that type, and returns it.
func (v visitor) hearType(kind string) message {
	v.t.Helper()
	for {
		if m := v.hear(); m.Type == kind {
			return m
		}
	}
}

// named are people with the colours that those get who come first.
func named(names ...string) (all []member) {
	for i, name := range names {
		all = append(all, member{name, i * 137 % 360})
	}
	return all
}

// await hears until it hears want.
func (v visitor) await(want message) {
	v.t.Helper()
	for {
		if m := v.hear(); fmt.Sprint(m) == fmt.Sprint(want) {
			return
		}
	}
}

// end gives how the connection ends.
func (v visitor) end() error {
	for range v.Events() {
	}
	return v.Err()
}

func TestTwoTabsTalk(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	ada, bob := visit(t, url), visit(t, url)

	ada.join("Tea", "  Ada ")
	require.Equal(t, message{Type: "joined", Room: "tea", Name: "Ada"}, ada.hear())
	require.Equal(t, message{Type: "people", People: named("Ada")}, ada.hear())
	require.Equal(t, message{Type: "notice", Text: "Ada joined"}, ada.hear())

	bob.join("tea", "Bob")
	require.Equal(t, message{Type: "joined", Room: "tea", Name: "Bob", Hue: 137}, bob.hear())
	for _, v := range []visitor{ada, bob} {
		require.Equal(t, message{Type: "people", People: named("Ada", "Bob")}, v.hear())
		require.Equal(t, message{Type: "notice", Text: "Bob joined"}, v.hear())
	}

	ada.say(message{Type: "say", Text: " <b>hello</b> "})
	for _, v := range []visitor{ada, bob} {
		require.Equal(t, message{Type: "message", Name: "Ada", Text: "<b>hello</b>"}, v.hear())
	}

	bob.CloseNow() // the tab is closed
	require.Equal(t, message{Type: "people", People: named("Ada")}, ada.hear())
	require.Equal(t, message{Type: "notice", Text: "Bob left"}, ada.hear())
}

func TestRoomsAreApartAndCanBeChanged(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	ada, bob := visit(t, url), visit(t, url)
	ada.join("tea", "Ada")
	ada.await(message{Type: "notice", Text: "Ada joined"}) // else Bob could be faster
	bob.join("coffee", "Bob")
	bob.await(message{Type: "notice", Text: "Bob joined"})
	bob.say(message{Type: "say", Text: "nobody hears this in tea"})
	bob.await(message{Type: "message", Name: "Bob", Text: "nobody hears this in tea"})
	bob.join("tea", "Bob")

	var heard []string
	for m := ada.hear(); m.Text != "Bob joined"; m = ada.hear() {
		heard = append(heard, m.Type)
	}
	require.Equal(t, []string{"people"}, heard)
}

func TestNamesAreMadeUnique(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	long := strings.Repeat("ä", maxName)
	for _, test := range []struct{ name, want string }{
		{"Ada", "Ada"},
		{"ADA", "ADA 2"},
		{"Ada", "Ada 3"},
		{long, long},
		{long, strings.Repeat("ä", maxName-2) + " 2"},
	} {
		v := visit(t, url)
		v.join("tea", test.name)
		require.Equal(t, test.want, v.hearType("joined").Name)
		v.join("tea", test.want) // as a page does that has been reconnected
		v.say(message{Type: "say", Text: "it is me"})
		require.Equal(t, test.want, v.hearType("message").Name)
	}
}

func TestNonsenseIsRefusedAndTheConnectionLives(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	v := visit(t, url)
	for _, m := range []message{
		{Type: "say", Text: "too early"},
		{Type: "join", Room: "tea"},
		{Type: "join", Room: "tea", Name: " \t "},
		{Type: "join", Room: "tea", Name: "bell\a"},
		{Type: "join", Room: "tea", Name: "right-to-left\u202e"},
		{Type: "join", Room: "tea", Name: strings.Repeat("x", maxName+1)},
		{Type: "join", Name: "Ada"},
		{Type: "join", Room: strings.Repeat("x", maxRoom+1), Name: "Ada"},
	} {
		v.say(m)
		require.Equal(t, "error", v.hear().Type, m)
	}
	v.join("tea", "Ada")
	v.await(message{Type: "notice", Text: "Ada joined"})
	v.say(message{Type: "nonsense"})
	v.say(message{Type: "say", Text: "  "})
	v.say(message{Type: "say", Text: strings.Repeat("😀", maxText+1)})
	require.Equal(t, "error", v.hear().Type)
	v.say(message{Type: "say", Text: strings.Repeat("😀", maxText)})
	require.Equal(t, "message", v.hear().Type)
}

func TestAbuseEndsTheConnectionWithTheRightCode(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		abuse func(visitor)
		code  chanws.StatusCode
	}{
		"not JSON":      {func(v visitor) { v.Send <- chanws.Text("{") }, chanws.StatusInvalidFramePayloadData},
		"a big message": {func(v visitor) { v.Send <- chanws.Text(strings.Repeat("x", 9<<10)) }, chanws.StatusMessageTooBig},
		"a flood": {func(v visitor) {
			for range 100 {
				v.say(message{Type: "nonsense"})
			}
		}, chanws.StatusPolicyViolation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := visit(t, url)
			test.abuse(v)
			require.Equal(t, test.code, chanws.CloseStatus(v.end()))
		})
	}
}

func TestAServerThatStopsTellsEverybodyToComeBack(t *testing.T) {
	t.Parallel()
	url, stop := start(t, "127.0.0.1:0")
	ada, outside := visit(t, url), visit(t, url)
	outside.say(message{Type: "say", Text: "too early"})
	require.Equal(t, "error", outside.hear().Type) // the hub knows it
	ada.join("tea", "Ada")
	ada.await(message{Type: "notice", Text: "Ada joined"})
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for _, v := range []visitor{ada, outside} {
		require.Equal(t, chanws.StatusServiceRestart, chanws.CloseStatus(v.end()))
	}
	require.NoError(t, <-stopped)
}

func TestAPortInUseIsAClearError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	err = run(t.Context(), []string{"-addr", l.Addr().String()}, io.Discard)
	require.EqualError(t, err, l.Addr().String()+" is in use by another program; choose another address with -addr")
}

func TestAnotherSitesPageMayNotConnect(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	_, err := chanws.Dial(t.Context(), url+"/ws", &chanws.DialOptions{Header: http.Header{"Origin": {"https://evil.example"}}})
	var refused *chanws.HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusForbidden, refused.StatusCode)
}

func TestThePageIsServedAndKeepsToText(t *testing.T) {
	t.Parallel()
	url, _ := start(t, "127.0.0.1:0")
	get := func(path string) (*http.Response, string) {
		r, err := http.Get(url + path)
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r, string(body)
	}
	for path, contentType := range map[string]string{
		"/":              "text/html; charset=utf-8",
		"/style.css":     "text/css; charset=utf-8",
		"/page.js":       "text/javascript; charset=utf-8",
		"/connection.js": "text/javascript; charset=utf-8",
		"/log.js":        "text/javascript; charset=utf-8",
		"/panel.js":      "text/javascript; charset=utf-8",
	} {
		r, body := get(path)
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		require.Equal(t, contentType, r.Header.Get("Content-Type"), path)
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'", path)
		for _, risk := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"} {
			require.NotContains(t, body, risk, path)
		}
	}
	_, body := get("/")
	for _, id := range []string{"name", "room", "join", "change", "text", "send", "offline", "log", "people", "status", "panel"} {
		require.Contains(t, body, `id="`+id+`"`)
	}
	r, _ := get("/elsewhere")
	require.Equal(t, http.StatusNotFound, r.StatusCode)
}

func TestHelpSaysWhatTheProgramShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out), flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
	require.Contains(t, out.String(), "-addr")
}

func TestTheAddressShownIsOneToOpen(t *testing.T) {
	t.Parallel()
	real := &net.TCPAddr{IP: net.IPv6unspecified, Port: 4711}
	for addr, want := range map[string]string{
		":0":             "http://localhost:4711",
		"0.0.0.0:0":      "http://localhost:4711",
		"[::]:4711":      "http://localhost:4711",
		"localhost:0":    "http://localhost:4711",
		"127.0.0.1:4711": "http://127.0.0.1:4711",
		"[::1]:0":        "http://[::1]:4711",
		"chat.example:0": "http://chat.example:4711",
	} {
		require.Equal(t, want, pageURL(addr, real), addr)
	}
}

// The hub alone, on connections in memory and a clock that costs no time.
func TestASlowReaderIsLetGoAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		ctx, stop := context.WithCancel(t.Context())
		go h.run(ctx)

		client, server := wstest.Pipe(t, nil, nil)
		h.arrivals <- &person{conn: server}
		ada := visitor{t, client}
		ada.join("tea", "Ada")
		ada.await(message{Type: "notice", Text: "Ada joined"})

		server, sloth := wstest.Raw(t, nil) // nobody reads from this one
		slow := &person{conn: server}
		h.arrivals <- slow
		h.heard <- heard{slow, encode(message{Type: "join", Room: "tea", Name: "Sloth"})}
		ada.await(message{Type: "people", People: named("Ada", "Sloth")})
		ada.await(message{Type: "notice", Text: "Sloth joined"})

		text := strings.Repeat("x", maxText)
		said := 0
		for gone := false; !gone; {
			said++
			require.Less(t, said, 1000)
			ada.say(message{Type: "say", Text: text})
			require.Equal(t, message{Type: "message", Name: "Ada", Text: text}, ada.hear())
			synctest.Wait() // Ada is up to date
			for len(ada.Events()) > 0 {
				gone = ada.hear().Text == "Sloth was too slow, and left" || gone
			}
		}
		require.Greater(t, said, 128, "some delay is forgiven")
		ada.say(message{Type: "say", Text: "at last"})
		require.Equal(t, message{Type: "message", Name: "Ada", Text: "at last"}, ada.hear())

		go ada.end() // answers the goodbye
		stop()
		<-h.done
		sloth.Close()
	})
}
