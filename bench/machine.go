package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// describe writes what the numbers depend on.
func describe(out io.Writer, s settings) {
	fmt.Fprintf(out, "%s\n%d rounds of %s for each server.\n", machine(), s.rounds, s.duration)
}

// machine is a line about the computer and Go.
func machine() string {
	line := fmt.Sprintf("%s, %s/%s, %d cores", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if cpuinfo, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(cpuinfo), "model name\t: "); found {
			model, _, _ := strings.Cut(rest, "\n")
			line += " of " + model
		}
	}
	return line
}

// versions gives the versions of the modules in this program.
func versions() map[string]string {
	list := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			list[d.Path] = d.Version
		}
	}
	return list
}
