package main

import (
	"fmt"
	"slices"
)

// A curve is a workload that grows.
type curve struct {
	title  string
	x, y   string // what the axes show
	rows   []row
	xs     []float64
	weight func(workload) float64 // of a message, for y
}

// curves are what the chart shows beside the rows.
func curves() []curve {
	conns := curve{title: "Echo of 128 B, one in flight on each connection", x: "connections", y: "messages a second",
		weight: func(workload) float64 { return 1 }}
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		conns.add(float64(n), row{name: fmt.Sprintf("conns-%d", n),
			workload: workload{Job: echo, Conns: n, Size: 128, Window: 1}})
	}
	sizes := curve{title: "Echo on 1 connection, at most 100 messages and 16 KiB in flight", x: "bytes a message", y: "MB a second",
		weight: func(w workload) float64 { return float64(w.Size) / 1e6 }}
	for _, n := range []int{16, 128, 1 << 10, 8 << 10, 64 << 10, 512 << 10, 4 << 20, 16 << 20} {
		w := workload{Job: echo, Conns: 1, Size: n, Window: min(100, max(1, 16<<10/n))}
		if n >= 64<<10 {
			w.Job = large
		}
		sizes.add(float64(n), row{name: fmt.Sprintf("size-%d", n), workload: w})
	}
	return []curve{conns, sizes}
}

func (c *curve) add(x float64, r row) {
	r.title = fmt.Sprintf("%s: %s %s", c.title, sizeLabel(x), c.x)
	r.metric = rate
	r.growth = true
	c.xs, c.rows = append(c.xs, x), append(c.rows, r)
}

// A line is what a curve says about one peer. What failed is left out.
type line struct {
	peer
	xs, ys []float64
}

// lines turns the results of a curve's rows around, so that there is one line a peer.
func (c curve) lines(all []measured) []line {
	byName := map[string]*line{}
	for _, m := range all {
		scores, _ := m.scores()
		x := c.xs[slices.IndexFunc(c.rows, func(r row) bool { return r.name == m.name })]
		for _, s := range scores {
			if s.err != "" || s.median == 0 {
				continue
			}
			l := byName[s.name]
			if l == nil {
				l = &line{peer: s.peer}
				byName[s.name] = l
			}
			l.xs = append(l.xs, x)
			l.ys = append(l.ys, s.median*c.weight(m.workload))
		}
	}
	var lines []line
	for _, p := range peers {
		if l := byName[p.name]; l != nil {
			lines = append(lines, *l)
		}
	}
	return lines
}
