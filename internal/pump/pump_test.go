package pump

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestMessagesComeAndGo(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	peer.send(frame.Text, "hello")
	require.Equal(t, text("hello"), <-p.Events())
	p.Send() <- text("you")
	peer.expect(frame.Text, "you")
	require.NoError(t, p.Write(context.Background(), bin("bytes")))
	peer.expect(frame.Binary, "bytes")
	peer.send(frame.Ping, "p")
	peer.expect(frame.Pong, "p")
	require.Equal(t, ping("p"), <-p.Events())
	big := strings.Repeat("x", 1<<20)
	peer.send(frame.Text, big)
	require.Equal(t, text(big), <-p.Events())
	p.Send() <- text(big)
	p.Send() <- text("after")
	peer.expect(frame.Text, big)
	peer.expect(frame.Text, "after")
	peer.send(frame.Close, string(frame.AppendClose(nil, 4001, "bye")))
	peer.expectClose(4001, "")
	require.Equal(t, closed{4001, "bye"}, <-p.Events())
	_, open := <-p.Events()
	require.False(t, open)
	require.Equal(t, closed{4001, "bye"}, p.Err())
	require.NoError(t, p.Close(t.Context(), 1000, ""))
	require.ErrorIs(t, p.CloseNow(), net.ErrClosed)
}

func TestDroppedConnectionIsAnUnexpectedEOF(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	peer.conn.Close()
	require.ErrorIs(t, asFailed(t, <-p.Events()), io.ErrUnexpectedEOF)
}

func TestLocalClose(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	p.Send() <- text("first")
	done := make(chan error)
	go func() { done <- p.Close(t.Context(), 1001, "going") }()
	peer.expect(frame.Text, "first")
	peer.expectClose(1001, "going")
	peer.send(frame.Text, "late")
	peer.send(frame.Close, string(frame.AppendClose(nil, 1001, "")))
	require.NoError(t, <-done)
	require.Equal(t, closed{1001, ""}, <-p.Events())
}

func TestCloseNow(t *testing.T) {
	p, _ := serverPump(t, testOptions())
	require.NoError(t, p.CloseNow())
	require.ErrorIs(t, asFailed(t, <-p.Events()), net.ErrClosed)
}

func TestProtocolError(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	peer.conn.Write([]byte{0xff, 0xff})
	requireBreach(t, p, peer, 1002, "RSV2 set without an extension")
	_, _, err := peer.receive()
	require.ErrorIs(t, err, io.EOF)
	peer.conn.Close()
	p.CloseNow()
}
