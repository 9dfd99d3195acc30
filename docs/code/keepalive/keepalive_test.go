package keepalive

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestAPeerThatAnswersNoPingIsClosedWith1011AsThePageSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, peer := wstest.Raw(t, &chanws.UpgradeOptions{Options: options})
		began := time.Now()
		_, err := c.Receive(t.Context())
		require.Equal(t, 35*time.Second, time.Since(began), "PingInterval and PongTimeout")
		require.Equal(t, "the peer was silent, or took no bytes, for too long", why(err))
		sent, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Contains(t, string(sent), "\x03\xf3keepalive: no pong", "1011 and the reason")
	})
}

func TestTheRoundTripIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := options
		reports := make(chan time.Duration, 8)
		watchRoundTrip(&o, func(d time.Duration) { reports <- d })
		wstest.Pipe(t, &chanws.DialOptions{Options: o}, nil)
		time.Sleep(options.PingInterval + time.Second)
		require.Len(t, reports, 1)
	})
}

func TestAHeartbeatIsSentOnlyInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := wstest.Pipe(t, nil, &chanws.UpgradeOptions{Options: chanws.Options{
			IdleTimeout:  20 * time.Second,
			PingInterval: 5 * time.Second,
		}})
		go serveBrowser(s)
		for range 3 {
			time.Sleep(15 * time.Second)
			c.Send <- chanws.Text("a message")
			synctest.Wait()
			require.Empty(t, withoutPings(c))
		}
		time.Sleep(21 * time.Second)
		require.Equal(t, []chanws.Event{chanws.Text(`{"type":"heartbeat"}`)}, withoutPings(c))
		c.CloseNow()
	})
}

// withoutPings returns the events that wait.
func withoutPings(c *chanws.Conn) (events []chanws.Event) {
	for {
		select {
		case ev := <-c.Events():
			if _, ping := ev.(chanws.Ping); !ping {
				events = append(events, ev)
			}
		default:
			return events
		}
	}
}

func TestEveryKindOfEndIsExplained(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"the peer closed: 1001 (going away) bye":              chanws.Close{Code: chanws.StatusGoingAway, Reason: "bye"},
		"the connection was dropped":                          chanws.Error{Err: fmt.Errorf("read: %w", io.ErrUnexpectedEOF)},
		"we closed":                                           chanws.Error{Err: net.ErrClosed},
		"the peer was silent, or took no bytes, for too long": chanws.Error{Err: os.ErrDeadlineExceeded},
		"the peer broke a rule or a limit: too big":           chanws.Error{Err: &chanws.ProtocolError{Code: 1009, Reason: "too big"}},
		"other": errors.New("other"),
	} {
		require.Equal(t, want, why(err))
	}
}
