//go:build unix

package pump

import (
	"io"
	"net"
	"os"
	"syscall"
)

// readNow reads from a socket without blocking. It takes a buffer only when there
// is something to read: false makes the runtime wait, and while it waits an idle
// connection holds none.
func (in *reader) readNow(fd uintptr) bool {
	in.getBuffer()
	for {
		n, err := syscall.Read(int(fd), in.buf[in.end:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if in.start == in.end {
				in.putBuffer()
			}
			return false
		case err != nil:
			in.n, in.err = 0, os.NewSyscallError("read", err)
		case n == 0:
			in.n, in.err = 0, io.EOF
		default:
			in.n, in.err = n, nil
		}
		return true
	}
}

// rawConn returns the descriptor of a plain TCP connection, or nil.
func rawConn(c net.Conn) syscall.RawConn {
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
