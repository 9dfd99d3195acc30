package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A listening is wscat -l in this process.
type listening struct {
	url            string
	typing         *io.PipeWriter
	stdout, stderr *bufio.Reader
	interrupt      func()
	exit           chan int
}

func listen(t *testing.T, args ...string) *listening {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	stdin, typing := io.Pipe()
	stdout, printed := io.Pipe()
	stderr, noted := io.Pipe()
	l := &listening{
		typing: typing, interrupt: interrupt, exit: make(chan int, 1),
		stdout: bufio.NewReader(stdout), stderr: bufio.NewReader(stderr),
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.exit <- run(ctx, append(args, "-l", "127.0.0.1:0"), stdin, printed, noted)
		printed.Close()
		noted.Close()
	}()
	t.Cleanup(func() {
		interrupt()
		stdout.Close()
		stderr.Close()
		typing.Close()
		<-over
	})
	line, err := l.stderr.ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, line)
	l.url = url
	return l
}

// dial returns a client. It is closed when the test ends.
func (l *listening) dial(t *testing.T, opts *chanws.DialOptions) *chanws.Conn {
	t.Helper()
	c, err := chanws.Dial(t.Context(), l.url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func (l *listening) printed(t *testing.T, want string) {
	t.Helper()
	line, err := l.stdout.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, want+"\n", line)
}

func receives(t *testing.T, c *chanws.Conn, want chanws.Event) {
	t.Helper()
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, ev)
}

func TestListenPrintsWhatClientsSendAndSendsLinesToAll(t *testing.T) {
	t.Parallel()
	l := listen(t)
	a, b := l.dial(t, nil), l.dial(t, nil)
	for _, c := range []*chanws.Conn{a, b} { // each is known to the loop when its message is printed
		c.Send <- chanws.Text("hello\x1b")
		l.printed(t, "hello\x1b")
	}
	b.Send <- chanws.Binary{0, 255}
	l.printed(t, "00ff")
	io.WriteString(l.typing, "to all\n/binary 41\n")
	for _, c := range []*chanws.Conn{a, b} {
		receives(t, c, chanws.Text("to all"))
		receives(t, c, chanws.Binary{'A'})
	}
	require.NoError(t, a.Close(chanws.StatusNormalClosure, ""))
	b.Send <- chanws.Text("still here")
	l.printed(t, "still here")
	io.WriteString(l.typing, "to the one left\n")
	receives(t, b, chanws.Text("to the one left"))
}

func TestListenEndsInGoodOrder(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(l *listening){
		"after Ctrl-C":          func(l *listening) { l.interrupt() },
		"at the end of a pipe":  func(l *listening) { l.typing.Close() },
		"with /quit":            func(l *listening) { io.WriteString(l.typing, "/quit\n") },
		"for more than a cause": func(l *listening) { io.WriteString(l.typing, "/quit\n"); l.typing.Close(); l.interrupt() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "-w", "0")
			c := l.dial(t, nil)
			c.Send <- chanws.Text("hello")
			l.printed(t, "hello")
			end(l)
			_, err := c.Receive(t.Context())
			require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(err), err)
			rest, err := io.ReadAll(l.stderr)
			require.NoError(t, err)
			require.Zero(t, <-l.exit, string(rest))
		})
	}
}

func TestListenKeepsTheLinesOfAPipeForTheFirstClient(t *testing.T) {
	t.Parallel()
	l := listen(t, "-w", "0")
	go func() {
		io.WriteString(l.typing, "one\ntwo\n")
		l.typing.Close()
	}()
	c := l.dial(t, nil)
	receives(t, c, chanws.Text("one"))
	receives(t, c, chanws.Text("two"))
	_, err := c.Receive(t.Context())
	require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(err), err)
	require.Zero(t, <-l.exit)
}

func TestTheEndOfAPipeEndsListenModeWithoutClients(t *testing.T) {
	t.Parallel()
	for name, clients := range map[string]int{"none yet": 0, "all have left": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "-w", "0", "-v")
			for range clients {
				require.NoError(t, l.dial(t, nil).Close(chanws.StatusNormalClosure, ""))
			}
			for left := 0; left < clients; {
				line, err := l.stderr.ReadString('\n')
				require.NoError(t, err)
				if strings.Contains(line, " left: ") {
					left++
				}
			}
			l.typing.Close()
			_, err := io.ReadAll(l.stderr)
			require.NoError(t, err)
			require.Zero(t, <-l.exit)
		})
	}
}

func TestALineThatNobodyCameForFailsListenMode(t *testing.T) {
	t.Parallel()
	l := listen(t)
	io.WriteString(l.typing, "one\n")
	io.WriteString(l.typing, "two\n") // is read when the first has been taken
	l.interrupt()
	text, err := io.ReadAll(l.stderr)
	require.NoError(t, err)
	require.Contains(t, string(text), "not sent: 1 of the lines")
	require.Equal(t, 1, <-l.exit)
}

func TestCloseInListenModeClosesTheClientsAndGoesOn(t *testing.T) {
	t.Parallel()
	l := listen(t)
	c := l.dial(t, nil)
	io.WriteString(l.typing, "/close 4321 enough\n")
	_, err := c.Receive(t.Context())
	require.ErrorIs(t, err, chanws.Close{Code: 4321, Reason: "enough"})
	again := l.dial(t, nil)
	again.Send <- chanws.Text("back")
	l.printed(t, "back")
}

func TestALineThatCannotBeSentFailsListenMode(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"\xff":        "not valid UTF-8",
		"/nonsense":   "unknown command",
		"/close 1006": "1006 must not be sent",
	} {
		l := listen(t, "-w", "0")
		l.dial(t, nil)
		io.WriteString(l.typing, line+"\n")
		l.typing.Close()
		text, err := io.ReadAll(l.stderr)
		require.NoError(t, err)
		require.Contains(t, string(text), want)
		require.Contains(t, string(text), "not sent: 1 of the lines")
		require.Equal(t, 1, <-l.exit)
	}
}

func TestListenTakesHeadersSubprotocolsOriginsAndACertificate(t *testing.T) {
	t.Parallel()
	cert, key, _ := identity(t)
	l := listen(t, "-cert", cert, "-key", key, "-s", "chat.v2", "-H", "X-Answer: 42", "-origin", "app.example", "-compress", "-v")
	require.Contains(t, l.url, "wss://")
	opts := chanws.DialOptions{
		TLSConfig:    &tls.Config{InsecureSkipVerify: true},
		Subprotocols: []string{"chat.v3", "chat.v2"},
		Header:       http.Header{"Origin": {"https://app.example"}},
	}
	opts.Compression = chanws.CompressionContextTakeover
	go io.Copy(io.Discard, l.stderr)
	c := l.dial(t, &opts)
	require.Equal(t, "chat.v2", c.Subprotocol())
	require.Equal(t, "42", c.Response().Header.Get("X-Answer"))
	require.Contains(t, c.Response().Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	opts.Header = http.Header{"Origin": {"https://evil.example"}}
	_, err := chanws.Dial(t.Context(), l.url, &opts)
	require.ErrorContains(t, err, "403")
}

func TestListenAcceptsEveryOriginByDefault(t *testing.T) {
	t.Parallel()
	l := listen(t)
	l.dial(t, &chanws.DialOptions{Header: http.Header{"Origin": {"https://app.example"}}})
}

func TestListenSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-l", strings.TrimPrefix(taken.url, "ws://")}, strings.NewReader(""), &stdout, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "listen tcp 127.0.0.1")
}
