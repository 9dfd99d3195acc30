package chanws_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// constructors are all the ways to a Conn. Each gives a client and a server, of which
// the first named is the one under test.
var constructors = map[string]func(t *testing.T) (conn, other *chanws.Conn){
	"Dial": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		l := listen(t, nil)
		return dial(t, l.URL()), <-l.Conns()
	},
	"Listen": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		l := listen(t, nil)
		c := dial(t, l.URL())
		return <-l.Conns(), c
	},
	"Upgrade": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		conns := make(chan *chanws.Conn, 1)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := chanws.Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			conns <- c
		}))
		t.Cleanup(s.Close)
		client := dial(t, s.URL)
		server := <-conns
		t.Cleanup(func() { server.CloseNow() })
		return server, client
	},
	"Redial": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		l := listen(t, nil)
		for c, err := range chanws.Redial(t.Context(), l.URL(), nil, chanws.RedialPolicy{}) {
			require.NoError(t, err)
			t.Cleanup(func() { c.CloseNow() })
			return c, <-l.Conns()
		}
		return nil, nil
	},
	"NewClient": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		l := listen(t, nil)
		c, err := chanws.NewClient(t.Context(), l.URL(), nil)
		require.NoError(t, err)
		t.Cleanup(func() { c.CloseNow() })
		return c.Conn(), <-l.Conns()
	},
	"wstest.Pipe, client": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		return wstest.Pipe(t, nil, nil)
	},
	"wstest.Pipe, server": func(t *testing.T) (*chanws.Conn, *chanws.Conn) {
		c, s := wstest.Pipe(t, nil, nil)
		return s, c
	},
}

func listen(t *testing.T, opts *chanws.ListenOptions) *chanws.Listener {
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, url string) *chanws.Conn {
	c, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestEveryConstructorKeepsTheEventGrammar(t *testing.T) {
	t.Parallel()
	endings := map[string]func(conn, other *chanws.Conn){
		"peer closes":    func(conn, other *chanws.Conn) { other.Close(1001, "") },
		"peer vanishes":  func(conn, other *chanws.Conn) { other.CloseNow() },
		"local Close":    func(conn, other *chanws.Conn) { conn.Close(1000, "") },
		"local CloseNow": func(conn, other *chanws.Conn) { conn.CloseNow() },
		"close(Send)":    func(conn, other *chanws.Conn) { close(conn.Send) },
	}
	for how, open := range constructors {
		for end, provoke := range endings {
			t.Run(how+"/"+end, func(t *testing.T) {
				t.Parallel()
				conn, other := open(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for _, m := range []chanws.Message{chanws.Text("t"), chanws.Ping("i"), chanws.Pong("o"), chanws.Binary("b")} {
					require.NoError(t, other.Write(ctx, m))
					got, err := conn.Receive(ctx)
					require.NoError(t, err)
					require.Equal(t, m, got)
				}
				require.NotEmpty(t, conn.ID())
				require.NotEqual(t, conn.ID(), other.ID())
				require.Equal(t, conn.Context(), conn.Request().Context())
				go func() {
					for range other.Events() {
					}
				}()
				provoke(conn, other)
				var got []chanws.Event
				for ev := range conn.Events() {
					got = append(got, ev)
				}
				requireGrammar(t, got)
				require.Equal(t, conn.Err(), got[len(got)-1])
				conn.CloseNow()
				other.CloseNow()
			})
		}
	}
}

// loopEnds plays a peer whose behaviour the bytes of script describe, against the
// plainest of programs, and against a goroutine that may close at any time.
func loopEnds(t *testing.T, server bool, script []byte) {
	opts := chanws.Options{
		EventBuffer: 1, SendBuffer: 1, MaxMessageSize: 1 << 12,
		WriteTimeout: 3 * time.Second, PingInterval: 2 * time.Second, CloseTimeout: time.Second,
	}
	conn, bare := openMemory(t, server, opts)
	peer := newRawPeer(t, bare, server)
	began := time.Now()
	ended := make(chan struct{})
	var got []chanws.Event
	go func() {
		defer close(ended)
		for ev := range conn.Events() {
			got = append(got, ev)
			conn.Send <- chanws.Text("reply")
		}
	}()
	acted := make(chan struct{})
	go func() {
		defer close(acted)
		for i, b := range script {
			arg := 0
			if i+1 < len(script) {
				arg = int(script[i+1])
			}
			peer.act(conn, b, arg)
		}
	}()
	select {
	case <-ended:
	case <-time.After(time.Hour):
		t.Fatalf("the loop goes on after %x", script)
	}
	require.Less(t, time.Since(began), 10*time.Minute)
	requireGrammar(t, got)
	require.Equal(t, conn.Err(), got[len(got)-1])
	conn.CloseNow()
	bare.Close()
	<-acted
	peer.finish()
	peer.closeCode() // at most one
}

// act does one thing that a peer may do.
func (p *rawPeer) act(conn *chanws.Conn, b byte, arg int) {
	switch b % 24 {
	case 0, 1, 2, 3:
		p.send(frame.Text, "message")
	case 4:
		p.send(frame.Binary, string(make([]byte, arg*20)))
	case 5, 6:
		p.send(frame.Ping, "ping")
	case 7:
		p.send(frame.Pong, "pong")
	case 8:
		p.write(p.encode(arg%2 == 0, frame.Continuation, []byte("part")))
	case 9:
		p.write(p.encode(false, frame.Text, []byte("begun")))
	case 10:
		p.write(p.encode(true, frame.Text, []byte("cut"))[:arg%9])
	case 11:
		p.write([]byte{byte(arg), byte(arg * 7)})
	case 12:
		p.sendClose(1000+arg%4, "bye")
	case 13:
		p.write(p.encode(true, frame.Close, []byte{byte(arg)}))
	case 14:
		p.drop()
	case 15:
		if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	case 16:
		p.conn.Close()
	case 17:
		p.read()
	case 18, 19:
		time.Sleep(time.Duration(arg) * 50 * time.Millisecond)
	case 20:
		go conn.Close(1000, "enough")
	case 21:
		go conn.CloseNow()
	case 22:
		// Not on Send, where it could take the room that the loop is promised.
		go conn.Write(context.Background(), chanws.Close{Code: 1000})
	case 23:
		for range arg {
			p.send(frame.Text, "flood")
		}
	}
}

func TestThePlainestLoopEndsWhateverThePeerDoes(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 30
	}
	for seed := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		script := make([]byte, rng.IntN(40))
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		synctest.Test(t, func(t *testing.T) { loopEnds(t, seed%2 == 0, script) })
	}
}

func FuzzThePlainestLoopEndsWhateverThePeerDoes(f *testing.F) {
	for b := range byte(24) {
		f.Add([]byte{b, 3, b}, true)
		f.Add([]byte{17, 23, 255, 23, 255, 20, b, 18, 100, b}, false)
	}
	f.Fuzz(func(t *testing.T, script []byte, server bool) {
		if len(script) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) { loopEnds(t, server, script) })
	})
}

func TestGoroutinesAreTwoAConnection(t *testing.T) {
	// Those of tests before may still be ending.
	before := 0
	until(t, func() bool {
		last := before
		before = runtime.NumGoroutine()
		return before == last && pumps() == 0
	})
	var conns []*chanws.Conn
	for range 50 {
		c, s := wstest.Pipe(t, &chanws.DialOptions{Options: chanws.Options{
			PingInterval: time.Hour, IdleTimeout: time.Hour, WriteTimeout: time.Hour,
		}}, nil)
		conns = append(conns, c, s)
	}
	until(t, func() bool { return pumps() == 200 && runtime.NumGoroutine()-before == 200 })
	for _, c := range conns {
		c.CloseNow()
	}
	until(t, func() bool { return runtime.NumGoroutine() <= before })
}

// pumps counts the goroutines of connections.
func pumps() int {
	b := make([]byte, 4<<20)
	stacks := string(b[:runtime.Stack(b, true)])
	return strings.Count(stacks, ".readLoop(") + strings.Count(stacks, ".writeLoop(")
}

func TestTheLoopEndsAlsoWhenEventsWaitAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{SendBuffer: 1})
		for range 20 {
			peer.send(frame.Text, "x")
		}
		peer.sendClose(1000, "")
		<-conn.Done()
		synctest.Wait() // the terminal event has been put
		require.NoError(t, conn.Close(1000, ""))
		got := 0
		for range conn.Events() {
			conn.Send <- chanws.Text("reply")
			got++
		}
		require.Equal(t, 21, got)
	})
}

func TestALoopMaySendAsMuchAsSendBufferSaysForEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buffer = 5
		conn, peer := rawPair(t, chanws.Options{SendBuffer: buffer, EventBuffer: 2})
		peer.read()
		for range 20 {
			peer.send(frame.Text, "x")
		}
		ended := make(chan struct{})
		closed := make(chan struct{})
		go func() {
			defer close(ended)
			for range conn.Events() {
				<-closed // an event is in hand
				for range buffer {
					conn.Send <- chanws.Text("reply")
				}
			}
		}()
		synctest.Wait()
		require.NoError(t, conn.Close(1000, ""))
		close(closed)
		<-ended
	})
}
