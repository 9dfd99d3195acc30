//go:build !unix

package pump

import (
	"net"
	"syscall"
)

// rawConn returns nil: here a socket cannot be waited for without a buffer.
func rawConn(net.Conn) syscall.RawConn { return nil }

// readNow is never called where rawConn gives nil.
func (in *reader) readNow(uintptr) bool { return true }
