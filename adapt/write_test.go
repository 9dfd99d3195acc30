package adapt_test

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withCaller runs a service and gives its Caller.
func withCaller(t testing.TB, opts chanws.Options) (*adapt.Caller, *session) {
	callers := make(chan *adapt.Caller, 1)
	s := serve(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; return nil }}, opts)
	return receive(t, callers), s
}

type level string

type inverted int

func (i inverted) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"inverted":%d}`, -int(i)), nil
}

func TestWritesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		require.NoError(t, c.WriteTextMessage("text"))
		require.NoError(t, c.WriteBinaryMessage([]byte("binary")))
		require.NoError(t, c.Ping([]byte("ping")))
		require.NoError(t, c.Pong([]byte("pong")))
		for _, v := range []any{
			"string", level("high"), chanws.Text("message"), []byte("bytes"), chanws.Binary("message"),
			42, 1.5, true, map[string]int{"a": 1}, struct{ X, y string }{"1", "2"}, []string{`"`}, inverted(3), (*int)(nil),
		} {
			require.NoError(t, c.WriteMessage(v))
		}
		expect(t, s.Conn, chanws.Text("text"), chanws.Binary("binary"), chanws.Ping("ping"), chanws.Pong("pong"),
			chanws.Text("string"), chanws.Text("high"), chanws.Text("message"), chanws.Binary("bytes"), chanws.Binary("message"),
			chanws.Text("42"), chanws.Text("1.5"), chanws.Text("true"), chanws.Text(`{"a":1}`), chanws.Text(`{"X":"1"}`), chanws.Text(`["\""]`), chanws.Text(`{"inverted":-3}`), chanws.Text("null"))
		require.NoError(t, c.WriteMessage(chanws.Close{Code: 1001, Reason: "last"}))
		expect(t, s.Conn, chanws.Close{Code: 1001, Reason: "last"})
		require.NoError(t, <-s.served)
	})
}

func TestBytesAreTheCallersAgainAfterAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		b := []byte("mine")
		require.NoError(t, c.WriteBinaryMessage(b))
		require.NoError(t, c.WriteMessage(b))
		require.NoError(t, c.Ping(b))
		copy(b, "oops")
		expect(t, s.Conn, chanws.Binary("mine"), chanws.Binary("mine"), chanws.Ping("mine"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestInvalidMessagesAreRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		for _, err := range []error{
			c.WriteTextMessage("\xff"), c.WriteMessage("\xff"), c.Ping(make([]byte, 126)), c.Pong(make([]byte, 126)), c.Ping(make([]byte, 148)),
			c.WriteMessage(nil), c.WriteMessage(make(chan int)), c.WriteMessage(math.Inf(1)), c.WriteMessage(chanws.Ping(make([]byte, 126))), c.WriteMessage(chanws.Close{Code: 20}),
		} {
			require.ErrorIs(t, err, chanws.ErrInvalidMessage)
			require.NotErrorIs(t, err, net.ErrClosed)
		}
		require.NoError(t, c.WriteTextMessage("fine"))
		expect(t, s.Conn, chanws.Text("fine"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestWritesAfterTheEndTellOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		require.NoError(t, s.Close(1001, "bye"))
		<-s.served
		for _, err := range []error{c.WriteTextMessage("x"), c.WriteMessage(1), c.Ping(nil), c.Flush()} {
			require.ErrorIs(t, err, chanws.Close{Code: 1001, Reason: "bye"})
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorAs(t, err, new(*adapt.ClosureError))
		}
		require.False(t, c.IsOpen())
	})
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		s.CloseNow()
		<-s.served
		err := c.WriteTextMessage("x")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NotErrorIs(t, err, net.ErrClosed)
	})
}

func TestAfterAFailedWriteTheCauseIsTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		opts  chanws.Options
		fail  func(net.Conn)
		cause error
	}{
		{"too slow a peer", chanws.Options{WriteTimeout: time.Second}, func(net.Conn) {}, os.ErrDeadlineExceeded},
		// The consumer holds up the reading, so only the writing notices.
		{"a dropped connection", chanws.Options{EventBuffer: 1}, func(bare net.Conn) { bare.(interface{ Drop() }).Drop() }, io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, bare := wstest.Raw(t, &chanws.UpgradeOptions{Options: tc.opts})
				callers, release := make(chan *adapt.Caller, 1), make(chan struct{})
				served := start(server, &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; <-release; return nil }})
				c := <-callers
				for range 3 {
					_, err := bare.Write([]byte("\x81\x82\x00\x00\x00\x00hi"))
					require.NoError(t, err)
				}
				synctest.Wait()
				tc.fail(bare)
				written := c.WriteBinaryMessage(make([]byte, 1<<20))
				failures := []error{c.Flush(), c.WriteTextMessage("x"), c.WriteMessage(1), c.Ping(nil), c.Pong(nil), c.Flush()}
				end, open := c.Conn().Err(), c.IsOpen()
				close(release)
				require.ErrorIs(t, <-served, tc.cause)
				require.NoError(t, written)
				require.NoError(t, end, "it was not decided yet")
				require.False(t, open, "nothing can be said any more")
				for _, err := range failures {
					require.ErrorIs(t, err, tc.cause)
					require.ErrorIs(t, err, net.ErrClosed)
					require.ErrorAs(t, err, new(*adapt.ClosureError))
				}
			})
		})
	}
}

func TestAWriteWaitsWhileThePeerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, bare, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		var written atomic.Int64
		last := make(chan error, 1)
		go func() {
			for {
				if err := c.WriteTextMessage(strings.Repeat("x", 10_000)); err != nil {
					last <- err
					return
				}
				written.Add(1)
			}
		}()
		synctest.Wait()
		require.Less(t, written.Load(), int64(20))
		require.Greater(t, written.Load(), int64(6))
		bare.(interface{ Drop() }).Drop()
		require.ErrorIs(t, <-last, io.ErrUnexpectedEOF)
		<-served
	})
}

// writers are goroutines that write to a peer that does not read, until they wait.
func writers(t *testing.T, c *adapt.Caller) (writing *sync.WaitGroup, written, refused *atomic.Int64) {
	writing, written, refused = new(sync.WaitGroup), new(atomic.Int64), new(atomic.Int64)
	for range 100 {
		writing.Go(func() {
			if err := c.WriteBinaryMessage(make([]byte, 10_000)); err != nil {
				assert.ErrorIs(t, err, net.ErrClosed)
				refused.Add(1)
				return
			}
			written.Add(1)
		})
	}
	synctest.Wait()
	require.Less(t, written.Load(), int64(20))
	require.Zero(t, refused.Load())
	return writing, written, refused
}

func TestACloseRefusesAllWhoWaitToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		writing, written, refused := writers(t, c)
		before := written.Load()
		closed := make(chan error, 1)
		go func() { closed <- c.CloseTimeout(1000, "", time.Second) }()
		synctest.Wait()
		// The pump is at its write still, so none of them has found room.
		require.Equal(t, before, written.Load())
		require.Equal(t, 100-before, refused.Load())
		writing.Wait()
		require.ErrorIs(t, <-closed, os.ErrDeadlineExceeded)
		<-served
	})
}

func TestTheEndReleasesAllWhoWaitToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		writing, _, _ := writers(t, c)
		require.NoError(t, c.CloseNow())
		writing.Wait() // refused, or discarded, as the pump makes room until all have let go
		require.ErrorIs(t, c.WriteBinaryMessage([]byte("x")), net.ErrClosed)
		<-served
	})
}

func TestFlushReturnsWhenEverythingIsWithTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, bare := wstest.Raw(t, nil)
		callers := make(chan *adapt.Caller, 1)
		served := start(server, &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; return nil }})
		c := <-callers
		require.NoError(t, c.WriteBinaryMessage(make([]byte, 100<<10)))
		flushed := make(chan error, 1)
		go func() { flushed <- c.Flush() }()
		synctest.Wait()
		require.Empty(t, flushed, "the pipe holds 64 KiB")
		_, err := io.ReadFull(bare, make([]byte, 100<<10))
		require.NoError(t, err)
		require.NoError(t, <-flushed)
		bare.Close()
		<-served
	})
}

func TestFlushInACallbackIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error {
			if err := c.WriteTextMessage(text); err != nil {
				return err
			}
			return c.Flush()
		}}, chanws.Options{})
		s.Send <- chanws.Text("a")
		expect(t, s.Conn, chanws.Text("a"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestConcurrentWritesAreNeverMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{FragmentSize: 7})
		const writers, each = 4, 50
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					_ = c.WriteTextMessage(fmt.Sprintf("%d %d %s", w, i, strings.Repeat("ä", 20)))
				}
			})
		}
		next := make([]int, writers)
		for range writers * each {
			text := string((<-s.Events()).(chanws.Text))
			var w, i int
			var rest string
			_, err := fmt.Sscan(text, &w, &i, &rest)
			require.NoError(t, err)
			require.Equal(t, next[w], i)
			require.Equal(t, strings.Repeat("ä", 20), rest)
			next[w]++
		}
		writing.Wait()
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

// A countingListener counts the write calls of its connections.
type countingListener struct {
	net.Listener
	writes *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.writes}, nil
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestPipelinedEchoesShareWriteCalls(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var writes atomic.Int64
	server := &http.Server{Handler: adapt.Handler(shared(&adapt.Service{OnTextMessage: (*adapt.Caller).WriteTextMessage}), nil)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(countingListener{tcp, &writes})
	}()
	defer func() {
		server.Close()
		<-served
	}()
	client, err := chanws.Dial(t.Context(), "ws://"+tcp.Addr().String(), nil)
	require.NoError(t, err)
	defer client.CloseNow()

	best := int64(math.MaxInt64)
	for range 10 { // the scheduler may tear a batch apart, but not always
		before := writes.Load()
		for i := range 100 {
			client.Send <- chanws.Text(fmt.Sprint(i))
		}
		for i := range 100 {
			expect(t, client, chanws.Text(fmt.Sprint(i)))
		}
		best = min(best, writes.Load()-before)
	}
	require.Less(t, best, int64(10))
	require.NoError(t, client.Close(1000, ""))
}

func TestTheCallerTellsAboutItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		callers := make(chan *adapt.Caller, 1)
		mux := http.NewServeMux()
		mux.Handle("/chat/{room}", adapt.Handler(shared(&adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; return nil }}), &adapt.ServiceConfig{Subprotocols: []string{"xml"}}))
		h := newHost(t, mux)
		opts := h.options()
		opts.Subprotocols = []string{"json", "xml"}
		client, err := chanws.Dial(t.Context(), "ws://server.test/chat/blue?x=1", &opts)
		require.NoError(t, err)
		c := <-callers
		require.Equal(t, "xml", c.NegotiatedSubProtocol())
		require.Equal(t, c.Conn().ID(), c.ConnectionID())
		require.Equal(t, "blue", c.Request().PathValue("room"))
		require.Equal(t, "1", c.Request().URL.Query().Get("x"))
		require.False(t, c.IsSecure())
		require.True(t, c.IsOpen())
		require.NoError(t, c.Context().Err())

		require.Nil(t, c.Attribute("name"))
		c.SetAttribute("name", "alice")
		require.Equal(t, "alice", c.Attribute("name"))
		require.Equal(t, "alice", c.RemoveAttribute("name"))
		require.Nil(t, c.RemoveAttribute("name"))

		require.NoError(t, client.Close(1000, ""))
		<-c.Context().Done()
		require.False(t, c.IsOpen())
		time.Sleep(time.Second)
	})
}
