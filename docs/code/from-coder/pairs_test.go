package fromcoder

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve runs a handler until the end of the test and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestEitherServerEchoesTheSame(t *testing.T) {
	t.Parallel()
	for _, server := range []http.HandlerFunc{coderEcho, chanwsEcho} {
		url := serve(t, server)
		dial := func(origin string) (*chanws.Conn, error) {
			return chanws.Dial(t.Context(), url, &chanws.DialOptions{
				Header:       http.Header{"Origin": {origin}},
				Subprotocols: []string{"echo"},
			})
		}
		_, err := dial("https://foreign.example")
		require.ErrorContains(t, err, "403")
		c, err := dial("https://app.example.com")
		require.NoError(t, err)
		defer c.CloseNow()
		require.Equal(t, "echo", c.Subprotocol())
		c.Send <- chanws.Text("hello")
		ev, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("hello"), ev)
		c.Send <- chanws.Binary(make([]byte, 64<<10+1))
		_, err = c.Receive(t.Context())
		require.Equal(t, chanws.StatusMessageTooBig, chanws.CloseStatus(err))
	}
}

func TestEitherClientAsksForAPrice(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for ev := range c.Events() {
			if text, ok := ev.(chanws.Text); ok {
				assert.JSONEq(t, `{"Symbol":"BTC"}`, string(text))
				assert.Equal(t, key, r.Header.Get("X-Api-Key"))
				c.Send <- chanws.Text(`{"Euro":1.5}`)
			}
		}
	})
	for _, ask := range []func(context.Context, string) (price, error){coderPrice, chanwsPrice} {
		p, err := ask(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, price{1.5}, p)
	}
}

// ends returns a connection of each library that a handler has accepted, and its peer.
func ends(t *testing.T) (a *websocket.Conn, peerA *chanws.Conn, b, peerB *chanws.Conn) {
	accepted := make(chan *websocket.Conn, 1)
	released := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		accepted <- c
		<-released
	})
	peerA, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	a = <-accepted
	t.Cleanup(func() { close(released); a.CloseNow(); peerA.CloseNow() })
	peerB, b = wstest.Pipe(t, nil, nil)
	return a, peerA, b, peerB
}

func TestEitherReadLoopEndsWithoutAnErrorAtANormalClose(t *testing.T) {
	for code, fine := range map[chanws.StatusCode]bool{chanws.StatusNormalClosure: true, chanws.StatusInternalError: false} {
		a, peerA, b, peerB := ends(t)
		results := make(chan error, 2)
		go func() { results <- coderReads(t.Context(), a) }()
		go func() { results <- chanwsReads(t.Context(), b) }()
		for _, peer := range []*chanws.Conn{peerA, peerB} {
			peer.Send <- chanws.Binary("a message")
			require.Equal(t, "a message", <-handled)
			require.NoError(t, peer.Close(code, ""))
			require.Equal(t, fine, <-results == nil)
		}
	}
}

func TestEitherServerTicksUntilTheClientCloses(t *testing.T) {
	t.Parallel()
	for _, server := range []http.HandlerFunc{coderTicks, chanwsTicks} {
		c, err := chanws.Dial(t.Context(), serve(t, server), nil)
		require.NoError(t, err)
		defer c.CloseNow()
		ev, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Len(t, ev, len(time.TimeOnly))
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
	}
}

func TestEitherUploadArrivesWhole(t *testing.T) {
	t.Parallel()
	const size = 200_000
	a, peerA, b, peerB := ends(t)
	data := strings.Repeat("x", size)
	results := make(chan error, 2)
	go func() { results <- coderUpload(t.Context(), a, strings.NewReader(data)) }()
	ev, err := peerA.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, data, string(ev.(chanws.Binary)))

	go func() { results <- chanwsUpload(t.Context(), b, strings.NewReader(data)) }()
	var got []byte
	for {
		ev, err := peerB.Receive(t.Context())
		require.NoError(t, err)
		part := ev.(chanws.Binary)
		if len(part) == 0 {
			break
		}
		got = append(got, part...)
	}
	require.Equal(t, data, string(got))
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.ErrorIs(t, chanwsUpload(t.Context(), b, io.MultiReader(strings.NewReader("x"), broken{})), io.ErrNoProgress)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func TestCodersPingLoopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a, _, _, _ := ends(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, coderPings(ctx, a), context.Canceled)
}

func TestAPeerThatAnswersNoPingEndsAfterPongTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := wstest.Raw(t, &chanws.UpgradeOptions{Options: pings})
		began := time.Now()
		_, err := c.Receive(t.Context())
		require.ErrorContains(t, err, "no pong")
		require.Equal(t, 40*time.Second, time.Since(began))
	})
}
