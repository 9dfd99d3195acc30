package chanws_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A shaker disturbs one cell of the lifecycle table, in a way that its seed fixes. Other
// goroutines get to run at the points where the cell, the hooks of chanws.Trace and the
// calls of the transport are, and both ends of the transport split what they carry.
type shaker struct {
	seed   uint64
	sleeps bool // also for moments of real time

	ending    *ending
	situation situation
	server    bool
	raw       bool // the library has its end of a TCP connection bare
	restless  int  // in how many of 8 cases something happens
	pieces    int  // for how many calls each end splits finely

	mu  sync.Mutex
	rng *rand.Rand
}

func newShaker(seed uint64) *shaker {
	s := &shaker{seed: seed, rng: rand.New(rand.NewPCG(seed, 0))}
	s.ending = &endings[s.intN(len(endings))]
	s.situation = situation(s.intN(len(situations)))
	s.server = s.intN(2) == 0
	s.raw = s.intN(2) == 0
	s.restless = s.intN(9)
	s.pieces = s.intN(200)
	return s
}

func (s *shaker) String() string {
	side := map[bool]string{true: "server", false: "client"}[s.server]
	return fmt.Sprintf("%s/%s/%s", s.ending.name, side, situations[s.situation])
}

func (s *shaker) intN(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// pause lets other goroutines run, or not.
func (s *shaker) pause() {
	if s.intN(8) >= s.restless {
		return
	}
	if s.sleeps && s.intN(4) == 0 {
		time.Sleep(time.Duration(s.intN(200)) * time.Microsecond)
		return
	}
	for range 1 + s.intN(4) {
		runtime.Gosched()
	}
}

// cell runs the cell over a connection that pair makes.
func (s *shaker) cell(t *testing.T, pair func(*testing.T) (client, server net.Conn), encrypted bool) {
	testCell(t, s.ending, s.situation, s.server, func(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, net.Conn) {
		opts.Trace = s.trace()
		client, far := pair(t)
		if server {
			return s.openServer(t, encrypted, opts, s.own(far), s.wrap(client))
		}
		return s.openClient(t, encrypted, opts, s.own(client), s.wrap(far))
	}, false, s.pause)
}

func (s *shaker) trace() *chanws.Trace {
	return &chanws.Trace{
		FrameReceived: func(chanws.FrameInfo) { s.pause() },
		FrameSent:     func(chanws.FrameInfo) { s.pause() },
		Flushed:       func(int, time.Duration, error) { s.pause() },
		Ended:         func(error) { s.pause() },
	}
}

// openServer does the handshake of a server's Conn on own with a bare client.
func (s *shaker) openServer(t *testing.T, encrypted bool, opts chanws.Options, own, bare net.Conn) (*chanws.Conn, net.Conn) {
	if encrypted {
		serverTLS, clientTLS := testTLS()
		cfg := clientTLS.Clone()
		cfg.ServerName = "example.com"
		own, bare = tls.Server(own, serverTLS), tls.Client(bare, cfg)
	}
	requested := make(chan struct{})
	go func() {
		defer close(requested)
		requestUpgrade(t, bare)
	}()
	buffered := bufio.NewReader(own)
	r, err := http.ReadRequest(buffered)
	require.NoError(t, err)
	w := hijackable{httptest.NewRecorder(), own, buffered}
	conn, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: opts})
	require.NoError(t, err)
	<-requested
	return conn, bare
}

// openClient does the handshake of a client's Conn on own with a bare server.
func (s *shaker) openClient(t *testing.T, encrypted bool, opts chanws.Options, own, bare net.Conn) (*chanws.Conn, net.Conn) {
	if encrypted {
		serverTLS, _ := testTLS()
		bare = tls.Server(bare, serverTLS)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answerUpgrade(t, bare)
	}()
	conn := dialVia(t, func() net.Conn { return own }, encrypted, opts)
	<-answered
	return conn, bare
}

// hijackable gives a connection to who upgrades it.
type hijackable struct {
	http.ResponseWriter
	conn     net.Conn
	buffered *bufio.Reader
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.buffered, bufio.NewWriter(h.conn)), nil
}

// tcpPair gives the ends of a connection over loopback, with small buffers.
func tcpPair(t *testing.T) (client, server net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client = dialSmall(t, l.Addr().String())
	server, err = smallListener{l}.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// own gives the library's end of a connection: the library has ways of its own for a
// bare *net.TCPConn.
func (s *shaker) own(c net.Conn) net.Conn {
	if _, tcp := c.(*net.TCPConn); tcp && s.raw {
		return c
	}
	return s.wrap(c)
}

func (s *shaker) wrap(c net.Conn) net.Conn {
	return &shakenConn{Conn: c, shaker: s, reads: s.pieces, writes: s.pieces}
}

// A shakenConn splits what is read and written, finely for some time and then coarsely,
// with pauses in between. Its reads follow each other, and so do its writes.
type shakenConn struct {
	net.Conn
	shaker        *shaker
	reads, writes int // that are split finely
}

func (c *shakenConn) Read(p []byte) (int, error) {
	c.shaker.pause()
	n, err := c.Conn.Read(p[:c.split(len(p), &c.reads)])
	c.shaker.pause()
	return n, err
}

func (c *shakenConn) Write(p []byte) (n int, err error) {
	for err == nil && (n < len(p) || n == 0) {
		c.shaker.pause()
		var k int
		k, err = c.Conn.Write(p[n:][:c.split(len(p)-n, &c.writes)])
		n += k
		if len(p) == 0 {
			break
		}
	}
	c.shaker.pause()
	return n, err
}

// split gives how much of n bytes to do at once.
func (c *shakenConn) split(n int, fine *int) int {
	if n < 2 {
		return n
	}
	if *fine > 0 {
		*fine--
		return 1 + c.shaker.intN(min(n, 1+c.shaker.intN(64)))
	}
	if c.shaker.intN(2) == 0 {
		return n
	}
	return min(n, 4096+c.shaker.intN(n))
}

func (c *shakenConn) CloseWrite() error {
	c.shaker.pause()
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (c *shakenConn) Close() error {
	c.shaker.pause()
	return c.Conn.Close()
}

// Drop resets the connection.
func (c *shakenConn) Drop() { reset(c.Conn) }
