package chanws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestWriteReturnsWhenEveryByteIsWithTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		done := make(chan error, 1)
		go func() { done <- conn.Write(t.Context(), chanws.Binary(make([]byte, 100<<10))) }()
		synctest.Wait()
		require.Empty(t, done, "the pipe holds 64 KiB")
		require.Equal(t, frame.Binary, peer.next().Opcode)
		require.NoError(t, <-done)
		require.NoError(t, conn.Write(t.Context(), chanws.Text("")))
		peer.expect(frame.Text, "")
	})
}

func TestAWriteThatWasNotBegunIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		big := strings.Repeat("b", 100<<10)
		conn.Send <- chanws.Text(big)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		payload := chanws.Binary("withdrawn")
		require.ErrorIs(t, conn.Write(ctx, payload), context.DeadlineExceeded)
		copy(payload, "mine again")
		require.ErrorIs(t, conn.Write(ctx, chanws.Text("never begun")), context.DeadlineExceeded)
		conn.Send <- chanws.Text("next")
		peer.expect(frame.Text, big)
		peer.expect(frame.Text, "next")
		require.NoError(t, conn.Err())
	})
}

func TestTheRestOfAWriteThatWasBegunFollowsOnItsOwn(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, fragment := range []int{-1, 10_000} {
			synctest.Test(t, func(t *testing.T) {
				conn, bare := openMemory(t, server, chanws.Options{FragmentSize: fragment})
				peer := newRawPeer(t, bare, server)
				want := strings.Repeat("0123456789", 30_000)
				payload := chanws.Binary(want)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.ErrorIs(t, conn.Write(ctx, payload), context.DeadlineExceeded)
				clear(payload) // the caller's again
				conn.Send <- chanws.Text("next")
				var got strings.Builder
				for fin := false; !fin; {
					f := peer.next()
					got.Write(f.payload)
					fin = f.Fin
				}
				require.True(t, want == got.String(), "the message was harmed")
				peer.expect(frame.Text, "next")
				require.NoError(t, conn.Err())
			})
		}
	}
}

func TestAWriteWithAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, conn.Write(ctx, chanws.Text("x")), context.Canceled)
		synctest.Wait()
		require.Zero(t, conn.Stats().FramesSent)
	})
}

func TestWhatCannotBeSentIsRefusedAndNothingIsHarmed(t *testing.T) {
	for _, c := range []struct {
		m    chanws.Message
		want string
	}{
		{nil, "nil: want Text, Binary, Ping, Pong or Close"},
		{(*chanws.Ping)(nil), "*chanws.Ping is no message type: want Text, Binary, Ping, Pong or Close"},
		{chanws.Text("a\xff"), "text is not valid UTF-8: 0xff at byte 1; want a binary message for other bytes"},
		{chanws.Ping(make([]byte, 126)), "ping of 126 bytes: want at most 125"},
		{chanws.Pong(make([]byte, 126)), "pong of 126 bytes: want at most 125"},
		{chanws.Close{Reason: "bye"}, `close reason "bye" without a close code: want 1000 for a normal closure`},
		{chanws.Close{Code: -1}, "close code -1 must not be sent: want 1000 to 1003, 1007 to 1014, 3000 to 4999, or 0 for none"},
		{chanws.Close{Code: 999}, "close code 999 must not be sent"},
		{chanws.Close{Code: 1004}, "close code 1004 must not be sent"},
		{chanws.Close{Code: 1005, Reason: "r"}, `close reason "r" without a close code`},
		{chanws.Close{Code: 1006}, "close code 1006 must not be sent"},
		{chanws.Close{Code: 1015}, "close code 1015 must not be sent"},
		{chanws.Close{Code: 2999}, "close code 2999 must not be sent"},
		{chanws.Close{Code: 5000}, "close code 5000 must not be sent"},
		{chanws.Close{Code: 1000, Reason: strings.Repeat("r", 124)}, "close reason of 124 bytes: want at most 123"},
		{chanws.Close{Code: 1000, Reason: "\x80"}, "close reason is not valid UTF-8: 0x80 at byte 0"},
	} {
		t.Run(c.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				drops := make(chan error, 1)
				conn, peer := rawPair(t, chanws.Options{OnDrop: func(m chanws.Message, err error) {
					require.Equal(t, c.m, m)
					drops <- err
				}})
				err := conn.Write(t.Context(), c.m)
				require.ErrorIs(t, err, chanws.ErrInvalidMessage)
				require.ErrorContains(t, err, c.want)
				conn.Send <- c.m
				require.Equal(t, err, <-drops)
				require.EqualValues(t, 1, conn.Stats().DroppedMessages)
				if m, ok := c.m.(chanws.Close); ok {
					err := conn.Close(m.Code, m.Reason)
					require.ErrorIs(t, err, chanws.ErrInvalidMessage)
					require.ErrorContains(t, err, c.want)
				}
				conn.Send <- chanws.Text("alive")
				peer.expect(frame.Text, "alive")
				require.NoError(t, conn.Err())
			})
		})
	}
}

func TestWriteTimeoutIsForOneFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{WriteTimeout: 300 * time.Millisecond, CloseTimeout: time.Second})
		for range 10 { // slow, but never for longer than the timeout
			conn.Send <- chanws.Binary(make([]byte, 60<<10))
			time.Sleep(250 * time.Millisecond)
			require.Equal(t, frame.Binary, peer.next().Opcode)
		}
		began := time.Now()
		err := conn.Write(t.Context(), chanws.Binary(make([]byte, 200<<10)))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		require.NoError(t, conn.Err(), "a failed write does not decide the end")
		require.Equal(t, err, conn.Write(t.Context(), chanws.Text("x")))
		<-conn.Done()
		require.Equal(t, 1300*time.Millisecond, time.Since(began))
		require.Equal(t, err, conn.Err())
	})
}

func TestThePeersLastWordsWinAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{WriteTimeout: time.Second})
		require.Error(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 200<<10))))
		time.Sleep(4 * time.Second)
		for range 100 {
			peer.send(frame.Text, "last words")
		}
		peer.sendClose(4001, "and goodbye")
		for range 100 {
			require.Equal(t, chanws.Text("last words"), <-conn.Events())
			time.Sleep(time.Second) // the time counts only while the pump reads
		}
		require.Equal(t, chanws.Close{Code: 4001, Reason: "and goodbye"}, <-conn.Events())
	})
}

func TestABrokenPipeDoesNotCutOffWhatThePeerHadSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{EventBuffer: 1})
		for range 50 {
			peer.send(frame.Text, "said before")
		}
		peer.sendClose(1001, "gone")
		require.NoError(t, peer.conn.Close())
		err := conn.Write(t.Context(), chanws.Text("x")) // EPIPE
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		for range 50 {
			require.Equal(t, chanws.Text("said before"), <-conn.Events())
		}
		require.Equal(t, chanws.Close{Code: 1001, Reason: "gone"}, <-conn.Events())
	})
}

func TestAWriteTimeoutBetweenFramesTellsThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{WriteTimeout: time.Second})
		// Two frames of 2+4+32762 bytes fill the pipe to the last byte: the third is not
		// begun.
		for range 2 {
			require.NoError(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 32<<10-4))))
		}
		require.ErrorIs(t, conn.Write(t.Context(), chanws.Text("third")), os.ErrDeadlineExceeded)
		for range 2 {
			require.Equal(t, frame.Binary, peer.next().Opcode)
		}
		peer.expectClose(1011, "write timed out")
		peer.sendClose(1011, "")
		require.Equal(t, chanws.Close{Code: 1011}, <-conn.Events())
		peer.expectEOF()
	})
}

func TestCloseContextCutsTheHandshakeShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{CloseTimeout: -1})
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		began := time.Now()
		err := conn.CloseContext(ctx, 1000, "")
		require.Equal(t, time.Minute, time.Since(began))
		require.ErrorIs(t, err, cause)
		require.Equal(t, err, conn.Err())
		require.Equal(t, err, <-conn.Events())
		peer.expectClose(1000, "")
		peer.expectEOF()
	})
}

func TestCloseNowCutsARunningCloseShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{})
		done := make(chan error)
		go func() { done <- conn.Close(1000, "") }()
		synctest.Wait()
		began := time.Now()
		require.ErrorIs(t, conn.CloseNow(), net.ErrClosed, "it is the second")
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.Zero(t, time.Since(began))
	})
}

func TestCloseMayBeCalledFromTheConsumersLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{EventBuffer: 1})
		peer.read()
		for range 10 {
			peer.send(frame.Text, "x")
		}
		var got []chanws.Event
		for ev := range conn.Events() {
			if got = append(got, ev); len(got) == 1 {
				require.NoError(t, conn.Close(1000, ""))
			}
		}
		require.Equal(t, []chanws.Event{chanws.Text("x"), chanws.Close{Code: 1000}}, got)
	})
}

func TestBufferedEventsOutliveTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		for range 10 {
			peer.send(frame.Text, "x")
		}
		peer.sendClose(1000, "")
		<-conn.Done()
		synctest.Wait() // the terminal event has been put
		require.NoError(t, conn.Close(1000, ""))
		var got []chanws.Event
		for ev := range conn.Events() {
			got = append(got, ev)
		}
		require.Len(t, got, 11, "Close discarded what was already there")
	})
}

func TestTheCloseFrameForAnErrorIsGivenTimeToArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		peer.write([]byte{0xf1})
		began := time.Now()
		var p *chanws.ProtocolError
		require.ErrorAs(t, (<-conn.Events()).(error), &p)
		require.Zero(t, time.Since(began))
		peer.send(frame.Text, "unread: closing the socket now would reset the connection")
		require.NoError(t, conn.CloseNow())
		require.Equal(t, time.Second, time.Since(began), "CloseNow cut the linger")
		peer.expectClose(1002, p.Reason)
		peer.expectEOF()
	})
}

func TestTheLingerEndsWithThePeersEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		peer.write([]byte{0xf1})
		peer.expectClose(1002, "RSV2 set without an extension")
		peer.expectEOF()
		peer.conn.Close()
		began := time.Now()
		require.NoError(t, conn.CloseNow())
		require.Zero(t, time.Since(began))
	})
}

func TestATerminalEventThatFindsTheChannelFullWaitsForTheConsumer(t *testing.T) {
	for _, closing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := rawPair(t, chanws.Options{EventBuffer: 2})
			peer.send(frame.Text, "1")
			peer.send(frame.Text, "2")
			peer.sendClose(1000, "")
			<-conn.Done()
			time.Sleep(time.Hour)
			var got []chanws.Event
			if closing {
				require.NoError(t, conn.Close(1000, ""))
			}
			for ev := range conn.Events() {
				got = append(got, ev)
			}
			if closing {
				require.Equal(t, []chanws.Event{chanws.Close{Code: 1000}}, got)
			} else {
				require.Equal(t, []chanws.Event{chanws.Text("1"), chanws.Text("2"), chanws.Close{Code: 1000}}, got)
			}
		})
	}
}

func TestAFragmentedMessageIsHeldToEveryRule(t *testing.T) {
	for name, c := range map[string]struct {
		opts chanws.Options
		part string
		want chanws.StatusCode
	}{
		"text that ends inside a character": {chanws.Options{}, "\xe2\x82", 1007},
		"one message above the rate":        {chanws.Options{MessageRate: chanws.Rate{PerSecond: 0.001}}, "x", 1008},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, c.opts)
				if c.want == 1008 {
					peer.send(frame.Text, "first")
					require.Equal(t, chanws.Text("first"), <-conn.Events())
				}
				peer.write(peer.encode(false, frame.Text, []byte(c.part)))
				peer.write(peer.encode(true, frame.Continuation, nil))
				var p *chanws.ProtocolError
				require.ErrorAs(t, (<-conn.Events()).(error), &p)
				require.Equal(t, c.want, p.Code)
			})
		})
	}
}

func TestLargeAndOddlySizedMessagesArriveWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pipe(t, chanws.Options{MaxMessageSize: -1, FragmentSize: 100_001})
		for _, size := range []int{65_535, 65_536, 65_537, 300_000, 1 << 20, 3_000_001} {
			want := strings.Repeat("€", size/3)
			client.Send <- chanws.Text(want)
			client.Send <- chanws.Binary(want)
			for _, ev := range []chanws.Event{<-server.Events(), <-server.Events()} {
				switch m := ev.(type) {
				case chanws.Text:
					require.True(t, want == string(m))
				case chanws.Binary:
					require.True(t, want == string(m))
				default:
					t.Fatalf("%T", ev)
				}
			}
		}
	})
}

func TestAMessageOfTinyFragmentsTakesLinearTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		const size = 1 << 18
		first := peer.encode(false, frame.Binary, []byte("x"))
		next := bytes.Repeat(peer.encode(false, frame.Continuation, []byte("x")), 1024)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		go func() {
			peer.write(first)
			for range size / 1024 {
				peer.write(next)
			}
			peer.send(frame.Continuation, "x")
		}()
		require.Len(t, <-conn.Events(), size+2)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*size), "every fragment copies the message")
	})
}

func TestAnEmptyBinaryIsNotNilHoweverItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		peer.send(frame.Binary, "")
		peer.write(peer.encode(false, frame.Binary, nil))
		peer.write(peer.encode(true, frame.Continuation, nil))
		for range 2 {
			require.Equal(t, chanws.Binary{}, <-conn.Events())
		}
	})
}
