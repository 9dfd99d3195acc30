package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	require.Equal(t, 0.0, median(nil))
	require.Equal(t, 3.0, median([]float64{3}))
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
	require.Equal(t, 3.0, median([]float64{100, 1, 3}))
}

func TestRatiosGoRoundByRound(t *testing.T) {
	require.Equal(t, []float64{2, 5}, ratios([]float64{2, 3, 5, 8}, []float64{1, 0, 1}))
}

// made is a row with results of so many messages a second for each peer and round.
func made(r row, byPeer map[string][]int64) measured {
	m := measured{row: r}
	for _, p := range peers {
		if rates, ok := byPeer[p.name]; ok {
			m.peers = append(m.peers, p)
			var results []result
			for _, n := range rates {
				results = append(results, result{Messages: n, Seconds: 1, P50: time.Microsecond, P99: 2 * time.Microsecond})
			}
			m.results = append(m.results, results)
		}
	}
	return m
}

var example = row{name: "example", title: "An <example> & more", metric: rate}

func TestScoresCompareWithTheBestMedian(t *testing.T) {
	m := made(example, map[string][]int64{
		"floor":   {2000, 2000, 4000},
		"gorilla": {100, 100, 100},
		"gws":     {90, 110, 500}, // a better median than gorilla's
		"chanws":  {900, 2200, 1000},
		"adapt":   {450, 550, 2500},
	})
	all, best := m.scores()
	require.Equal(t, "gws", all[best].name)
	byName := map[string]score{}
	for _, s := range all {
		byName[s.name] = s
	}
	require.Equal(t, 10.0, byName["chanws"].ratio, "the median of 10, 20 and 2")
	require.Equal(t, 1000.0, byName["chanws"].median)
	require.Equal(t, 0.45, byName["chanws"].toFloor)
	require.Equal(t, 5.0, byName["adapt"].ratio)
	require.Equal(t, 1.0, byName["chanws"].p50)
}

func TestLessMemoryIsBetter(t *testing.T) {
	r := example
	r.metric = memory
	m := made(r, map[string][]int64{"gorilla": {1}, "gws": {1}, "chanws": {1}})
	m.Conns = 10
	for i, bytes := range []uint64{2000, 1000, 900} {
		m.results[i][0].Before.Memory = 5000
		m.results[i][0].Idle.Memory = 5000 + 10*bytes
	}
	all, best := m.scores()
	require.Equal(t, "gws", all[best].name)
	require.Equal(t, 0.9, all[2].ratio)
}

func TestAServerThatAnswersWronglyIsAFailure(t *testing.T) {
	m := made(example, map[string][]int64{"gws": {1, 1}, "chanws": {100, 100}})
	require.Empty(t, failures([]measured{m}), "however slow")
	m.results[1][1].Err = "reply is wrong"
	require.Equal(t, []string{"example, chanws: reply is wrong"}, failures([]measured{m}))
}

func TestPercentile(t *testing.T) {
	require.Zero(t, percentile(nil, 0.5))
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(i))
	}
	require.Equal(t, time.Duration(50), percentile(d, 0.5))
	require.Equal(t, time.Duration(99), percentile(d, 0.99))
	require.Equal(t, time.Duration(7), percentile([]time.Duration{7}, 0.99))
}

func TestSamplesTimeTheReplyToTheLastRequest(t *testing.T) {
	w := workload{Size: 1, Window: 1, Batch: 1}
	m := newMeter(newPhase(measuring), w)
	m.sampling = 1
	m.sent(10)
	m.sent(20) // one at a time
	m.got(9)
	require.Empty(t, m.samples)
	m.got(12)
	require.Len(t, m.samples, 1)
	m.phase.Store(warming)
	m.sent(30)
	m.got(30)
	require.Len(t, m.samples, 1)
	require.EqualValues(t, 30, m.replies.Load())
}
