package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	tableFile = "README.md"
	chartFile = "chart.svg"
)

// writeResults writes the table and the chart into a directory.
func writeResults(dir string, s settings, rows []measured, curves []curve, grown [][]measured) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, chartFile), []byte(chart(rows, curves, grown)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, tableFile), []byte(markdown(s, rows)), 0o644)
}

// markdown is the summary, and all numbers below it.
func markdown(s settings, rows []measured) string {
	var b strings.Builder
	b.WriteString("# Results of a run\n\nWritten by `go run ./bench -out bench/results`. [docs/performance.md](../../docs/performance.md) describes the method\nand discusses the numbers.\n\n![Ratios to the best peer](chart.svg)\n\n")
	fmt.Fprintf(&b, "%s, %s; %d rounds of %s.\n\n", time.Now().Format("2 January 2006"), machine(), s.rounds, s.duration)
	b.WriteString("| messages a second, unless the row says otherwise | best peer | | chanws | ratio | adapt | ratio | of the floor |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, m := range rows {
		m.writeSummary(&b)
	}
	b.WriteString("\n")
	b.WriteString(versionLine() + "\n")
	for _, m := range rows {
		m.writeDetails(&b)
	}
	return b.String()
}

func (m measured) writeSummary(b *strings.Builder) {
	scores, best := m.scores()
	cells := map[string]score{}
	for _, s := range scores {
		cells[s.name] = s
	}
	name, value := "-", "-"
	if best >= 0 {
		name, value = scores[best].name, number(scores[best].median)
	}
	c, a := cells["chanws"], cells["adapt"]
	floor := "-"
	if m.Window >= 100 { // elsewhere waiting is what takes the time
		floor = orDash(c.toFloor)
	}
	title := m.title
	if m.metric != rate {
		title += ", " + string(m.metric)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", title, name, value,
		c.cell(), c.ratioCell(), a.cell(), a.ratioCell(), floor)
}

func (s score) cell() string {
	switch {
	case s.name == "":
		return ""
	case s.err != "":
		return "failed"
	}
	return number(s.median)
}

func (s score) ratioCell() string {
	if s.name == "" || s.err != "" {
		return ""
	}
	return orDash(s.ratio)
}

func (m measured) writeDetails(b *strings.Builder) {
	scores, best := m.scores()
	fmt.Fprintf(b, "\n<details><summary>%s</summary>\n\n`go run ./bench -rows '^%s$'`\n\n", m.title, m.name)
	extra, rule := "", ""
	if m.Deflate {
		extra, rule = " compressed to |", "--:|"
	}
	fmt.Fprintf(b, "| | %s | to the best peer | to the floor | p50 µs | p99 µs | CPU µs | allocations | reads | writes | MiB |%s\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|%s\n", m.metric, extra, rule)
	for i, s := range scores {
		name := s.name
		if i == best {
			name = "**" + name + "**"
		}
		if s.err != "" {
			reason, _, _ := strings.Cut(s.err, "\n")
			fmt.Fprintf(b, "| %s | %s |\n", name, reason)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", name, number(s.median), orDash(s.ratio), orDash(s.toFloor),
			orDash(s.p50), orDash(s.p99), orDash(s.cpu), number(s.allocs), orDash(s.reads), orDash(s.writes), orDash(s.mib))
		if m.Deflate {
			fmt.Fprintf(b, " %s |", orDash(s.compression))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n</details>\n")
}

// versionLine tells which versions were measured.
func versionLine() string {
	known, told := versions(), map[string]bool{}
	var parts []string
	for _, p := range peers {
		if v := known[p.version]; v != "" && !p.ours && !told[p.version] {
			told[p.version] = true
			parts = append(parts, p.version+" "+v)
		}
	}
	return "Peers: " + strings.Join(parts, ", ") + "."
}
