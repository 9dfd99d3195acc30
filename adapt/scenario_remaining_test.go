package adapt_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestScenario231_ASubprotocolThatTheServerDoesNotSpeakIsAnError(t *testing.T) {
	t.Parallel()
	cfg := &adapt.ClientConfig{DialOptions: chanws.DialOptions{Subprotocols: []string{"xml"}}}
	_, err := adapt.NewAsyncClient(bContext(t), bListen(t, bMirror(), nil), nil, cfg)
	var refused *chanws.HandshakeError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusSwitchingProtocols, refused.StatusCode)
	require.ErrorContains(t, err, "subprotocol")
}

// It is disabled in the module.
func TestScenario232_AHostThatDoesNotResolveIsAnError(t *testing.T) {
	t.Parallel()
	nameless := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no name server")
	}}}
	opts := &chanws.ClientOptions{DialOptions: chanws.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: nameless.DialContext}},
	}}
	_, err := chanws.NewClient(bContext(t), "ws://lmnop.invalid:21010/", opts)
	require.ErrorAs(t, err, new(*net.DNSError))
}
