package adapt_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

const extensions = "Sec-WebSocket-Extensions"

// repeating is text that compresses well.
var repeating = strings.Repeat("the same again, and ", 1000)

// parrot is a service that answers with what it got.
func parrot() *adapt.Service {
	return &adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error { return c.WriteTextMessage(text) }}
}

func TestCompressionIsOnUnlessItIsTurnedOff(t *testing.T) {
	for _, tc := range []struct {
		client, server  chanws.Compression
		offered, agreed bool
	}{
		{chanws.CompressionDefault, chanws.CompressionDefault, true, true},
		{chanws.CompressionNoContextTakeover, chanws.CompressionDefault, true, true},
		{chanws.CompressionDisabled, chanws.CompressionDefault, false, false},
		{chanws.CompressionDefault, chanws.CompressionDisabled, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(shared(parrot()), &adapt.ServiceConfig{Options: chanws.Options{Compression: tc.server}}))
			cfg := h.config()
			cfg.Compression = tc.client
			back := make(chan string, 1)
			a, err := adapt.NewAsyncClient(t.Context(), "ws://server.test/", &adapt.Service{
				OnTextMessage: func(_ *adapt.Caller, text string) error { back <- text; return nil },
			}, cfg)
			require.NoError(t, err)
			require.Equal(t, tc.offered, a.Conn().Request().Header.Get(extensions) != "")
			require.Equal(t, tc.agreed, a.Conn().Response().Header.Get(extensions) != "")

			require.NoError(t, a.WriteTextMessage(repeating))
			require.Equal(t, repeating, receive(t, back))
			synctest.Wait() // counters are brought up to date when the pumps wait
			stats := a.Conn().Stats()
			require.Equal(t, tc.agreed, stats.BytesSent < 1000)
			require.Equal(t, tc.agreed, stats.BytesReceived < 1000)
			a.CloseNow()
			<-a.Done()
		})
	}
}

func TestTheOlderDeflateFrameIsDeclined(t *testing.T) {
	for offer, answer := range map[string]string{
		"deflate-frame":                       "",
		"x-webkit-deflate-frame":              "",
		"deflate-frame, permessage-deflate":   "permessage-deflate",
		"permessage-deflate, deflate-frame":   "permessage-deflate",
		"permessage-deflate; max_window_bits": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, adapt.Handler(shared(parrot()), nil))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server.test/", nil)
			require.NoError(t, err)
			for name, value := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", extensions: offer,
			} {
				req.Header.Set(name, value)
			}
			opts := h.options()
			resp, err := opts.HTTPClient.Do(req)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
			require.Equal(t, answer, resp.Header.Get(extensions))
			resp.Body.Close()
			synctest.Wait()
		})
	}
}

func TestAMessageIsLimitedByWhatItIsAfterDecompression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, adapt.Handler(shared(&adapt.Service{}), nil))
		opts := h.options()
		opts.Compression = chanws.CompressionContextTakeover
		c, err := chanws.Dial(t.Context(), "ws://server.test/", &opts)
		require.NoError(t, err)
		_ = c.Write(t.Context(), chanws.Text(strings.Repeat("x", 1<<20+1)))
		require.EqualValues(t, 1009, chanws.CloseStatus(ending(t, c)))
		require.Less(t, c.Stats().BytesSent, uint64(10_000), "the frame itself is a small one")
		c.CloseNow()
		synctest.Wait()
	})
}
