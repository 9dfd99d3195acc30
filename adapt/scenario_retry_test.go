package adapt_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// bGreeting is a host of an echo service that greets, and takes no larger frames than
// 20 bytes.
func bGreeting(t *testing.T) *host {
	s := bMirror()
	s.OnOpen = func(c *adapt.Caller) error { return c.WriteTextMessage("Connected") }
	return newHost(t, adapt.Handler(shared(s), &adapt.ServiceConfig{Options: chanws.Options{MaxFrameSize: 20}}))
}

// bRetrying connects to h by a policy.
func bRetrying(t *testing.T, h *host, attempts int) (*chanws.Client, error) {
	opts := &chanws.ClientOptions{DialOptions: h.options(), Retry: &chanws.RedialPolicy{MaxAttempts: attempts}}
	opts.FragmentSize = 20
	c, err := chanws.NewClient(t.Context(), serverURL, opts)
	if err == nil {
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, err
}

// bStop takes h down, for ever or for a while.
func bStop(h *host, pause time.Duration) {
	h.setDown(true)
	h.drop()
	if pause > 0 {
		time.AfterFunc(pause, func() { h.setDown(false) })
	}
	synctest.Wait() // what was on its way is there, or lost
}

// bConnected is a client that has been greeted, and has had one message echoed.
func bConnected(t *testing.T, h *host, attempts int, m chanws.Message) *chanws.Client {
	t.Helper()
	c, err := bRetrying(t, h, attempts)
	require.NoError(t, err)
	bSend(t, c, m)
	bExpect(t, c, chanws.Text("Connected"), m)
	return c
}

// bRequireGone tells that err is a loss, and that nobody answered then.
func bRequireGone(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the loss")
	require.ErrorAs(t, err, new(*net.OpError), "the last attempt")
}

func TestScenario213_AClientConnectsToAServerThatStartsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		bStop(h, 2*time.Second)
		before := time.Now()
		c, err := bRetrying(t, h, 10)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(before), 2*time.Second)
		bExpect(t, c, chanws.Text("Connected"))
	})
}

func TestScenario214_AReadGoesOnWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c, err := bRetrying(t, h, 10)
		require.NoError(t, err)
		bExpect(t, c, chanws.Text("Connected"))
		bStop(h, 6*time.Second)
		bExpect(t, c, chanws.Text("Connected"))
	})
}

func TestScenario215_AServerThatNeverStartsIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		bStop(h, 0)
		_, err := bRetrying(t, h, 3)
		require.ErrorAs(t, err, new(*net.OpError))
	})
}

func TestScenario216_ATextIsWrittenAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c := bConnected(t, h, 10, chanws.Text("Hi"))
		bStop(h, 6*time.Second)
		require.NoError(t, c.WriteTextMessage(t.Context(), "Hello"))
		bExpect(t, c, chanws.Text("Connected"), chanws.Text("Hello"))
	})
}

func TestScenario217_ATextWriteFailsWhenTheAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c := bConnected(t, h, 3, chanws.Text("Hi"))
		bStop(h, 0)
		bRequireGone(t, c.WriteTextMessage(t.Context(), "Hello"))
	})
}

func TestScenario218_AFragmentedTextIsWrittenAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("text ", 7)
		h := bGreeting(t)
		c := bConnected(t, h, 10, chanws.Text("Hi"))
		bStop(h, 6*time.Second)
		require.NoError(t, c.WriteTextMessage(t.Context(), text))
		bExpect(t, c, chanws.Text("Connected"), chanws.Text(text))
	})
}

func TestScenario219_BytesAreWrittenAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c := bConnected(t, h, 10, chanws.Binary("Hi"))
		bStop(h, 6*time.Second)
		require.NoError(t, c.WriteBinaryMessage(t.Context(), []byte("Hello")))
		bExpect(t, c, chanws.Text("Connected"), chanws.Binary("Hello"))
	})
}

func TestScenario220_ABinaryWriteFailsWhenTheAttemptsAreUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := bGreeting(t)
		c := bConnected(t, h, 3, chanws.Binary("Hi"))
		bStop(h, 0)
		bRequireGone(t, c.WriteBinaryMessage(t.Context(), []byte("Hello")))
	})
}

func TestScenario221_FragmentedBytesAreWrittenAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bytes := []byte(strings.Repeat("bytes", 7))
		h := bGreeting(t)
		c := bConnected(t, h, 10, chanws.Binary("Hi"))
		bStop(h, 6*time.Second)
		require.NoError(t, c.WriteBinaryMessage(t.Context(), bytes))
		bExpect(t, c, chanws.Text("Connected"), chanws.Binary(bytes))
	})
}
