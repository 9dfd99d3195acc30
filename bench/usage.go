package main

import (
	"runtime"
	"time"
)

// A usage is what the measured process has used since its start.
type usage struct {
	CPU     time.Duration // user and system
	Mallocs uint64
	Memory  uint64 // heap and stacks in use
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
	return usage{CPU: cpuTime(), Mallocs: m.Mallocs, Memory: m.HeapInuse + m.StackInuse}
}
