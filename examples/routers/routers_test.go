// Package routers tests the programs below it.
package routers

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take before a test fails.
const patience = time.Minute

var routers = []string{"chi", "gin", "echo"}

// programs is the directory of the built programs.
var programs string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "chanws-routers-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(programs)
	if out, err := exec.Command("go", "build", "-o", programs, "./chi", "./gin", "./echo").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// start runs a program until the end of the test and returns the URL in its first line.
func start(t *testing.T, name string) (url string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), "-addr", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	said, url, ok := strings.Cut(strings.TrimSpace(line), ": ws://")
	require.True(t, ok, line)
	require.Equal(t, name+": an upgrade in a route of "+name, said)
	return "ws://" + url
}

func TestARouterUpgradesInARouteWithAParameter(t *testing.T) {
	t.Parallel()
	for _, name := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t, name)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := chanws.Dial(ctx, url, nil)
			require.NoError(t, err)
			defer c.CloseNow()
			require.NoError(t, c.Write(ctx, chanws.Text("hello")))
			ev, err := c.Receive(ctx)
			require.NoError(t, err)
			require.Equal(t, chanws.Text("ann in kitchen: hello"), ev)
			require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
			require.Equal(t, chanws.Close{Code: chanws.StatusNormalClosure}, c.Err())
		})
	}
}

func TestMiddlewareOfARouterRefusesAnUpgrade(t *testing.T) {
	t.Parallel()
	for _, name := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _, _ := strings.Cut(start(t, name), "?")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := chanws.Dial(ctx, url, nil)
			var refused *chanws.HandshakeError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			require.Contains(t, string(refused.Body), "who are you?")
		})
	}
}

func TestARouterThatRefusesAnOriginWritesTheAnswerOnce(t *testing.T) {
	t.Parallel()
	for _, name := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t, name)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := chanws.Dial(ctx, url, &chanws.DialOptions{
				Header: http.Header{"Origin": {"https://foreign.example"}},
			})
			var refused *chanws.HandshakeError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, http.StatusForbidden, refused.StatusCode)
			require.Equal(t, 1, strings.Count(string(refused.Body), "rigin"), "%s", refused.Body)
		})
	}
}

func TestHelpOfARouterNamesItsFlags(t *testing.T) {
	t.Parallel()
	for _, name := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(filepath.Join(programs, name), "-h").CombinedOutput()
			require.NoError(t, err)
			require.Contains(t, string(out), "-addr")
		})
	}
}
