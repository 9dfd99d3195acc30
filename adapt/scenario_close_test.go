package adapt_test

import (
	"errors"
	"iter"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// closures is a service that hands over what OnClose is told.
func closures() (*adapt.Service, <-chan chanws.Close) {
	closed := make(chan chanws.Close, 1)
	return &adapt.Service{OnClose: func(_ *adapt.Caller, code chanws.StatusCode, reason string) error {
		closed <- chanws.Close{Code: code, Reason: reason}
		return nil
	}}, closed
}

// requireClosed checks the error of what was done after a close.
func requireClosed(t testing.TB, op string, err error) {
	t.Helper()
	var closure *adapt.ClosureError
	require.ErrorAs(t, err, &closure)
	require.Equal(t, op, closure.Op)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestScenario089_ClientsCodeReachesOnClose(t *testing.T) {
	t.Parallel()
	s, closed := closures()
	a := scenarioAsync(t, scenarioListener(t, "/", shared(s), nil), "/", nil, nil)
	require.NoError(t, a.Close(1001, "Close the connection"))
	require.Equal(t, chanws.Close{Code: 1001, Reason: "Close the connection"}, receive(t, closed))
}

func TestScenario090_ClientsNormalClosureReachesOnClose(t *testing.T) {
	t.Parallel()
	s, closed := closures()
	c := scenarioDial(t, s, nil, nil)
	require.NoError(t, c.Close(1000, "Normal closure"))
	require.Equal(t, chanws.Close{Code: 1000, Reason: "Normal closure"}, receive(t, closed))
}

func TestScenario091_ServicesCloseIsTheErrorOfTheRead(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	c := scenarioDial(t, &adapt.Service{OnTextMessage: func(c *adapt.Caller, _ string) error {
		errs <- c.Close(1000, "Close the connection")
		return nil
	}}, nil, nil)
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioReadClose(t, c, 1000, "Close the connection")
	require.NoError(t, receive(t, errs))
	require.False(t, c.IsOpen())
}

func TestScenario092_CloseWithATimeoutWithoutOnClose(t *testing.T) {
	t.Parallel()
	a := scenarioAsync(t, scenarioListener(t, "/", shared(&adapt.Service{}), nil), "/", nil, nil)
	require.NoError(t, a.CloseTimeout(1000, "", 60*time.Second))
	require.False(t, a.IsOpen())
}

func TestScenario093_CloseWhenOnCloseClosesToo(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	l := scenarioListener(t, "/", shared(&adapt.Service{OnClose: func(c *adapt.Caller, _ chanws.StatusCode, _ string) error {
		// The module's caller->close() waits for its timeout here.
		errs <- c.Close(1000, "")
		return nil
	}}), nil)
	a := scenarioAsync(t, l, "/", nil, nil)
	require.NoError(t, a.CloseTimeout(1000, "", 60*time.Second))
	require.NoError(t, receive(t, errs))
}

func TestScenario094_SecondCloseIsAnError(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 2)
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		errs <- c.CloseTimeout(1000, "", 3*time.Second)
		errs <- c.Close(1000, "")
		return nil
	}}, nil, nil)
	scenarioReadClose(t, c, 1000, "")
	require.NoError(t, receive(t, errs))
	requireClosed(t, "close", receive(t, errs))
}

func TestScenario095_WriteAfterCloseInOnOpenIsAnError(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		if err := c.CloseTimeout(1000, "", 0); err != nil {
			return err
		}
		errs <- c.WriteTextMessage("too late")
		return nil
	}}, nil, nil)
	scenarioReadClose(t, c, 1000, "")
	requireClosed(t, "write text message", receive(t, errs))
}

// answersAfterClose gives what OnError is told when a reply comes after a close.
func answersAfterClose[T any](t *testing.T, reply T) error {
	t.Helper()
	errs := make(chan error, 2)
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(c *adapt.Caller, _ string) (T, error) {
			return reply, c.CloseTimeout(1001, "", 0)
		}),
		OnError: func(_ *adapt.Caller, err error) error { errs <- err; return nil },
	}, nil, nil)
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioReadClose(t, c, 1001, "")
	return receive(t, errs)
}

func TestScenario096_TextReplyAfterCloseReachesOnError(t *testing.T) {
	t.Parallel()
	requireClosed(t, "write message", answersAfterClose(t, "too late"))
}

func TestScenario097_BinaryReplyAfterCloseReachesOnError(t *testing.T) {
	t.Parallel()
	requireClosed(t, "write message", answersAfterClose(t, []byte("too late")))
}

func TestScenario098_ClientsWriteAfterItsCloseIsAnError(t *testing.T) {
	t.Parallel()
	l := scenarioListener(t, "/", shared(echoing), nil)
	a := scenarioAsync(t, l, "/", nil, nil)
	require.NoError(t, a.Close(1000, ""))
	requireClosed(t, "write text message", a.WriteTextMessage("too late"))
	c := scenarioClient(t, l, "/", nil)
	require.NoError(t, c.Close(1000, ""))
	require.Error(t, c.WriteTextMessage(t.Context(), "too late"))
}

func TestScenario099_ReadAfterTheEndIsAnErrorAtEveryCall(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, echoing, nil, nil)
	require.NoError(t, c.Close(1000, ""))
	err := scenarioReadError(t, c)
	require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err))
	require.Equal(t, err, scenarioReadError(t, c))
}

func TestScenario100_ClientsCloseEndsABlockedRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(echoing), nil))
		blockedRead(t, h, func(c *chanws.Client) { require.NoError(t, c.Close(1000, "")) })
	})
}

func TestScenario101_ServicesCloseEndsABlockedRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(&adapt.Service{
			OnTextMessage: func(c *adapt.Caller, _ string) error { return c.Close(1000, "") },
		}), nil))
		blockedRead(t, h, func(c *chanws.Client) { scenarioWrite(t, c, chanws.Text("close")) })
	})
}

// blockedRead closes a connection while a read waits for it.
func blockedRead(t *testing.T, h *host, closing func(*chanws.Client)) {
	t.Helper()
	c, err := chanws.NewClient(t.Context(), "ws://server.test/", &chanws.ClientOptions{DialOptions: h.options()})
	require.NoError(t, err)
	defer c.CloseNow()
	read := make(chan error, 1)
	go func() {
		_, err := c.ReadMessage(t.Context())
		read <- err
	}()
	synctest.Wait()
	require.Empty(t, read)
	began := time.Now()
	closing(c)
	require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(receive(t, read)))
	require.Zero(t, time.Since(began))
}

func TestScenario102_CloseTimeoutEndsAConnectionWhoseClientIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		h := newHost(t, adapt.Handler(shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error {
			err := c.Close(1000, "")
			if c.IsOpen() {
				err = errors.New("still open")
			}
			errs <- err
			return nil
		}}), &adapt.ServiceConfig{Options: chanws.Options{CloseTimeout: 5 * time.Second}}))
		began := time.Now()
		silenced(t, h)
		err := <-errs
		requireClosed(t, "close", err)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestScenario103_CloseTimeoutEndsWhatAReturnedCloseBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan *adapt.Caller, 1)
		h := newHost(t, adapt.Handler(shared(&adapt.Service{
			OnOpen:  func(*adapt.Caller) error { return adapt.CloseFrame(1000) },
			OnError: func(c *adapt.Caller, _ error) error { ended <- c; return nil },
		}), &adapt.ServiceConfig{Options: chanws.Options{CloseTimeout: 5 * time.Second}}))
		began := time.Now()
		silenced(t, h)
		c := <-ended
		require.False(t, c.IsOpen())
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestScenario104_NegativeCloseTimeoutOfTheCallerIsAnError(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
		err := c.CloseTimeout(1000, "", -10*time.Second)
		return c.WriteMessage([]bool{errors.Is(err, adapt.ErrInvalidTimeout), c.IsOpen()})
	}}, nil, nil)
	scenarioRead(t, c, chanws.Text("[true,true]"))
}

func TestScenario105_NegativeCloseTimeoutOfTheClientIsAnError(t *testing.T) {
	t.Parallel()
	a := scenarioAsync(t, scenarioListener(t, "/", shared(echoing), nil), "/", nil, nil)
	require.ErrorIs(t, a.CloseTimeout(1000, "", -20*time.Second), adapt.ErrInvalidTimeout)
	require.True(t, a.IsOpen())
	require.NoError(t, a.Close(1000, ""))
}

// returned is what a client reads from a service that returns a close frame.
func returned(t *testing.T, end chanws.Close) {
	t.Helper()
	c := scenarioDial(t, &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error { return end }}, nil, nil)
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioReadClose(t, c, end.Code, end.Reason)
	require.False(t, c.IsOpen())
}

func TestScenario107_ReturnedNormalClosure(t *testing.T) {
	t.Parallel()
	returned(t, chanws.Close{Code: 1000})
	returned(t, adapt.CloseFrame(1000))
}

func TestScenario108_ReturnedGoingAway(t *testing.T) {
	t.Parallel()
	returned(t, adapt.CloseFrame(1001))
}

func TestScenario109_ReturnedProtocolError(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Connection closed due to protocol error", adapt.CloseFrame(1002).Reason)
	returned(t, adapt.CloseFrame(1002))
}

func TestScenario110_ReturnedUnsupportedData(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Endpoint received unsupported frame", adapt.CloseFrame(1003).Reason)
	returned(t, adapt.CloseFrame(1003))
}

func TestScenario111_ReturnedInvalidPayload(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Payload does not match the expected format or encoding", adapt.CloseFrame(1007).Reason)
	returned(t, adapt.CloseFrame(1007))
}

func TestScenario112_ReturnedPolicyViolation(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Received message violates its policy", adapt.CloseFrame(1008).Reason)
	returned(t, adapt.CloseFrame(1008))
}

func TestScenario113_ReturnedMessageTooBig(t *testing.T) {
	t.Parallel()
	require.Equal(t, "The received message exceeds the allowed size limit", adapt.CloseFrame(1009).Reason)
	returned(t, adapt.CloseFrame(1009))
}

func TestScenario114_ReturnedInternalServerError(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Internal server error occurred", adapt.CloseFrame(1011).Reason)
	returned(t, adapt.CloseFrame(1011))
}

func TestScenario115_ReturnedCustomCode(t *testing.T) {
	t.Parallel()
	returned(t, chanws.Close{Code: 3555, Reason: "Custom close frame message"})
}

func TestScenario116_CloseFrameOfARoute(t *testing.T) {
	t.Parallel()
	type event struct{ Event string }
	c := scenarioDial(t, &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{
		{Name: "onSubscribe", Handle: adapt.JSON(func(*adapt.Caller, event) (chanws.Close, error) { return adapt.CloseFrame(1000), nil })},
	}}}, nil, nil)
	scenarioWrite(t, c, chanws.Text(`{"event":"subscribe"}`))
	scenarioReadClose(t, c, 1000, "")
}

func TestScenario117_OnErrorClosesAfterABindingError(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(*adapt.Caller, int) (any, error) { return nil, nil }),
		OnError: func(_ *adapt.Caller, err error) error {
			if errors.As(err, new(*chanws.DecodeError)) {
				return adapt.CloseFrame(1007)
			}
			return err
		},
	}, nil, nil)
	scenarioWrite(t, c, chanws.Text("no number"))
	scenarioReadClose(t, c, 1007, "Payload does not match the expected format or encoding")
}

func TestScenario118_OnBindErrorOfARouteCloses(t *testing.T) {
	t.Parallel()
	type heartbeat struct{ Count int }
	c := scenarioDial(t, &adapt.Service{Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{{
		Name:        "onHeartbeat",
		Handle:      adapt.JSON(func(*adapt.Caller, heartbeat) (any, error) { return nil, nil }),
		OnBindError: func(*adapt.Caller, error) error { return adapt.CloseFrame(1007) },
	}}}}, nil, nil)
	scenarioWrite(t, c, chanws.Text(`{"event":"heartbeat","count":"many"}`))
	scenarioReadClose(t, c, 1007, "Payload does not match the expected format or encoding")
}

func TestScenario119_OnIdleTimeoutCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serveConfig(t, &adapt.Service{OnIdleTimeout: func(*adapt.Caller) error { return adapt.CloseFrame(1000) }},
			&adapt.ServiceConfig{Options: chanws.Options{IdleTimeout: 5 * time.Second}})
		began := time.Now()
		expect(t, c, chanws.Close{Code: 1000})
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestScenario120_CloseFrameAtTheEndOfAStream(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSONStream(func(*adapt.Caller, string) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				_ = yield(1, nil) && yield(2, nil) && yield(adapt.CloseFrame(1000), nil)
			}
		}),
	}, nil, nil)
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioRead(t, c, chanws.Text("1"), chanws.Text("2"))
	scenarioReadClose(t, c, 1000, "")
}
