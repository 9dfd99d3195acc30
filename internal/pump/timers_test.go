package pump

import (
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestAnIdleEventComesForEveryWholePeriodWithoutActivity(t *testing.T) {
	opts := testOptions()
	opts.IdleTimeout = time.Minute
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		require.Equal(t, idle(time.Minute), <-p.Events())
		require.Equal(t, idle(2*time.Minute), <-p.Events())
		require.Equal(t, 2*time.Minute, time.Since(began))
		time.Sleep(30 * time.Second)
		peer.send(frame.Text, "activity")
		require.Equal(t, text("activity"), <-p.Events())
		require.Equal(t, idle(time.Minute), <-p.Events())
		require.Equal(t, 3*time.Minute+30*time.Second, time.Since(began))
	})
}

func TestAnIdleEventWithoutRoomIsDropped(t *testing.T) {
	opts := testOptions()
	opts.IdleTimeout, opts.EventBuffer = time.Minute, 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "unread")
		time.Sleep(90 * time.Second)
		require.EqualValues(t, 1, p.Stats().DroppedEvents)
		require.Equal(t, text("unread"), <-p.Events())
		require.Empty(t, p.Events())
	})
}

func TestNoIdleEventComesAfterALocalClose(t *testing.T) {
	opts := testOptions()
	opts.IdleTimeout, opts.CloseTimeout = time.Minute, -1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		closing := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		time.Sleep(5 * time.Minute)
		require.Empty(t, p.Events())
		peer.sendClose(1000, "")
		require.NoError(t, <-closing)
		require.Equal(t, closed{1000, ""}, requireEnd(t, p))
	})
}

// keepalive gives options with a ping every ten seconds, and five to answer it.
func keepaliveOptions() Options {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = 10*time.Second, 5*time.Second
	return opts
}

// keepalivePing receives a ping of the library's own, and gives the answer to it.
func (p *peer) keepalivePing() string {
	p.t.Helper()
	h, payload, err := p.receive()
	require.NoError(p.t, err)
	require.Equal(p.t, frame.Ping, h.Opcode)
	require.Len(p.t, payload, keepaliveSize)
	return string(payload)
}

func TestAKeepalivePongIsNoEventAndTellsTheRoundTrip(t *testing.T) {
	opts := keepaliveOptions()
	var trips []time.Duration
	opts.Trace.KeepalivePong = func(d time.Duration) { trips = append(trips, d) }
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		for range 3 {
			answer := peer.keepalivePing()
			time.Sleep(time.Second)
			peer.send(frame.Pong, answer)
		}
		synctest.Wait()
		require.Equal(t, 31*time.Second, time.Since(began))
		require.Equal(t, []time.Duration{time.Second, time.Second, time.Second}, trips)
		require.Empty(t, p.Events())
		s := p.Stats()
		require.EqualValues(t, 3, s.PingsSent)
		require.EqualValues(t, 3, s.PongsReceived)
	})
}

func TestKeepaliveEndsAPeerThatDoesNotAnswer(t *testing.T) {
	inBubble(t, keepaliveOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		answer := peer.keepalivePing()
		peer.send(frame.Pong, answer[:len(answer)-1]+"\x7f") // of a ping that was never sent
		peer.send(frame.Pong, "unasked")
		require.Equal(t, pong(answer[:len(answer)-1]+"\x7f"), <-p.Events())
		require.Equal(t, pong("unasked"), <-p.Events())
		peer.expectClose(1011, "keepalive: no pong within Options.PongTimeout 5s (Options.PingInterval 10s)")
		require.Equal(t, 15*time.Second, time.Since(began))
		err := asFailed(t, requireEnd(t, p))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.EqualError(t, err, "chanws: keepalive: no pong within Options.PongTimeout 5s (Options.PingInterval 10s): i/o timeout")
	})
}

func TestAPongForAnOldPingGivesThePingsSinceTheirOwnTime(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = 2*time.Second, 5*time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		answer := peer.keepalivePing()
		peer.keepalivePing()
		time.Sleep(time.Second)
		peer.send(frame.Pong, answer)
		for {
			h, _, err := peer.receive()
			require.NoError(t, err)
			if h.Opcode == frame.Close {
				break
			}
		}
		require.Equal(t, 10*time.Second, time.Since(began), "five seconds after the pong")
	})
}

func TestASlowConsumerIsNotTakenForADeadPeer(t *testing.T) {
	opts := keepaliveOptions()
	opts.EventBuffer = 1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write(wire(frame.Text, []byte("m"), 3))
		require.NoError(t, err)
		answer := peer.keepalivePing()
		go peer.send(frame.Pong, answer) // not read while the consumer rests
		go io.Copy(io.Discard, peer.conn)
		time.Sleep(time.Minute)
		require.NoError(t, p.Err())
		for range 3 {
			require.Equal(t, text("m"), <-p.Events())
		}
		began := time.Now()
		require.Error(t, asFailed(t, requireEnd(t, p)), "now it reads, and the later pings stay without an answer")
		require.Equal(t, 5*time.Second, time.Since(began).Truncate(time.Second))
	})
}

func TestPatienceThatHasBegunStopsWhileTheChannelIsFull(t *testing.T) {
	opts := keepaliveOptions()
	opts.EventBuffer, opts.PingInterval = 1, 100*time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		answer := peer.keepalivePing()
		time.Sleep(3 * time.Second)
		_, err := peer.conn.Write(wire(frame.Text, []byte("m"), 2))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, text("m"), <-p.Events())
		require.Equal(t, text("m"), <-p.Events())
		time.Sleep(time.Second) // the fourth
		peer.send(frame.Pong, answer)
		time.Sleep(10 * time.Second)
		require.NoError(t, p.Err())
	})
}

func TestAPeerInTheMiddleOfAFrameThatGoesOnIsAlive(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = time.Second, time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		pings := make(chan string, 100)
		go func() {
			for {
				_, payload, err := peer.receive()
				if err != nil {
					return
				}
				pings <- string(payload)
			}
		}()
		sent := peer.frame(true, frame.Binary, make([]byte, 100_000))
		for len(sent) > 0 {
			n := min(len(sent), 10_000)
			_, err := peer.conn.Write(sent[:n])
			require.NoError(t, err)
			sent = sent[n:]
			time.Sleep(900 * time.Millisecond)
		}
		require.Len(t, <-p.Events(), 100_000)
		for len(pings) > 1 {
			<-pings
		}
		peer.send(frame.Pong, <-pings)
		synctest.Wait()
		require.NoError(t, p.Err())
	})
}

func TestAPeerThatWasInTheMiddleOfAFrameHasItsTimeFromTheFramesEnd(t *testing.T) {
	opts := keepaliveOptions()
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		sent := peer.frame(true, frame.Binary, make([]byte, 100_000))
		_, err := peer.conn.Write(sent[:50_000])
		require.NoError(t, err)
		answer := peer.keepalivePing()
		time.Sleep(4 * time.Second)
		_, err = peer.conn.Write(sent[50_000:])
		require.NoError(t, err)
		time.Sleep(4 * time.Second)
		require.NoError(t, p.Err())
		go io.Copy(io.Discard, peer.conn)
		time.Sleep(900 * time.Millisecond)
		peer.send(frame.Pong, answer)
		require.Len(t, <-p.Events(), 100_000)
		synctest.Wait()
		require.NoError(t, p.Err())
	})
}

// A peer may begin a frame while our ping is still on its way: then it is as if it had
// been in the middle of it before.
func TestAPeerThatBeginsAFrameBeforeItHasThePingHasItsTimeFromTheFramesEnd(t *testing.T) {
	inBubble(t, keepaliveOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		answer := peer.keepalivePing()
		peer.inTwoParts(4 * time.Second)
		time.Sleep(4 * time.Second)
		require.NoError(t, p.Err())
		peer.send(frame.Pong, answer)
		require.Len(t, <-p.Events(), 100_000)
		synctest.Wait()
		require.NoError(t, p.Err())
	})
}

func TestAFrameAfterAPongGivesThePingsSinceTheirTimeFromItsEnd(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = 3*time.Second, 5*time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		answer := peer.keepalivePing()
		second := peer.keepalivePing()
		go io.Copy(io.Discard, peer.conn)
		peer.send(frame.Pong, answer)
		peer.inTwoParts(4 * time.Second)
		time.Sleep(4 * time.Second)
		require.NoError(t, p.Err())
		peer.send(frame.Pong, second)
	})
}

// inTwoParts sends a large frame with a pause inside.
func (p *peer) inTwoParts(pause time.Duration) {
	p.t.Helper()
	sent := p.frame(true, frame.Binary, make([]byte, 100_000))
	_, err := p.conn.Write(sent[:50_000])
	require.NoError(p.t, err)
	time.Sleep(pause)
	_, err = p.conn.Write(sent[50_000:])
	require.NoError(p.t, err)
}

// What it took before its last sign of life does not count.
func TestAPeerThatTakesNothingAfterAPongIsDead(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = 2*time.Second, 5*time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		answer := peer.keepalivePing()
		time.Sleep(3 * time.Second) // the next ping is not taken
		peer.send(frame.Pong, answer)
		require.ErrorContains(t, asFailed(t, <-p.Events()), "no pong")
		require.Equal(t, 15*time.Second, time.Since(began), "five seconds after the pong, and five for a close frame")
	})
}

func TestNoPatienceBeginsAfterTheEnd(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = 2*time.Second, 5*time.Second
	var p *Pump[any, any]
	opts.Trace.FrameReceived = func(frame.Header) { p.Abort() }
	inBubble(t, opts, func(t *testing.T, started *Pump[any, any], peer *peer) {
		p = started
		answer := peer.keepalivePing()
		peer.keepalivePing()
		peer.send(frame.Pong, answer)
		requireEnd(t, p)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.False(t, p.timers.pong.started)
	})
}

func TestAPeerInTheMiddleOfAFrameThatHasStoppedIsDead(t *testing.T) {
	inBubble(t, keepaliveOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write(peer.frame(true, frame.Binary, make([]byte, 100_000))[:50_000])
		require.NoError(t, err)
		began := time.Now()
		go io.Copy(io.Discard, peer.conn)
		require.ErrorIs(t, asFailed(t, <-p.Events()), os.ErrDeadlineExceeded)
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}

func TestAPeerThatTakesBytesBeforeThePingIsAlive(t *testing.T) {
	opts := testOptions()
	opts.PingInterval, opts.PongTimeout = time.Second, time.Second
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- bin(make([]byte, 1<<20))
		b := make([]byte, writePiece)
		for range 1 << 20 / writePiece {
			_, err := io.ReadFull(peer.conn, b)
			require.NoError(t, err)
			time.Sleep(900 * time.Millisecond)
		}
		require.NoError(t, p.Err())
		_, err := io.ReadFull(peer.conn, b[:10]) // as long as the header was
		require.NoError(t, err)
		peer.send(frame.Pong, peer.keepalivePing())
		synctest.Wait()
		require.NoError(t, p.Err())
	})
}

func TestAPeerThatTakesNothingIsDeadThoughThePingIsNotOut(t *testing.T) {
	inBubble(t, keepaliveOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		p.Send() <- text("stuck")
		require.ErrorContains(t, asFailed(t, <-p.Events()), "no pong")
		require.Equal(t, 20*time.Second, time.Since(began), "and five seconds for a close frame")
		require.EqualValues(t, 1, p.Stats().DroppedMessages)
	})
}

func TestCloseGivesThePeerCloseTimeoutToAnswer(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		closing := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		err := <-closing
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.ErrorContains(t, err, "no answer to the close frame within CloseTimeout 5s")
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestSetCloseTimeoutIsForTheNextCloseFrame(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		p.SetCloseTimeout(time.Minute)
		p.Shutdown(1001, "")
		p.SetCloseTimeout(time.Second)
		peer.expectClose(1001, "")
		require.ErrorContains(t, asFailed(t, <-p.Events()), "within CloseTimeout 1m0s")
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestANegativeCloseTimeoutWaitsUntilTheContextEnds(t *testing.T) {
	opts := testOptions()
	opts.CloseTimeout = -1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		ctx, cancel := withTimeout(t, time.Hour)
		defer cancel()
		began := time.Now()
		closing := later(func() error { return p.Close(ctx, 1000, "") })
		peer.expectClose(1000, "")
		require.ErrorIs(t, <-closing, os.ErrDeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(began))
	})
}

// A write that finds no reader fails after a second.
func timedOut() Options {
	opts := testOptions()
	opts.WriteTimeout = time.Second
	return opts
}

func TestAWriteTimeoutAtAFrameBoundaryIsToldToThePeer(t *testing.T) {
	inBubble(t, timedOut(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.ErrorIs(t, p.Write(t.Context(), text("unread")), os.ErrDeadlineExceeded)
		peer.expectClose(1011, writeTimedOut)
		peer.send(frame.Text, "last words")
		peer.sendClose(1011, "")
		require.Equal(t, text("last words"), <-p.Events())
		require.Equal(t, closed{1011, ""}, requireEnd(t, p))
		require.ErrorIs(t, p.Write(t.Context(), text("late")), p.Err())
		require.EqualValues(t, 1, p.Stats().DroppedMessages)
		require.EqualValues(t, 1, p.Stats().FramesSent)
	})
}

func TestAWriteTimeoutIsTheEndWhenThePeerStaysSilent(t *testing.T) {
	for name, reads := range map[string]bool{"and reads": true, "and does not read": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, timedOut(), func(t *testing.T, p *Pump[any, any], peer *peer) {
				began := time.Now()
				p.Send() <- text("unread")
				time.Sleep(2 * time.Second)
				if reads {
					peer.expectClose(1011, writeTimedOut)
				}
				err := asFailed(t, requireEnd(t, p))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.ErrorContains(t, err, "chanws: write: ")
				require.Equal(t, 6*time.Second, time.Since(began))
			})
		})
	}
}

func TestNothingFollowsAWriteThatFailedInsideAFrame(t *testing.T) {
	inBubble(t, timedOut(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("half of this")
		_, err := io.ReadFull(peer.conn, make([]byte, 6))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, p.Write(t.Context(), text("late")), os.ErrDeadlineExceeded)
		require.NoError(t, p.Err(), "the peer's last words are waited for")
		peer.send(frame.Text, "last words")
		require.Equal(t, text("last words"), <-p.Events())
		_, err = peer.conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), os.ErrDeadlineExceeded)
	})
}

func TestLastWordsAreWaitedForWhileTheChannelIsFull(t *testing.T) {
	opts := timedOut()
	opts.EventBuffer, opts.CloseTimeout = 1, -1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write(wire(frame.Text, []byte("m"), 3))
		require.NoError(t, err)
		p.Send() <- text("unread")
		time.Sleep(time.Minute)
		require.NoError(t, p.Err())
		began := time.Now()
		for range 3 {
			require.Equal(t, text("m"), <-p.Events())
		}
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), os.ErrDeadlineExceeded)
		require.Equal(t, endTimeout, time.Since(began))
	})
}

func TestAStreamWithoutDeadlinesIsClosedWhereReadingMustEnd(t *testing.T) {
	opts := keepaliveOptions()
	bubbleOf(t, testConfig{Options: &opts, Conn: &wrapped{noDeadlines: true}}, func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.keepalivePing()
		require.ErrorContains(t, asFailed(t, requireEnd(t, p)), "no pong")
		_, _, err := peer.receive()
		require.ErrorIs(t, err, io.EOF, "without a close frame")
		require.ErrorIs(t, p.Write(t.Context(), text("late")), os.ErrDeadlineExceeded)
	})
}

func TestAStreamThatReadsNothingWithoutAnErrorEnds(t *testing.T) {
	opts := testOptions()
	nothing := func() (int, error) { return 0, nil }
	bubbleOf(t, testConfig{Options: &opts, Conn: &wrapped{read: nothing}}, func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), io.ErrNoProgress)
		require.ErrorIs(t, p.Close(t.Context(), 1000, ""), io.ErrNoProgress)
		require.ErrorIs(t, p.CloseNow(), net.ErrClosed)
	})
}
