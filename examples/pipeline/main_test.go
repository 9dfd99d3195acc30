package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

func TestASlowSinkHoldsUpTheSource(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-n", "200", "-pause", "4ms"}, &out))
	require.Contains(t, out.String(), "source sent 200, sink took 200, in flight   0")
	most := regexp.MustCompile(`never more than (\d+) of 200 `).FindStringSubmatch(out.String())
	require.NotNil(t, most, out.String())
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
	n, err := strconv.Atoi(most[1])
	require.NoError(t, err)
	require.Less(t, n, 100, "in flight at a time is what the buffers hold, not all that the source has")
}

func TestABrokenSinkEndsThePipelineWithItsCloseFrame(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-fail", "3", "-pause", "1ms"}, &out)
	var end chanws.Close
	require.ErrorAs(t, err, &end)
	require.Equal(t, chanws.Close{Code: chanws.StatusInternalError, Reason: "disk full"}, end)
	require.ErrorContains(t, err, "sink: ")
	require.Contains(t, out.String(), "broken off: source sent ")
	require.NotContains(t, out.String(), "never more than", "what was given up was not in flight")
}

func TestThePipelineEndsAtCtrlC(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	result := make(chan error, 1)
	go func() { result <- run(ctx, []string{"-n", "1000000", "-pause", "1ms"}, stdout) }()
	_, err := out.Read(make([]byte, len(about)+1)) // the first line, then the first report: it is running
	require.NoError(t, err)
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	interrupt()
	go io.Copy(io.Discard, out)
	require.ErrorIs(t, <-result, context.Canceled)
}

func TestHelpSaysWhatTheProgramShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out), flag.ErrHelp)
	require.True(t, strings.HasPrefix(out.String(), about+"\n"), out.String())
}
