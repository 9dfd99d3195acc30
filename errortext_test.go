package chanws_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// The error texts that users see are a specification: each says what was wrong, with
// the value, and what to do about it. Those of invalid options are in options_test.go,
// those of messages that cannot be sent in write_test.go.

func TestALimitThatWasExceededIsNamedOnBothSides(t *testing.T) {
	t.Parallel()
	const (
		x2000 = 2000
		hint  = `; send smaller messages, or raise the limit of the side that closed (in chanws Options.MaxMessageSize and MaxFrameSize)`
	)
	flood := func(n int, m chanws.Message) []chanws.Message {
		var all []chanws.Message
		for range n {
			all = append(all, m)
		}
		return all
	}
	big := flood(1, chanws.Text(strings.Repeat("x", x2000)))
	takeover := chanws.Options{Compression: chanws.CompressionContextTakeover}
	for name, tc := range map[string]struct {
		sender, refuser     chanws.Options
		sent                []chanws.Message
		ofRefuser, ofSender string
	}{
		"a message in one frame": {
			refuser: chanws.Options{MaxMessageSize: 1000}, sent: big,
			ofRefuser: "websocket protocol: message of 2000 bytes, more than Options.MaxMessageSize 1000 (1009 (message too big))",
			ofSender:  `websocket closed: 1009 (message too big): "message of 2000 bytes, more than Options.MaxMessageSize 1000"` + hint,
		},
		"a message in fragments, at its last one": {
			sender: chanws.Options{FragmentSize: 1500}, refuser: chanws.Options{MaxMessageSize: 1600}, sent: big,
			ofRefuser: "websocket protocol: message of 2000 bytes, more than Options.MaxMessageSize 1600 (1009 (message too big))",
			ofSender:  `websocket closed: 1009 (message too big): "message of 2000 bytes, more than Options.MaxMessageSize 1600"` + hint,
		},
		"a message in fragments, before its last one": {
			sender: chanws.Options{FragmentSize: 600}, refuser: chanws.Options{MaxMessageSize: 1000}, sent: big,
			ofRefuser: "websocket protocol: message of at least 1200 bytes, more than Options.MaxMessageSize 1000 (1009 (message too big))",
			ofSender:  `websocket closed: 1009 (message too big): "message of at least 1200 bytes, more than Options.MaxMessageSize 1000"` + hint,
		},
		"a compressed message": {
			sender: takeover, refuser: chanws.Options{Compression: chanws.CompressionContextTakeover, MaxMessageSize: 1000}, sent: big,
			ofRefuser: "websocket protocol: decompressed message of more than Options.MaxMessageSize 1000 bytes (1009 (message too big))",
			ofSender:  `websocket closed: 1009 (message too big): "decompressed message of more than Options.MaxMessageSize 1000 bytes"` + hint,
		},
		"a frame": {
			refuser: chanws.Options{MaxFrameSize: 1000}, sent: big,
			ofRefuser: "websocket protocol: frame of 2000 bytes, more than Options.MaxFrameSize 1000 (1009 (message too big))",
			ofSender:  `websocket closed: 1009 (message too big): "frame of 2000 bytes, more than Options.MaxFrameSize 1000"` + hint,
		},
		"a rate": {
			refuser: chanws.Options{MessageRate: chanws.Rate{PerSecond: 0.5, Burst: 2}}, sent: flood(3, chanws.Text("x")),
			ofRefuser: "websocket protocol: more messages than Options.MessageRate 0.5 a second, burst 2 (1008 (policy violation))",
			ofSender:  `websocket closed: 1008 (policy violation): "more messages than Options.MessageRate 0.5 a second, burst 2"`,
		},
		"a slow consumer": {
			refuser: chanws.Options{EventBuffer: 2, Overflow: chanws.CloseSlow}, sent: flood(3, chanws.Text("x")),
			ofRefuser: "chanws: consumer too slow: Options.EventBuffer 2 is full, and Options.Overflow is CloseSlow: event channel full",
			ofSender:  `websocket closed: 1008 (policy violation): "consumer too slow: Options.EventBuffer 2 is full"`,
		},
	} {
		for _, fromClient := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sender, refuser := wsPipe(t, tc.sender, tc.refuser)
					if !fromClient {
						refuser, sender = wsPipe(t, tc.refuser, tc.sender)
					}
					for _, m := range tc.sent {
						sender.Send <- m
					}
					<-refuser.Done() // before that nobody receives
					<-sender.Done()
					require.EqualError(t, refuser.Err(), tc.ofRefuser)
					require.EqualError(t, sender.Err(), tc.ofSender)
				})
			})
		}
	}
}

func TestTheLargestLimitsHaveRoomInACloseFrame(t *testing.T) {
	t.Parallel()
	const most = 1<<63 - 2
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{MaxMessageSize: most})
		peer.write(peer.encode(false, frame.Binary, []byte("xy")))
		peer.write([]byte{0x00, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
		<-conn.Done()
		peer.expectClose(1009, "message of at least 9223372036854775809 bytes, more than Options.MaxMessageSize 9223372036854775806")
	})
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{PingInterval: 1_000_000*time.Hour - 1, PongTimeout: 999_999*time.Hour - 1})
		<-conn.Done()
		require.Equal(t, frame.Ping, peer.next().Opcode)
		peer.expectClose(1011, "keepalive: no pong within Options.PongTimeout 999998h59m59.999999999s (Options.PingInterval 999999h59m59.999999999s)")
	})
}

func TestATimeoutThatExpiredIsNamedWithItsValue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts chanws.Options
		run  func(*testing.T, *chanws.Conn, *rawPeer) error
		want []string
	}{
		"CloseTimeout": {
			chanws.Options{CloseTimeout: 1500 * time.Millisecond},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error { return conn.Close(1000, "") },
			[]string{"chanws: no answer to the close frame within CloseTimeout 1.5s"},
		},
		"the default CloseTimeout": {
			chanws.Options{},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error { return conn.Close(1000, "") },
			[]string{"chanws: no answer to the close frame within CloseTimeout 5s"},
		},
		"SetCloseTimeout": {
			chanws.Options{},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error {
				conn.SetCloseTimeout(7 * time.Second)
				return conn.Close(1000, "")
			},
			[]string{"chanws: no answer to the close frame within CloseTimeout 7s"},
		},
		"PongTimeout": {
			chanws.Options{PingInterval: 10 * time.Second, PongTimeout: 5 * time.Second},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error { <-conn.Done(); return conn.Err() },
			[]string{"chanws: keepalive: no pong within Options.PongTimeout 5s (Options.PingInterval 10s)"},
		},
		"PongTimeout by default": {
			chanws.Options{PingInterval: 250 * time.Millisecond},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error { <-conn.Done(); return conn.Err() },
			[]string{"chanws: keepalive: no pong within Options.PongTimeout 250ms (Options.PingInterval 250ms)"},
		},
		"WriteTimeout": {
			chanws.Options{WriteTimeout: 1500 * time.Millisecond, CloseTimeout: time.Second},
			func(_ *testing.T, conn *chanws.Conn, _ *rawPeer) error {
				conn.Send <- chanws.Binary(make([]byte, 1<<20)) // more than the pipe holds
				<-conn.Done()
				return conn.Err()
			},
			[]string{"chanws: write: ", "Options.WriteTimeout 1.5s"},
		},
		"the context of CloseContext": {
			chanws.Options{},
			func(t *testing.T, conn *chanws.Conn, _ *rawPeer) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return conn.CloseContext(ctx, 1000, "")
			},
			[]string{"chanws: close handshake not finished when the context ended: context deadline exceeded"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, tc.opts)
				err := tc.run(t, conn, peer)
				for _, part := range tc.want {
					require.ErrorContains(t, err, part)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				}
			})
		})
	}
}

func TestAClosedConnectionSaysWhatWasClosed(t *testing.T) {
	t.Parallel()
	const (
		twice  = "chanws: the connection has already been closed by an earlier Close or CloseNow"
		closed = "websocket closed: 1000 (normal closure)"
		now    = "chanws: connection closed by CloseNow, without a close handshake"
	)
	write := func(c *chanws.Conn) error { return c.Write(context.Background(), chanws.Text("x")) }
	flush := func(c *chanws.Conn) error { return c.Flush(context.Background()) }
	receive := func(c *chanws.Conn) error { _, err := c.Receive(context.Background()); return err }
	closeIt := func(c *chanws.Conn) error { return c.Close(1000, "") }
	closeNow := func(c *chanws.Conn) error { return c.CloseNow() }
	cause := func(c *chanws.Conn) error { return context.Cause(c.Context()) }
	closeLate := func(c *chanws.Conn) error { _ = c.Write(context.Background(), chanws.Close{Code: 1000}); return nil }
	for name, tc := range map[string]struct {
		first, then func(*chanws.Conn) error
		want        string
		matches     error
	}{
		"Close after Close":               {closeIt, closeIt, twice, net.ErrClosed},
		"Close after CloseNow":            {closeNow, closeIt, twice, net.ErrClosed},
		"CloseNow after Close":            {closeIt, closeNow, twice, net.ErrClosed},
		"CloseNow after CloseNow":         {closeNow, closeNow, twice, net.ErrClosed},
		"Write after Close":               {closeIt, write, closed, chanws.Close{Code: 1000}},
		"Flush after Close":               {closeIt, flush, closed, chanws.Close{Code: 1000}},
		"Receive after Close":             {closeIt, receive, closed, chanws.Close{Code: 1000}},
		"Write after CloseNow":            {closeNow, write, now, net.ErrClosed},
		"Flush after CloseNow":            {closeNow, flush, now, net.ErrClosed},
		"Receive after CloseNow":          {closeNow, receive, now, net.ErrClosed},
		"the context's cause":             {closeNow, cause, now, net.ErrClosed},
		"Write after a Close was written": {closeLate, write, "chanws: write after a close frame was sent", net.ErrClosed},
		"Flush after a Close was written": {closeLate, flush, "chanws: write after a close frame was sent", net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, chanws.Options{})
				peer.answers = !strings.Contains(name, "was written")
				peer.read()
				require.NoError(t, tc.first(conn))
				err := tc.then(conn)
				require.ErrorIs(t, err, tc.matches)
				require.EqualError(t, err, tc.want)
			})
		})
	}
}

func TestAConnectionThatItsListenerClosedSaysSo(t *testing.T) {
	t.Parallel()
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	client, err := chanws.Dial(t.Context(), l.URL(), nil)
	require.NoError(t, err)
	defer client.CloseNow()
	server := <-l.Conns()
	require.NoError(t, l.Close())
	<-server.Done()
	require.EqualError(t, server.Err(), "chanws: connection closed by its listener, without a close handshake")
	require.ErrorIs(t, server.Err(), net.ErrClosed)
	require.NoError(t, server.CloseNow())
}

func TestANilContextIsAnErrorNotAPanic(t *testing.T) {
	t.Parallel()
	var none context.Context
	conn, peer := rawPair(t, chanws.Options{})
	const want = "chanws: nil context: want context.Background() or another"
	require.EqualError(t, conn.Write(none, chanws.Text("x")), want)
	require.EqualError(t, conn.Flush(none), want)
	require.EqualError(t, conn.CloseContext(none, 1000, ""), want)
	_, err := conn.Receive(none)
	require.EqualError(t, err, want)
	conn.Send <- chanws.Text("alive")
	peer.expect(frame.Text, "alive")
}

func TestANilContextConnectsAndEndsNothing(t *testing.T) {
	t.Parallel()
	var none context.Context
	const want = "chanws: nil context: want context.Background() or another"
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	_, err = chanws.Dial(none, l.URL(), nil)
	require.EqualError(t, err, want)
	for _, policy := range []*chanws.RedialPolicy{nil, {}} {
		_, err = chanws.NewClient(none, l.URL(), &chanws.ClientOptions{Retry: policy})
		require.EqualError(t, err, want)
	}
	turns := 0
	for c, err := range chanws.Redial(none, l.URL(), nil, chanws.RedialPolicy{}) {
		turns++
		require.Nil(t, c)
		require.EqualError(t, err, want)
	}
	require.Equal(t, 1, turns)
	var g chanws.Group
	require.EqualError(t, g.Shutdown(none), want)
	require.EqualError(t, l.Shutdown(none), want)
	c, err := chanws.Dial(t.Context(), l.URL(), nil)
	require.NoError(t, err, "the Listener goes on")
	require.NoError(t, c.CloseNow())
	require.NoError(t, g.Close())
	require.NoError(t, l.Close())
}

func TestAShutdownThatACloseCutShortSaysSo(t *testing.T) {
	t.Parallel()
	l, err := chanws.Listen("127.0.0.1:0", &chanws.ListenOptions{Options: chanws.Options{CloseTimeout: -1}})
	require.NoError(t, err)
	client, err := chanws.Dial(t.Context(), l.URL(), &chanws.DialOptions{Options: chanws.Options{EventBuffer: 1}})
	require.NoError(t, err)
	defer client.CloseNow()
	server := <-l.Conns()
	defer server.CloseNow()
	for range 10 {
		server.Send <- chanws.Text("unread") // the client does not come to the close frame
	}
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	<-server.Closing()
	require.NoError(t, l.Close())
	err = <-result
	require.EqualError(t, err, "shutdown cut short by a close, which ended connections without a close handshake")
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestAnAddressThatCannotBeListenedOnSaysHowToWriteIt(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"8080":      `chanws: listen tcp: address 8080: missing port in address; want host:port, for example ":8080"`,
		"localhost": `chanws: listen tcp: address localhost: missing port in address; want host:port, for example "localhost:8080"`,
		"::1":       `chanws: listen tcp: address ::1: too many colons in address; want host:port, for example "[::1]:8080"`,
		"[::1]":     `chanws: listen tcp: address [::1]: missing port in address; want host:port, for example ":8080"`,
	} {
		_, err := chanws.Listen(addr, nil)
		require.EqualError(t, err, want)
		require.ErrorAs(t, err, new(*net.OpError))
	}
}

func TestClient_a_nil_context_is_an_error_not_a_panic(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var none context.Context
		for _, policy := range []*chanws.RedialPolicy{nil, {}} {
			c, _ := s.connected(&chanws.ClientOptions{Retry: policy})
			const want = "chanws: nil context: want context.Background() or another"
			_, err := c.ReadMessage(none)
			require.EqualError(t, err, want)
			_, err = chanws.ReadJSON[string](none, c)
			require.EqualError(t, err, want)
			require.EqualError(t, c.WriteTextMessage(none, "x"), want)
			require.EqualError(t, chanws.WriteJSON(none, c, "x"), want)
			require.EqualError(t, c.Ping(none, nil), want)
			require.True(t, c.IsOpen())
		}
	})
}

func TestACloseSaysWhatTheOtherSideCanDo(t *testing.T) {
	t.Parallel()
	for want, end := range map[string]chanws.Close{
		"websocket closed: 0 (no status)":              {},
		"websocket closed: 1005 (no status received)":  {Code: 1005},
		`websocket closed: 1001 (going away): "later"`: {Code: 1001, Reason: "later"},
		"websocket closed: 1009 (message too big); send smaller messages, or raise the limit of the side that closed (in chanws Options.MaxMessageSize and MaxFrameSize)": {Code: 1009},
		`websocket closed: 1007 (invalid frame payload data): "text"; bytes that are not UTF-8 must be sent as binary messages`:                                           {Code: 1007, Reason: "text"},
	} {
		require.EqualError(t, end, want)
	}
}
