package main

import (
	"bytes"
	"context"
	"flag"
	"regexp"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestTheStreamGoesOnUntilItIsUnsubscribedFrom(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out))
	require.Regexp(t, `^`+regexp.QuoteMeta(about)+`
> \{"event":"subscribe","topic":"gold"\}
< update 1: gold costs 107
< update 2: gold costs 104
> \{"event":"heartbeat","id":7\}
(< update \d+: gold costs \d+
)*< heartbeat 7
> \{"event":"unsubscribe","topic":"gold"\}
(< update \d+: gold costs \d+
)*< no more of gold
> \{"event":"subscribe","topic":47\}
> \{"event":"buy"\}
< problem: misunderstood: .+
< problem: nobody knows what to do with \{"event":"buy"\}
closed: 1000 \(normal closure\)
$`, out.String())
}

func TestCtrlCClosesTheConnectionInGoodOrder(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out := &interrupter{at: "< update 1", interrupt: interrupt}
	require.NoError(t, run(ctx, nil, out))
	require.Regexp(t, `\nclosed: 100\d .+\n$`, out.String())
}

func TestCtrlCBeforeTheHandshakeIsAnError(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	require.ErrorIs(t, run(ctx, nil, &bytes.Buffer{}), context.Canceled)
}

func TestTheDeskRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.ImmediateStop()
	require.NoError(t, l.Attach("/", newDesk, nil))
	require.NoError(t, l.Start())
	c, err := chanws.NewClient(t.Context(), "ws://"+l.Addr().String(), nil)
	require.NoError(t, err)
	defer c.CloseNow()

	say := func(event string) {
		t.Helper()
		require.NoError(t, chanws.WriteJSON(t.Context(), c, subscription{event, "tin"}))
	}
	problemText := func() string {
		t.Helper()
		for {
			p, err := chanws.ReadJSON[problem](t.Context(), c)
			require.NoError(t, err)
			if p.Event != "update" {
				require.Equal(t, "problem", p.Event)
				return p.Text
			}
		}
	}
	say("unsubscribe")
	require.Equal(t, "you have not subscribed to tin", problemText())
	say("subscribe")
	say("subscribe")
	require.Equal(t, "you have subscribed to tin already", problemText())
	require.NoError(t, c.Close(chanws.StatusNormalClosure, ""), "a stream does not hold up the close")
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
