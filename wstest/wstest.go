// Package wstest gives tests WebSocket connections in memory.
//
// The handshake is a real one, through [chanws.Dial] and [chanws.Upgrade], over a
// connection like [NetPipe]'s. No port is opened and no time passes, and
// everything may be used inside testing/synctest bubbles, so that tests of
// timeouts take no real time. What a function here makes is ended with the test:
// nothing has to be closed, but everything may be.
package wstest

import (
	"net"
	"sync"
	"testing"

	"github.com/chanws/chanws"
)

// Pipe gives the two ends of a new connection. nil options mean all defaults. The
// client's HTTPClient and TLSConfig must be unset: the connection is the pipe's.
// A handshake that fails, as it does when the options do not fit each other, fails
// the test at once.
func Pipe(t testing.TB, client *chanws.DialOptions, server *chanws.UpgradeOptions) (c, s *chanws.Conn) {
	t.Helper()
	near, far := newPipe(t)
	var clientErr, serverErr error
	var serving sync.WaitGroup
	serving.Go(func() { s, serverErr = upgrade(far, server) })
	c, clientErr = dialPipe(t, near, client)
	serving.Wait()
	t.Cleanup(func() { end(c, s) })
	check(t, clientErr, serverErr)
	return c, s
}

// Raw gives a server's connection and the bare client end of it, just after the
// handshake: what is read there is frames from the first byte on, and the test
// plays the client. The handshake offers the subprotocols of server, and
// permessage-deflate without parameters where server has a Compression mode on.
//
// The bare end is like those of [NetPipe], with CloseWrite and Drop.
func Raw(t testing.TB, server *chanws.UpgradeOptions) (*chanws.Conn, net.Conn) {
	t.Helper()
	near, far := newPipe(t)
	var s *chanws.Conn
	var clientErr, serverErr error
	var serving sync.WaitGroup
	serving.Go(func() { s, serverErr = upgrade(far, server) })
	clientErr = request(near, server)
	serving.Wait()
	t.Cleanup(func() {
		near.Close()
		end(s)
	})
	check(t, clientErr, serverErr)
	return s, near
}

// RawServer gives a client's connection and the bare server end of it, just after
// the handshake: what is read there is frames from the first byte on, and the test
// plays the server. The handshake chooses the first subprotocol that the client
// offers, and permessage-deflate as it is offered. The client's HTTPClient and
// TLSConfig must be unset.
//
// The bare end is like those of [NetPipe], with CloseWrite and Drop.
func RawServer(t testing.TB, client *chanws.DialOptions) (*chanws.Conn, net.Conn) {
	t.Helper()
	near, far := newPipe(t)
	var clientErr, serverErr error
	var serving sync.WaitGroup
	serving.Go(func() { serverErr = answer(far) })
	c, clientErr := dialPipe(t, near, client)
	serving.Wait()
	t.Cleanup(func() {
		far.Close()
		end(c)
	})
	check(t, clientErr, serverErr)
	return c, far
}

// check fails the test if a side's handshake has failed.
func check(t testing.TB, clientErr, serverErr error) {
	t.Helper()
	switch {
	case clientErr != nil && serverErr != nil:
		t.Fatalf("wstest: the handshake failed: client: %v; server: %v", clientErr, serverErr)
	case clientErr != nil:
		t.Fatalf("wstest: the handshake failed: client: %v", clientErr)
	case serverErr != nil:
		t.Fatalf("wstest: the handshake failed: server: %v", serverErr)
	}
}

// end ends those connections that have been made.
func end(conns ...*chanws.Conn) {
	for _, c := range conns {
		if c != nil {
			c.CloseNow()
		}
	}
}
