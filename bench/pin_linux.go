package main

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// pinnedVariable is in the environment of a program that is pinned.
const pinnedVariable = "CHANWS_BENCH_PINNED"

// pin starts this program again on one of its processors, where the processes that it
// starts stay too. It returns nil where it is already there.
func pin() error {
	if os.Getenv(pinnedVariable) != "" {
		return nil
	}
	runtime.LockOSThread() // the thread that is pinned is the one that goes on
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	last := -1
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			last = cpu
		}
	}
	if last < 0 {
		return errors.New("no processor to pin to")
	}
	one.Set(last)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), pinnedVariable+"=1"))
}
