package main

import "fmt"

// drawBars draws for each row how chanws and adapt compare with the best peer: to the
// right is better, also where less is better.
func (c *canvas) drawBars(all []measured) {
	const left, bar = 400, 11.0
	c.heading("How many times the best peer (logarithmic)")
	top := c.height
	s := scale{0.1, 20, left, chartWidth - 60}
	var bars canvas
	y := top + 14
	for _, m := range all {
		scores, best := m.scores()
		if best < 0 || m.alone {
			continue
		}
		title := y
		for _, sc := range scores {
			if !sc.ours {
				continue
			}
			ratio, note := sc.ratio, ""
			if m.lowerIsBetter() && ratio > 0 {
				ratio = 1 / ratio
			}
			if sc.err != "" || ratio == 0 {
				note = "failed"
			} else {
				from, to := s.at(1), s.at(ratio)
				bars.rect(min(from, to), y, max(from, to)-min(from, to), bar, colours[sc.name])
				note = number(ratio)
			}
			bars.text(chartWidth-52, y+bar-2, "start", ink, note)
			y += bar + 2
		}
		bars.text(left-10, (title+y)/2+3, "end", ink, m.title)
		y += 6
	}
	for _, v := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20} {
		width, colour := 1.0, faint
		if v == 1 {
			width, colour = 1.5, grey
		}
		c.line(s.at(v), top+8, s.at(v), y, width, colour)
		c.text(s.at(v), top+4, "middle", grey, fmt.Sprintf("%gx", v))
	}
	c.body.WriteString(bars.body.String())
	c.height = y
	c.legend([]string{"chanws", "adapt"})
}

func (c *canvas) legend(names []string) {
	x := 16.0
	c.height += 16
	for _, n := range names {
		c.rect(x, c.height-9, 10, 10, colours[n])
		c.text(x+14, c.height, "start", ink, n)
		x += 34 + 7*float64(len(n))
	}
}
