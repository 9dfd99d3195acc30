package chanws_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// gate lets n more bytes be written, then blocks like a peer that does not read.
type gate struct {
	net.Conn
	mu       sync.Mutex
	cond     *sync.Cond
	room     int
	closed   bool
	deadline time.Time
}

func (g *gate) Write(b []byte) (n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(b) > 0 {
		for g.room == 0 && !g.closed && (g.deadline.IsZero() || time.Now().Before(g.deadline)) {
			if !g.deadline.IsZero() {
				time.AfterFunc(time.Until(g.deadline), g.cond.Broadcast)
			}
			g.cond.Wait()
		}
		if g.closed {
			return n, net.ErrClosed
		}
		if g.room == 0 {
			return n, timeout{}
		}
		k := min(len(b), g.room)
		g.Conn.Write(b[:k])
		g.room -= k
		n += k
		b = b[k:]
	}
	return n, nil
}

type timeout struct{}

func (timeout) Error() string   { return "timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func (g *gate) SetWriteDeadline(t time.Time) error {
	g.mu.Lock()
	g.deadline = t
	g.cond.Broadcast()
	g.mu.Unlock()
	return nil
}
func (g *gate) SetDeadline(t time.Time) error { g.SetWriteDeadline(t); return g.SetReadDeadline(t) }
func (g *gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.cond.Broadcast()
	g.mu.Unlock()
	return g.Conn.Close()
}

type oneListener struct{ c chan net.Conn }

func (l oneListener) Accept() (net.Conn, error) {
	c, ok := <-l.c
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l oneListener) Close() error   { return nil }
func (l oneListener) Addr() net.Addr { return &net.TCPAddr{} }

func tlsGated(t *testing.T, opts chanws.Options) (*chanws.Conn, *tls.Conn, *gate) {
	serverTLS, clientTLS := testTLS()
	near, far := wstest.NetPipe(t)
	g := &gate{Conn: far, room: 1 << 30}
	g.cond = sync.NewCond(&g.mu)
	conns := make(chan *chanws.Conn, 1)
	l := oneListener{make(chan net.Conn, 1)}
	l.c <- tls.Server(g, serverTLS)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: opts})
		if err != nil {
			t.Error(err)
		}
		conns <- c
	})}
	go s.Serve(l)
	t.Cleanup(func() { close(l.c) })
	cfg := clientTLS.Clone()
	cfg.ServerName = "example.com"
	bare := tls.Client(near, cfg)
	_, err := bare.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + rawKey + "\r\n\r\n"))
	require.NoError(t, err)
	readHead(t, bare)
	return <-conns, bare, g
}

func TestClosingIsBoundedWhereTLSCannotSayGoodbye(t *testing.T) {
	t.Run("peer close, then CloseNow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, bare, g := tlsGated(t, chanws.Options{CloseTimeout: time.Second})
			peer := newRawPeer(t, bare, true)
			synctest.Wait()
			g.mu.Lock()
			g.room = 22 + 4 // the answer's record, and nothing for the alert
			g.mu.Unlock()
			peer.sendClose(1000, "")
			for range conn.Events() {
			}
			began := time.Now()
			require.NoError(t, conn.CloseNow())
			require.LessOrEqual(t, time.Since(began), time.Second)
		})
	})
	t.Run("violation, then CloseNow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, bare, g := tlsGated(t, chanws.Options{CloseTimeout: time.Second})
			peer := newRawPeer(t, bare, true)
			synctest.Wait()
			g.mu.Lock()
			g.room = 22 + 4 + len("RSV2 set without an extension")
			g.mu.Unlock()
			peer.write([]byte{0xf1})
			for range conn.Events() {
			}
			began := time.Now()
			require.NoError(t, conn.CloseNow())
			require.LessOrEqual(t, time.Since(began), time.Second)
		})
	})
	t.Run("Close with CloseTimeout 1s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn, bare, g := tlsGated(t, chanws.Options{CloseTimeout: time.Second})
			peer := newRawPeer(t, bare, true)
			synctest.Wait()
			g.mu.Lock()
			g.room = 22 + 4
			g.mu.Unlock()
			began := time.Now()
			go func() {
				time.Sleep(500 * time.Millisecond)
				peer.sendClose(1000, "")
			}()
			require.NoError(t, conn.Close(1000, ""))
			require.LessOrEqual(t, time.Since(began), time.Second)
		})
	})
}
