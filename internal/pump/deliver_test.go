package pump

import (
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestEachOverflowPolicyLosesWhatItSays(t *testing.T) {
	end := closed{1000, ""}
	for _, c := range []struct {
		name      string
		policy    Overflow
		got, lost []any
	}{
		{"block", Block, []any{text("1"), text("2"), text("3"), text("4"), text("5"), end}, nil},
		{"drop oldest", DropOldest, []any{text("4"), text("5"), end}, []any{text("1"), text("2"), text("3")}},
		{"drop newest", DropNewest, []any{text("1"), text("2"), end}, []any{text("3"), text("4"), text("5")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := testOptions()
			opts.EventBuffer, opts.Overflow = 2, c.policy
			var lost []any
			onDrop := func(m any, err error) {
				require.Equal(t, ErrOverflow, err)
				lost = append(lost, m)
			}
			bubbleOf(t, testConfig{Options: &opts, OnDrop: onDrop}, func(t *testing.T, p *Pump[any, any], peer *peer) {
				var sent []byte
				for i := range 5 {
					sent = append(sent, peer.frame(true, frame.Text, []byte(fmt.Sprint(i+1)))...)
				}
				sent = append(sent, peer.frame(true, frame.Close, frame.AppendClose(nil, 1000, ""))...)
				_, err := peer.conn.Write(sent)
				require.NoError(t, err)
				go peer.receive()
				synctest.Wait()
				var got []any
				for ev := range p.Events() {
					got = append(got, ev)
				}
				require.Equal(t, c.got, got)
				require.Equal(t, c.lost, lost)
				require.EqualValues(t, len(c.lost), p.Stats().DroppedEvents)
			})
		})
	}
}

func TestCloseSlowEndsTheConnectionOfASlowConsumer(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer, opts.Overflow = 1, CloseSlow
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "1")
		peer.send(frame.Text, "2")
		peer.expectClose(1008, "consumer too slow: Options.EventBuffer 1 is full")
		require.Equal(t, text("1"), <-p.Events())
		err := asFailed(t, requireEnd(t, p))
		require.ErrorIs(t, err, ErrOverflow)
		var breach *frame.Error
		require.ErrorAs(t, err, &breach)
		require.Equal(t, 1008, breach.Code)
		require.EqualError(t, err, breach.Error())
		require.EqualValues(t, 1, p.Stats().DroppedEvents)
	})
}

func TestControlEventsAreDroppedWhereThereIsNoRoom(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer = 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "first")
		peer.send(frame.Ping, "p")
		peer.expect(frame.Pong, "p")
		peer.send(frame.Pong, "unasked")
		synctest.Wait()
		require.EqualValues(t, 2, p.Stats().DroppedEvents)
		require.Equal(t, text("first"), <-p.Events())
		peer.send(frame.Pong, "again")
		require.Equal(t, pong("again"), <-p.Events())
	})
}

func TestALocalCloseFreesAReadPumpThatWaitsForTheConsumer(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer = 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "1")
		peer.send(frame.Text, "2")
		synctest.Wait()
		closing := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		peer.send(frame.Text, "late")
		peer.send(frame.Ping, "late")
		peer.sendClose(1000, "")
		require.NoError(t, <-closing)
		require.Equal(t, closed{1000, ""}, <-p.Events(), "what waited is discarded")
		require.EqualValues(t, 4, p.Stats().DroppedEvents)
	})
}

func TestTheTerminalEventWaitsForRoom(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer = 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "unread")
		peer.sendClose(4000, "done")
		peer.expectClose(4000, "")
		<-p.Context().Done()
		require.Equal(t, closed{4000, "done"}, p.Err(), "known before")
		synctest.Wait()
		require.Equal(t, text("unread"), <-p.Events())
		require.Equal(t, closed{4000, "done"}, <-p.Events())
		_, open := <-p.Events()
		require.False(t, open)
	})
}

func TestALocalCloseMakesRoomForTheTerminalEvent(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer = 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "unread")
		peer.sendClose(1000, "")
		peer.expectClose(1000, "")
		synctest.Wait()
		require.NoError(t, p.Close(t.Context(), 1000, ""), "both close frames are out")
		require.Equal(t, closed{1000, ""}, <-p.Events())
		require.ErrorIs(t, p.Close(t.Context(), 1000, ""), net.ErrClosed)
	})
}

func TestDiscardingKeepsATerminalEventThatHasJustBeenPut(t *testing.T) {
	opts := testOptions()
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.events <- text("unread")
		p.events <- closed{1000, ""}
		p.mu.Lock()
		p.emptyEvents()
		p.mu.Unlock()
		require.Equal(t, closed{1000, ""}, <-p.Events())
		require.EqualValues(t, 1, p.Stats().DroppedEvents)
		close(p.userClosed)
		require.NoError(t, p.deliver(frame.Text, []byte("in between")))
		p.mu.Lock()
		p.deliverIdle(1)
		p.mu.Unlock()
		require.Empty(t, p.Events())
		require.EqualValues(t, 2, p.Stats().DroppedEvents)
	})
}

// The read pump waits where more pongs are due than it may queue.
func TestAFloodOfPingsIsHeldUpAndEveryOneIsAnswered(t *testing.T) {
	opts := testOptions()
	opts.EventBuffer = 1000
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		const pings = 1000 // more than the buffers of both pumps and control hold
		flood := wire(frame.Ping, make([]byte, 100), pings)
		_, err := peer.conn.Write(flood[:bufferSize/2])
		require.NoError(t, err)
		rest := later(func() error { _, err := peer.conn.Write(flood[bufferSize/2:]); return err })
		synctest.Wait()
		requireBlocked(t, rest)
		require.Less(t, len(p.Events()), (bufferSize+maxControl)/100)
		for range pings {
			peer.expect(frame.Pong, string(make([]byte, 100)))
		}
		require.NoError(t, <-rest)
		synctest.Wait()
		require.EqualValues(t, pings, p.Stats().PongsSent)
		require.EqualValues(t, pings, p.Stats().PingsReceived)
	})
}

// The read pump stops waiting to answer pings when a write has failed, so CloseTimeout
// begins immediately.
func TestAReadPumpThatWaitsToAnswerPingsReadsOnAfterAFailedWrite(t *testing.T) {
	opts := timedOut()
	opts.EventBuffer = 1000
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		_, err := peer.conn.Write(wire(frame.Ping, make([]byte, 100), 250))
		require.NoError(t, err)
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), os.ErrDeadlineExceeded)
		require.EqualValues(t, 250, p.Stats().PingsReceived)
		require.Equal(t, opts.WriteTimeout+opts.CloseTimeout, time.Since(began))
	})
}

func TestACloseAfterAFailedWriteTakesNoLongerThanCloseTimeout(t *testing.T) {
	opts := timedOut()
	opts.EventBuffer = 1000
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write(wire(frame.Ping, make([]byte, 100), 250))
		require.NoError(t, err)
		<-p.Closing()
		began := time.Now()
		require.ErrorIs(t, p.Close(t.Context(), 1000, ""), os.ErrDeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), opts.CloseTimeout)
	})
}
