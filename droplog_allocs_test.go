package chanws

import (
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// A flood of drops must not cost more with a logger that discards debug records.
func TestDropsThatAreNotLoggedAllocateNothing(t *testing.T) {
	var m Message = Binary("x")
	allocations := func(level slog.Level) float64 {
		drop := logDrops(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level})), nil)
		return testing.AllocsPerRun(100, func() { drop(m, ErrOverflow) })
	}
	require.Zero(t, allocations(slog.LevelInfo))
	require.NotZero(t, allocations(slog.LevelDebug), "so that the measurement measures")
}
