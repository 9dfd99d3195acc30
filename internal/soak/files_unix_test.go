//go:build linux || darwin

package soak

import (
	"fmt"
	"syscall"
)

// allowFiles makes sure that the process may have so many files open.
func allowFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= uint64(n) {
		return nil
	}
	had := limit
	limit.Cur = uint64(n)
	limit.Max = max(limit.Max, limit.Cur)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the process needs %d open files, but the limit is %d (hard: %d) and cannot be raised: %w; see ulimit -Hn, or have fewer with -conns", n, had.Cur, had.Max, err)
	}
	return nil
}
