package chanws_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestNoDataComesAfterCloseNowAlsoWhileTheCloseFrameIsGivenTime(t *testing.T) {
	bad := 0
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := rawPair(t, chanws.Options{EventBuffer: 2})
			peer.send(frame.Text, "1")
			peer.send(frame.Text, "2")
			peer.write([]byte{0xf1})
			synctest.Wait() // the terminal event finds no room: linger
			var got []chanws.Event
			for ev := range conn.Events() {
				if got = append(got, ev); len(got) == 1 {
					conn.CloseNow()
				}
			}
			if len(got) != 2 {
				bad++
			}
		})
	}
	require.Zero(t, bad, "of 50 had data after Close")
}

func TestAWriteAfterCloseOfSendIsRefused(t *testing.T) {
	bad := 0
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			conn, _ := rawPair(t, chanws.Options{})
			conn.Send <- chanws.Text("last")
			close(conn.Send)
			if err := conn.Write(t.Context(), chanws.Text("late")); !errors.Is(err, net.ErrClosed) {
				bad++
			}
		})
	}
	require.Zero(t, bad, "of 200")
}

func TestAMessageCutOffOnItsWayIsCounted(t *testing.T) {
	for name, cut := range map[string]func(*rawPeer){
		"by the peer's close between fragments": func(p *rawPeer) { p.sendClose(1000, "") },
		"by a write that failed":                func(p *rawPeer) { p.drop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, chanws.Options{FragmentSize: 48 << 10})
				conn.Send <- chanws.Binary(make([]byte, 480<<10))
				synctest.Wait()
				cut(peer)
				synctest.Wait()
				peer.read()
				for range conn.Events() {
				}
				s := conn.Stats()
				require.Zero(t, s.MessagesSent)
				require.EqualValues(t, 1, s.DroppedMessages)
			})
		})
	}
}

func TestASecondCloseContextIsBoundedByItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{CloseTimeout: -1})
		go conn.Close(1000, "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, conn.CloseContext(ctx, 1000, ""), net.ErrClosed)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, conn.Err(), context.DeadlineExceeded)
	})
}

func TestCloseNowReturnsAgainstSendersWithoutEnd(t *testing.T) {
	conn, _ := wstest.Raw(t, nil)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for {
				select {
				case conn.Send <- chanws.Text("x"):
				case <-stop:
					return
				}
			}
		})
	}
	until(t, func() bool { return conn.Stats().MessagesSent > 100 })
	require.NoError(t, conn.CloseNow())
	close(stop)
	senders.Wait()
}

func TestCloseAgreesWithErrWhenThePeersCloseIsReadTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{EventBuffer: 1, CloseTimeout: time.Second})
		peer.write(append(append(append(peer.encode(true, frame.Text, []byte("1")), peer.encode(true, frame.Text, []byte("2"))...),
			peer.encode(true, frame.Text, []byte("3"))...),
			peer.encode(true, frame.Close, []byte{3, 232})...))
		synctest.Wait()
		close(conn.Send)
		<-conn.Done()
		require.ErrorIs(t, conn.Err(), os.ErrDeadlineExceeded)
		require.Equal(t, conn.Err(), conn.Close(1000, ""))
	})
}

func TestAllThatComesWithTheHandshakeIsRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
			return
		}
		b := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: " + acceptOf(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
		p := rawPeer{}
		for range 100 { // more than a pump's buffer holds
			b = append(b, p.encode(true, frame.Text, []byte(strings.Repeat("x", 1000)))...)
		}
		b = append(b, p.encode(true, frame.Binary, make([]byte, 100_000))...)
		c.Write(b)
		io.Copy(io.Discard, c)
	}()
	c, err := chanws.Dial(t.Context(), "ws://"+l.Addr().String(), &chanws.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{ReadBufferSize: 256 << 10}},
	})
	require.NoError(t, err)
	for range 100 {
		require.Equal(t, chanws.Text(strings.Repeat("x", 1000)), <-c.Events())
	}
	require.Equal(t, chanws.Binary(make([]byte, 100_000)), <-c.Events())
	c.CloseNow()
	<-ended
}

func TestTheCodeForAnErrorOvertakesACloseThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		conn.Send <- chanws.Binary(make([]byte, 100<<10))
		synctest.Wait()
		conn.Send <- chanws.Binary(make([]byte, 1<<10))
		go conn.Close(1000, "")
		synctest.Wait()
		peer.write([]byte{0xf1})
		synctest.Wait()
		for {
			f := peer.next()
			if f.Opcode == frame.Close {
				code, _, _ := frame.ParseClose(f.payload)
				require.Equal(t, 1002, code, "%v", conn.Err())
				return
			}
		}
	})
}

func TestTheCodeForAnErrorOvertakesACloseInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		conn.Send <- chanws.Binary(make([]byte, 10))
		synctest.Wait()
		peer.next()
		// the message is taken by attend, the close entry behind it
		big := chanws.Binary(make([]byte, 100<<10))
		go conn.Write(t.Context(), chanws.Binary(make([]byte, 100<<10)))
		synctest.Wait()
		conn.Send <- big
		go conn.Close(1000, "")
		synctest.Wait()
		b := make([]byte, 80<<10)
		n := 0
		for n < 60<<10 { // the write pump is in big now
			k, err := peer.conn.Read(b)
			require.NoError(t, err)
			n += k
			peer.buf = append(peer.buf, b[:k]...)
			synctest.Wait()
		}
		peer.write([]byte{0xf1})
		synctest.Wait()
		for {
			f := peer.next()
			if f.Opcode == frame.Close {
				code, _, _ := frame.ParseClose(f.payload)
				require.Equal(t, 1002, code, "%v", conn.Err())
				return
			}
		}
	})
}

func TestPongsThatWaitGoBeforeAClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		go conn.Write(t.Context(), chanws.Binary(make([]byte, 100<<10)))
		synctest.Wait()
		conn.Send <- chanws.Binary(make([]byte, 100<<10))
		go conn.Close(1000, "")
		synctest.Wait()
		b := make([]byte, 80<<10)
		n := 0
		for n < 60<<10 {
			k, _ := peer.conn.Read(b)
			n += k
			peer.buf = append(peer.buf, b[:k]...)
			synctest.Wait()
		}
		peer.send(frame.Ping, "p")
		synctest.Wait()
		for {
			f := peer.next()
			require.NotEqual(t, frame.Close, f.Opcode)
			if f.Opcode == frame.Pong {
				return
			}
		}
	})
}

func TestKeepaliveDoesNotCutOffLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{WriteTimeout: time.Second, PingInterval: time.Second})
		require.Error(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 200<<10))))
		time.Sleep(4 * time.Second)
		peer.send(frame.Text, "last words")
		peer.sendClose(4001, "and goodbye")
		ev := <-conn.Events()
		require.Equal(t, chanws.Text("last words"), ev)
	})
}

func TestOnlyFramesThatWentOutAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{WriteTimeout: time.Second})
		for range 2 {
			require.NoError(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 32<<10-4))))
		}
		for range 3 {
			conn.Send <- chanws.Text("never sent")
		}
		time.Sleep(2 * time.Second)
		peer.next()
		peer.next()
		peer.expectClose(1011, "write timed out")
		peer.sendClose(1011, "")
		<-conn.Done()
		s := conn.Stats()
		require.EqualValues(t, 3, s.FramesSent)
		require.EqualValues(t, 2*(32<<10)+4+15, s.BytesSent)
	})
}

func TestAWriteOfCloseReturnsOnlyWhenItIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		for range 2 { // 65536 bytes: the pipe is full
			require.NoError(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 32<<10-4))))
		}
		conn.Send <- chanws.Binary{} // the pump is in a flush of 2 bytes
		synctest.Wait()
		conn.Send <- chanws.Binary(make([]byte, 32760-4)) // leaves 8 bytes of the batch
		done := make(chan error, 1)
		go func() { done <- conn.Write(t.Context(), chanws.Close{Code: 1000}) }()
		synctest.Wait()
		_, err := io.ReadFull(peer.conn, make([]byte, 2+32760)) // room for all but the close frame
		require.NoError(t, err)
		synctest.Wait()
		sent := conn.Stats().BytesSent
		select {
		case err := <-done:
			t.Fatalf("Write returned %v with %d bytes of %d sent", err, sent, 65536+2+32760+4)
		default:
		}
		conn.CloseNow()
	})
}

func TestACloseWhoseWriteWasGivenUpIsSentAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		conn.Send <- chanws.Binary(make([]byte, 100<<10))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, conn.Write(ctx, chanws.Close{Code: 4000}), context.DeadlineExceeded)
		require.ErrorIs(t, conn.Write(t.Context(), chanws.Text("late")), net.ErrClosed)
		require.Equal(t, frame.Binary, peer.next().Opcode)
		peer.expectClose(4000, "")
	})
}

func TestWithdrawnWritesLeaveTheOthersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		conn.Send <- chanws.Binary(make([]byte, 100<<10))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 20)
		for i := range 20 {
			its := t.Context()
			if i%2 == 0 {
				its = ctx
			}
			go func() { errs <- conn.Write(its, chanws.Text(fmt.Sprint(i))) }()
			synctest.Wait()
		}
		cancel()
		for range 10 {
			require.ErrorIs(t, <-errs, context.Canceled)
		}
		require.Equal(t, frame.Binary, peer.next().Opcode)
		for i := 1; i < 20; i += 2 {
			peer.expect(frame.Text, fmt.Sprint(i))
			require.NoError(t, <-errs)
		}
	})
}

// The slice of a Write that was begun is the caller's again also where payloads go out
// uncopied, over TCP.
func TestTheRestOfAWriteFollowsOnItsOwnOverTCP(t *testing.T) {
	t.Parallel()
	conn, bare := openServer(t, false, chanws.Options{})
	defer bare.Close()
	defer conn.CloseNow()
	peer := newRawPeer(t, bare, true)
	want := strings.Repeat("0123456789abcdef", 1<<18)
	payload := chanws.Binary(want)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- conn.Write(ctx, payload) }()
	require.NoError(t, peer.awaitHeader())
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	clear(payload)
	require.True(t, want == string(peer.next().payload), "the message was harmed")
	require.NoError(t, conn.Write(t.Context(), chanws.Text("next")))
	peer.expect(frame.Text, "next")
}

func TestLargeWritesGoOutUncopiedAndWhole(t *testing.T) {
	t.Parallel()
	conn, bare := openServer(t, false, chanws.Options{})
	defer bare.Close()
	defer conn.CloseNow()
	peer := newRawPeer(t, bare, true)
	want := strings.Repeat("0123456789abcdef", 1<<18)
	for _, size := range []int{8 << 10, 32 << 10, 64<<10 + 1, len(want)} {
		done := make(chan error, 1)
		go func() { done <- conn.Write(context.Background(), chanws.Binary(want[:size])) }()
		require.True(t, want[:size] == string(peer.next().payload))
		require.NoError(t, <-done)
	}
	require.EqualValues(t, 4, conn.Stats().MessagesSent)
}

func TestOnDropIsSilentAboutWhatALocalCloseDiscards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{OnDrop: func(m chanws.Message, err error) { t.Errorf("%v: %v", m, err) }})
		done := make(chan error)
		go func() { done <- conn.Close(1000, "") }()
		peer.expectClose(1000, "")
		for range 300 {
			conn.Send <- chanws.Text("late")
		}
		peer.sendClose(1000, "")
		require.NoError(t, <-done)
		require.EqualValues(t, 300, conn.Stats().DroppedMessages)
	})
}
