package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func newPhase(p int32) *atomic.Int32 {
	var phase atomic.Int32
	phase.Store(p)
	return &phase
}

// exampleRun is rows and curves as a run gives them.
func exampleRun() (rows []measured, all []curve, grown [][]measured) {
	rates := map[string][]int64{"floor": {2000}, "gorilla": {100}, "gws": {90}, "chanws": {900}, "adapt": {450}}
	rows = []measured{made(example, rates)}
	failed := made(example, rates)
	failed.results[3][0].Err = "handshake: 500 <Internal> Server Error\nagain"
	rows = append(rows, failed)
	all = curves()
	for _, c := range all {
		var points []measured
		for _, r := range c.rows {
			points = append(points, made(r, rates))
		}
		grown = append(grown, points)
	}
	return rows, all, grown
}

func TestChartIsWellFormedAndHasEverything(t *testing.T) {
	rows, all, grown := exampleRun()
	svg := chart(rows, all, grown)
	polylines, texts := 0, ""
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "polyline" {
				polylines++
			}
		case xml.CharData:
			texts += string(token) + "\n"
		}
	}
	require.Equal(t, 10, polylines, "five peers in two curves")
	require.Contains(t, texts, "An <example> & more")
	require.Contains(t, texts, "failed")
	require.NotContains(t, svg, "NaN")
	require.NotContains(t, svg, "Inf")
	chart(rows, all, make([][]measured, len(all))) // without curves there is still a chart
}

func TestTheResultsAreATableAndAChart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	rows, all, grown := exampleRun()
	for range 2 {
		require.NoError(t, writeResults(dir, tinySettings(""), rows, all, grown))
	}
	text, err := os.ReadFile(filepath.Join(dir, tableFile))
	require.NoError(t, err)
	require.Contains(t, string(text), "| An <example> & more | gorilla | 100 | 900 | 9.00 | 450 | 4.50 | - |")
	require.Contains(t, string(text), "failed")
	require.FileExists(t, filepath.Join(dir, chartFile))
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.0001: "0", 0.234: "0.23", 12.34: "12.3", 123.4: "123", 1234: "1 234", 1234567: "1 234 567"} {
		require.Equal(t, want, number(x))
	}
	require.Equal(t, "-", orDash(0))
	require.Equal(t, "64Ki", sizeLabel(64<<10))
	require.Equal(t, "16Mi", sizeLabel(16<<20))
	require.Equal(t, "1 000", sizeLabel(1000))
}

func TestTicksAreThereOnAnyScale(t *testing.T) {
	require.Equal(t, []float64{2, 5, 10, 20}, scale{lo: 1.5, hi: 30}.ticks())
	require.Equal(t, []float64{20000, 50000}, scale{lo: 11000, hi: 61000}.ticks())
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	got := spread([]label{{100, "a"}, {100, "b"}, {101, "c"}}, 13)
	for i := range got {
		for k := range i {
			require.Greater(t, max(got[i].y-got[k].y, got[k].y-got[i].y), 12.0)
		}
	}
}

func TestFlags(t *testing.T) {
	s, err := parseFlags([]string{"-short", "-rows", "^push$"})
	require.NoError(t, err)
	require.Equal(t, 1, s.rounds)
	require.True(t, s.rows.MatchString("push"))
	require.False(t, s.rows.MatchString("pipelined"))
	for _, wrong := range [][]string{{"-rows", "("}, {"-servers", "("}, {"left over"}, {"-rounds", "0"}} {
		_, err := parseFlags(wrong)
		require.Error(t, err, wrong)
	}
}
