package interop

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take before a test fails: much more than it
// needs on a busy machine.
const patience = time.Minute

// A library is another implementation of WebSocket.
type library struct {
	name    string
	dial    func(ctx context.Context, url string, set peerSettings) (peer, error)
	upgrade func(w http.ResponseWriter, r *http.Request, set peerSettings) (peer, error)

	// A library of another language has a program that start starts, and listens by
	// itself instead of upgrading a request: accept waits for the next connection.
	// One that has neither listen nor upgrade is no server.
	start  func(t *testing.T)
	listen func(ctx context.Context, t *testing.T, set peerSettings) (url string, accept func() peer)

	// ownPings tells that the library chooses the payload of its pings.
	ownPings bool
	// answer is the code with which it answers a close.
	answer func(chanws.StatusCode) chanws.StatusCode
	// hidesAnswer tells that its user does not see the answer to its close frame.
	hidesAnswer bool
	// alwaysCloseCode tells that it sends no close frame without a code.
	alwaysCloseCode bool
	// hidesPings tells that its user does not see the pings that it answers.
	hidesPings bool
	// hidesEmptyPongs tells that as a server it hides pongs without a payload.
	hidesEmptyPongs bool
	// lacks is what it has no call for.
	lacks lack
	// compresses tells that it takes peerSettings.deflate.
	compresses bool
	// mayClose tells which codes its user may close with; nil: any.
	mayClose func(chanws.StatusCode) bool
	// insists tells that as a server that knows subprotocols it refuses a client
	// that offers none.
	insists bool
}

// A lack is what a library cannot do.
type lack int

const (
	pings        lack = 1 << iota // to send a ping
	fragments                     // to choose the frames of a message
	anyCut                        // to cut text inside a character
	dropping                      // to close the socket
	deflateEdges                  // to compress a message that is empty or in fragments
)

// can tells whether the library has what is asked for.
func (l library) can(do lack) bool { return l.lacks&do == 0 }

var libraries = []library{gorillaLibrary, coderLibrary, gwsLibrary, gobwasLibrary}

// peerSettings are what the tests choose on the other side.
type peerSettings struct {
	tls          *tls.Config // nil: plain
	subprotocols []string
	fragment     int    // size of the frames that write makes; 0: one a message
	deflate      string // parameters of permessage-deflate to offer or answer; "": none at all
	goDeflate    *goDeflate
}

// A goDeflate is how a library of Go compresses. Not every one has every choice.
type goDeflate struct {
	takeover bool
	bits     int // of both windows; 0: the library's own choice
}

// A peer is the other library's end of a connection. What it receives comes from
// inbox in the vocabulary of chanws, with a Close or an Error as the last.
type peer interface {
	inbox() <-chan chanws.Event
	write(binary bool, data []byte) error
	ping(payload []byte) error
	close(code chanws.StatusCode, reason string) error // 1005: without a code
	subprotocol() string
	drop() // closes the socket
}

// A mailbox is the inbox of a peer.
type mailbox struct {
	events  chan chanws.Event
	dropped chan struct{}
	once    sync.Once
}

func newMailbox() *mailbox {
	return &mailbox{events: make(chan chanws.Event, 64), dropped: make(chan struct{})}
}

func (b *mailbox) inbox() <-chan chanws.Event { return b.events }

func (b *mailbox) put(ev chanws.Event) {
	select {
	case b.events <- ev:
	case <-b.dropped:
	}
}

// message puts a data message.
func (b *mailbox) message(binary bool, data []byte) {
	if binary {
		b.put(chanws.Binary(data))
	} else {
		b.put(chanws.Text(data))
	}
}

func (b *mailbox) abandon() { b.once.Do(func() { close(b.dropped) }) }

// inPieces writes data to a streaming writer, which makes a frame of each piece.
func inPieces(w io.Writer, data []byte, size int) error {
	for {
		n := min(size, len(data))
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// same is the answer of a library that answers a close with its code.
func same(code chanws.StatusCode) chanws.StatusCode { return code }

// An arrangement is how a library and chanws are connected.
type arrangement struct {
	library
	server       bool // chanws is the server, the library the client
	secure       bool
	options      chanws.Options
	fragment     int // of the peer
	subprotocols []string
	offered      []string // by the client
	deflate      string   // of the peer
	goDeflate    *goDeflate
}

// connect makes a connection that ends with the test.
func (a arrangement) connect(t *testing.T) (*chanws.Conn, peer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var c *chanws.Conn
	var p peer
	if a.server {
		c, p = a.connectToChanws(ctx, t)
	} else {
		c, p = a.connectToPeer(ctx, t)
	}
	t.Cleanup(func() {
		p.drop()
		c.CloseNow()
	})
	return c, p
}

func (a arrangement) connectToChanws(ctx context.Context, t *testing.T) (*chanws.Conn, peer) {
	set := peerSettings{subprotocols: a.offered, fragment: a.fragment, deflate: a.deflate, goDeflate: a.goDeflate}
	opts := &chanws.ListenOptions{Options: a.options, Subprotocols: a.subprotocols}
	if a.secure {
		opts.TLSConfig, set.tls = certified()
	}
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	p, err := a.dial(ctx, l.URL(), set)
	require.NoError(t, err)
	return receive(t, l.Conns()), p
}

func (a arrangement) connectToPeer(ctx context.Context, t *testing.T) (*chanws.Conn, peer) {
	if a.listen != nil {
		return a.connectToForeign(ctx, t)
	}
	peers := make(chan peer, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := a.upgrade(w, r, peerSettings{subprotocols: a.subprotocols, fragment: a.fragment, goDeflate: a.goDeflate})
		if err != nil {
			t.Errorf("upgrade: %v", err)
			close(peers)
			return
		}
		peers <- p
	}))
	opts := &chanws.DialOptions{Options: a.options, Subprotocols: a.offered}
	if a.secure {
		server.TLS, opts.TLSConfig = certified()
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	c, err := chanws.Dial(ctx, server.URL, opts)
	require.NoError(t, err)
	return c, receive(t, peers)
}

// connectToForeign connects to a library that listens by itself.
func (a arrangement) connectToForeign(ctx context.Context, t *testing.T) (*chanws.Conn, peer) {
	set := peerSettings{subprotocols: a.subprotocols, fragment: a.fragment, deflate: a.deflate, goDeflate: a.goDeflate}
	opts := &chanws.DialOptions{Options: a.options, Subprotocols: a.offered}
	if a.secure {
		set.tls, opts.TLSConfig = certified()
	}
	url, accept := a.listen(ctx, t, set)
	c, err := chanws.Dial(ctx, url, opts)
	require.NoError(t, err)
	return c, accept()
}

// receive takes one element of a channel within patience.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		require.True(t, ok, "the channel is closed")
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came", "%T", ch)
		panic("unreachable")
	}
}

// eachWay runs test for every library, with chanws as the client and as the server,
// plain and over TLS.
func eachWay(t *testing.T, test func(*testing.T, arrangement)) {
	for _, lib := range libraries {
		t.Run(lib.name, func(t *testing.T) {
			t.Parallel()
			if lib.start != nil {
				lib.start(t)
			}
			for _, server := range []bool{false, true} {
				if !server && lib.upgrade == nil && lib.listen == nil {
					continue
				}
				for _, secure := range []bool{false, true} {
					name := []string{"chanws dials", "over plain TCP"}
					if server {
						name[0] = "chanws listens"
					}
					if secure {
						name[1] = "over TLS"
					}
					t.Run(strings.Join(name, " "), func(t *testing.T) {
						t.Parallel()
						test(t, arrangement{library: lib, server: server, secure: secure})
					})
				}
			}
		})
	}
}
