package chanws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestInvalidOptionsAreNamedWithTheirValueAndWhatIsAllowed(t *testing.T) {
	const (
		sizes     = "want a number of bytes, 0 for the default, or -1 for no limit"
		durations = "want 0 (off) or more"
		buffers   = "want 0 to 1048576 events or messages; 0 is the default of 64"
		modes     = "want CompressionDefault, CompressionDisabled, CompressionNoContextTakeover or CompressionContextTakeover"
	)
	for want, opts := range map[string]chanws.Options{
		"EventBuffer -1: " + buffers:                                                  {EventBuffer: -1},
		"EventBuffer 1048577: " + buffers:                                             {EventBuffer: 1<<20 + 1},
		"SendBuffer 1048577: " + buffers:                                              {SendBuffer: 1<<20 + 1},
		"Overflow 7: want Block, DropOldest, DropNewest or CloseSlow":                 {Overflow: 7},
		"Overflow -1: want Block, DropOldest, DropNewest or CloseSlow":                {Overflow: -1},
		"MaxMessageSize -2: " + sizes:                                                 {MaxMessageSize: -2},
		"MaxFrameSize -65536: " + sizes:                                               {MaxFrameSize: -65536},
		"FragmentSize -2: " + sizes:                                                   {FragmentSize: -2},
		"IdleTimeout -1s: " + durations:                                               {IdleTimeout: -time.Second},
		"PingInterval -1ms: " + durations:                                             {PingInterval: -time.Millisecond},
		"WriteTimeout -1ns: " + durations:                                             {WriteTimeout: -1},
		"PongTimeout 5s: want a PingInterval as well: without one no ping is sent":    {PongTimeout: 5 * time.Second},
		"PongTimeout -1s: want a PingInterval as well: without one no ping is sent":   {PongTimeout: -time.Second},
		"Compression 4: " + modes:                                                     {Compression: 4},
		"Compression -1: " + modes:                                                    {Compression: -1},
		"CompressionLevel 10: want 1 (fastest) to 9 (smallest), or 0 for the default": {CompressionLevel: 10},
		"CompressionLevel -1: want 1 (fastest) to 9 (smallest), or 0 for the default": {CompressionLevel: -1},
		"CompressionThreshold -2: want a number of bytes, 0 for the default, or -1 to compress messages of every size": {CompressionThreshold: -2},
		"MessageRate.PerSecond NaN: want 0 (no limit) or more":                                                         {MessageRate: chanws.Rate{PerSecond: math.NaN()}},
		"MessageRate.PerSecond -0.5: want 0 (no limit) or more":                                                        {MessageRate: chanws.Rate{PerSecond: -0.5}},
		"MessageRate.Burst -3: want 0 or more":                                                                         {MessageRate: chanws.Rate{PerSecond: 1, Burst: -3}},
		"MessageRate.Burst 3: want a PerSecond as well: without one there is no limit":                                 {MessageRate: chanws.Rate{Burst: 3}},
	} {
		t.Run(want, func(t *testing.T) {
			want := "chanws: invalid Options." + want
			_, err := chanws.Dial(t.Context(), "ws://localhost:1", &chanws.DialOptions{Options: opts})
			require.EqualError(t, errors.Unwrap(err), want)
			_, err = chanws.Listen("127.0.0.1:0", &chanws.ListenOptions{Options: opts})
			require.EqualError(t, err, want)
			w := httptest.NewRecorder()
			_, err = chanws.Upgrade(w, httptest.NewRequest("GET", "/", nil), &chanws.UpgradeOptions{Options: opts})
			require.EqualError(t, err, want)
			require.Equal(t, http.StatusInternalServerError, w.Code)
		})
	}
}

func TestOptionsAtTheirLimitsAreValid(t *testing.T) {
	for name, opts := range map[string]chanws.Options{
		"the largest buffers":              {EventBuffer: 1 << 20, SendBuffer: 1 << 20},
		"no limits":                        {MaxMessageSize: -1, MaxFrameSize: -1, FragmentSize: -1, CompressionThreshold: -1, CloseTimeout: -1},
		"the last of each kind":            {Overflow: chanws.CloseSlow, Compression: chanws.CompressionContextTakeover, CompressionLevel: 9},
		"no pong required":                 {PingInterval: time.Second, PongTimeout: -1},
		"a pong sooner than the next ping": {PingInterval: time.Second, PongTimeout: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := chanws.Listen("127.0.0.1:0", &chanws.ListenOptions{Options: opts})
			require.NoError(t, err)
			require.NoError(t, l.Close())
		})
	}
}

func TestStatsCountBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{FragmentSize: 4})
		peer.send(frame.Text, "12345678")
		peer.write(peer.encode(false, frame.Binary, []byte("1234")))
		peer.send(frame.Continuation, "5678")
		peer.send(frame.Ping, "i")
		peer.send(frame.Pong, "o")
		conn.Send <- chanws.Text("123456")
		conn.Send <- chanws.Ping("i")
		conn.Send <- chanws.Pong("o")
		synctest.Wait()
		s := conn.Stats()
		require.EqualValues(t, 2, s.MessagesReceived)
		require.EqualValues(t, 5, s.FramesReceived)
		require.EqualValues(t, 5*6+8+8+1+1, s.BytesReceived)
		require.EqualValues(t, 1, s.PingsReceived)
		require.EqualValues(t, 1, s.PongsReceived)
		require.EqualValues(t, 1, s.MessagesSent)
		require.EqualValues(t, 5, s.FramesSent)
		require.EqualValues(t, 5*2+6+1+1+1, s.BytesSent)
		require.EqualValues(t, 1, s.PingsSent)
		require.EqualValues(t, 2, s.PongsSent)
		require.NotZero(t, s.Reads)
		require.NotZero(t, s.Flushes)
		require.LessOrEqual(t, s.Flushes, uint64(4))
		require.Zero(t, s.DroppedEvents+s.DroppedMessages)
	})
}

func TestTraceSeesTheConnectionAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
		conn, peer := rawPair(t, chanws.Options{Trace: &chanws.Trace{
			FrameReceived: func(f chanws.FrameInfo) { note("in %v", f) },
			FrameSent:     func(f chanws.FrameInfo) { note("out %v", f) },
			Flushed:       func(n int, took time.Duration, err error) { note("flushed %d %v %v", n, took, err) },
			Ended:         func(err error) { note("ended: %v", err) },
		}})
		peer.send(frame.Text, "abc")
		synctest.Wait()
		conn.Send <- chanws.Binary("xy")
		synctest.Wait()
		peer.sendClose(1000, "bye")
		<-conn.Done()
		require.Equal(t, []string{
			"in {1 true 3 false}",
			"out {2 true 2 false}", "flushed 4 0s <nil>",
			"in {8 true 5 false}",
			"out {8 true 2 false}", "flushed 4 0s <nil>",
			`ended: websocket closed: 1000 (normal closure): "bye"`,
		}, seen)
	})
}

func TestTheLoggerHearsOfBeginningAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ended := 0
		conn, peer := rawPair(t, chanws.Options{
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Trace:  &chanws.Trace{Ended: func(error) { ended++ }},
		})
		peer.drop()
		<-conn.Done()
		require.Contains(t, log.String(), `msg="websocket connection open" conn=`+conn.ID())
		require.Contains(t, log.String(), `msg="websocket connection ended" conn=`+conn.ID())
		require.Equal(t, 1, ended)
	})
}

type key struct{}

func TestContextKeepsValuesButNotTheEndOfTheDialsOrRequests(t *testing.T) {
	t.Parallel()
	conns := make(chan *chanws.Conn, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- c
	}))
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, "server")
	}
	s.Start()
	defer s.Close()
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "client"))
	client, err := chanws.Dial(ctx, s.URL, &chanws.DialOptions{Header: http.Header{"X-Test": {"yes"}}})
	require.NoError(t, err)
	cancel()
	server := <-conns
	defer server.CloseNow()
	defer client.CloseNow()
	for _, c := range []*chanws.Conn{client, server} {
		require.NoError(t, c.Context().Err())
		require.NoError(t, c.Write(t.Context(), chanws.Text("alive")))
		require.Equal(t, c.Context(), c.Request().Context())
		require.NotEmpty(t, c.LocalAddr().String())
		require.NotEmpty(t, c.RemoteAddr().String())
		require.Equal(t, "yes", c.Request().Header.Get("X-Test"))
	}
	require.Equal(t, "client", client.Context().Value(key{}))
	require.Equal(t, "server", server.Context().Value(key{}))
	require.Equal(t, http.StatusSwitchingProtocols, client.Response().StatusCode)
	require.Nil(t, server.Response())
	client.CloseNow()
	<-server.Done()
	require.Equal(t, server.Err(), context.Cause(server.Request().Context()))
}

func TestEventsAndErrorsReadWell(t *testing.T) {
	require.EqualError(t, chanws.Close{Code: 1001}, "websocket closed: 1001 (going away)")
	require.EqualError(t, chanws.Close{Code: 4000, Reason: "bye"}, `websocket closed: 4000: "bye"`)
	require.EqualError(t, chanws.Error{Err: io.EOF}, "EOF")
	require.EqualError(t, chanws.Error{}, "websocket failed")
	require.Equal(t, chanws.StatusCode(1011), chanws.CloseStatus(fmt.Errorf("wrapped: %w", chanws.Close{Code: 1011})))
	require.EqualValues(t, -1, chanws.CloseStatus(io.EOF))
	require.EqualValues(t, -1, chanws.CloseStatus(nil))
	require.EqualError(t, &chanws.ProtocolError{Code: 1002, Reason: "RSV2 set"}, "websocket protocol: RSV2 set (1002 (protocol error))")
}

func TestARecycledPayloadIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, nil, nil)
		for i := range 20 {
			want := bytes.Repeat([]byte{byte(i)}, 64<<10)
			client.Send <- chanws.Binary(want)
			got := (<-server.Events()).(chanws.Binary)
			require.True(t, bytes.Equal(want, got))
			got.Recycle()
		}
		chanws.Binary(nil).Recycle()
		chanws.Binary("foreign").Recycle()
	})
}

func TestAHookMayAskForErrAndStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Pointer[chanws.Conn]
		ask := func() {
			if c := known.Load(); c != nil {
				c.Err()
				c.Stats()
			}
		}
		conn, peer := rawPair(t, chanws.Options{
			EventBuffer: 1, IdleTimeout: time.Second, PingInterval: time.Second,
			OnDrop: func(chanws.Message, error) { ask() },
			Trace: &chanws.Trace{
				FrameReceived: func(chanws.FrameInfo) { ask() },
				FrameSent:     func(chanws.FrameInfo) { ask() },
				Flushed:       func(int, time.Duration, error) { ask() },
				KeepalivePong: func(time.Duration) { ask() },
				Ended:         func(error) { ask() },
			},
		})
		known.Store(conn)
		f := peer.next()
		require.Equal(t, frame.Ping, f.Opcode)
		peer.send(frame.Pong, string(f.payload))
		peer.send(frame.Ping, "1")
		peer.send(frame.Ping, "2")
		peer.expect(frame.Pong, "1")
		conn.Send <- chanws.Ping(make([]byte, 200))
		synctest.Wait()
		peer.sendClose(1000, "")
		<-conn.Done()
	})
}

// An absentReader does not notice that its side has closed the pipe before it may.
type absentReader struct {
	net.Conn
	may <-chan struct{}
}

func (c absentReader) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		<-c.may
	}
	return n, err
}

func TestDoneClosesAlsoWhenTheEndedHookPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go answerUpgrade(t, far)
		hooked := make(chan struct{})
		hook := func(error) { close(hooked); panic("hook") }
		// Whoever is first to see the end runs the hook: here not the read pump.
		conn := dialVia(t, func() net.Conn { return absentReader{near, hooked} }, false, chanws.Options{Trace: &chanws.Trace{Ended: hook}})
		require.PanicsWithValue(t, "hook", func() { conn.CloseNow() })
		<-conn.Done()
		require.ErrorIs(t, conn.CloseNow(), net.ErrClosed)
	})
}
