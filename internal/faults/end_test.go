package faults

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// bareClient gives a server's connection and the socket of a client that has done the
// handshake by hand.
func bareClient(t *testing.T) (*chanws.Conn, *net.TCPConn) {
	t.Helper()
	l := listen(t, nil)
	bare, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { bare.Close() })
	fmt.Fprintf(bare, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	c := <-l.Conns()
	t.Cleanup(func() { c.CloseNow() })
	r, err := http.ReadResponse(bufio.NewReader(bare), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, r.StatusCode)
	return c, bare.(*net.TCPConn)
}

// frame gives a masked frame, whose key changes nothing.
func frame(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// What comes together, in one segment and with the end of the stream behind it, is seen
// in order, and the end is what the last frame says.
func TestDataAndTheEndTogether(t *testing.T) {
	t.Parallel()
	one, two, bye := frame(0x81, "one"), frame(0x82, "two"), frame(0x88, "\x03\xe8bye")
	both := []chanws.Event{chanws.Text("one"), chanws.Binary("two")}
	closed := func(t *testing.T, end error) { require.Equal(t, chanws.Close{Code: 1000, Reason: "bye"}, end) }
	dropped := func(t *testing.T, end error) { requireDropped(t, end) }
	protocol := func(t *testing.T, end error) {
		var breach *chanws.ProtocolError
		require.ErrorAs(t, end, &breach)
	}
	for _, tc := range []struct {
		name string
		says string
		then func(*net.TCPConn)
		sees []chanws.Event
		end  func(*testing.T, error)
	}{
		{"data, close, FIN", one + two + bye, finish, both, closed},
		{"data, close, socket closed", one + two + bye, hangUp, both, closed},
		{"data, close, data, FIN", one + bye + two, finish, both[:1], closed},
		{"data, close, close, FIN", one + bye + frame(0x88, "\x03\xe9"), finish, both[:1], closed},
		{"data, FIN", one + two, finish, both, dropped},
		{"data, socket closed", one + two, hangUp, both, dropped},
		{"data, half a frame, FIN", one + two[:5], finish, both[:1], dropped},
		{"data, half a close, FIN", one + two + bye[:7], finish, both, dropped},
		{"data, a breach, FIN", one + two + "\x83\x80", finish, both, protocol},
		{"data, a breach, close, FIN", one + two + "\x83\x80" + bye, finish, both, protocol},
		{"FIN", "", finish, both[:0], dropped},
		{"close, FIN", bye, finish, both[:0], closed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, bare := bareClient(t)
			io.WriteString(bare, tc.says)
			tc.then(bare)
			got, end := collect(c)
			require.Equal(t, tc.sees, got)
			tc.end(t, end)
			require.Equal(t, end, c.Err())
		})
	}
}

func finish(c *net.TCPConn) { c.CloseWrite() }
func hangUp(c *net.TCPConn) { c.Close() }

// A reset is a dropped connection for all who wait, whatever they wait for.
func TestResets(t *testing.T) {
	t.Parallel()
	rst := func(c *net.TCPConn) {
		c.SetLinger(0)
		c.Close()
	}
	t.Run("while the consumer waits", func(t *testing.T) {
		t.Parallel()
		c, bare := bareClient(t)
		_, err := io.WriteString(bare, frame(0x81, "one"))
		require.NoError(t, err)
		require.Equal(t, chanws.Event(chanws.Text("one")), <-c.Events())
		rst(bare)
		got, end := collect(c)
		require.Empty(t, got)
		requireDropped(t, end)
	})
	t.Run("while a Write waits", func(t *testing.T) {
		t.Parallel()
		c, bare := bareClient(t)
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(context.Background(), chanws.Binary(make([]byte, 64<<20))) }()
		_, err := bare.Read(make([]byte, 1)) // it has begun
		require.NoError(t, err)
		rst(bare)
		require.ErrorIs(t, <-wrote, io.ErrUnexpectedEOF)
		_, end := collect(c)
		requireDropped(t, end)
	})
	t.Run("while Close waits", func(t *testing.T) {
		t.Parallel()
		c, bare := bareClient(t)
		closed := make(chan error, 1)
		go func() { closed <- c.Close(1000, "") }()
		_, err := io.ReadFull(bare, make([]byte, 4)) // our close frame
		require.NoError(t, err)
		rst(bare)
		end := <-closed
		requireDropped(t, end)
		require.Equal(t, end, c.Err())
	})
	t.Run("after data that nobody has received yet", func(t *testing.T) {
		t.Parallel()
		c, bare := bareClient(t)
		for range 10 {
			_, err := io.WriteString(bare, frame(0x81, "early"))
			require.NoError(t, err)
		}
		require.Equal(t, chanws.Event(chanws.Text("early")), <-c.Events())
		for c.Stats().MessagesReceived < 10 {
			runtime.Gosched()
		}
		rst(bare)
		<-c.Done()
		got, end := collect(c)
		requireDropped(t, end)
		require.Len(t, got, 9, "what had been read before is delivered all the same")
	})
}
