package chanws

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNoDelayIsTooLongForADuration(t *testing.T) {
	t.Parallel()
	policy, err := RedialPolicy{Interval: math.MaxInt64, Jitter: 1}.normalize()
	require.NoError(t, err)
	delays := backoff{policy: policy}
	longest := time.Duration(0)
	for range 100 {
		d := delays.next(nil)
		require.GreaterOrEqual(t, d, time.Duration(0))
		longest = max(longest, d)
	}
	require.EqualValues(t, int64(math.MaxInt64), longest)
}
