package chanws_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// The ways to close with a code and a reason. Each returns the result of a call that
// waits for the peer's answer.
var closings = map[string]func(*chanws.Conn, context.Context, chanws.Close) error{
	"Close": func(c *chanws.Conn, _ context.Context, end chanws.Close) error { return c.Close(end.Code, end.Reason) },
	"CloseContext": func(c *chanws.Conn, ctx context.Context, end chanws.Close) error {
		return c.CloseContext(ctx, end.Code, end.Reason)
	},
	"Send": func(c *chanws.Conn, _ context.Context, end chanws.Close) error {
		c.Send <- end
		<-c.Done()
		return c.Close(1000, "")
	},
	"Write": func(c *chanws.Conn, ctx context.Context, end chanws.Close) error {
		if err := c.Write(ctx, end); err != nil {
			return err
		}
		<-c.Done()
		return c.Close(1000, "")
	},
}

func TestACloseWithoutACodeIsAFrameWithoutABody(t *testing.T) {
	t.Parallel()
	for name, closeConn := range closings {
		for _, code := range []chanws.StatusCode{0, chanws.StatusNoStatusRcvd} {
			for _, server := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %d server=%v", name, int(code), server), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						conn, peer := rawPairOf(t, server, chanws.Options{})
						closed := make(chan error, 1)
						go func() { closed <- closeConn(conn, t.Context(), chanws.Close{Code: code}) }()
						peer.expect(frame.Close, "")
						peer.send(frame.Close, "")
						if !server {
							peer.conn.Close() // a client waits for the server to close
						}
						require.NoError(t, <-closed, "the peer has answered")
						require.Equal(t, chanws.Close{Code: chanws.StatusNoStatusRcvd}, conn.Err())
					})
				})
			}
		}
	}
}

func TestAReasonWithoutACodeIsRefusedAndTheConnectionStaysOpen(t *testing.T) {
	t.Parallel()
	for _, code := range []chanws.StatusCode{0, chanws.StatusNoStatusRcvd} {
		synctest.Test(t, func(t *testing.T) {
			var dropped []error
			conn, peer := rawPair(t, chanws.Options{OnDrop: func(_ chanws.Message, err error) { dropped = append(dropped, err) }})
			end := chanws.Close{Code: code, Reason: "bye"}
			for name, closeConn := range closings {
				if name != "Send" {
					require.ErrorIs(t, closeConn(conn, t.Context(), end), chanws.ErrInvalidMessage, name)
				}
			}
			conn.Send <- end
			conn.Send <- chanws.Text("alive")
			peer.expect(frame.Text, "alive")
			require.Len(t, dropped, 1)
			require.ErrorIs(t, dropped[0], chanws.ErrInvalidMessage)
			require.NoError(t, conn.Err())
		})
	}
}

func TestAProxyHandsOnWhateverEndsAConnection(t *testing.T) {
	t.Parallel()
	for _, end := range []chanws.Close{{}, {Code: 1005}, {Code: 1000}, {Code: 1001, Reason: "leaving"}, {Code: 4321, Reason: "bye"}} {
		synctest.Test(t, func(t *testing.T) {
			client, near := wstest.Pipe(t, nil, nil)
			far, server := wstest.Pipe(t, nil, nil)
			go func() {
				for ev := range near.Events() {
					if m, ok := ev.(chanws.Message); ok {
						far.Send <- m
					}
				}
				<-far.Done()
			}()
			client.Send <- chanws.Text("hello")
			client.Send <- end
			require.Equal(t, chanws.Text("hello"), <-server.Events())
			want := end
			if want.Code == 0 {
				want.Code = chanws.StatusNoStatusRcvd
			}
			require.Equal(t, want, <-server.Events())
			<-far.Done()
			require.NoError(t, far.Close(1000, ""), "both close frames were exchanged")
		})
	}
}

func TestAClientMayCloseWithoutACode(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		require.NoError(t, c.Close(0, ""))
		<-peer.Done()
		require.Equal(t, chanws.Close{Code: chanws.StatusNoStatusRcvd}, peer.Err())
	})
}

// rawPairOf is rawPair for either role.
func rawPairOf(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, *rawPeer) {
	if server {
		return rawPair(t, opts)
	}
	conn, bare := wstest.RawServer(t, &chanws.DialOptions{Options: opts})
	return conn, newRawPeer(t, bare, false)
}
