package main

import (
	"math"
	"slices"
	"time"
)

// median of the numbers; 0 of none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	if n := len(x); n%2 == 0 {
		return (x[n/2-1] + x[n/2]) / 2
	}
	return x[len(x)/2]
}

// ratios divides round by round, as far as both have one.
func ratios(x, y []float64) []float64 {
	var r []float64
	for i := range min(len(x), len(y)) {
		if y[i] != 0 {
			r = append(r, x[i]/y[i])
		}
	}
	return r
}

// A score is what a row says about one peer.
type score struct {
	peer
	values      []float64 // by round
	median      float64
	ratio       float64 // to the best peer; 0: unknown
	toFloor     float64
	p50, p99    float64 // microseconds
	cpu         float64 // microseconds a message
	allocs      float64 // a message
	reads       float64 // calls of the operating system a message
	writes      float64
	mib         float64 // heap and stacks at the end, garbage included
	compression float64
	err         string
}

// value is the number that the row compares.
func (m metric) value(r result, w workload) float64 {
	switch m {
	case memory:
		return (float64(r.Idle.Memory) - float64(r.Before.Memory)) / float64(w.Conns)
	case allocs:
		return math.Round(r.allocs()*10) / 10 // a collection and the questions allocate a little, too
	}
	return r.rate()
}

// scores reads the results of a row. best is the index of the best peer, -1 if there is
// none.
func (m measured) scores() (all []score, best int) {
	best = -1
	floor := -1
	for i, p := range m.peers {
		s := score{peer: p}
		each := func(f func(result) float64) float64 {
			var x []float64
			for _, r := range m.results[i] {
				if r.Err == "" {
					x = append(x, f(r))
				}
			}
			return median(x)
		}
		for _, r := range m.results[i] {
			if r.Err != "" {
				s.err = r.Err
				continue
			}
			s.values = append(s.values, m.value(r, m.workload))
		}
		s.median = median(s.values)
		s.p50 = each(func(r result) float64 { return micros(r.P50) })
		s.p99 = each(func(r result) float64 { return micros(r.P99) })
		s.cpu = each(func(r result) float64 { return micros(r.cpu()) })
		s.allocs = each(result.allocs)
		s.reads = each(func(r result) float64 { reads, _ := r.calls(); return reads })
		s.writes = each(func(r result) float64 { _, writes := r.calls(); return writes })
		s.mib = each(func(r result) float64 { return float64(r.End.Memory) / (1 << 20) })
		s.compression = each(func(r result) float64 { return r.Compression })
		all = append(all, s)
		switch {
		case p.floor:
			floor = i
		case p.ours || s.err != "":
		case best < 0, (s.median < all[best].median) == m.lowerIsBetter():
			best = i
		}
	}
	for i := range all {
		if best >= 0 {
			all[i].ratio = median(ratios(all[i].values, all[best].values))
		}
		if floor >= 0 && !m.lowerIsBetter() {
			all[i].toFloor = median(ratios(all[i].values, all[floor].values))
		}
	}
	return all, best
}

// micros is d in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
