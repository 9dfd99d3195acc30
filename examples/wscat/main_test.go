package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be wscat itself, for tests that need a process.
func TestMain(m *testing.M) {
	os.Setenv("TERM", "xterm")
	os.Unsetenv("NO_COLOR")
	if os.Getenv("WSCAT_ITSELF") != "" {
		main()
	}
	os.Exit(m.Run())
}

// serve runs a server whose connections are served by f.
func serve(t *testing.T, opts *chanws.ListenOptions, f func(*chanws.Conn)) *chanws.Listener {
	t.Helper()
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c := range l.Conns() {
			f(c)
			c.CloseNow()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l
}

// echo answers everything in order, pings too: with ManualPong a pong tells that
// the echoes before it have been sent.
func echo(c *chanws.Conn) {
	for ev := range c.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			c.Send <- ev
		case chanws.Binary:
			c.Send <- ev
		case chanws.Ping:
			c.Send <- chanws.Pong(ev)
		}
	}
}

var inOrder = &chanws.ListenOptions{Options: chanws.Options{ManualPong: true}}

// wscat runs the program to its end.
func wscat(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

func TestLinesGoOutAndTheEchoIsPrintedBeforeItEnds(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	long := strings.Repeat("long ", 100_000)
	code, stdout, stderr := wscat(t, "hi\n//slash\r\n\n"+long+"\n/binary 68 69\nno newline", "-w", "0", l.URL())
	require.Equal(t, "hi\n/slash\n\n"+long+"\n6869\nno newline\n", stdout)
	require.Empty(t, stderr, "a script gets the messages alone")
	require.Zero(t, code)
}

func TestManyLinesDoNotLockUpWithAnEchoServer(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	lines := strings.Repeat("a line of some length that fills the buffers of both sides\n", 20_000)
	code, stdout, _ := wscat(t, lines, "-w", "0", l.URL())
	require.Equal(t, lines, stdout)
	require.Zero(t, code)
}

func TestTheEndOfStdinIsACloseFrame(t *testing.T) {
	t.Parallel()
	end := make(chan chanws.StatusCode, 1)
	l := serve(t, nil, func(c *chanws.Conn) {
		for range c.Events() {
		}
		end <- chanws.CloseStatus(c.Err())
	})
	code, _, _ := wscat(t, "", "-w", "0", l.URL())
	require.Zero(t, code)
	require.Equal(t, chanws.StatusNormalClosure, <-end)
}

func TestExitCodeTellsHowTheServerEndedIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end    func(*chanws.Conn) error
		code   int
		stderr string
	}{
		"normally":            {func(c *chanws.Conn) error { return c.Close(1000, "the reason") }, 0, ""},
		"going away":          {func(c *chanws.Conn) error { return c.Close(1001, "the reason") }, 0, ""},
		"for an error":        {func(c *chanws.Conn) error { return c.Close(1011, "the reason") }, 1, `1011 (internal error): "the reason"`},
		"without a goodbye":   {func(c *chanws.Conn) error { return c.CloseNow() }, 1, "without a close frame"},
		"with a private code": {func(c *chanws.Conn) error { return c.Close(4000, "") }, 1, "websocket closed: 4000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := serve(t, nil, func(c *chanws.Conn) { test.end(c) })
			stdin, typing := io.Pipe() // nobody types, and stdin does not end
			defer typing.Close()
			var stdout, stderr bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), []string{l.URL()}, stdin, &stdout, &stderr), stderr.String())
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), test.stderr)
		})
	}
}

func TestExitCodeTellsWhetherEverythingWasSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stdin  string
		code   int
		stderr string
	}{
		"/quit":                           {"/quit\n", 0, ""},
		"/close with a code of its own":   {"/close 4321 because I can\n", 0, ""},
		"/close with a code that is none": {"/close soon\n", 1, `"soon" is no code`},
		"/close with a forbidden code":    {"/close 1006\n", 1, "close code 1006 must not be sent"},
		"an unknown command":              {"/etc/passwd\n", 1, "unknown command /etc/passwd"},
		"text that is not UTF-8":          {"\xff\n", 1, "not valid UTF-8"},
		"an oversized ping":               {"/ping " + strings.Repeat("x", 126) + "\n", 1, "ping of 126 bytes"},
		"binary that is not hexadecimal":  {"/binary xyz\n", 1, "/binary: "},
		"/help is no error":               {"/help\n", 0, "/binary hex"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := serve(t, nil, func(c *chanws.Conn) {
				for range c.Events() {
				}
			})
			code, stdout, stderr := wscat(t, test.stdin, "-w", "0", l.URL())
			require.Equal(t, test.code, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.stderr)
		})
	}
}

func TestCloseSendsTheCodeAndTheReason(t *testing.T) {
	t.Parallel()
	end := make(chan error, 1)
	l := serve(t, nil, func(c *chanws.Conn) {
		for range c.Events() {
		}
		end <- c.Err()
	})
	code, _, _ := wscat(t, "/close 4321 because I can\n", l.URL())
	require.Zero(t, code)
	require.Equal(t, chanws.Close{Code: 4321, Reason: "because I can"}, <-end)
}

func TestPingIsTimedAndVerboseShowsControlFramesAndHeaders(t *testing.T) {
	t.Parallel()
	l := serve(t, &chanws.ListenOptions{
		Header:       http.Header{"X-Answer": {"42"}},
		Subprotocols: []string{"chat.v2"},
		Authorize: func(r *http.Request) error {
			if r.Header.Get("X-Token") != "s:3cret" || len(r.Header["X-Token"]) != 1 {
				return &chanws.HTTPError{StatusCode: 401}
			}
			return nil
		},
	}, func(c *chanws.Conn) {
		c.Send <- chanws.Ping("are you there")
		for range c.Events() {
		}
	})
	code, _, stderr := wscat(t, "/ping hello\n/pong unasked\n", "-v", "-H", "X-Token: s:3cret", "-H", "X-Other: 1",
		"-s", "chat.v3", "-s", "chat.v2", l.URL())
	require.Zero(t, code, stderr)
	for _, want := range []string{
		"subprotocol chat.v2",
		"HTTP/1.1 101 Switching Protocols",
		"  X-Answer: 42",
		`ping "are you there"`,
		`pong "hello" after `,
		`pong "` + lastPing + `"`,
		"websocket closed: 1000 (normal closure)",
	} {
		require.Contains(t, stderr, want)
	}
}

func TestAFailedDialSaysWhy(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Hint", "try harder")
		http.Error(w, "members only\x1b[2J", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // one test does not like its certificate
	secure.StartTLS()
	t.Cleanup(secure.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	const closed = "127.0.0.1:1" // no port that somebody could be given meanwhile

	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))

	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"refused":            {[]string{refusing.URL}, []string{"403 Forbidden", "members only"}},
		"refused, verbose":   {[]string{"-v", refusing.URL}, []string{"403 Forbidden", "X-Hint: try harder", "members only"}},
		"unknown authority":  {[]string{secure.URL}, []string{"certificate", "-ca", "-k"}},
		"its own authority":  {[]string{"-ca", authority, secure.URL}, []string{"404 Not Found"}},
		"any authority":      {[]string{"-k", secure.URL}, []string{"404 Not Found"}},
		"nobody listens":     {[]string{closed}, []string{"connection refused"}},
		"no answer":          {[]string{"-t", "20ms", "ws://" + silent.Addr().String()}, []string{"timed out after 20ms"}},
		"a scheme of no use": {[]string{"ftp://localhost"}, []string{"ftp"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := wscat(t, "", test.args...)
			require.Equal(t, 1, code)
			require.Empty(t, stdout)
			for _, want := range test.want {
				require.Contains(t, stderr, want)
			}
			require.NotContains(t, stderr, "\x1b", "a server's text must not drive the terminal")
		})
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	nothing := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(nothing, nil, 0o600))
	for _, args := range [][]string{{}, {"ws://a", "ws://b"}, {"-nothing", "ws://a"}, {"-H", "nonsense", "ws://a"}, {"-ca", nothing, "wss://a"}, {"-ca", nothing + "x", "wss://a"}} {
		code, _, stderr := wscat(t, "", args...)
		require.Equal(t, 2, code, args)
		require.Contains(t, stderr, "usage: wscat")
	}
	code, _, _ := wscat(t, "", "-h")
	require.Zero(t, code)
}

func TestKeepaliveEndsADeadConnection(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, func(c *chanws.Conn) { // never answers a ping
		for range c.Events() {
		}
	})
	stdin, _ := io.Pipe()
	var out, stderr bytes.Buffer
	code := run(t.Context(), []string{"-ping", "10ms", l.URL()}, stdin, &out, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "the connection failed")
}

func TestPrintableLeavesNoControlCharacters(t *testing.T) {
	t.Parallel()
	require.Equal(t, "größer\t\n\ufffd[2J\ufffd", printable("größer\t\n\x1b[2J\u202e"))

	// stderr may be a terminal where stdout is none.
	for _, notes := range []bool{false, true} {
		var stderr bytes.Buffer
		s := &screen{stdout: io.Discard, stderr: &stderr, notes: notes, verbose: true}
		s.control("%s %s", "HTTP/1.1", "101 \x1b[2J")
		s.failed(&chanws.HandshakeError{StatusCode: 403, Status: "403 \x1b[2J"})
		s.failed(errors.New("\x1b[2J"))
		require.NotContains(t, stderr.String(), "\x1b")
		require.Contains(t, stderr.String(), "[2J")
	}
}

func TestCtrlCClosesTheConnectionInGoodOrder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent an interrupt there")
	}
	t.Parallel()
	end := make(chan chanws.StatusCode, 1)
	l := serve(t, nil, func(c *chanws.Conn) {
		c.Send <- chanws.Text("welcome")
		for range c.Events() {
		}
		end <- chanws.CloseStatus(c.Err())
	})
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, l.URL())
	cmd.Env = append(os.Environ(), "WSCAT_ITSELF=1")
	stdin, err := cmd.StdinPipe() // stays open: it is Ctrl-C that ends the program
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "welcome\n", line)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "exit code 0")
	require.Equal(t, chanws.StatusGoingAway, <-end)
}
