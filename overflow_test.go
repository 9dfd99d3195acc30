package chanws_test

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// overflow sends ten messages and a close frame to a consumer that does not receive
// until all is read, and gives what it gets then and what was dropped.
func overflow(t *testing.T, policy chanws.Overflow) (got []chanws.Event, dropped []string, conn *chanws.Conn, peer *rawPeer) {
	conn, peer = rawPair(t, chanws.Options{
		EventBuffer: 4, Overflow: policy,
		OnDrop: func(m chanws.Message, err error) {
			require.ErrorIs(t, err, chanws.ErrOverflow)
			dropped = append(dropped, fmt.Sprint(m))
		},
	})
	for i := range 10 {
		peer.send(frame.Text, fmt.Sprint(i))
	}
	peer.sendClose(1000, "")
	synctest.Wait()
	for ev := range conn.Events() {
		got = append(got, ev)
	}
	return got, dropped, conn, peer
}

func TestBlockLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, dropped, conn, _ := overflow(t, chanws.Block)
		require.Len(t, got, 11)
		require.Empty(t, dropped)
		require.Zero(t, conn.Stats().DroppedEvents)
	})
}

func TestDropOldestKeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, dropped, conn, _ := overflow(t, chanws.DropOldest)
		require.Equal(t, []chanws.Event{chanws.Text("6"), chanws.Text("7"), chanws.Text("8"), chanws.Text("9"), chanws.Close{Code: 1000}}, got)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, dropped)
		require.EqualValues(t, 6, conn.Stats().DroppedEvents)
	})
}

func TestDropNewestKeepsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, dropped, conn, _ := overflow(t, chanws.DropNewest)
		require.Equal(t, []chanws.Event{chanws.Text("0"), chanws.Text("1"), chanws.Text("2"), chanws.Text("3"), chanws.Close{Code: 1000}}, got)
		require.Equal(t, []string{"4", "5", "6", "7", "8", "9"}, dropped)
		require.EqualValues(t, 6, conn.Stats().DroppedEvents)
	})
}

func TestCloseSlowEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, dropped, _, peer := overflow(t, chanws.CloseSlow)
		require.Len(t, got, 5)
		require.ErrorIs(t, got[4].(chanws.Error), chanws.ErrOverflow)
		require.Equal(t, []string{"4"}, dropped)
		peer.expectClose(1008, "consumer too slow: Options.EventBuffer 4 is full")
	})
}

func TestControlEventsNeverPushBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped []chanws.Message
		conn, peer := rawPair(t, chanws.Options{
			EventBuffer: 1,
			OnDrop:      func(m chanws.Message, err error) { dropped = append(dropped, m) },
		})
		peer.send(frame.Text, "first")
		for range 3 {
			peer.send(frame.Ping, "i")
			peer.send(frame.Pong, "o")
		}
		synctest.Wait()
		require.Equal(t, []chanws.Message{
			chanws.Ping("i"), chanws.Pong("o"), chanws.Ping("i"), chanws.Pong("o"), chanws.Ping("i"), chanws.Pong("o"),
		}, dropped)
		for range 3 {
			peer.expect(frame.Pong, "i")
		}
		require.Equal(t, chanws.Text("first"), <-conn.Events())
		require.EqualValues(t, 6, conn.Stats().DroppedEvents)
	})
}

func TestWhatALocalCloseDiscardsIsOnlyCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{
			EventBuffer: 2,
			OnDrop:      func(m chanws.Message, err error) { t.Errorf("%v %v", m, err) },
		})
		for range 5 {
			peer.send(frame.Text, "unread")
		}
		synctest.Wait()
		require.NoError(t, conn.CloseNow())
		conn.Send <- chanws.Text("late")
		require.GreaterOrEqual(t, conn.Stats().DroppedEvents, uint64(3))
		require.ErrorIs(t, (<-conn.Events()).(error), net.ErrClosed)
		_, open := <-conn.Events()
		require.False(t, open)
	})
}

func TestMessagesAboveTheRateEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{MessageRate: chanws.Rate{PerSecond: 10, Burst: 5}})
		for range 6 {
			peer.send(frame.Text, "x")
		}
		for range 5 {
			require.Equal(t, chanws.Text("x"), <-conn.Events())
		}
		var p *chanws.ProtocolError
		require.ErrorAs(t, (<-conn.Events()).(error), &p)
		require.Equal(t, chanws.StatusPolicyViolation, p.Code)
		require.Equal(t, "more messages than Options.MessageRate 10 a second, burst 5", p.Reason)
		peer.expectClose(1008, p.Reason)
	})
}
