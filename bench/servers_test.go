package main

import (
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tinySettings measure next to nothing, but check every first and last reply.
func tinySettings(servers string) settings {
	return settings{
		rows: regexp.MustCompile(""), servers: regexp.MustCompile(servers),
		rounds: 1, duration: 20 * time.Millisecond, tiny: true, progress: io.Discard,
	}
}

func TestEveryServerDoesTheWorkloadOfEveryRow(t *testing.T) {
	for _, r := range append(rows, curves()[1].rows[:6]...) {
		t.Run(r.name, func(t *testing.T) {
			m := measureRow(r, tinySettings(""))
			require.NotEmpty(t, m.peers)
			for i, p := range m.peers {
				require.Len(t, m.results[i], 1, p.name)
				if r.Deflate && p.ours {
					continue // TestCompressionIsRefusedOrWorks
				}
				require.Empty(t, m.results[i][0].Err, p.name)
			}
		})
	}
}

func TestCompressionIsRefusedOrWorks(t *testing.T) {
	for _, r := range rows {
		if !r.Deflate {
			continue
		}
		got := measureRow(r, tinySettings("^chanws$")).results[0][0]
		if got.Err != "" {
			require.Contains(t, got.Err, "500 Internal Server Error") // as long as the library has no compression
			continue
		}
		require.Positive(t, got.Compression)
		require.Less(t, got.Compression, 0.9)
	}
}

func TestPeersThatCompressDoSo(t *testing.T) {
	for _, r := range rows {
		if r.Deflate {
			m := measureRow(r, tinySettings("gorilla|coder|gws"))
			for i, p := range m.peers {
				require.Less(t, m.results[i][0].Compression, 0.9, p.name)
				require.Greater(t, m.results[i][0].Compression, 0.05, p.name)
			}
		}
	}
}

func TestResultsHaveUsageOfTheMeasuredProcess(t *testing.T) {
	s := tinySettings("^(gorilla|floor)$")
	var floor, gorilla result
	// On a busy machine a server may have had no turn, or one in which it allocated more for
	// the telling of its usage than for messages.
	for floor.Samples == 0 || gorilla.Samples == 0 || floor.Messages < 1000 {
		s.duration *= 2
		m := measureRow(rows[0], s)
		floor, gorilla = m.results[0][0], m.results[1][0]
		require.Empty(t, floor.Err+gorilla.Err)
	}
	for _, r := range []result{floor, gorilla} {
		require.Positive(t, r.Messages)
		require.Positive(t, r.End.CPU-r.Begin.CPU)
		require.Positive(t, r.P50)
		require.GreaterOrEqual(t, r.P99, r.P50)
	}
	require.Greater(t, gorilla.allocs(), 1.0)
	require.Less(t, floor.allocs(), 1.0)
}
