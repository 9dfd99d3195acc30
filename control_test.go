package chanws_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestPingsAreAnsweredWithoutAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, peer := rawPair(t, chanws.Options{})
		for _, payload := range []string{"", "x", strings.Repeat("p", 125)} {
			peer.send(frame.Ping, payload)
			peer.expect(frame.Pong, payload)
		}
	})
}

func TestManualPongLeavesTheAnswerToTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{ManualPong: true})
		peer.send(frame.Ping, "p")
		require.Equal(t, chanws.Ping("p"), <-conn.Events())
		synctest.Wait()
		require.Zero(t, conn.Stats().PongsSent)
		conn.Send <- chanws.Pong("answer")
		peer.expect(frame.Pong, "answer")
	})
}

func TestNoPongIsDroppedUnderAFloodOfPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{EventBuffer: 1})
		const pings = 5000
		go func() {
			for range pings {
				peer.send(frame.Ping, strings.Repeat("f", 125))
			}
		}()
		synctest.Wait() // the peer does not read: the flood has come to a halt
		held := conn.Stats().PingsReceived
		require.Less(t, held, uint64(2000), "pending pongs are not bounded")
		time.Sleep(time.Hour)
		require.Equal(t, held, conn.Stats().PingsReceived)
		for range pings {
			peer.expect(frame.Pong, strings.Repeat("f", 125))
		}
		synctest.Wait()
		s := conn.Stats()
		require.EqualValues(t, pings, s.PongsSent)
		require.EqualValues(t, pings-1, s.DroppedEvents, "all but the one event that found room")
	})
}

func TestKeepaliveIsNoEventAndMeasuresTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trips []time.Duration
		conn, peer := rawPair(t, chanws.Options{
			PingInterval: 300 * time.Millisecond,
			Trace:        &chanws.Trace{KeepalivePong: func(d time.Duration) { trips = append(trips, d) }},
		})
		for range 5 {
			f := peer.next()
			require.Equal(t, frame.Ping, f.Opcode)
			time.Sleep(100 * time.Millisecond)
			peer.send(frame.Pong, string(f.payload))
		}
		peer.send(frame.Pong, "unsolicited")
		require.Equal(t, chanws.Pong("unsolicited"), <-conn.Events())
		require.Len(t, trips, 5)
		require.Equal(t, 100*time.Millisecond, trips[0])
		require.NoError(t, conn.Err())
	})
}

func TestAPongOfSomebodyElsesMakingDoesNotCountAsKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second})
		f := peer.next()
		began := time.Now()
		peer.send(frame.Pong, "guess")
		peer.send(frame.Pong, string(f.payload)+"!")
		require.Equal(t, chanws.Pong("guess"), <-conn.Events())
		<-conn.Events()
		<-conn.Done()
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, conn.Err(), os.ErrDeadlineExceeded)
	})
}

func TestKeepaliveEndsASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: 250 * time.Millisecond, PongTimeout: 700 * time.Millisecond})
		began := time.Now()
		for ev := range conn.Events() {
			require.ErrorIs(t, ev.(chanws.Error), os.ErrDeadlineExceeded)
			require.ErrorContains(t, ev.(chanws.Error), "chanws: keepalive: no pong within Options.PongTimeout 700ms (Options.PingInterval 250ms)")
			require.Equal(t, 950*time.Millisecond, time.Since(began))
		}
		for range 3 {
			require.Equal(t, frame.Ping, peer.next().Opcode)
		}
		peer.expectClose(1011, "keepalive: no pong within Options.PongTimeout 700ms (Options.PingInterval 250ms)")
		peer.expectEOF()
	})
}

func TestKeepaliveGoesOnWithALongPongTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second, PongTimeout: 10 * time.Second})
		for range 50 { // every pong five seconds late, but there
			f := peer.next()
			time.AfterFunc(5*time.Second, func() { peer.send(frame.Pong, string(f.payload)) })
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.NoError(t, conn.Err())
		<-conn.Done() // now it is silent
		require.ErrorIs(t, conn.Err(), os.ErrDeadlineExceeded)
	})
}

func TestASlowConsumerIsNeverTakenForADeadPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wsPipe(t, chanws.Options{}, chanws.Options{EventBuffer: 1, PingInterval: time.Second})
		go func() {
			for range 50 {
				client.Send <- chanws.Text("much to do")
			}
		}()
		for range 50 {
			ev, err := server.Receive(t.Context())
			require.NoError(t, err)
			require.Equal(t, chanws.Text("much to do"), ev)
			time.Sleep(time.Minute)
		}
		require.NoError(t, server.Err())
	})
}

func TestAPeerThatTakesBytesBeforeThePingIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second})
		conn.Send <- chanws.Binary(make([]byte, 4<<20)) // one frame: no ping goes in between
		for conn.Stats().BytesSent < 4<<20 && conn.Err() == nil {
			b := make([]byte, 64<<10)
			n, err := io.ReadFull(peer.conn, b)
			require.NoError(t, err)
			peer.buf = append(peer.buf, b[:n]...)
			time.Sleep(900 * time.Millisecond)
		}
		require.NoError(t, conn.Err())
		require.Equal(t, frame.Binary, peer.next().Opcode)
		f := peer.next()
		require.Equal(t, frame.Ping, f.Opcode)
		peer.send(frame.Pong, string(f.payload))
		synctest.Wait()
		require.NoError(t, conn.Err())
	})
}

func TestIdleTimeoutFiresOnceForEveryWholePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{IdleTimeout: 300 * time.Millisecond})
		began := time.Now()
		at := func() time.Duration {
			ev := <-conn.Events()
			require.IsType(t, chanws.IdleTimeout{}, ev)
			require.Equal(t, 300*time.Millisecond, ev.(chanws.IdleTimeout).Idle%(300*time.Millisecond)+300*time.Millisecond)
			return time.Since(began)
		}
		require.Equal(t, 300*time.Millisecond, at())
		require.Equal(t, 600*time.Millisecond, at())
		time.Sleep(100 * time.Millisecond)
		peer.send(frame.Text, "active")
		require.Equal(t, chanws.Text("active"), <-conn.Events())
		require.Equal(t, 1000*time.Millisecond, at())
		time.Sleep(100 * time.Millisecond)
		conn.Send <- chanws.Text("active")
		require.Equal(t, 1400*time.Millisecond, at())
		time.Sleep(100 * time.Millisecond)
		peer.send(frame.Ping, "active")
		require.Equal(t, chanws.Ping("active"), <-conn.Events())
		require.Equal(t, 1800*time.Millisecond, at())
		require.NoError(t, conn.Err(), "it closes nothing")
	})
}

func TestHalfAFrameCountsAsActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{IdleTimeout: time.Second})
		began := time.Now()
		for _, b := range peer.encode(true, frame.Text, []byte("slowly")) {
			time.Sleep(900 * time.Millisecond)
			peer.write([]byte{b})
		}
		require.Equal(t, chanws.Text("slowly"), <-conn.Events())
		require.IsType(t, chanws.IdleTimeout{}, <-conn.Events())
		require.Equal(t, 12*900*time.Millisecond+time.Second, time.Since(began))
	})
}

func TestKeepaliveIsNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wsPipe(t, chanws.Options{}, chanws.Options{IdleTimeout: time.Second, PingInterval: 300 * time.Millisecond})
		began := time.Now()
		for i := range 3 {
			ev := <-server.Events()
			require.Equal(t, chanws.IdleTimeout{Idle: time.Duration(i+1) * time.Second}, ev)
			require.Equal(t, time.Duration(i+1)*time.Second, time.Since(began))
		}
		require.GreaterOrEqual(t, server.Stats().PongsReceived, uint64(9))
		require.NoError(t, client.Err())
	})
}

func TestAnIdleEventThatFindsTheChannelFullIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{IdleTimeout: time.Second, EventBuffer: 2})
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 3, conn.Stats().DroppedEvents)
		require.NoError(t, conn.CloseNow())
	})
}

func TestCloseTimeoutIsAsLongAsItSays(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, 1500 * time.Millisecond, 0} {
		synctest.Test(t, func(t *testing.T) {
			conn, peer := rawPair(t, chanws.Options{CloseTimeout: d})
			began := time.Now()
			err := conn.Close(1000, "")
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			if d == 0 {
				d = 5 * time.Second
			}
			require.Equal(t, d, time.Since(began))
			peer.expectClose(1000, "")
			peer.expectEOF()
		})
	}
}

func TestANegativeCloseTimeoutWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{CloseTimeout: -1})
		done := make(chan error)
		go func() { done <- conn.Close(1000, "") }()
		peer.expectClose(1000, "")
		time.Sleep(24 * time.Hour)
		peer.sendClose(1000, "")
		require.NoError(t, <-done)
	})
}

func TestDataAheadOfThePeersCloseDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{EventBuffer: 1})
		done := make(chan error)
		go func() { done <- conn.Close(1000, "") }()
		peer.expectClose(1000, "")
		for range 1000 {
			peer.send(frame.Text, "ahead")
		}
		peer.sendClose(1000, "")
		began := time.Now()
		require.NoError(t, <-done)
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 1000, conn.Stats().DroppedEvents)
		require.Equal(t, chanws.Close{Code: 1000}, <-conn.Events())
	})
}

// hiddenConn is a transport that gives a stream without deadlines, as a RoundTripper
// of the user's may.
type hiddenConn struct{ http.RoundTripper }

func (h hiddenConn) RoundTrip(r *http.Request) (*http.Response, error) {
	return h.RoundTripper.RoundTrip(r.WithContext(withoutTrace{r.Context()}))
}

// withoutTrace hides the trace that would tell of the net.Conn.
type withoutTrace struct{ context.Context }

func (c withoutTrace) Value(any) any { return nil }

func TestAStreamWithoutDeadlinesEndsAllTheSame(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, client, server *chanws.Conn){
		"CloseNow": func(t *testing.T, client, server *chanws.Conn) {
			require.NoError(t, client.CloseNow())
			require.ErrorIs(t, client.Err(), net.ErrClosed)
		},
		"Close": func(t *testing.T, client, server *chanws.Conn) {
			go func() {
				for range server.Events() {
				}
			}()
			require.NoError(t, client.Close(1000, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, nil)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c, err := chanws.Dial(t.Context(), l.URL(), &chanws.DialOptions{HTTPClient: &http.Client{Transport: hiddenConn{transport}}})
			require.NoError(t, err)
			defer c.CloseNow()
			s := <-l.Conns()
			defer s.CloseNow()
			require.NoError(t, s.Write(t.Context(), chanws.Text("hello")))
			require.Equal(t, chanws.Text("hello"), <-c.Events())
			end(t, c, s)
		})
	}
}

func TestKeepaliveEndsAStreamWithoutDeadlinesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(living(time.Hour, hello)) // which answers no ping
		transport := client.Transport.(*http.Transport)
		c, err := chanws.Dial(t.Context(), "ws://example.com/", &chanws.DialOptions{
			Options:    chanws.Options{PingInterval: 50 * time.Millisecond},
			HTTPClient: &http.Client{Transport: hiddenConn{transport}},
		})
		require.NoError(t, err)
		require.Equal(t, "websocket", c.LocalAddr().Network(), "its net.Conn is hidden")
		began := time.Now()
		require.Equal(t, chanws.Text("hello"), <-c.Events())
		<-c.Done()
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		require.ErrorIs(t, c.Err(), os.ErrDeadlineExceeded)
		require.NoError(t, c.CloseNow())
		servers.Wait()
		transport.CloseIdleConnections()
	})
}

func TestAKeepalivePongDoesNotHideAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{IdleTimeout: 10 * time.Second, PingInterval: 6 * time.Second})
		peer.read()
		began := time.Now()
		go func() {
			time.Sleep(5 * time.Second)
			conn.Send <- chanws.Text("active")
			time.Sleep(time.Second) // the ping
			time.Sleep(time.Millisecond)
			peer.mu.Lock()
			f := peer.frames[len(peer.frames)-1]
			peer.mu.Unlock()
			require.Equal(t, frame.Ping, f.Opcode)
			peer.send(frame.Pong, string(f.payload))
		}()
		<-conn.Events()
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}

func TestALargeMessageOnItsWayIsActivity(t *testing.T) {
	for _, server := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			conn, bare := openMemory(t, server, chanws.Options{IdleTimeout: time.Second})
			conn.Send <- chanws.Binary(make([]byte, 2<<20))
			b := make([]byte, 64<<10)
			for range 20 {
				_, err := io.ReadFull(bare, b)
				require.NoError(t, err)
				time.Sleep(900 * time.Millisecond)
			}
			synctest.Wait()
			require.Empty(t, conn.Events(), "server %v", server)
		})
	}
}

func TestRoundTripsLongerThanThePingIntervalAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trips []time.Duration
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second, PongTimeout: 10 * time.Second,
			Trace: &chanws.Trace{KeepalivePong: func(d time.Duration) { trips = append(trips, d) }}})
		for range 10 {
			f := peer.next()
			time.AfterFunc(1500*time.Millisecond, func() { peer.send(frame.Pong, string(f.payload)) })
		}
		synctest.Wait()
		require.NoError(t, conn.Err())
		require.NotEmpty(t, trips)
		require.Equal(t, 1500*time.Millisecond, trips[0])
	})
}

func TestSeveralKeepalivePongsInOneReadAreNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{IdleTimeout: 10 * time.Second, PingInterval: 3 * time.Second, PongTimeout: 60 * time.Second})
		began := time.Now()
		f1, f2 := peer.next(), peer.next()
		peer.write(append(peer.encode(true, frame.Pong, f1.payload), peer.encode(true, frame.Pong, f2.payload)...))
		<-conn.Events()
		require.Equal(t, 10*time.Second, time.Since(began), "two in one read")
	})
}

func TestAKeepalivePongInPiecesIsNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{IdleTimeout: 10 * time.Second, PingInterval: 3 * time.Second, PongTimeout: 60 * time.Second})
		began := time.Now()
		f1 := peer.next()
		b := peer.encode(true, frame.Pong, f1.payload)
		peer.write(b[:5])
		synctest.Wait()
		peer.write(b[5:])
		<-conn.Events()
		require.Equal(t, 10*time.Second, time.Since(began), "split")
	})
}

func TestAPeerInTheMiddleOfALargeFrameIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second})
		b := peer.encode(true, frame.Binary, make([]byte, 1<<20))
		for len(b) > 0 && conn.Err() == nil {
			n := min(len(b), 100<<10)
			peer.write(b[:n])
			b = b[n:]
			time.Sleep(300 * time.Millisecond)
		}
		require.NoError(t, conn.Err())
	})
}

func TestControlEventsAfterALocalCloseAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		go conn.Close(1000, "")
		synctest.Wait()
		peer.send(frame.Pong, "x")
		peer.send(frame.Text, "x")
		synctest.Wait()
		require.EqualValues(t, 2, conn.Stats().DroppedEvents)
	})
}

func TestAPeerThatTakesMessagesIsAliveAlthoughItAnswersNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: time.Second})
		peer.answers = false
		peer.read()
		for range 1000 {
			conn.Send <- chanws.Text("news")
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, conn.Err(), "it has taken messages for ten PongTimeouts")
		lastTaken := time.Now()
		<-conn.Done()
		require.ErrorIs(t, conn.Err(), os.ErrDeadlineExceeded)
		require.InDelta(t, time.Second, time.Since(lastTaken), float64(time.Second)/8)
	})
}
