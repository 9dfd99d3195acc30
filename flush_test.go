package chanws_test

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestFlushWaitsForWhatWasSentBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := rawPair(t, chanws.Options{})
		require.NoError(t, conn.Flush(t.Context()), "nothing to wait for")
		conn.Send <- chanws.Text("small")
		conn.Send <- chanws.Binary(make([]byte, 100<<10))
		done := make(chan error, 1)
		go func() { done <- conn.Flush(context.Background()) }()
		synctest.Wait()
		require.Empty(t, done, "the pipe is full")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, conn.Flush(ctx), context.DeadlineExceeded)
		peer.expect(frame.Text, "small")
		require.Equal(t, frame.Binary, peer.next().Opcode)
		require.NoError(t, <-done)
		require.EqualValues(t, 2, conn.Stats().FramesSent)
		conn.Send <- chanws.Close{Code: 1000}
		require.ErrorIs(t, conn.Flush(t.Context()), net.ErrClosed)
		peer.expectClose(1000, "")
		peer.sendClose(1000, "")
		<-conn.Done()
		require.Equal(t, conn.Err(), conn.Flush(t.Context()))
	})
}

func TestClosingTellsThatNothingIsWrittenAnyMore(t *testing.T) {
	for name, end := range map[string]func(*chanws.Conn, *rawPeer){
		"Close":         func(c *chanws.Conn, p *rawPeer) { c.Close(1000, "") },
		"CloseNow":      func(c *chanws.Conn, p *rawPeer) { c.CloseNow() },
		"close message": func(c *chanws.Conn, p *rawPeer) { c.Send <- chanws.Close{Code: 1000} },
		"peer close":    func(c *chanws.Conn, p *rawPeer) { p.sendClose(1000, "") },
		"drop":          func(c *chanws.Conn, p *rawPeer) { p.drop() },
		"failed write": func(c *chanws.Conn, p *rawPeer) {
			c.Write(context.Background(), chanws.Binary(make([]byte, 200<<10)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, chanws.Options{WriteTimeout: time.Second})
				closing := conn.Closing()
				require.Equal(t, closing, conn.Closing())
				select {
				case <-closing:
					t.Fatal("too early")
				default:
				}
				go end(conn, peer)
				<-closing
				if name == "failed write" {
					require.NoError(t, conn.Err(), "the peer's last words may still come")
				}
				conn.CloseNow()
				<-conn.Closing()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{})
		conn.CloseNow()
		<-conn.Closing() // asked for only afterwards
	})
}

func TestTheCloseTimeoutMayBeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := rawPair(t, chanws.Options{CloseTimeout: time.Second})
		conn.SetCloseTimeout(time.Minute)
		began := time.Now()
		require.ErrorIs(t, conn.Close(1000, ""), os.ErrDeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(began))
	})
}
