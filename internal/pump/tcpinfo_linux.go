//go:build linux && !386 && !s390x

package pump

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

// bytesAcknowledged returns how many bytes the peer of a TCP connection has
// acknowledged: tcpi_bytes_acked of struct tcp_info, since Linux 4.1.
func bytesAcknowledged(fd uintptr) (int64, bool) {
	const offset, end = 120, 128
	var info [end]byte
	size := uint32(end)
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < end {
		return 0, false
	}
	return int64(binary.NativeEndian.Uint64(info[offset:])), true
}
