package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A usage is what the measured process has used since its start.
type usage struct {
	CPU     time.Duration // user and system
	Mallocs uint64
	Memory  uint64 // heap and stacks in use
	Reads   uint64 // calls of the operating system, of any file; 0: unknown
	Writes  uint64
}

// use reads the counters. collect runs the garbage collector first, so that Memory is
// what is reachable.
func use(collect bool) usage {
	if collect {
		runtime.GC() // twice: the first one only moves what sync.Pool has to its victims
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{CPU: cpuTime(), Mallocs: m.Mallocs, Memory: m.HeapInuse + m.StackInuse}
	u.Reads, u.Writes = systemCalls()
	return u
}

// systemCalls asks Linux how often this process has called read and write.
func systemCalls() (reads, writes uint64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
		case name == "syscr":
			reads = n
		case name == "syscw":
			writes = n
		}
	}
	return reads, writes
}
