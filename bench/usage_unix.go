//go:build unix

package main

import (
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// raiseFileLimit makes room for many sockets. Go raises the soft limit to the hard one
// by itself; with the right to do so the hard one is raised too.
func raiseFileLimit() {
	const want = 1 << 16
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err == nil && uint64(l.Cur) < want {
		l.Cur, l.Max = want, max(l.Max, want)
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
