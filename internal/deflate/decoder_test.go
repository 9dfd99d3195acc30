package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheExamplesOfTheRFCDecode takes those of RFC 7692 section 7.2.3, and their kin.
func TestTheExamplesOfTheRFCDecode(t *testing.T) {
	for _, tc := range []struct{ name, compressed, want string }{
		{"a fixed block", "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"a stored block", "\x00\x05\x00\xfa\xffHello\x00", "Hello"},
		{"BFINAL, and the octet behind it", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
		{"BFINAL, and nothing behind it", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"BFINAL, and another message", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", "HelloHello"},
		{"a final stored block", "\x01\x05\x00\xfa\xffHello\x00", "Hello"},
		{"a final stored block, and nothing behind it", "\x01\x05\x00\xfa\xffHello", "Hello"},
		{"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
		{"the tail left on it", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", "Hello"},
		{"the tail twice", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00", "Hello"},
		{"an empty message", "\x00", ""},
		{"an empty message in a fixed block", "\x02\x00", ""},
		{"an empty message, final", "\x03\x00", ""},
		{"no octet at all", "", ""},
	} {
		for _, takeover := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, takeover), func(t *testing.T) {
				d := NewDecoder(15, takeover)
				for range 2 {
					got, err := d.Decode([]byte(tc.compressed), 100, none)
					require.NoError(t, err)
					require.Equal(t, tc.want, string(got))
					require.NotNil(t, got)
				}
			})
		}
	}
	d := NewDecoder(15, true)
	_, err := d.Decode([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), 100, none)
	require.NoError(t, err)
	got, err := d.Decode([]byte("\xf2\x00\x11\x00\x00"), 100, none)
	require.NoError(t, err)
	require.Equal(t, "Hello", string(got), "all of it from the window")
}

func TestCorruptDataIsToldApart(t *testing.T) {
	for _, tc := range []struct{ name, compressed, what string }{
		{"a reserved type", "\x06", "block type"},
		{"a stored block without its length", "\x00\x05", "complement"},
		{"a stored block with a wrong complement", "\x00\x05\x00\xfa\xfeHello\x00", "complement"},
		{"a stored block that is too short", "\x00\x05\x00\xfa\xffHell", "ends within"},
		{"a fixed block that is too short", "\xf2\x48\xcd", "ends within"},
		{"a message without its last octet", "\xf2\x48\xcd\xc9\xc9\x07", "ends within"},
		{"a distance without a window", "\xf2\x00\x11\x00\x00", "distance"},
		{"the length symbol 286", "\x1a\x03", "invalid code"},
		{"the distance symbol 30", "\x02\x7e\x00\x00", "invalid code"},
		{"287 literal codes", "\xf4\xff\xff\xff", "lengths"},
		{"31 distance codes", "\x04\xde\xff\xff", "lengths"},
		{"a precode with too many words", "\x04\x00\xfe\xff\xff\xff\xff", "lengths"},
		{"a repetition of nothing", "\x04\x00\x12\x00\x00", "lengths"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewDecoder(15, false).Decode([]byte(tc.compressed), 1000, none)
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorContains(t, err, tc.what)
			require.ErrorContains(t, err, "corrupt compressed data")
		})
	}
}

// byStandard compresses with the standard library.
func byStandard(t testing.TB, level int, parts ...[]byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	require.NoError(t, err)
	for _, part := range parts {
		_, err := w.Write(part)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte(tail))
}

func TestWhatTheStandardLibraryHasCompressedDecodes(t *testing.T) {
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 3, 6, 9} {
		for _, takeover := range []bool{false, true} {
			d := NewDecoder(15, takeover)
			for i, message := range conversation() {
				cut := len(message) / 3
				got, err := d.Decode(byStandard(t, level, message[:cut], message[cut:]), 2<<20, none)
				require.NoError(t, err, "level %d message %d", level, i)
				require.True(t, bytes.Equal(message, got), "level %d message %d", level, i)
			}
		}
	}
}

func TestDataThatEndsEarlyIsAlwaysAnError(t *testing.T) {
	message := append(jsonOf(1, 3000), randomOf(1, 300)...)
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
		whole := byStandard(t, level, message[:2000], message[2000:])
		for n := range len(whole) {
			got, err := NewDecoder(15, false).Decode(whole[:n], 1<<20, none)
			if err == nil { // a place between two blocks
				require.True(t, bytes.HasPrefix(message, got), "%d", n)
				require.Contains(t, []int{0, 2000, 3300}, len(got), "%d", n)
				continue
			}
			require.ErrorIs(t, err, ErrCorrupt)
		}
	}
}

func TestNoDistanceBeyondTheWindowIsAccepted(t *testing.T) {
	random := randomOf(1, 33_000)
	for bits := MinWindowBits; bits <= MaxWindowBits; bits++ {
		window := 1 << bits
		for _, distance := range []int{window - 1, window, window + 1} {
			if distance > 1<<MaxWindowBits {
				continue
			}
			// A stored block, and three bytes of it again.
			var w blockWriter
			w.out = make([]byte, 2*len(random))
			var tokens tokens
			tokens.reset()
			w.writeStored(random[:32_900])
			tokens.match(3, distance)
			tokens.lits[endOfBlock] = 1
			w.writeFixed(&tokens)
			w.finish()
			got, err := NewDecoder(bits, false).Decode(w.out[:w.n], 1<<20, none)
			if distance > window {
				require.ErrorIs(t, err, ErrCorrupt, "%d in %d bits", distance, bits)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, random[32_900-distance:][:3], got[32_900:])
		}
	}
}

func TestALimitIsExact(t *testing.T) {
	for _, size := range []int{1, 5000, 100_000, 1 << 20} {
		for _, message := range [][]byte{make([]byte, size), randomOf(1, size), textOf(1, size)} {
			compressed := byStandard(t, 1, message)
			for _, takeover := range []bool{false, true} {
				got, err := NewDecoder(15, takeover).Decode(compressed, int64(size), none)
				require.NoError(t, err)
				require.True(t, bytes.Equal(message, got))
				_, err = NewDecoder(15, takeover).Decode(compressed, int64(size)-1, none)
				require.ErrorIs(t, err, ErrTooLarge)
			}
		}
	}
}

func TestAMessageOfNormalSizeIsCopiedIntoItsOwnSize(t *testing.T) {
	for _, size := range []int{0, 1, 1024, 30_000} {
		var sizes []int
		got, err := NewDecoder(15, false).Decode(byStandard(t, 1, textOf(1, size)), 1<<20, func(n int) []byte {
			sizes = append(sizes, n)
			return none(n)
		})
		require.NoError(t, err)
		require.Len(t, got, size)
		require.Equal(t, []int{size}, sizes)
	}
}

// TestABombIsDefusedEarly decodes a gigabyte of zeros in a megabyte.
func TestABombIsDefusedEarly(t *testing.T) {
	bomb := byStandard(t, 9, make([]byte, 4<<20))
	bomb = bytes.Repeat(append(bomb, tail...), 256)
	for _, takeover := range []bool{false, true} {
		decode := func() {
			_, err := NewDecoder(15, takeover).Decode(bomb, 1<<20, none)
			require.ErrorIs(t, err, ErrTooLarge)
		}
		decode()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20))
	}
}

func TestADecoderHoldsNothingWithoutTakeover(t *testing.T) {
	d := NewDecoder(15, false)
	_, err := d.Decode(byStandard(t, 1, textOf(1, 100_000)), 1<<20, none)
	require.NoError(t, err)
	require.Nil(t, d.window)
}

func TestADecodersWindowGrowsOnlyAsItIsNeeded(t *testing.T) {
	d := NewDecoder(15, true)
	require.Nil(t, d.window)
	_, err := d.Decode(byStandard(t, 1, []byte("small")), 1<<20, none)
	require.NoError(t, err)
	require.Len(t, d.window, firstWindow)
	_, err = d.Decode(byStandard(t, 1, make([]byte, 1<<20)), 1<<20, none)
	require.NoError(t, err)
	require.Len(t, d.window, 40<<10)

	d = NewDecoder(8, true)
	_, err = d.Decode(byStandard(t, 0, []byte(strings.Repeat("small", 10_000))), 1<<20, none)
	require.NoError(t, err)
	require.Len(t, d.window, 256+4096)
}
