package pump

import "syscall"

// soNwrite is SO_NWRITE of <sys/socket.h>: how many bytes wait in the send queue.
const soNwrite = 0x1024

// socketGauge reads the send queue of a socket.
func socketGauge(raw syscall.RawConn) gauge { return &sendQueue{raw} }

type sendQueue struct{ raw syscall.RawConn }

func (q *sendQueue) read() (queued, level int64, ok bool) {
	err := q.raw.Control(func(fd uintptr) {
		n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, soNwrite)
		queued, level, ok = int64(n), int64(n), err == nil
	})
	return queued, level, ok && err == nil
}
