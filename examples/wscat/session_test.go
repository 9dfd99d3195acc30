package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

func TestExecuteSendsLinesAndCommandsInOrderAndReadsNoStdin(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	stdin, typing := io.Pipe() // nobody types, and stdin does not end
	defer typing.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{l.URL(), "-x", "one", "-x", "/binary 68", "-x", "", "-x", "/ping two", "-w", "0"}, stdin, &stdout, &stderr)
	require.Zero(t, code, stderr.String())
	require.Equal(t, "one\n68\n\n", stdout.String())
	require.Regexp(t, `^pong "two" after \S+\n$`, stderr.String())
}

func TestExecuteFailsIfSomethingCannotBeSent(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	code, stdout, stderr := wscat(t, "", l.URL(), "-w", "0", "-x", "/nonsense", "-x", "one")
	require.Equal(t, 1, code)
	require.Equal(t, "one\n", stdout)
	require.Contains(t, stderr, "not sent: unknown command /nonsense")
}

// silence requires that c receives nothing for some time. A right program always passes.
func silence(c *chanws.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if ev, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(errors.New("want silence"), err, toError(ev))
	}
	return nil
}

func toError(ev chanws.Event) error {
	if text, ok := ev.(chanws.Text); ok {
		return errors.New(string(text))
	}
	return nil
}

func TestANegativeWaitIsUntilTheServerCloses(t *testing.T) {
	t.Parallel()
	heard := make(chan error, 1)
	l := serve(t, inOrder, func(c *chanws.Conn) {
		<-c.Events() // subscribe
		heard <- silence(c)
		c.Send <- chanws.Text("news")
		c.Close(chanws.StatusNormalClosure, "")
	})
	code, stdout, stderr := wscat(t, "", "-x", "subscribe", "-w", "-1", l.URL())
	require.Zero(t, code, stderr)
	require.Equal(t, "news\n", stdout)
	require.NoError(t, <-heard)
}

func TestWaitIsForRepliesThatComeLate(t *testing.T) {
	t.Parallel()
	heard := make(chan error, 1)
	l := serve(t, nil, func(c *chanws.Conn) {
		<-c.Events() // the question
		<-c.Events() // the ping that follows the last line; it has been answered
		heard <- silence(c)
		c.Send <- chanws.Text("late")
		c.Close(chanws.StatusNormalClosure, "")
	})
	code, stdout, stderr := wscat(t, "", "-x", "question", "-w", "1m", l.URL())
	require.Zero(t, code, stderr)
	require.Equal(t, "late\n", stdout)
	require.NoError(t, <-heard)
}

func TestDevNullIsNobodyTyping(t *testing.T) {
	t.Parallel()
	heard := make(chan error, 1)
	l := serve(t, inOrder, func(c *chanws.Conn) {
		heard <- silence(c)
		c.Send <- chanws.Text("news")
		c.Close(chanws.StatusNormalClosure, "")
	})
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-w", "0", l.URL()}, null, &stdout, &stderr)
	require.Zero(t, code, stderr.String())
	require.Equal(t, "news\n", stdout.String())
	require.NoError(t, <-heard)
}

func TestOnlyTheNullDeviceIsNobodyTyping(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	pipe, w, err := os.Pipe()
	require.NoError(t, err)
	defer pipe.Close()
	defer w.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	require.NoError(t, err)
	defer file.Close()
	require.True(t, isNull(null))
	require.False(t, isNull(pipe))
	require.False(t, isNull(file))
	require.False(t, isNull(strings.NewReader("")))
}

func TestJSONIsIndentedAndOtherTextIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	code, stdout, stderr := wscat(t, "{\"b\":[1],\"a\":1.50}\n{no json}\n", "-json", "-w", "0", l.URL())
	require.Zero(t, code, stderr)
	require.Equal(t, "{\n  \"b\": [\n    1\n  ],\n  \"a\": 1.50\n}\n{no json}\n", stdout)
}

func TestReconnectComesBackAfterALossButNotAfterAGoodbye(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(*chanws.Conn) error
		back bool
		code int
	}{
		"dropped":         {func(c *chanws.Conn) error { return c.CloseNow() }, true, 0},
		"going away":      {func(c *chanws.Conn) error { return c.Close(chanws.StatusGoingAway, "") }, true, 0},
		"service restart": {func(c *chanws.Conn) error { return c.Close(chanws.StatusServiceRestart, "") }, true, 0},
		"normal closure":  {func(c *chanws.Conn) error { return c.Close(chanws.StatusNormalClosure, "") }, false, 0},
		"not wanted":      {func(c *chanws.Conn) error { return c.Close(chanws.StatusPolicyViolation, "") }, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conns := 0
			l := serve(t, inOrder, func(c *chanws.Conn) {
				if conns++; conns == 1 {
					test.end(c)
					return
				}
				c.Send <- chanws.Text("welcome back")
				echo(c)
			})
			stdin, typing := io.Pipe()
			defer typing.Close()
			stdout, printed := io.Pipe()
			exit := make(chan int, 1)
			var stderr bytes.Buffer
			go func() {
				exit <- run(t.Context(), []string{"-reconnect", "-w", "0", l.URL()}, stdin, printed, &stderr)
				printed.Close()
			}()
			if test.back {
				expect(t, stdout, "welcome back\n")
				io.WriteString(typing, "typed\n")
				typing.Close()
				expect(t, stdout, "typed\n")
			}
			rest, err := io.ReadAll(stdout)
			require.NoError(t, err)
			require.Empty(t, string(rest))
			require.Equal(t, test.code, <-exit, stderr.String())
		})
	}
}

func TestReconnectDoesNotComeBackAfterACloseOfThisSide(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(typing io.Writer, interrupt func()){
		"/close with a code that is a loss": func(typing io.Writer, _ func()) { io.WriteString(typing, "/close 1001\n") },
		"Ctrl-C":                            func(_ io.Writer, interrupt func()) { interrupt() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := serve(t, inOrder, func(c *chanws.Conn) {
				c.Send <- chanws.Text("welcome")
				echo(c)
			})
			ctx, interrupt := context.WithCancel(t.Context())
			stdin, typing := io.Pipe()
			defer typing.Close()
			stdout, printed := io.Pipe()
			exit := make(chan int, 1)
			var stderr bytes.Buffer
			go func() {
				exit <- run(ctx, []string{"-reconnect", l.URL()}, stdin, printed, &stderr)
				printed.Close()
			}()
			expect(t, stdout, "welcome\n")
			end(typing, interrupt)
			rest, err := io.ReadAll(stdout)
			require.NoError(t, err)
			require.Empty(t, string(rest), "no second welcome")
			require.Zero(t, <-exit, stderr.String())
		})
	}
}

// expect reads exactly text.
func expect(t *testing.T, r io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(r, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestReconnectWaitsForAServerAndKeepsTheLines(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	l := serve(t, &chanws.ListenOptions{
		Options: inOrder.Options,
		Authorize: func(*http.Request) error {
			if attempts.Add(1) == 1 {
				return &chanws.HTTPError{StatusCode: http.StatusServiceUnavailable, Message: "not yet"}
			}
			return nil
		},
	}, echo)
	code, stdout, stderr := wscat(t, "one\ntwo\n", "-reconnect", "-w", "0", l.URL())
	require.Zero(t, code, stderr)
	require.Equal(t, "one\ntwo\n", stdout)
	require.Contains(t, stderr, "503 Service Unavailable: not yet")
}

func TestReconnectGivesUpOnARefusal(t *testing.T) {
	t.Parallel()
	l := serve(t, &chanws.ListenOptions{Authorize: func(*http.Request) error {
		return &chanws.HTTPError{StatusCode: http.StatusUnauthorized}
	}}, echo)
	code, _, stderr := wscat(t, "one\n", "-reconnect", l.URL())
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "401 Unauthorized")
	require.Contains(t, stderr, "gave up")
}

func TestCtrlCEndsTheWaitForAServer(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	stdin, typing := io.Pipe()
	defer typing.Close()
	stderr, printed := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"-reconnect", "127.0.0.1:1"}, stdin, io.Discard, printed)
		printed.Close()
	}()
	expect(t, stderr, "wscat: dial ws://127.0.0.1:1")
	go io.Copy(io.Discard, stderr)
	interrupt()
	require.Equal(t, 1, <-exit)
}
