package faults

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A proxy passes TCP connections on, and spoils them as its plans say.
type proxy struct {
	listener         net.Listener
	dialer           net.Dialer
	target           string
	toServer, toPeer plan
	wg               sync.WaitGroup

	saidByPeer, saidByServer atomic.Int64 // octets that were passed on

	mu       sync.Mutex
	passages []*passage
}

// A plan is what is done to one direction of a connection.
type plan struct {
	latency time.Duration // every piece is held for so long
	rate    int           // octets a second; 0 as fast as can be
	fast    int           // so many octets first are passed on as fast as can be
	piece   int           // octets that are passed on at once; 0 as many as come
	// fault happens when so many octets have been passed on; none happens if it is "".
	fault fault
	after int
}

// A fault is what becomes of a connection.
type fault string

const (
	none    fault = ""
	cut     fault = "cut"       // both ends hear the end of the stream behind what was passed on
	reset   fault = "reset"     // both ends are reset, what was passed on may be lost
	silence fault = "half open" // nothing is passed on any more, in either direction
	deaf    fault = "deaf"      // nor is anything taken from them
)

// newProxy gives a proxy in front of a server. It ends with the test.
func newProxy(t testing.TB, target string, toServer, toPeer plan) *proxy {
	t.Helper()
	return newProxyWith(t, nil, target, toServer, toPeer)
}

// newProxyWith gives one whose sockets are prepared by control.
func newProxyWith(t testing.TB, control func(network, addr string, c syscall.RawConn) error, target string, toServer, toPeer plan) *proxy {
	t.Helper()
	listen := net.ListenConfig{Control: control}
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, dialer: net.Dialer{Control: control}, target: target, toServer: toServer, toPeer: toPeer}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "ws://" + p.listener.Addr().String() + "/" }

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.passages {
		c.peer.Close()
		c.server.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := p.dialer.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		c := &passage{peer: near.(*net.TCPConn), server: far.(*net.TCPConn), spoilt: make(chan struct{})}
		p.mu.Lock()
		p.passages = append(p.passages, c)
		p.mu.Unlock()
		p.wg.Go(func() { c.pass(c.server, c.peer, p.toServer, &p.saidByPeer) })
		p.wg.Go(func() { c.pass(c.peer, c.server, p.toPeer, &p.saidByServer) })
	}
}

// A passage is one connection through the proxy.
type passage struct {
	peer, server *net.TCPConn
	once         sync.Once
	deaf         bool          // set before
	spoilt       chan struct{} // closed by the fault: nothing is passed on any more
}

func (c *passage) pass(to, from *net.TCPConn, pl plan, passed *atomic.Int64) {
	left := pl.after
	b := make([]byte, 32<<10)
	for {
		if pl.fault != none && left == 0 {
			c.spoil(pl.fault)
			c.swallow(from)
			return
		}
		most := len(b)
		if pl.piece > 0 {
			most = pl.piece
		}
		if pl.fault != none {
			most = min(most, left)
		}
		n, err := from.Read(b[:most])
		left -= n
		if pl.fast > 0 {
			pl.fast -= n
		} else {
			pl.delay(n)
		}
		select {
		case <-c.spoilt:
			c.swallow(from)
			return
		default:
		}
		if n > 0 {
			passed.Add(int64(n))
			to.Write(b[:n])
		}
		if err != nil {
			to.CloseWrite()
			return
		}
	}
}

// swallow takes what is not passed on any more.
func (c *passage) swallow(from io.Reader) {
	if !c.deaf {
		io.Copy(io.Discard, from)
	}
}

// delay takes the time that n octets need: it is what a test is about, and not how it
// waits.
func (pl *plan) delay(n int) {
	d := pl.latency
	if pl.rate > 0 {
		d += time.Duration(n) * time.Second / time.Duration(pl.rate)
	}
	if d > 0 {
		<-time.After(d)
	}
}

// spoilAll does to the connections there are what a plan could do to those to come.
func (p *proxy) spoilAll(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.passages {
		c.spoil(f)
	}
}

func (c *passage) spoil(f fault) {
	c.once.Do(func() {
		c.deaf = f == deaf
		close(c.spoilt)
		switch f {
		case cut:
			c.peer.CloseWrite()
			c.server.CloseWrite()
		case reset:
			c.peer.SetLinger(0)
			c.server.SetLinger(0)
			c.peer.Close()
			c.server.Close()
		}
	})
}
