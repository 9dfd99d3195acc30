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

// dial does the client's side of the handshake on near, with the library. When it
// fails, near is closed, so that the server's side ends too.
func dial(t testing.TB, near *conn, opts *chanws.DialOptions) (c *chanws.Conn, err error) {
	defer func() {
		if c == nil {
			near.Close()
		}
	}()
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
	var dialled atomic.Bool
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errors.New("wstest: one connection serves one handshake")
		}
		return near, nil
	}}
	defer transport.CloseIdleConnections()
	o.HTTPClient = &http.Client{Transport: transport}
	// In a cleanup the test's own context has ended.
	return chanws.Dial(context.WithoutCancel(t.Context()), url, &o)
}
