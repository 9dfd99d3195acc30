package main

import (
	"bytes"
	"context"
	"flag"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEchoTellsTheWholeConversationInOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Regexp(t, `^`+regexp.QuoteMeta(about)+`
server: listening on ws://127\.0\.0\.1:\d+
client: sends "hello"
server: got "hello", sends it back
client: got "hello"
client: sends "channels are enough"
server: got "channels are enough", sends it back
client: got "channels are enough"
client: sends "good night"
server: got "good night", sends it back
client: got "good night"
client: closes
server: websocket closed: 1000 \(normal closure\): "that was all"
server: bye
$`, out.String())
}

func TestEchoEndsAtCtrlC(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.ErrorIs(t, run(ctx, nil, &out), context.Canceled)
	require.Contains(t, out.String(), "server: bye\n", "the server has been shut down in good order")
}

func TestHelpSaysWhatTheProgramShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out), flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
}
