package pump

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestInvalidMessagesAreRefusedAndTheConnectionStaysOpen(t *testing.T) {
	long := strings.Repeat("x", 126)
	for want, m := range map[string]any{
		"no message":                                  struct{}{},
		"ping of 126 bytes: want at most 125":         ping(long),
		"pong of 126 bytes: want at most 125":         pong(long),
		"text is not valid UTF-8":                     text("\xff"),
		"close code 1006 must not be sent":            closed{1006, ""},
		"close reason of 124 bytes: want at most 123": closed{1000, long[:124]},
		"close reason is not valid UTF-8":             closed{1000, "\xff"},
	} {
		var dropped error
		opts := testOptions()
		onDrop := func(got any, err error) {
			require.Equal(t, m, got)
			dropped = err
		}
		bubbleOf(t, testConfig{Options: &opts, OnDrop: onDrop}, func(t *testing.T, p *Pump[any, any], peer *peer) {
			err := p.Write(t.Context(), m)
			require.ErrorIs(t, err, ErrInvalidMessage)
			require.ErrorContains(t, err, want)
			p.Send() <- m
			synctest.Wait()
			require.ErrorIs(t, dropped, ErrInvalidMessage)
			require.ErrorContains(t, dropped, want)
			require.EqualValues(t, 1, p.Stats().DroppedMessages)
			p.Send() <- text("fine")
			peer.expect(frame.Text, "fine")
		})
	}
}

func TestWriteAndFlushRefuseAContextThatHasEnded(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, context.Canceled, p.Write(ctx, text("never")))
		require.Equal(t, context.Canceled, p.Flush(ctx))
		p.Send() <- text("only this")
		peer.expect(frame.Text, "only this")
	})
}

func TestFlushReturnsWhenAllBeforeItIsOut(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.NoError(t, p.Flush(t.Context()), "there is nothing to wait for")
		p.Send() <- text("1")
		p.Send() <- text("2")
		flushed := later(func() error { return p.Flush(t.Context()) })
		requireBlocked(t, flushed)
		peer.expect(frame.Text, "1")
		peer.expect(frame.Text, "2")
		require.NoError(t, <-flushed)
		synctest.Wait()
		require.EqualValues(t, 2, p.Stats().MessagesSent)
	})
}

func TestAWriteThatIsWithdrawnBeforeItsTurnIsNeverSent(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("stuck")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		writing := later(func() error { return p.Write(ctx, text("withdrawn")) })
		flushing := later(func() error { return p.Flush(ctx) })
		after := later(func() error { return p.Write(t.Context(), text("after")) })
		cancel()
		require.Equal(t, context.Canceled, <-writing)
		require.Equal(t, context.Canceled, <-flushing)
		peer.expect(frame.Text, "stuck")
		peer.expect(frame.Text, "after")
		require.NoError(t, <-after)
	})
}

func TestAWriteThatIsWithdrawnInItsMiddleGoesOnFromACopy(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		payload := bytes.Repeat([]byte("x"), 3*bufferSize)
		ctx, cancel := context.WithCancel(t.Context())
		writing := later(func() error { return p.Write(ctx, bin(payload)) })
		requireBlocked(t, writing)
		cancel()
		require.Equal(t, context.Canceled, <-writing)
		clear(payload) // the caller's again
		peer.expect(frame.Binary, strings.Repeat("x", 3*bufferSize))
		again := later(func() error { return p.Write(t.Context(), text("again")) })
		peer.expect(frame.Text, "again")
		require.NoError(t, <-again)
	})
}

func TestAWriteOfACloseFrameIsTheLastOne(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		writing := later(func() error { return p.Write(t.Context(), closed{4001, "bye"}) })
		require.ErrorIs(t, p.Write(t.Context(), text("late")), net.ErrClosed)
		require.ErrorIs(t, p.Flush(t.Context()), net.ErrClosed)
		peer.expectClose(4001, "bye")
		require.NoError(t, <-writing)
		peer.sendClose(4001, "")
		require.Equal(t, closed{4001, ""}, requireEnd(t, p))
		require.Equal(t, p.Err(), p.Write(t.Context(), text("later")))
	})
}

func TestAWithdrawnCloseFrameIsSentAllTheSame(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("stuck")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		writing := later(func() error { return p.Write(ctx, closed{1000, ""}) })
		cancel()
		require.Equal(t, context.Canceled, <-writing)
		peer.expect(frame.Text, "stuck")
		peer.expectClose(1000, "")
	})
}

func TestAResultIsNotWithdrawn(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		e := &writeRequest{result: make(chan error, 1)}
		e.finish(nil)
		require.Equal(t, errFinished, p.withdraw(e))
		require.NoError(t, <-e.result)
	})
}

func TestAMessageGoesInFragmentsWithPongsBetweenThem(t *testing.T) {
	opts := testOptions()
	opts.FragmentSize = 40_000
	var mu sync.Mutex
	var sent []frame.Opcode
	opts.Trace.FrameSent = func(h frame.Header) { // by both pumps
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, h.Opcode)
	}
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- bin(bytes.Repeat([]byte("x"), 100_000))
		synctest.Wait()
		peer.send(frame.Ping, "p")
		synctest.Wait()
		h, payload, err := peer.receive()
		require.NoError(t, err)
		require.True(t, !h.Fin && h.Opcode == frame.Binary && len(payload) == 40_000)
		peer.expect(frame.Pong, "p")
		h, payload, err = peer.receive()
		require.NoError(t, err)
		require.True(t, !h.Fin && h.Opcode == frame.Continuation && len(payload) == 40_000)
		h, payload, err = peer.receive()
		require.NoError(t, err)
		require.True(t, h.Fin && h.Opcode == frame.Continuation && len(payload) == 20_000)
		synctest.Wait()
		require.Contains(t, sent, frame.Pong)
		require.Len(t, sent, 4)
		s := p.Stats()
		require.EqualValues(t, 1, s.MessagesSent)
		require.EqualValues(t, 4, s.FramesSent)
	})
}

func TestAClientMasksWhatItSends(t *testing.T) {
	opts := testOptions()
	bubbleOf(t, testConfig{Options: &opts, Client: true}, func(t *testing.T, p *Pump[any, any], peer *peer) {
		large := strings.Repeat("0123456789", 10_000)
		keys := map[uint32]bool{}
		p.Send() <- ping("ping")
		p.Send() <- pong("pong")
		p.Send() <- text(large)
		writing := later(func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			return p.Write(ctx, bin(large))
		})
		peer.send(frame.Ping, "p")
		want := map[string]int{"ping": 1, "pong": 1, large: 2, "p": 1}
		for range 5 {
			h, payload, err := peer.receive()
			require.NoError(t, err)
			require.True(t, h.Masked)
			keys[h.Key] = true
			want[string(payload)]--
		}
		for _, left := range want {
			require.Zero(t, left)
		}
		require.Greater(t, len(keys), 1, "keys differ")
		require.NoError(t, <-writing)
		synctest.Wait()
		s := p.Stats()
		require.EqualValues(t, []uint64{2, 1, 2}, []uint64{s.MessagesSent, s.PingsSent, s.PongsSent})
	})
}

// What goes to a TCP connection may be copied into the batch, written behind it, or
// piece by piece; the bytes are the same, and others' frames do not get between.
func TestLargeMessagesOverTCPComeWholeAndInOrder(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	ctx, cancel := context.WithCancel(t.Context()) // what it gives Write is copied
	defer cancel()
	for _, size := range []int{vectored, bufferSize, writePiece, 3*writePiece + 7} {
		payload := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
		p.Send() <- text("before")
		p.Send() <- bin(payload)
		written := make(chan error, 1)
		go func() { written <- p.Write(ctx, bin(payload)) }()
		peer.expect(frame.Text, "before")
		for range 2 {
			_, got, err := peer.receive()
			require.NoError(t, err)
			require.True(t, bytes.Equal(payload, got), "%d", size)
		}
		require.NoError(t, <-written)
	}
}

func TestAVectoredWriteThatFailsInsideAFrameEndsTheConnection(t *testing.T) {
	opts := testOptions()
	opts.WriteTimeout, opts.CloseTimeout = time.Millisecond, time.Millisecond
	p, peer := serverPump(t, opts)
	require.Error(t, p.Write(context.Background(), bin(make([]byte, 32<<20)))) // no socket holds that
	require.Error(t, asFailed(t, <-p.Events()))
	_, err := io.Copy(io.Discard, peer.conn)
	_ = err // the system may reset it
	require.EqualValues(t, 1, p.Stats().DroppedMessages)
}

func TestTheHookSeesEveryCallThatWrites(t *testing.T) {
	opts := testOptions()
	opts.WriteTimeout = time.Minute
	type call struct {
		bytes int
		took  time.Duration
		err   error
	}
	var calls []call
	opts.Trace.Flushed = func(n int, took time.Duration, err error) { calls = append(calls, call{n, took, err}) }
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("hello")
		time.Sleep(3 * time.Second)
		peer.expect(frame.Text, "hello")
		synctest.Wait()
		require.Equal(t, []call{{7, 3 * time.Second, nil}}, calls)
		require.EqualValues(t, 1, p.Stats().Flushes)
		require.EqualValues(t, 7, p.Stats().BytesSent)
	})
}

func TestManyWritesWaitAtTheSameTime(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("stuck")
		synctest.Wait()
		done := make(chan error)
		for range 4 * maxKept {
			go func() { done <- p.Write(t.Context(), text("w")) }()
		}
		synctest.Wait()
		peer.expect(frame.Text, "stuck")
		for range 4 * maxKept {
			peer.expect(frame.Text, "w")
		}
		for range 4 * maxKept {
			require.NoError(t, <-done)
		}
		synctest.Wait()
		require.LessOrEqual(t, len(p.requests.free), maxFree)
		require.LessOrEqual(t, cap(p.requests.queue), maxKept)
		require.LessOrEqual(t, cap(p.out.unflushed), maxKept)
	})
}

func TestAFailedWriteEndsAllThatWait(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		first := later(func() error { return p.Write(t.Context(), text("first")) })
		second := later(func() error { return p.Write(t.Context(), text("second")) })
		flush := later(func() error { return p.Flush(t.Context()) })
		requireBlocked(t, flush)
		peer.conn.Close()
		for _, done := range []<-chan error{first, second, flush} {
			require.ErrorIs(t, <-done, io.ErrUnexpectedEOF)
		}
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), io.ErrUnexpectedEOF)
	})
}

// One call to the operating system is the unit in which progress is seen where the send
// queue is not: Options.WriteTimeout promises that it is 64 KiB at most.
func TestNoCallWritesMoreThanAPiece(t *testing.T) {
	t.Parallel()
	var calls []int
	opts := testOptions()
	opts.Trace.Flushed = func(n int, _ time.Duration, _ error) { calls = append(calls, n) }
	p, peer := serverPump(t, opts)
	require.NoError(t, peer.conn.(*net.TCPConn).SetReadBuffer(64<<10))
	messages := []bin{make(bin, 8<<20)} // behind it, until the peer reads, the others gather
	for range 30 {
		messages = append(messages, make(bin, 1000))
	}
	messages = append(messages, make(bin, 1<<20))
	for _, m := range messages {
		p.Send() <- m
	}
	for _, m := range messages {
		_, payload, err := peer.receive()
		require.NoError(t, err)
		require.Len(t, payload, len(m))
	}
	require.NoError(t, p.CloseNow())
	require.NotEmpty(t, calls)
	require.LessOrEqual(t, slices.Max(calls), 64<<10)
}
