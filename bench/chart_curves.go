package main

import (
	"fmt"
	"math"
	"strings"
)

// drawCurve draws a line for each peer, both axes logarithmic.
func (c *canvas) drawCurve(cu curve, lines []line) {
	const left, height = 70.0, 260.0
	if len(lines) == 0 {
		return
	}
	c.heading(cu.title)
	top := c.height + 16
	x := scale{cu.xs[0], cu.xs[len(cu.xs)-1], left, chartWidth - 120}
	lo, hi := math.Inf(1), 0.0
	for _, l := range lines {
		for _, v := range l.ys {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	y := scale{lo / 1.2, hi * 1.2, top + height, top}
	c.text(16, c.height+4, "start", grey, cu.y)
	for _, v := range y.ticks() {
		c.line(x.from, y.at(v), x.to, y.at(v), 1, faint)
		c.text(x.from-6, y.at(v)+4, "end", grey, short(v))
	}
	for _, v := range cu.xs {
		c.line(x.at(v), top, x.at(v), top+height, 1, faint)
		c.text(x.at(v), top+height+14, "middle", grey, sizeLabel(v))
	}
	c.text((x.from+x.to)/2, top+height+30, "middle", grey, cu.x)
	labels := make([]label, 0, len(lines))
	for _, l := range lines {
		var points strings.Builder
		for i := range l.xs {
			fmt.Fprintf(&points, "%.1f,%.1f ", x.at(l.xs[i]), y.at(l.ys[i]))
		}
		width := 1.6
		if l.ours {
			width = 3
		}
		fmt.Fprintf(&c.body, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n",
			strings.TrimSpace(points.String()), colours[l.name], width)
		labels = append(labels, label{y.at(l.ys[len(l.ys)-1]), l.name})
	}
	for _, l := range spread(labels, 13) {
		c.text(x.to+8, l.y+4, "start", colours[l.name], l.name)
	}
	c.height = top + height + 34
}

// A label is the name at the right end of a line.
type label struct {
	y    float64
	name string
}

// spread moves labels so that none covers another.
func spread(labels []label, apart float64) []label {
	for range 50 {
		for i := range labels {
			for k := range labels {
				if d := labels[i].y - labels[k].y; k != i && math.Abs(d) < apart {
					shift := (apart - math.Abs(d)) / 2
					if d < 0 || d == 0 && i < k {
						shift = -shift
					}
					labels[i].y += shift
					labels[k].y -= shift
				}
			}
		}
	}
	return labels
}

// sizeLabel prints a size as people do: 64Ki, 16Mi; round decimal numbers as they are.
func sizeLabel(v float64) string {
	n := int(v)
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMi", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKi", n>>10)
	}
	if n < 100 {
		return fmt.Sprint(n)
	}
	return number(v)
}

// chart is the whole picture.
func chart(rows []measured, curves []curve, grown [][]measured) string {
	var c canvas
	c.drawBars(rows)
	for i, cu := range curves {
		c.drawCurve(cu, cu.lines(grown[i]))
	}
	return c.String()
}
