package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	tableBegin = "<!-- go run ./bench -out docs writes from here -->"
	tableEnd   = "<!-- to here -->"

	tableFile = "performance.md"
	chartFile = "performance.svg"
)

// writeDocs puts the table between the marks of the document, and writes the chart.
func writeDocs(dir string, s settings, rows []measured, curves []curve, grown [][]measured) error {
	if err := os.WriteFile(filepath.Join(dir, chartFile), []byte(chart(rows, curves, grown)), 0o644); err != nil {
		return err
	}
	file := filepath.Join(dir, tableFile)
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceBetween(string(old), markdown(s, rows))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// replaceBetween puts table between the marks of text.
func replaceBetween(text, table string) (string, error) {
	before, rest, begins := strings.Cut(text, tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are not there", tableBegin, tableEnd)
	}
	return before + tableBegin + "\n\n" + table + "\n" + tableEnd + after, nil
}

// markdown is the summary, and all numbers below it.
func markdown(s settings, rows []measured) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %d rounds of %s. %s\n\n", time.Now().Format("2 January 2006"), machine(), s.rounds, s.duration, summary(rows))
	b.WriteString("| messages a second where nothing else is said | best peer | | chanws | ratio | goal | adapt | ratio | goal | of the floor |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
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
	switch {
	case m.toFloor > 0:
		floor = fmt.Sprintf("%s (goal %s)", orDash(c.toFloor), number(m.toFloor))
	case m.Window >= 100: // elsewhere waiting is what takes the time
		floor = orDash(c.toFloor)
	}
	title := m.title
	if m.metric != rate {
		title += ", " + string(m.metric)
	}
	goal := m.goalCell("chanws")
	adaptGoal := m.goalCell("adapt")
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", title, name, value,
		c.cell(), c.ratioCell(), goal, a.cell(), a.ratioCell(), adaptGoal, floor)
}

func (s score) cell() string {
	switch {
	case s.name == "":
		return ""
	case s.err != "":
		return "not yet"
	}
	return number(s.median)
}

func (s score) ratioCell() string {
	if s.name == "" || s.err != "" {
		return ""
	}
	return orDash(s.ratio)
}

// goalCell is the goal of a peer, and whether it is met.
func (m measured) goalCell(peer string) string {
	for _, v := range m.verdicts() {
		what, against, _ := strings.Cut(v.what, " / ")
		if what != peer || against == "floor" {
			continue
		}
		sign, mark := "≥", "✓"
		if v.atMost {
			sign = "≤"
		}
		if !v.met(1) {
			mark = "✗"
		}
		return fmt.Sprintf("%s %s %s", sign, number(v.goal), mark)
	}
	return ""
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
