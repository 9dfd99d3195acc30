// Bench measures chanws and other WebSocket libraries side by side, in one run.
//
//	go run ./bench            everything; some 20 minutes on two quiet cores
//	go run ./bench -pin       the same on one processor: steadier
//	go run ./bench -short     only that all of it works
//	go run ./bench -rows '^pipelined$' -servers 'floor|gws|chanws' -rounds 7
//
// Servers, and the load that is put on them, are processes of their own: this program
// again, with other arguments. See docs/performance.md for the method.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"
)

// childVariable is in the environment of the processes that this program starts.
const childVariable = "CHANWS_BENCH_CHILD"

func main() {
	if os.Getenv(childVariable) != "" {
		exitWith(runChild(os.Args[1:]))
		return
	}
	s, err := parseFlags(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if s.pin {
		if err := pin(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: on all processors:", err)
		}
	}
	ok, err := run(s, os.Stdout)
	exitWith(err)
	if !ok {
		os.Exit(1)
	}
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runChild is one of the processes: server NAME, load ADDR or client NAME ADDR, and a
// workload.
func runChild(args []string) error {
	var w workload
	if err := json.Unmarshal([]byte(args[len(args)-1]), &w); err != nil {
		return err
	}
	switch args[0] {
	case "server":
		return runServer(args[1], w)
	case "load":
		return runLoad(args[1], w)
	}
	return runClient(args[1], args[2], w)
}

func parseFlags(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	rowsFlag := flags.String("rows", "", "measure only the rows whose `regexp` matches the name")
	servers := flags.String("servers", "", "measure only the servers whose `regexp` matches the name; chanws and adapt need a peer for a ratio")
	flags.IntVar(&s.rounds, "rounds", 7, "how often each server is measured")
	flags.DurationVar(&s.duration, "duration", 700*time.Millisecond, "how long each time")
	flags.BoolVar(&s.short, "short", false, "one short round with a few of the peers, to see that all works: its numbers mean nothing")
	flags.BoolVar(&s.pin, "pin", false, "run servers and load on one processor, where nothing waits for another one to wake up (Linux)")
	flags.StringVar(&s.profiles, "profiles", "", "write CPU profiles of the servers into this `directory`")
	flags.StringVar(&s.out, "out", "", "write the table and the chart into this `directory`, as in -out bench/results")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.rows, err = regexp.Compile(*rowsFlag); err != nil {
		return s, err
	}
	if s.servers, err = regexp.Compile(*servers); err != nil {
		return s, err
	}
	if s.rounds < 1 || s.duration <= 0 {
		return s, errors.New("-rounds and -duration must be more than nothing")
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if s.short && !given["rounds"] {
		s.rounds = 1
	}
	if s.short && !given["duration"] {
		s.duration = 50 * time.Millisecond
	}
	s.curves = !s.short
	s.progress = io.Discard
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		s.progress = os.Stderr
	}
	return s, nil
}

// run measures and prints. It reports whether every server did its rows and answered
// rightly, however fast.
func run(s settings, out io.Writer) (bool, error) {
	began := time.Now()
	describe(out, s)
	var all []measured
	for _, r := range rows {
		if !s.rows.MatchString(r.name) {
			continue
		}
		m := measureRow(r, s)
		m.printRow(out)
		all = append(all, m)
	}
	var grown [][]measured
	growing := curves()
	for i, c := range growing {
		grown = append(grown, nil)
		for _, r := range c.rows {
			if s.curves && (s.rows.String() == "" || s.rows.MatchString(r.name)) {
				m := measureRow(r, s)
				m.printRow(out)
				grown[i] = append(grown[i], m)
			}
		}
	}
	if s.out != "" {
		if err := writeResults(s.out, s, all, growing, grown); err != nil {
			return false, err
		}
	}
	failed := failures(append(all, slices.Concat(grown...)...))
	for _, line := range failed {
		fmt.Fprintln(out, "failed:", line)
	}
	fmt.Fprintf(out, "\n%d rows measured in %s, %d failures.\n", len(all), time.Since(began).Round(time.Second), len(failed))
	return len(failed) == 0, nil
}
