package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
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

func TestCorruptDataIsAnError(t *testing.T) {
	for _, tc := range []struct{ name, compressed, what string }{
		{"a reserved type", "\x06", "invalid block, code or distance"},
		{"a stored block without its length", "\x00\x05", "ends within"},
		{"a stored block with a wrong complement", "\x00\x05\x00\xfa\xfeHello\x00", "invalid block, code or distance"},
		{"a stored block that is too short", "\x00\x05\x00\xfa\xffHell", "ends within"},
		{"a stored block that is too short, and final", "\x01\x05\x00\xfa\xffHell", "ends within"},
		{"a final stored block that the tail and more completes", "\x01\x09\x00\xf6\xff", "ends within"},
		{"a stored block that the tail and more completes", "\x00\x09\x00\xf6\xff", "ends within"},
		{"a stored block that the tail completes", "\x00\x04\x00\xfb\xff", "ends within"},
		{"a stored block of which the tail completes a part", "\x00\x05\x00\xfa\xffH", "ends within"},
		{"a final stored block that the tail completes", "\x01\x04\x00\xfb\xff", "ends within"},
		{"a fixed block that is too short", "\xf2\x48\xcd", "ends within"},
		{"a message without its last octet", "\xf2\x48\xcd\xc9\xc9\x07", "ends within"},
		{"a distance without a window", "\xf2\x00\x11\x00\x00", "invalid block, code or distance"},
		{"the length symbol 286", "\x1a\x03", "invalid block, code or distance"},
		{"the distance symbol 30", "\x02\x7e\x00\x00", "invalid block, code or distance"},
		{"287 literal codes", "\xf4\xff\xff\xff", "invalid block, code or distance"},
		{"31 distance codes", "\x04\xde\xff\xff", "invalid block, code or distance"},
		{"a precode with too many words", "\x04\x00\xfe\xff\xff\xff\xff", "invalid block, code or distance"},
		{"a repetition of nothing", "\x04\x00\x12\x00\x00\x00\x00\x00", "invalid block, code or distance"},
		{"a whole message, and more", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x06", "invalid block, code or distance"},
	} {
		for _, takeover := range []bool{false, true} {
			_, err := NewDecoder(15, takeover).Decode([]byte(tc.compressed), 1000, none)
			require.ErrorIs(t, err, ErrCorrupt, tc.name)
			require.ErrorContains(t, err, "corrupt compressed data: ", tc.name)
			require.ErrorContains(t, err, tc.what, tc.name)
		}
	}
}

// TestAWindowGoesOnBehindBFINAL sends a message as many streams, RFC 7692 section 7.2.3.4,
// each of which refers to those before it.
func TestAWindowGoesOnBehindBFINAL(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		d := NewDecoder(15, takeover)
		for i := range uint64(3) {
			message := textOf(i, 100_000)
			var compressed bytes.Buffer
			for at := 0; at < len(message); at += 1000 {
				w, err := flate.NewWriterDict(&compressed, 6, message[:at])
				require.NoError(t, err)
				_, err = w.Write(message[at:][:1000])
				require.NoError(t, err)
				require.NoError(t, w.Close())
			}
			for _, last := range []string{"", "\x00"} {
				got, err := d.Decode(append(compressed.Bytes(), last...), 1<<20, none)
				require.NoError(t, err)
				require.True(t, bytes.Equal(message, got))
			}
		}
	}
}

// TestBlocksWithBFINALAreBounded is about their cost: each takes two bytes, and moves a
// whole window.
func TestBlocksWithBFINALAreBounded(t *testing.T) {
	for _, n := range []int{1, 60, 100, 1000} {
		_, err := NewDecoder(15, true).Decode(bytes.Repeat([]byte("\x03\x00"), n), 1<<20, none)
		if n <= 60 {
			require.NoError(t, err, "%d", n)
			continue
		}
		require.ErrorContains(t, err, "corrupt compressed data: too many blocks with BFINAL")
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
	require.Nil(t, d.window.b)
}

func TestADecodersWindowGrowsOnlyAsItIsNeeded(t *testing.T) {
	for bits := MinWindowBits; bits <= MaxWindowBits; bits++ {
		d := NewDecoder(bits, true)
		require.Nil(t, d.window.b)
		_, err := d.Decode(byStandard(t, 1, []byte("small")), 1<<20, none)
		require.NoError(t, err)
		require.Equal(t, min(firstWindow, 1<<bits), cap(d.window.b))
		for range 100 {
			_, err = d.Decode(byStandard(t, 0, bytes.Repeat([]byte("small"), 1000)), 1<<20, none)
			require.NoError(t, err)
		}
		require.Equal(t, 1<<bits, cap(d.window.b))
	}
}

// TestADistanceIntoEarlierMessagesEndsWithTheWindow has the bytes of the window told
// apart.
func TestADistanceIntoEarlierMessagesEndsWithTheWindow(t *testing.T) {
	before := randomOf(1, 40_000)
	for bits := MinWindowBits; bits <= MaxWindowBits; bits++ {
		window := 1 << bits
		for _, distance := range []int{window - 1, window, window + 1} {
			if distance > 1<<MaxWindowBits {
				continue // DEFLATE cannot express it
			}
			d := NewDecoder(bits, true)
			_, err := d.Decode(byStandard(t, 0, before), 1<<20, none)
			require.NoError(t, err)
			got, err := d.Decode(matchOf(3, distance), 1<<20, none)
			if distance > window {
				require.ErrorIs(t, err, ErrCorrupt, "%d in %d bits", distance, bits)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, before[len(before)-distance:][:3], got)
		}
	}
}

// matchOf returns a message that is one match of three bytes, in a fixed block.
func matchOf(length, distance int) []byte {
	v, n := uint64(0b010), 3
	put := func(word, bits int) { // the highest bit first
		for i := bits - 1; i >= 0; i-- {
			v |= uint64(word>>i&1) << n
			n++
		}
	}
	put(length-2, 7)
	symbol := 29
	for deflatetest.Distances[symbol].Base > distance {
		symbol--
	}
	put(symbol, 5)
	v |= uint64(distance-deflatetest.Distances[symbol].Base) << n
	n += deflatetest.Distances[symbol].Bits
	put(0, 7)
	n += 3
	return binary.LittleEndian.AppendUint64(nil, v)[:(n+7)/8]
}
