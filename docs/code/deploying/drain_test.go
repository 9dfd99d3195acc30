package deploying

import (
	"context"
	"net/http"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// drains requires that a client of a server gets 1001 when the server's ctx ends.
func drains(t *testing.T, server func(context.Context) error, url string) {
	ctx, terminate := context.WithCancel(t.Context())
	defer terminate()
	result := make(chan error, 1)
	go func() { result <- server(ctx) }()
	c, err := chanws.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	defer c.CloseNow()
	c.Send <- chanws.Text("hello")
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Text("hello"), ev)
	terminate()
	require.NoError(t, <-result)
	_, err = c.Receive(t.Context())
	require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(err))
}

func TestAListenerDrainsWhenTheProcessIsTerminated(t *testing.T) {
	t.Parallel()
	l, err := listen("127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	drains(t, func(ctx context.Context) error { return serveUntil(ctx, l) }, l.URL())
}

func TestTheAddressOfTheProxyIsTheLastOne(t *testing.T) {
	t.Parallel()
	for want, headers := range map[string][]string{
		"":          nil,
		"192.0.2.1": {"192.0.2.1"},
		"192.0.2.2": {"spoofed, 192.0.2.2"},
		"192.0.2.3": {"spoofed", "also spoofed,192.0.2.3"},
	} {
		require.Equal(t, want, clientIP(&http.Request{Header: http.Header{"X-Forwarded-For": headers}}))
	}
}
