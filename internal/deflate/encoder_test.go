package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
	"github.com/stretchr/testify/require"
)

// everyEncoder runs test for parameters of every kind.
func everyEncoder(t *testing.T, test func(t *testing.T, bits int, takeover bool, level int)) {
	for _, bits := range []int{8, 9, 12, 15} {
		for _, takeover := range []bool{false, true} {
			for _, level := range []int{1, 2, 4, 6, 9} {
				t.Run(fmt.Sprintf("%d bits, takeover %v, level %d", bits, takeover, level), func(t *testing.T) {
					t.Parallel()
					test(t, bits, takeover, level)
				})
			}
		}
	}
}

// TestMessagesComeBack mixes what is sent compressed with what is not, which the
// decoder never sees.
func TestMessagesComeBack(t *testing.T) {
	messages := conversation()
	everyEncoder(t, func(t *testing.T, bits int, takeover bool, level int) {
		e, d := NewEncoder(bits, takeover, level), NewDecoder(bits, takeover)
		for i, message := range messages {
			compressed, smaller := encode(e, message)
			if !smaller {
				require.Empty(t, compressed)
				continue
			}
			require.Less(t, len(compressed), len(message))
			got, err := d.Decode(compressed, 2<<20, none)
			require.NoError(t, err, "message %d", i)
			require.True(t, bytes.Equal(message, got), "message %d", i)
		}
	})
}

// TestTheStandardLibraryDecodes is what a peer does: one stream for a connection with
// takeover, and for each message without.
func TestTheStandardLibraryDecodes(t *testing.T) {
	messages := conversation()
	everyEncoder(t, func(t *testing.T, bits int, takeover bool, level int) {
		e := NewEncoder(bits, takeover, level)
		var wire bytes.Buffer
		reader := flate.NewReader(&wire)
		for i, message := range messages {
			compressed, smaller := encode(e, message)
			if !smaller {
				continue
			}
			wire.Write(compressed)
			wire.WriteString(tail)
			got := make([]byte, len(message))
			_, err := io.ReadFull(reader, got)
			require.NoError(t, err, "message %d", i)
			require.True(t, bytes.Equal(message, got), "message %d", i)
			if !takeover {
				wire.Reset()
				reader.(flate.Resetter).Reset(&wire, nil)
			}
		}
	})
}

func TestWhatDoesNotShrinkIsNotCompressed(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{0, 1, 2, 100, 1024, 10_000, 1 << 20} {
			e := NewEncoder(15, takeover, 1)
			prefix := []byte("before")
			dst := append(make([]byte, 0, len(prefix)+Bound(size)), prefix...)
			got, smaller := e.Encode(dst, randomOf(1, size))
			require.False(t, smaller, "%d", size)
			require.Equal(t, "before", string(got))
		}
	}
}

// TestAMessageTakenBackLeavesNoTrace compares with an encoder that never saw it.
func TestAMessageTakenBackLeavesNoTrace(t *testing.T) {
	random := randomOf(1, 100_000)
	for level := MinLevel; level <= MaxLevel; level++ {
		e, d := NewEncoder(12, true, level), NewDecoder(12, true)
		for i := range uint64(50) {
			compressed, smaller := encode(e, jsonOf(i%5, 700))
			require.True(t, smaller)
			got, err := d.Decode(compressed, 1<<20, none)
			require.NoError(t, err)
			require.Equal(t, string(jsonOf(i%5, 700)), string(got))
			if i >= 5 {
				require.Less(t, len(compressed), 100, "the message is in the window still")
			}
			_, smaller = encode(e, random[int(i)*1000:][:700+10*int(i)])
			require.False(t, smaller)
			_, smaller = encode(e, random[:90_000])
			require.False(t, smaller)
		}
	}
}

func TestTakeoverFindsWhatWasSaidBefore(t *testing.T) {
	message := jsonOf(1, 1024)
	for level := MinLevel; level <= MaxLevel; level++ {
		with, without := NewEncoder(15, true, level), NewEncoder(15, false, level)
		first, _ := encode(with, message)
		second, _ := encode(with, message)
		require.Less(t, len(second), 20)
		for range 2 {
			alone, _ := encode(without, message)
			require.Equal(t, len(first), len(alone), "a message is compressed for itself")
		}
	}
}

func TestMoreEffortCompressesBetter(t *testing.T) {
	for _, tc := range []struct {
		name    string
		message []byte
		least   float64 // of what the standard library saves at level 6
	}{
		{"JSON of 1 KiB", jsonOf(1, 1024), 0.99},
		{"JSON of 100 KiB", jsonOf(1, 100<<10), 0.98},
		{"text", textOf(1, 100<<10), 0.95},
	} {
		before := len(tc.message)
		for _, level := range []int{1, 3, 6, 9} {
			compressed, smaller := encode(NewEncoder(15, false, level), tc.message)
			require.True(t, smaller)
			require.LessOrEqual(t, len(compressed), before+before/100, "%s at level %d", tc.name, level)
			before = len(compressed)
		}
		saved := len(tc.message) - before
		theirs := len(tc.message) - len(byStandard(t, 6, tc.message))
		require.GreaterOrEqual(t, float64(saved), tc.least*float64(theirs), tc.name)
	}
}

func TestAnEncoderHoldsOnlyItsWindow(t *testing.T) {
	for _, tc := range []struct {
		bits     int
		takeover bool
		level    int
		most     int
	}{
		{15, false, 1, 0}, {9, false, 6, 0},
		{15, true, 1, 4 << 10}, {15, true, 6, 8 << 10}, {15, true, 9, 8 << 10}, {12, true, 9, 4 << 10}, {8, true, 1, 256},
	} {
		e := NewEncoder(tc.bits, tc.takeover, tc.level)
		require.Zero(t, cap(e.window.b))
		encode(e, jsonOf(1, 150))
		require.LessOrEqual(t, cap(e.window.b), firstWindow)
		for i := range uint64(100) {
			encode(e, jsonOf(i, 10_000))
		}
		require.Equal(t, tc.most, cap(e.window.b), "%+v", tc)
	}
}

func TestAMessageCostsNoAllocations(t *testing.T) {
	message := jsonOf(1, 1024)
	dst := make([]byte, 0, Bound(len(message)))
	payload := make([]byte, 0, 2048)
	reuse := func(int) []byte { return payload }
	for _, takeover := range []bool{false, true} {
		e, d := NewEncoder(15, takeover, 1), NewDecoder(15, takeover)
		again := func() {
			compressed, _ := e.Encode(dst, message)
			_, err := d.Decode(compressed, 1<<20, reuse)
			require.NoError(t, err)
		}
		fewest := 1.0
		for range 100 { // now and then a pool is empty
			fewest = min(fewest, testing.AllocsPerRun(1, again))
		}
		require.Zero(t, fewest)
	}
}

// What is not shrunk is not in the window: without an encoder that shrinks the first message
// of a kind by itself, those after it would have nothing to refer to.
func TestSmallMessagesOfAKindBeginToBeCompressed(t *testing.T) {
	kinds := []struct {
		name    string
		message func(r *rand.Rand) []byte
	}{
		{"positions", func(r *rand.Rand) []byte {
			return fmt.Appendf(nil, `{"vehicle":"%08x","lat":%.6f,"lon":%.6f,"speed":%d,"heading":%d,"fix":true}`,
				r.Uint32(), r.Float64()*90, r.Float64()*180, r.IntN(200), r.IntN(360))
		}},
		{"chat", func(r *rand.Rand) []byte {
			return fmt.Appendf(nil, `{"op":"msg","room":%d,"user":"u%x","text":"hi %x, how goes","ts":%d}`,
				r.IntN(1e4), r.Uint32(), r.Uint32(), r.IntN(1e9))
		}},
		{"orders", func(r *rand.Rand) []byte {
			return fmt.Appendf(nil, `{"id":%d,"price":%.2f,"qty":%d,"side":"buy","venue":"XLON","acct":"%x","time":"2024-05-%02d","kind":"limit"}`,
				r.IntN(1e8), r.Float64()*1000, r.IntN(100), r.Uint32(), 1+r.IntN(28))
		}},
	}
	for bits := MinWindowBits; bits <= MaxWindowBits; bits++ {
		for _, level := range []int{1, 3, 6, 9} {
			r := rand.New(rand.NewPCG(uint64(bits), uint64(level)))
			e, d := NewEncoder(bits, true, level), NewDecoder(bits, true)
			checking := &deflatetest.Reader{Window: 1 << bits}
			for _, kind := range kinds { // each meets a window full of another
				var sent, written int
				for range 100 {
					message := kind.message(r)
					sent += len(message)
					compressed, smaller := encode(e, message)
					if !smaller {
						written += len(message)
						continue
					}
					written += len(compressed)
					got, err := d.Decode(compressed, 1<<10, none)
					require.NoError(t, err)
					require.Equal(t, string(message), string(got))
					checked, ok := checking.Message(string(compressed))
					require.True(t, ok)
					require.Equal(t, string(message), string(checked))
				}
				require.Less(t, float64(written), 0.75*float64(sent), "%s, %d bits, level %d", kind.name, bits, level)
			}
		}
	}
}
