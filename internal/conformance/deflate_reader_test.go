package conformance

import (
	"bytes"
	"compress/flate"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// An unpacker reads the compressed messages of one direction: RFC 1951 read anew and
// written for shortness, with a window that is as small as was agreed on.
type unpacker struct {
	direction
	sent []byte // what later messages may refer to

	in       []byte
	at       int // in bits
	broken   bool
	farthest int // the greatest distance
}

// message reads a message; ok is false for one that is no DEFLATE.
func (u *unpacker) message(compressed string) (message []byte, ok bool) {
	if u.fresh {
		u.sent = nil
	}
	u.in = append([]byte(compressed), 0, 0, 0xff, 0xff)
	u.at, u.broken = 0, false
	start := len(u.sent)
	// A message also ends where a whole block ends its octets, docs/compression.md.
	for !u.broken && u.at != 8*len(compressed) && u.at != 8*len(u.in) {
		final := u.take(1) == 1
		switch u.take(2) {
		case 0:
			u.stored(len(compressed))
		case 1:
			u.block(fixedLiterals, fixedDistances)
		case 2:
			u.dynamic()
		default:
			u.broken = true
		}
		if final {
			u.at = (u.at + 7) / 8 * 8
		}
	}
	message = bytes.Clone(u.sent[start:])
	u.sent = u.sent[max(0, len(u.sent)-u.window()):]
	return message, !u.broken
}

func (u *unpacker) take(n int) (v int) {
	for i := range n {
		if u.at >= 8*len(u.in) {
			u.broken = true
			return 0
		}
		v |= int(u.in[u.at/8]>>(u.at%8)&1) << i
		u.at++
	}
	return v
}

func (u *unpacker) stored(most int) {
	u.at = (u.at + 7) / 8 * 8
	n, complement := u.take(16), u.take(16)
	if n+complement != 0xffff || n > 0 && u.at/8+n > most {
		u.broken = true
	}
	if !u.broken {
		u.sent = append(u.sent, u.in[u.at/8:][:n]...)
		u.at += 8 * n
	}
}

// A prefixCode is how many words of each length there are, and their symbols in order.
type prefixCode struct {
	counts  [16]int
	symbols []int
}

// codeOf makes a code of the lengths of its words. Only one of a single word of one bit,
// or of none, may be incomplete.
func codeOf(lengths []int) (c prefixCode, ok bool) {
	left := 1
	for n := 1; n <= 15; n++ {
		for symbol, length := range lengths {
			if length == n {
				c.symbols = append(c.symbols, symbol)
				c.counts[n]++
			}
		}
		left = 2*left - c.counts[n]
		if left < 0 {
			return c, false
		}
	}
	return c, left == 0 || len(c.symbols) == 0 || len(c.symbols) == 1 && c.counts[1] == 1
}

func (u *unpacker) symbol(c prefixCode) int {
	word, first, index := 0, 0, 0
	for n := 1; n <= 15 && !u.broken; n++ {
		word |= u.take(1)
		if word-first < c.counts[n] {
			return c.symbols[index+word-first]
		}
		index += c.counts[n]
		first = (first + c.counts[n]) << 1
		word <<= 1
	}
	u.broken = true
	return 0
}

var fixedLiterals, fixedDistances = func() (prefixCode, prefixCode) {
	var literals [288]int
	for i := range literals {
		literals[i] = 8
		if i >= 144 && i < 256 {
			literals[i] = 9
		} else if i >= 256 && i < 280 {
			literals[i] = 7
		}
	}
	a, _ := codeOf(literals[:])
	b, _ := codeOf(slices.Repeat([]int{5}, 32))
	return a, b
}()

func (u *unpacker) block(literals, dists prefixCode) {
	for !u.broken {
		s := u.symbol(literals)
		switch {
		case u.broken || s == 256:
			return
		case s < 256:
			u.sent = append(u.sent, byte(s))
			continue
		case s-257 >= len(lengths):
			u.broken = true
			return
		}
		length := matchLengths[s-257].base + u.take(matchLengths[s-257].bits)
		s = u.symbol(dists)
		if u.broken || s >= len(matchDistances) {
			u.broken = true
			return
		}
		distance := matchDistances[s].base + u.take(matchDistances[s].bits)
		if u.broken || distance > len(u.sent) || distance > u.window() {
			u.broken = true
			return
		}
		u.farthest = max(u.farthest, distance)
		for range length {
			u.sent = append(u.sent, u.sent[len(u.sent)-distance])
		}
	}
}

func (u *unpacker) dynamic() {
	literals, dists, pres := 257+u.take(5), 1+u.take(5), 4+u.take(4)
	var pre [19]int
	for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:pres] {
		pre[symbol] = u.take(3)
	}
	c, ok := codeOf(pre[:])
	if u.broken = u.broken || !ok || literals > 286 || dists > 30; u.broken {
		return
	}
	var all []int
	for len(all) < literals+dists && !u.broken {
		s, times, value := u.symbol(c), 1, 0
		switch {
		case s < 16:
			value = s
		case s == 16 && len(all) == 0:
			u.broken = true
		case s == 16:
			value, times = all[len(all)-1], 3+u.take(2)
		case s == 17:
			times = 3 + u.take(3)
		default:
			times = 11 + u.take(7)
		}
		for range times {
			all = append(all, value)
		}
	}
	if u.broken || len(all) != literals+dists || all[256] == 0 {
		u.broken = true
		return
	}
	a, ok1 := codeOf(all[:literals])
	b, ok2 := codeOf(all[literals:])
	if u.broken = !ok1 || !ok2; !u.broken {
		u.block(a, b)
	}
}

// The tests' own reader is held against the standard library's compressor, and the writer
// against the RFC.
func TestTheTestsOwnDeflate(t *testing.T) {
	t.Parallel()
	require.Equal(t, "\xf2\x48\xcd\xc9\xc9\x07\x00", new(packer).fixed().literals("Hello").end().message())
	require.Equal(t, "\xf2\x00\x11\x00\x00", new(packer).fixed().literals("H").match(4, 5).end().message())
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		require.NoError(t, err)
		var u unpacker
		for n := range 40 {
			b.Reset()
			s := content(n * n * n)
			_, err := io.WriteString(w, s)
			require.NoError(t, err)
			require.NoError(t, w.Flush())
			got, ok := u.message(string(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))))
			require.True(t, ok)
			require.Equal(t, s, string(got))
		}
	}
}
