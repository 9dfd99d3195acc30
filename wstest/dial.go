package wstest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/chanws/chanws"
)

const url = "ws://server.test/"

// dialPipe does the client's side of the handshake on near, with the library. When it
// fails, near is closed, so that the server's side ends too.
func dialPipe(t testing.TB, near *conn, opts *chanws.DialOptions) (*chanws.Conn, error) {
	var dialled atomic.Bool
	c, err := dial(t, func(context.Context) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errors.New("wstest: one connection serves one handshake")
		}
		return near, nil
	}, opts)
	if err != nil {
		near.Close()
	}
	return c, err
}

// dial does the client's side of a handshake with the library, on what connect makes.
func dial(t testing.TB, connect func(context.Context) (net.Conn, error), opts *chanws.DialOptions) (*chanws.Conn, error) {
	var o chanws.DialOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case o.HTTPClient != nil:
		return nil, errors.New("DialOptions.HTTPClient is set, but the connection is in memory")
	case o.TLSConfig != nil:
		return nil, errors.New("DialOptions.TLSConfig is set, but the connection is in memory")
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx) }}
	defer transport.CloseIdleConnections()
	o.HTTPClient = &http.Client{Transport: transport}
	// In a cleanup the test's own context has ended.
	return chanws.Dial(context.WithoutCancel(t.Context()), url, &o)
}
