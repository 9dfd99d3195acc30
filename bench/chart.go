package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

const (
	chartWidth = 880
	ink        = "#1f2328"
	faint      = "#d0d7de"
	grey       = "#6e7781"
)

// colours are by peer, so that they are the same in all parts of a chart.
var colours = map[string]string{
	"floor": "#8c959f", "gorilla": "#bf8700", "coder": "#1a7f37", "nhooyr": "#7bc96f",
	"gobwas": "#cf222e", "gobwas-buf": "#fa8c8c", "gws": "#0969da", "chanws": "#8250df", "adapt": "#d2a8ff",
}

// A canvas is an SVG that grows downwards.
type canvas struct {
	body   strings.Builder
	height float64
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// text writes s; anchor is start, middle or end.
func (c *canvas) text(x, y float64, anchor, colour, s string) {
	fmt.Fprintf(&c.body, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor, colour, escape(s))
}

func (c *canvas) heading(s string) {
	c.height += 34
	fmt.Fprintf(&c.body, "<text x=\"16\" y=\"%.1f\" font-weight=\"bold\" font-size=\"14\" fill=\"%s\">%s</text>\n", c.height, ink, escape(s))
	c.height += 12
}

func (c *canvas) rect(x, y, w, h float64, colour string) {
	fmt.Fprintf(&c.body, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, max(w, 0), h, colour)
}

func (c *canvas) line(x1, y1, x2, y2, width float64, colour string) {
	fmt.Fprintf(&c.body, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n", x1, y1, x2, y2, colour, width)
}

// String is the whole file. Its background is white also on dark pages.
func (c *canvas) String() string {
	h := c.height + 16
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"11\">\n"+
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n%s</svg>\n", chartWidth, h, chartWidth, h, c.body.String())
}

// A scale maps values to places, by their logarithms.
type scale struct{ lo, hi, from, to float64 }

func (s scale) at(v float64) float64 {
	v = min(max(v, s.lo), s.hi)
	return s.from + (s.to-s.from)*math.Log(v/s.lo)/math.Log(s.hi/s.lo)
}

// ticks gives 1, 2 and 5 times the powers of ten within the scale.
func (s scale) ticks() []float64 {
	var t []float64
	for p := math.Pow(10, math.Floor(math.Log10(s.lo))); p <= s.hi; p *= 10 {
		for _, v := range []float64{p, 2 * p, 5 * p} {
			if v >= s.lo && v <= s.hi {
				t = append(t, v)
			}
		}
	}
	return t
}

// short prints a value of an axis: 10k, 16M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return number0(v/1e6) + "M"
	case v >= 1e3:
		return number0(v/1e3) + "k"
	}
	return number0(v)
}

func number0(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.4g", v), ".0") }
