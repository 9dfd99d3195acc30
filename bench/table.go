package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// number prints three digits, and thousands apart.
func number(x float64) string {
	switch a := math.Abs(x); {
	case a < 0.001:
		return "0"
	case a < 0.1:
		return strconv.FormatFloat(x, 'f', 3, 64)
	case a < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case a < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// orDash prints nothing that was not measured.
func orDash(x float64) string {
	if x == 0 || math.IsNaN(x) {
		return "-"
	}
	return number(x)
}

// printRow writes a row for the terminal.
func (m measured) printRow(out io.Writer) {
	all, best := m.scores()
	fmt.Fprintf(out, "\n%s  (-rows '^%s$')\n", m.title, m.name)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\tto the best peer\tto the floor\tp50 µs\tp99 µs\tCPU µs\tallocs\treads\twrites\tMiB\t", m.metric)
	if m.Deflate {
		fmt.Fprint(t, "compressed to\t")
	}
	fmt.Fprintln(t)
	for i, s := range all {
		name := s.name
		if i == best {
			name += "*"
		}
		if s.err != "" {
			reason, _, _ := strings.Cut(s.err, "\n")
			fmt.Fprintf(t, "%s\tfailed: %s\n", name, reason)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t", name, number(s.median), orDash(s.ratio), orDash(s.toFloor),
			orDash(s.p50), orDash(s.p99), orDash(s.cpu), number(s.allocs), orDash(s.reads), orDash(s.writes), orDash(s.mib))
		if m.Deflate {
			fmt.Fprintf(t, "%s\t", orDash(s.compression))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

// failures returns a line for each server that did not do its row, or did it wrong.
func failures(all []measured) []string {
	var lines []string
	for _, m := range all {
		scores, _ := m.scores()
		for _, s := range scores {
			if s.err != "" {
				lines = append(lines, fmt.Sprintf("%s, %s: %s", m.name, s.name, s.err))
			}
		}
	}
	return lines
}
