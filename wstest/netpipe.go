package wstest

import (
	"io"
	"net"
	"testing"
	"time"
)

// NetPipe gives the two ends of a connection in memory, for tests that put
// something of their own on it. Both ends are closed with the test.
//
// It behaves like TCP over loopback, not like [net.Pipe]: each direction holds up
// to 64 KiB that nobody has read yet, and a Write blocks only when that is full.
// Deadlines work as those of TCP do, a Write that fails tells how many bytes went
// out before, and an operation that another goroutine's Close interrupts returns
// net.ErrClosed. All methods are safe for any number of goroutines, the bytes of
// one Write are never interleaved with those of another, and an operation that
// waits is durably blocked in the sense of testing/synctest.
//
// How an end can be closed:
//
//   - Close: the peer reads what is buffered and then io.EOF, and its writes fail
//     with an error that matches syscall.EPIPE.
//   - CloseWrite, the FIN of TCP: the peer reads what is buffered and then io.EOF.
//     The other direction goes on.
//   - Drop, the RST of TCP: what is buffered is lost, and reads and writes of both
//     ends fail with an error that matches syscall.ECONNRESET.
//
// The last two are reached through an interface, here and on the bare ends that
// [Raw] and [RawServer] give:
//
//	a.(interface{ CloseWrite() error }).CloseWrite()
//	a.(interface{ Drop() }).Drop()
func NetPipe(t testing.TB) (a, b net.Conn) {
	t.Helper()
	return newPipe(t)
}

func newPipe(t testing.TB) (client, server *conn) {
	client, server = pair()
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// pair returns the two ends of a pipe.
func pair() (client, server *conn) {
	there, back := newStream(), newStream()
	client = &conn{in: back, out: there, local: clientAddr, remote: serverAddr}
	server = &conn{in: there, out: back, local: serverAddr, remote: clientAddr}
	return client, server
}

// An addr looks like host:port, because servers like to split those.
type addr string

const (
	clientAddr addr = "client.test:49152"
	serverAddr addr = "server.test:80"
)

func (addr) Network() string  { return "wstest" }
func (a addr) String() string { return string(a) }

// A conn is one end of a pipe: it reads from one stream and writes to the other.
type conn struct {
	in, out       *stream
	local, remote addr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.opError("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.opError("write", err)
}

func (c *conn) Close() error {
	err := c.in.closeRead()
	c.out.closeWrite()
	return c.opError("close", err)
}

// Transferred returns how many bytes have been written at this end, those of a Write in
// progress included, and how many of them have been read at the other end. The library
// sees by it that a slow reader is alive, as it does by the send queue of a socket.
func (c *conn) Transferred() (written, read int64) { return c.out.transferred() }

// CloseWrite ends the stream that the peer reads. Reads go on.
func (c *conn) CloseWrite() error { return c.opError("close", c.out.finish()) }

// Drop resets the connection, also one that is closed already.
func (c *conn) Drop() {
	c.in.drop()
	c.out.drop()
}

func (c *conn) SetDeadline(t time.Time) error {
	err := c.SetReadDeadline(t)
	if err == nil {
		err = c.SetWriteDeadline(t)
	}
	return err
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.in.setReadDeadline(t))
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.out.setWriteDeadline(t))
}

// opError puts err in the form in which package net reports errors.
func (c *conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}
