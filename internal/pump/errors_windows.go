package pump

import "syscall"

// systemLostErrors are Windows' own numbers; those in package syscall are invented
// there.
var systemLostErrors = []error{
	syscall.Errno(10050), // WSAENETDOWN
	syscall.Errno(10051), // WSAENETUNREACH
	syscall.Errno(10052), // WSAENETRESET
	syscall.Errno(10053), // WSAECONNABORTED
	syscall.Errno(10054), // WSAECONNRESET
	syscall.Errno(10057), // WSAENOTCONN
	syscall.Errno(10058), // WSAESHUTDOWN
	syscall.Errno(10060), // WSAETIMEDOUT
	syscall.Errno(10065), // WSAEHOSTUNREACH
}
