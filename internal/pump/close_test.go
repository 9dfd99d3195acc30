package pump

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestCloseRefusesACodeThatMustNotBeSentAndDoesNothing(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.ErrorIs(t, p.Close(t.Context(), 1006, ""), ErrInvalidMessage)
		peer.send(frame.Text, "still here")
		require.Equal(t, text("still here"), <-p.Events())
		require.NoError(t, p.Err())
	})
}

func TestCloseNowEndsACloseThatWaits(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		began := time.Now()
		closing := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		requireBlocked(t, closing)
		require.ErrorIs(t, p.CloseNow(), net.ErrClosed, "it is not the first")
		require.ErrorIs(t, <-closing, net.ErrClosed)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), net.ErrClosed)
	})
}

func TestShutdownQueuesACloseFrameAndDiscardsNothing(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("before")
		p.Shutdown(1001, "restart")
		p.Shutdown(1000, "a second one")
		peer.expect(frame.Text, "before")
		peer.expectClose(1001, "restart")
		peer.send(frame.Text, "still read")
		peer.sendClose(1001, "")
		require.Equal(t, text("still read"), <-p.Events())
		require.Equal(t, closed{1001, ""}, requireEnd(t, p))
		p.Shutdown(1000, "too late")
		require.NoError(t, p.Close(t.Context(), 1000, ""))
	})
}

func TestKillDoesNotWaitAndLeavesTheCloseToTheUser(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		peer.send(frame.Text, "unread")
		synctest.Wait()
		p.Abort()
		require.ErrorIs(t, p.Err(), net.ErrClosed)
		_, _, err := peer.receive()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, text("unread"), <-p.Events())
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), net.ErrClosed)
		require.NoError(t, p.CloseNow())
	})
}

func TestAMessageAfterTheEndIsDropped(t *testing.T) {
	opts := testOptions()
	var dropped []any
	onDrop := func(m any, err error) {
		require.ErrorIs(t, err, net.ErrClosed)
		dropped = append(dropped, m)
	}
	bubbleOf(t, testConfig{Options: &opts, OnDrop: onDrop}, func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- closed{1000, ""}
		p.Send() <- text("behind a close frame")
		peer.expectClose(1000, "")
		peer.sendClose(1000, "")
		require.Equal(t, closed{1000, ""}, requireEnd(t, p))
		p.Send() <- text("after the end")
		close(p.Send())
		synctest.Wait()
		require.Equal(t, []any{text("behind a close frame"), text("after the end")}, dropped)
		require.NoError(t, p.Close(t.Context(), 1000, ""))
		require.EqualValues(t, 2, p.Stats().DroppedMessages)
	})
}

// A loop that has a message in hand finds room for it, also when nobody takes it any
// more.
func TestMessagesThatWaitWhenAllIsOverAreCounted(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		require.NoError(t, p.CloseNow())
		p.Send() <- text("1")
		p.Send() <- text("2")
		p.wait()
		require.Empty(t, p.send)
		require.EqualValues(t, 2, p.Stats().DroppedMessages)
		close(p.Send())
		p.wait()
		require.EqualValues(t, 2, p.Stats().DroppedMessages)
	})
}

func TestClosingSendSendsAClose(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("last")
		close(p.Send())
		peer.expect(frame.Text, "last")
		peer.expectClose(1000, "")
		peer.sendClose(1000, "")
		require.Equal(t, closed{1000, ""}, requireEnd(t, p))
	})
}

func TestAWriteThatWaitsBehindAClosedSendLearnsThatItIsTooLate(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		p.Send() <- text("stuck")
		synctest.Wait()
		close(p.Send())
		writing := later(func() error { return p.Write(t.Context(), text("late")) })
		peer.expect(frame.Text, "stuck")
		peer.expectClose(1000, "")
		require.ErrorIs(t, <-writing, net.ErrClosed)
	})
}

func TestThePeersCloseIsAnsweredBeforeWhatIsQueued(t *testing.T) {
	opts := testOptions()
	opts.FragmentSize = bufferSize
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		writing := later(func() error { return p.Write(t.Context(), bin(make([]byte, 10*bufferSize))) })
		p.Send() <- text("queued")
		second := later(func() error { return p.Write(t.Context(), text("queued as well")) })
		peer.sendClose(4002, "")
		synctest.Wait()
		for {
			h, payload, err := peer.receive()
			require.NoError(t, err)
			if h.Opcode == frame.Close {
				require.Equal(t, string(frame.AppendClose(nil, 4002, "")), string(payload))
				break
			}
			require.False(t, h.Fin, "the message is cut off between fragments")
		}
		require.Equal(t, closed{4002, ""}, <-writing)
		require.Equal(t, closed{4002, ""}, <-second)
		require.Equal(t, closed{4002, ""}, requireEnd(t, p))
		require.EqualValues(t, 0, p.Stats().MessagesSent)
	})
}

func TestClosingTellsWhenNothingMoreIsTaken(t *testing.T) {
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	t.Run("by a close frame", func(t *testing.T) {
		inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
			closing := p.Closing()
			require.False(t, isClosed(closing))
			p.Shutdown(1000, "")
			require.True(t, isClosed(closing))
			require.True(t, isClosed(p.Closing()))
			peer.expectClose(1000, "")
			peer.sendClose(1000, "")
			requireEnd(t, p)
			require.True(t, isClosed(closing))
		})
	})
	t.Run("by the end", func(t *testing.T) {
		inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
			closing := p.Closing()
			p.Abort()
			require.True(t, isClosed(closing))
		})
	})
	t.Run("asked for after the end", func(t *testing.T) {
		inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
			p.Abort()
			require.True(t, isClosed(p.Closing()))
		})
	})
}

func TestAfterEndCallsOnceAndAfterTheContext(t *testing.T) {
	opts := testOptions()
	var ended []error
	opts.Trace.Ended = func(err error) { ended = append(ended, err) }
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		calls := 0
		after := func() {
			require.Error(t, p.Context().Err())
			calls++
		}
		p.AfterEnd(after)
		synctest.Wait()
		require.Zero(t, calls)
		p.Abort()
		synctest.Wait()
		require.Equal(t, 1, calls)
		p.AfterEnd(after)
		require.Equal(t, 2, calls, "at once, when the end is known")
		require.Equal(t, []error{p.Err()}, ended)
	})
}

// The socket of a peer that has made an error stays open for a second, so that the
// close frame that tells of it is not lost with what the peer still sends.
func TestAPeerInErrorIsGivenTimeToReadWhy(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		_, err := peer.conn.Write([]byte{0xff, 0xff})
		require.NoError(t, err)
		h, _, err := peer.receive()
		require.NoError(t, err)
		require.Equal(t, frame.Close, h.Opcode)
		<-p.Context().Done()
		began := time.Now()
		_, err = peer.conn.Write(make([]byte, 3*bufferSize))
		require.NoError(t, err, "nobody decodes it")
		_, _, err = peer.receive()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, lingerTimeout, time.Since(began))
		var breach *frame.Error
		require.ErrorAs(t, asFailed(t, requireEnd(t, p)), &breach)
	})
}

func TestTheUsersCloseDuringAFailureTellsTheFailure(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		closing := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		peer.conn.Close()
		require.ErrorIs(t, <-closing, io.ErrUnexpectedEOF)
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), io.ErrUnexpectedEOF)
	})
}

func TestAContextThatEndsCutsTheSecondCloseToo(t *testing.T) {
	opts := testOptions()
	opts.CloseTimeout = -1
	inBubble(t, opts, func(t *testing.T, p *Pump[any, any], peer *peer) {
		first := later(func() error { return p.Close(t.Context(), 1000, "") })
		peer.expectClose(1000, "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Close(ctx, 1000, ""), net.ErrClosed)
		require.ErrorIs(t, <-first, context.DeadlineExceeded)
	})
}

// encrypted starts a server's pump over TLS. Its peer sends behind the handshake, and
// below it wire gives what the server sends.
func encrypted(t *testing.T, opts Options) (p *Pump[any, any], peer *peer, wire net.Conn) {
	site := httptest.NewUnstartedServer(nil)
	site.StartTLS()
	config := site.TLS.Clone()
	site.Close()
	config.NextProtos, config.SessionTicketsDisabled = nil, true
	a, b := tcpPair(t)
	client := tls.Client(a, &tls.Config{InsecureSkipVerify: true}) // the test's own certificate
	server := tls.Server(b, config)
	done := make(chan error, 1)
	go func() { done <- client.HandshakeContext(t.Context()) }()
	require.NoError(t, server.HandshakeContext(t.Context()))
	require.NoError(t, <-done)
	p = Start(testConfig{Context: context.Background(), Conn: server, Options: &opts, Types: &testTypes})
	t.Cleanup(func() { p.CloseNow() })
	return p, newPeer(t, client), a
}

func newPeer(t *testing.T, conn net.Conn) *peer { return &peer{t: t, conn: conn, mask: true} }

// records counts the TLS records that come until the end.
func records(t *testing.T, wire io.Reader) (n int) {
	b, err := io.ReadAll(wire)
	require.NoError(t, err)
	for ; len(b) > 0; n++ {
		b = b[5+int(binary.BigEndian.Uint16(b[3:])):]
	}
	return n
}

func TestTLSSaysGoodbyeAfterTheCloseHandshake(t *testing.T) {
	p, peer, wire := encrypted(t, testOptions())
	require.IsType(t, &tls.Conn{}, p.NetConn())
	peer.sendClose(1000, "")
	require.Equal(t, 2, records(t, wire), "the close frame, and the alert")
	require.Equal(t, closed{1000, ""}, <-p.Events())
}

func TestCloseNowCutsTheSocketBelowTLS(t *testing.T) {
	p, _, wire := encrypted(t, testOptions())
	require.NoError(t, p.CloseNow())
	require.Zero(t, records(t, wire), "not even the alert")
}

// slowCause is a context whose cause takes a second to learn.
type slowCause struct {
	context.Context
	looks atomic.Int32
}

func (c *slowCause) Value(key any) any {
	c.looks.Add(1)
	defer c.looks.Add(-1)
	time.Sleep(time.Second)
	return c.Context.Value(key)
}

func TestACloseWhoseContextEndsAtTheEndLeavesNoGoroutine(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		ctx, cancel := context.WithCancel(t.Context())
		slow := &slowCause{Context: ctx}
		var left int32 // that still look
		closing := later(func() error {
			err := p.Close(slow, 1000, "")
			left = slow.looks.Load()
			return err
		})
		peer.expectClose(1000, "")
		cancel()
		synctest.Wait()
		peer.sendClose(1000, "")
		require.NoError(t, <-closing)
		require.Zero(t, left)
	})
}
