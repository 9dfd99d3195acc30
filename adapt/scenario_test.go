package adapt_test

import (
	"context"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The tests TestScenarioNNN_... are the scenarios of the tests of Ballerina's
// websocket module, by their numbers in the list of the migration.

// scenarioListener serves what up returns at a pattern, on the loopback interface.
func scenarioListener(t testing.TB, pattern string, up adapt.UpgradeFunc, cfg *adapt.ServiceConfig) *adapt.Listener {
	t.Helper()
	l := newListener(t, nil)
	require.NoError(t, l.Attach(pattern, up, cfg))
	require.NoError(t, l.Start())
	return l
}

// scenarioURL is where a listener serves path.
func scenarioURL(l *adapt.Listener, path string) string {
	return "ws://" + l.Addr().String() + path
}

// scenarioClient is a client that calls and waits.
func scenarioClient(t testing.TB, l *adapt.Listener, path string, opts *chanws.ClientOptions) *chanws.Client {
	t.Helper()
	c, err := chanws.NewClient(t.Context(), scenarioURL(l, path), opts)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// scenarioDial is a client of a service of its own.
func scenarioDial(t testing.TB, s *adapt.Service, cfg *adapt.ServiceConfig, opts *chanws.ClientOptions) *chanws.Client {
	t.Helper()
	return scenarioClient(t, scenarioListener(t, "/", shared(s), cfg), "/", opts)
}

// scenarioAsync is a client with callbacks. It has ended when the test has.
func scenarioAsync(t testing.TB, l *adapt.Listener, path string, s *adapt.Service, cfg *adapt.ClientConfig) *adapt.AsyncClient {
	t.Helper()
	a, err := adapt.NewAsyncClient(t.Context(), scenarioURL(l, path), s, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		a.CloseNow()
		<-a.Done()
	})
	return a
}

// scenarioRefused gives the answer that refuses a handshake.
func scenarioRefused(t testing.TB, l *adapt.Listener, path string, opts *chanws.DialOptions) *chanws.HandshakeError {
	t.Helper()
	c, err := chanws.Dial(t.Context(), scenarioURL(l, path), opts)
	if err == nil {
		c.CloseNow()
	}
	var refused *chanws.HandshakeError
	require.ErrorAs(t, err, &refused)
	return refused
}

// scenarioWrite sends a text or binary message.
func scenarioWrite(t testing.TB, c *chanws.Client, m chanws.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	switch m := m.(type) {
	case chanws.Text:
		require.NoError(t, c.WriteTextMessage(ctx, string(m)))
	case chanws.Binary:
		require.NoError(t, c.WriteBinaryMessage(ctx, m))
	default:
		require.FailNow(t, "neither text nor binary")
	}
}

// scenarioRead reads what must come next.
func scenarioRead(t testing.TB, c *chanws.Client, want ...chanws.Message) {
	t.Helper()
	for _, w := range want {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		m, err := c.ReadMessage(ctx)
		cancel()
		require.NoError(t, err)
		require.Equal(t, w, m)
	}
}

// scenarioReadError reads when the next thing must be an error.
func scenarioReadError(t testing.TB, c *chanws.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := c.ReadMessage(ctx)
	require.Error(t, err, "instead of %v", m)
	require.NoError(t, ctx.Err(), "nothing came")
	return err
}

// scenarioReadClose reads when the next thing must be the peer's close frame.
func scenarioReadClose(t testing.TB, c *chanws.Client, code chanws.StatusCode, reason string) {
	t.Helper()
	require.Equal(t, chanws.Close{Code: code, Reason: reason}, scenarioReadError(t, c))
}
