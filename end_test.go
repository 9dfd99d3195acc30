package chanws_test

import (
	"bufio"
	"context"
	"errors"
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
		require.Equal(t, net.ErrClosed, conn.CloseContext(ctx, 1000, ""))
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
