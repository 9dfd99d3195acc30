package main

import (
	"bytes"
	"context"
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCallbackIsCalledInOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))

	require.Equal(t, []string{
		`server: OnOpen`,
		`server: OnBinaryMessage 01 02 03`,
		`server: OnPing "are you well?"`,
		`server: OnPong "me too"`,
		`server: OnIdleTimeout`,
		`server: OnTextMessage "???"`,
		`server: OnError no idea what "???" means`,
		`server: OnClose 1000 "that was all"`,
	}, linesOf("server: ", out.String()))
	require.Equal(t, []string{
		`client: OnOpen`,
		`client: OnTextMessage "welcome"`,
		`client: OnBinaryMessage 01 02 03 01 02 03`,
		`client: OnPong "are you well?"`,
		`client: OnTextMessage "anybody there?"`,
		`client: OnTextMessage "pardon?"`,
		`client: OnClose 1000`,
	}, linesOf("client: ", out.String()))
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
	require.True(t, strings.HasSuffix(out.String(), "\nbye\n"))
}

func TestCtrlCClosesTheConnectionInGoodOrder(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out := &interrupter{at: "client: OnTextMessage", interrupt: interrupt}
	require.NoError(t, run(ctx, nil, out))

	server := linesOf("server: ", out.String())
	require.Equal(t, `server: OnClose 1001 "interrupted"`, server[len(server)-1])
	require.True(t, strings.HasSuffix(out.String(), "\nbye\n"))
}

func TestCtrlCBeforeTheHandshakeIsAnError(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out bytes.Buffer
	require.ErrorIs(t, run(ctx, nil, &out), context.Canceled)
	require.Equal(t, about+"\nbye\n", out.String())
}

// linesOf are the lines of one side. Those of both may be mixed in several ways.
func linesOf(side, out string) (lines []string) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, side) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// interrupter presses Ctrl-C when a certain line is written.
type interrupter struct {
	bytes.Buffer
	at        string
	interrupt func()
}

func (w *interrupter) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte(w.at)) {
		w.interrupt()
	}
	return w.Buffer.Write(p)
}

func TestHelpSaysWhatTheProgramShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out), flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
}
