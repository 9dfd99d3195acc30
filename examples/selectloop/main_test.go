package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLoopGoesOnWithOneSensorWhenTheOtherHasGone(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	result := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-for", "1h"}, stdout)
		stdout.Close()
		result <- err
	}()

	lines := bufio.NewScanner(out)
	await := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		require.Failf(t, "output ended", "without %q", want)
	}
	await("temperature: 18 °C")
	await("wind: 22 m/s")
	await(`wind: websocket closed: 1001 (going away): "battery is empty"`)
	await("temperature: 24 °C")
	require.True(t, lines.Scan())
	interrupt()
	await("-- interrupted")
	require.False(t, lines.Scan())
	require.NoError(t, <-result)
}

func TestTheLoopEndsByItself(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-for", "200ms"}, &out))
	require.Contains(t, out.String(), "-- that is enough\n")
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
}

func TestABadFlagIsAnError(t *testing.T) {
	t.Parallel()
	require.Error(t, run(t.Context(), []string{"-for", "soon"}, io.Discard))
}

func TestHelpSaysWhatTheProgramShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out), flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
}
