package pump

import (
	"syscall"
	"unsafe"
)

// socketGauge reads the send queue of a socket: what the peer has not acknowledged, or,
// of a unix socket, not read.
func socketGauge(raw syscall.RawConn) gauge { return &sendQueue{raw} }

type sendQueue struct{ raw syscall.RawConn }

// read asks the kernel twice. The queue alone does not show what was taken if as much
// has been put in since, which is what happens within one large write.
func (q *sendQueue) read() (queued, level int64, ok bool) {
	err := q.raw.Control(func(fd uintptr) {
		var n int32
		// SIOCOUTQ, which has the number of the terminals' TIOCOUTQ.
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
		if errno != 0 {
			return
		}
		queued, level, ok = int64(n), int64(n), true
		if acknowledged, known := bytesAcknowledged(fd); known {
			level = acknowledged
		}
	})
	return queued, level, ok && err == nil
}
