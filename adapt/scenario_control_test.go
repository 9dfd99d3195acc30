package adapt_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestScenario083_OnPingAnswersAndOnPongSeesIt(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/", shared(&adapt.Service{OnPing: (*adapt.Caller).Pong}),
		&adapt.ServiceConfig{Options: chanws.Options{ManualPong: true}})
	pongs := make(chan []byte, 2)
	a := scenarioAsync(t, l, "/", &adapt.Service{OnPong: func(_ *adapt.Caller, b []byte) error { pongs <- b; return nil }}, nil)
	require.NoError(t, a.Ping([]byte{5, 24, 56, 243}))
	require.Equal(t, []byte{5, 24, 56, 243}, receive(t, pongs))
	require.NoError(t, a.Close(1000, ""))
	require.Empty(t, pongs, "one pong")
}

func TestScenario084_PingWithoutOnPingIsAnsweredByItself(t *testing.T) {
	t.Parallel()
	pongs := make(chan []byte, 1)
	c := scenarioDial(t, &adapt.Service{}, nil, &chanws.ClientOptions{OnPong: func(_ *chanws.Client, b []byte) { pongs <- b }})
	require.NoError(t, c.Ping(t.Context(), []byte("data")))
	require.Equal(t, []byte("data"), receive(t, pongs))
}

func TestScenario085_ServicePingsAndTheClientAnswers(t *testing.T) {
	t.Parallel()
	opts := &chanws.ClientOptions{OnPing: func(c *chanws.Client, b []byte) { _ = c.Pong(t.Context(), b) }}
	opts.ManualPong = true
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: func(c *adapt.Caller, text string) error { return c.Ping([]byte(text)) },
		OnPong:        func(c *adapt.Caller, b []byte) error { return c.WriteTextMessage("pong received " + string(b)) },
	}, nil, opts)
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioRead(t, c, chanws.Text("pong received Hi"))
}

func TestScenario087_OnIdleTimeoutRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		c := serveConfig(t, r.service(), &adapt.ServiceConfig{Options: chanws.Options{IdleTimeout: 2 * time.Second}})
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"open", "idle"}, r.all())
		require.NoError(t, c.Write(t.Context(), chanws.Text("Hi")))
		synctest.Wait()
		require.Equal(t, []string{"open", "idle", "text Hi"}, r.all())
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
	})
}

func TestScenario088_ReadThatTimedOutMayBeRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(&adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error {
			time.Sleep(3 * time.Second)
			return c.WriteTextMessage(text)
		}}), nil))
		c, err := chanws.NewClient(t.Context(), "ws://server.test/", &chanws.ClientOptions{DialOptions: h.options(), ReadTimeout: 2 * time.Second})
		require.NoError(t, err)
		scenarioWrite(t, c, chanws.Text("Hi world1"))
		began := time.Now()
		_, err = c.ReadTextMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(began))
		scenarioRead(t, c, chanws.Text("Hi world1"))
		require.NoError(t, c.Close(1000, ""))
	})
}
