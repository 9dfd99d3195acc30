package pump

import (
	"crypto/tls"
	"time"
)

// abortSocket closes the socket without a close handshake, unless it is closed or the
// read pump owns it. Called with mu held.
func (p *pump) abortSocket() {
	if p.socket == pumpsOwn {
		p.socket = aborted
		p.dropSocket()
	}
}

// linger gives the peer time to read our close frame before the socket is closed. To
// close it with bytes unread resets the connection and may lose the frame.
func (p *pump) linger() {
	defer p.dropSocketAfter(lingerTimeout).Stop()
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	p.conn.SetReadDeadline(time.Time{})
	for {
		if _, err := p.conn.Read(b[:]); err != nil {
			return
		}
	}
}

// closeSocket closes the socket. TLS sends an alert first, and would wait five seconds
// for room to write it.
func (p *pump) closeSocket() {
	if _, encrypted := p.conn.(*tls.Conn); encrypted {
		defer p.dropSocketAfter(tlsCloseTimeout).Stop()
	}
	p.conn.Close()
}

// dropSocketAfter drops the socket after d, unless the timer is stopped before.
func (p *pump) dropSocketAfter(d time.Duration) *time.Timer {
	return time.AfterFunc(d, p.dropSocket)
}

// dropSocket closes the socket without a TLS alert, which could block.
func (p *pump) dropSocket() {
	if encrypted, ok := p.conn.(*tls.Conn); ok {
		encrypted.NetConn().Close()
		return
	}
	p.conn.Close()
}
