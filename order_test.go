package chanws_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestEventsComeInWireOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		peer.send(frame.Text, "é")
		peer.send(frame.Ping, "1")
		peer.send(frame.Binary, "\x00")
		peer.send(frame.Pong, "2")
		peer.write(peer.encode(false, frame.Text, []byte("one ")))
		peer.send(frame.Ping, "between")
		peer.write(peer.encode(false, frame.Continuation, nil))
		peer.write(peer.encode(true, frame.Continuation, []byte("message")))
		peer.send(frame.Text, "")
		peer.send(frame.Binary, "")
		peer.sendClose(3000, "end")
		var got []chanws.Event
		for ev := range conn.Events() {
			got = append(got, ev)
		}
		require.Equal(t, []chanws.Event{
			chanws.Text("é"), chanws.Ping("1"), chanws.Binary{0}, chanws.Pong("2"),
			chanws.Ping("between"), chanws.Text("one message"), chanws.Text(""), chanws.Binary{},
			chanws.Close{Code: 3000, Reason: "end"},
		}, got)
		peer.expect(frame.Pong, "1")
		peer.expect(frame.Pong, "between")
		peer.expectClose(3000, "")
		peer.expectEOF()
	})
}

func TestProgramOrderHoldsAcrossSendWriteAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		for i := range 100 {
			conn.Send <- chanws.Text(fmt.Sprint("send ", i))
			if i%10 == 0 {
				require.NoError(t, conn.Write(t.Context(), chanws.Text(fmt.Sprint("write ", i))))
			}
		}
		done := make(chan error)
		go func() { done <- conn.Close(1000, "") }()
		for i := range 100 {
			peer.expect(frame.Text, fmt.Sprint("send ", i))
			if i%10 == 0 {
				peer.expect(frame.Text, fmt.Sprint("write ", i))
			}
		}
		peer.expectClose(1000, "")
		peer.sendClose(1000, "")
		require.NoError(t, <-done)
	})
}

func TestACloseGoesAfterWhatSendHeldAlsoWhenThePeerWasNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{SendBuffer: 8})
		big := strings.Repeat("x", 100<<10) // more than fits in the pipe
		for range 10 {
			conn.Send <- chanws.Text(big)
		}
		done := make(chan error)
		go func() { done <- conn.Close(1001, "") }()
		synctest.Wait()
		for range 10 {
			peer.expect(frame.Text, big)
		}
		peer.expectClose(1001, "")
		peer.sendClose(1001, "")
		require.NoError(t, <-done)
	})
}

func TestACloseMessageEndsTheWriting(t *testing.T) {
	for _, way := range []string{"Send", "Write"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dropped []error
				conn, peer := rawPair(t, chanws.Options{OnDrop: func(m chanws.Message, err error) {
					require.Equal(t, chanws.Text("late"), m)
					dropped = append(dropped, err)
				}})
				conn.Send <- chanws.Text("first")
				if way == "Send" {
					conn.Send <- chanws.Close{Code: 4000, Reason: "done"}
				} else {
					require.NoError(t, conn.Write(t.Context(), chanws.Close{Code: 4000, Reason: "done"}))
				}
				conn.Send <- chanws.Text("late")
				require.ErrorIs(t, conn.Write(t.Context(), chanws.Text("late")), net.ErrClosed)
				require.NoError(t, conn.Err())
				peer.expect(frame.Text, "first")
				peer.expectClose(4000, "done")
				peer.send(frame.Text, "still heard")
				peer.sendClose(4000, "")
				require.Equal(t, chanws.Text("still heard"), <-conn.Events())
				require.Equal(t, chanws.Close{Code: 4000}, <-conn.Events())
				synctest.Wait()
				require.NoError(t, conn.Close(1000, ""), "it ended with both close frames before")
				require.Len(t, dropped, 1)
				require.ErrorIs(t, dropped[0], net.ErrClosed)
				require.EqualValues(t, 1, conn.Stats().DroppedMessages)
				peer.expectEOF()
			})
		})
	}
}

func TestControlFramesOvertakeDataBetweenFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{FragmentSize: 48 << 10})
		conn.Send <- chanws.Binary(make([]byte, 4800<<10)) // far more than the pipe holds
		synctest.Wait()
		peer.send(frame.Ping, "now")
		synctest.Wait()
		for i := 0; ; i++ {
			f := peer.next()
			if f.Opcode == frame.Pong {
				require.Less(t, i, 6, "the pong waited for the message")
				break
			}
		}
		peer.sendClose(1000, "")
		synctest.Wait()
		for i := 0; ; i++ {
			f := peer.next()
			if f.Opcode == frame.Close {
				require.Less(t, i, 6, "the answer waited for the message")
				break
			}
		}
		peer.expectEOF()
		require.Equal(t, chanws.Ping("now"), <-conn.Events())
		require.Equal(t, chanws.Close{Code: 1000}, <-conn.Events())
	})
}

func TestFragmentsAreAsLargeAsFragmentSizeSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{FragmentSize: 3})
		conn.Send <- chanws.Text("ab€cd") // the euro sign is cut in two
		var got []string
		for i := 0; ; i++ {
			f := peer.next()
			require.Equal(t, i == 0, f.Opcode == frame.Text)
			got = append(got, string(f.payload))
			if f.Fin {
				break
			}
		}
		require.Equal(t, []string{"ab\xe2", "\x82\xacc", "d"}, got)
		conn.Send <- chanws.Binary("abc")
		peer.expect(frame.Binary, "abc")
		conn.Send <- chanws.Ping("a long ping is no message")
		peer.expect(frame.Ping, "a long ping is no message")
	})
}

// heldConn counts writes, and holds the first until it is let go.
type heldConn struct {
	net.Conn
	writes  *atomic.Int64
	holding *atomic.Bool
	held    chan struct{}
	letGo   chan struct{}
}

func (c *heldConn) Write(b []byte) (int, error) {
	if c.holding.CompareAndSwap(true, false) {
		close(c.held)
		<-c.letGo
	}
	c.writes.Add(1)
	return c.Conn.Write(b)
}

type heldListener struct {
	net.Listener
	conn *heldConn
}

func (l heldListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.conn.Conn = c
		c = l.conn
	}
	return c, err
}

func TestPipelinedEchoesAreCorked(t *testing.T) {
	t.Parallel()
	held := &heldConn{
		writes: new(atomic.Int64), holding: new(atomic.Bool),
		held: make(chan struct{}), letGo: make(chan struct{}),
	}
	queued := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		held.holding.Store(true)
		held.writes.Store(0)
		n := 0
		for ev := range c.Events() {
			if m, ok := ev.(chanws.Binary); ok {
				c.Send <- m
				if n++; n == 100 {
					close(queued)
				}
			}
		}
	}))
	s.Listener = heldListener{s.Listener, held}
	s.Start()
	defer s.Close()
	bare, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer bare.Close()
	io.WriteString(bare, "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+rawKey+"\r\n\r\n")
	readHead(t, bare)
	peer := newRawPeer(t, bare, true)
	for i := range 100 {
		peer.write(peer.encode(true, frame.Binary, []byte(strings.Repeat(fmt.Sprintf("%8d", i), 16))))
	}
	<-held.held
	<-queued
	close(held.letGo)
	for i := range 100 {
		peer.expect(frame.Binary, strings.Repeat(fmt.Sprintf("%8d", i), 16))
	}
	require.Less(t, held.writes.Load(), int64(10))
}

func TestALoneMessageWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		began := time.Now()
		for range 10 {
			conn.Send <- chanws.Text("x")
			peer.expect(frame.Text, "x")
		}
		require.Zero(t, time.Since(began))
	})
}

func TestOneMessageMayBeSentOnManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := chanws.Binary(strings.Repeat("shared", 20_000))
		for range 3 {
			_, server := pipe(t, chanws.Options{MaxMessageSize: -1})
			server.Send <- shared
		}
		client, server := pipe(t, chanws.Options{MaxMessageSize: -1})
		client.Send <- shared // a client masks: a copy
		got, err := server.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, shared, got)
		require.Equal(t, chanws.Binary(strings.Repeat("shared", 20_000)), shared)
	})
}

func TestReceiveLeavesTheConnectionAliveWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := conn.Receive(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		peer.send(frame.Text, "hello")
		ev, err := conn.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("hello"), ev)
		peer.sendClose(1000, "")
		for range 2 {
			ev, err = conn.Receive(t.Context())
			require.Nil(t, ev)
			require.Equal(t, chanws.Close{Code: 1000}, err)
		}
	})
}
