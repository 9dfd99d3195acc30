package fromgorilla

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// serve runs a handler until the end of the test and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestEitherClientTalksToEitherServer(t *testing.T) {
	t.Parallel()
	for _, server := range []http.HandlerFunc{gorillaEcho, chanwsEcho} {
		url := serve(t, server)
		for _, ask := range []func(context.Context, string, string) (string, error){gorillaAsk, chanwsAsk} {
			answer, err := ask(t.Context(), url, "who is there?")
			require.NoError(t, err)
			require.Equal(t, "who is there?", answer)
		}
	}
}

func TestEitherServerRefusesAForeignOriginAndALargeMessage(t *testing.T) {
	t.Parallel()
	for _, server := range []http.HandlerFunc{gorillaEcho, chanwsEcho} {
		url := serve(t, server)
		dial := func(origin string) (*chanws.Conn, error) {
			return chanws.Dial(t.Context(), url, &chanws.DialOptions{Header: http.Header{"Origin": {origin}}})
		}
		_, err := dial("https://foreign.example")
		require.ErrorContains(t, err, "403")
		c, err := dial("https://app.example.com")
		require.NoError(t, err)
		defer c.CloseNow()
		c.Send <- chanws.Binary(make([]byte, 64<<10+1))
		_, err = c.Receive(t.Context())
		require.Equal(t, chanws.StatusMessageTooBig, chanws.CloseStatus(err))
	}
}

// gorillaEnd and chanwsEnd are ends of connections that a handler has made.
func gorillaEnd(t *testing.T) (*websocket.Conn, *chanws.Conn) {
	ends := make(chan *websocket.Conn, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		ends <- c
	})
	peer, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	c := <-ends
	t.Cleanup(func() { c.Close(); peer.CloseNow() })
	return c, peer
}

func chanwsEnd(t *testing.T) (c, peer *chanws.Conn) {
	ends := make(chan *chanws.Conn, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: keepalive})
		if err != nil {
			t.Error(err)
		}
		ends <- c
	})
	peer, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	c = <-ends
	t.Cleanup(func() { c.CloseNow(); peer.CloseNow() })
	return c, peer
}

func TestEitherReadLoopEndsWithoutAnErrorAtANormalClose(t *testing.T) {
	for _, tc := range []struct {
		code chanws.StatusCode
		fine bool
	}{{chanws.StatusNormalClosure, true}, {chanws.StatusGoingAway, true}, {chanws.StatusInternalError, false}} {
		results := make(chan error, 2)
		g, peer1 := gorillaEnd(t)
		c, peer2 := chanwsEnd(t)
		go func() { results <- gorillaReads(g) }()
		go func() { results <- chanwsReads(c) }()
		for _, peer := range []*chanws.Conn{peer1, peer2} {
			peer.Send <- chanws.Text("a message")
			require.Equal(t, "a message", <-handled)
			require.NoError(t, peer.Close(tc.code, ""))
			require.Equal(t, tc.fine, <-results == nil)
		}
	}
}

func TestEitherBroadcastReachesEverybody(t *testing.T) {
	t.Parallel()
	g, peer1 := gorillaEnd(t)
	c, peer2 := chanwsEnd(t)
	require.NoError(t, gorillaBroadcast([]*websocket.Conn{g}, []byte("news")))
	chanwsBroadcast([]*chanws.Conn{c}, []byte("news"))
	for _, peer := range []*chanws.Conn{peer1, peer2} {
		ev, err := peer.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("news"), ev)
	}
}

func TestGorillaWritesWhatItsChannelHolds(t *testing.T) {
	t.Parallel()
	g, peer := gorillaEnd(t)
	out := make(chan []byte, 1)
	out <- []byte("queued")
	close(out)
	require.NoError(t, gorillaWrites(g, out))
	ev, err := peer.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Text("queued"), ev)
	_, err = peer.Receive(t.Context())
	require.Equal(t, chanws.StatusNoStatusRcvd, chanws.CloseStatus(err))
}

func TestAReceiveThatTimesOutLeavesTheConnectionUsable(t *testing.T) {
	t.Parallel()
	c, peer := chanwsEnd(t)
	_, came, err := receiveWithin(c, time.Millisecond)
	require.NoError(t, err)
	require.False(t, came)
	peer.Send <- chanws.Text("late")
	ev, came, err := receiveWithin(c, time.Minute)
	require.NoError(t, err)
	require.True(t, came)
	require.Equal(t, chanws.Text("late"), ev)
}
