//go:build race

package pump

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// With the race detector, mistakes with payloads that were given back are caught.
func TestMistakesWithRecycleAreCaught(t *testing.T) {
	const size = 3 << 20 // of a class that no other test uses
	b := newPayload(size)[:size]
	Recycle(b)
	require.PanicsWithValue(t, "chanws: a payload was recycled twice", func() { Recycle(b) })
	require.EqualValues(t, poison, b[size/2], "who reads it reads no message")

	again := newPayload(size)
	require.Same(t, &b[0], &again[:1][0])
	Recycle(again)
	b[size-1] = 'x'
	require.PanicsWithValue(t, "chanws: a payload was written to after its Recycle", func() { newPayload(size) })
	Recycle(newPayload(size)) // another one
}
