package deflate

import (
	"encoding/binary"
	"math/bits"
)

// A matcher finds what of a message has been there before. It holds the window and
// the part of the message that is being worked on, and where each run of some bytes
// was seen last. Positions are indexes of buf, the first one is 1, and 0 is nowhere.
//
// What the tables say is only a hint: a position counts if it is in the window, and
// the bytes there are the same. So they need no clearing when a message is taken back.
type matcher struct {
	buf     []byte
	low     int // the first position that may be referred to
	maxDist int
	heads   [1 << hashBits]uint16 // by hash, the last position
	chain   []uint16              // by position, the one before with the same hash; nil: only the last counts
	effort  effort
}

// effort is what a level does.
type effort struct {
	depth int  // how many earlier positions are tried; 0: the last one, without a chain
	nice  int  // a match of that length ends the search
	lazy  bool // the next position may have a better match
}

// efforts are measured by BenchmarkEncode.
var efforts = [MaxLevel + 1]effort{
	1: {0, 0, false},
	2: {4, 16, true},
	3: {6, 32, true},
	4: {8, 32, true},
	5: {16, 32, true},
	6: {32, 128, true},
	7: {64, 258, true},
	8: {256, 258, true},
	9: {1024, 258, true},
}

const (
	hashBits = 13
	hashed   = 4 // bytes of the shortest match that is looked for
)

// hash4 and hash5 are for the first bytes of a word. Where only one position is tried,
// five bytes find the longer matches.
func hash4(v uint32) uint32 { return v * 0x9e3779b1 >> (32 - hashBits) }
func hash5(v uint64) uint32 { return uint32(v << 24 * 0xcf1bbcdcb7 >> (64 - hashBits)) }

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// room is how many bytes can be added.
func (m *matcher) room() int { return cap(m.buf) - len(m.buf) }

// slide moves the window to the front of buf, and the tables with it.
func (m *matcher) slide() {
	from := max(m.low, len(m.buf)-m.maxDist)
	by := from - 1
	if by == 0 {
		return
	}
	n := copy(m.buf[1:], m.buf[from:])
	m.buf = m.buf[:1+n]
	m.low = 1
	if n == 0 {
		clear(m.heads[:])
		return // what the chain says is never looked at
	}
	shift(m.heads[:], by)
	if m.chain != nil {
		copy(m.chain[1:], m.chain[from:from+n])
		shift(m.chain[:1+n], by)
	}
}

// shift makes positions smaller; what leaves the window is nowhere.
func shift(positions []uint16, by int) {
	for i, p := range positions {
		positions[i] = uint16(max(int(p)-by, 0))
	}
}

// find makes tokens of what is in buf from s on.
func (m *matcher) find(t *tokens, s int) {
	switch {
	case m.effort.depth == 0:
		m.findLast(t, s)
	default:
		m.findBest(t, s)
	}
}

// findLast tries only the last position with the same hash, and goes faster through
// what does not match.
func (m *matcher) findLast(t *tokens, s int) {
	buf, heads := m.buf, &m.heads
	low, maxDist := m.low, m.maxDist
	end := len(buf)
	done := s // what has become tokens
	for last := end - 8; s <= last; {
		word := load64(buf, s)
		h := hash5(word)
		p := int(heads[h])
		heads[h] = uint16(s)
		if p < low || p >= s || s-p > maxDist || load32(buf, p) != uint32(word) {
			s += 1 + (s-done)>>5
			continue
		}
		n := hashed + common(buf[s+hashed:end], buf[p+hashed:])
		for s > done && p > low && buf[s-1] == buf[p-1] {
			s, p, n = s-1, p-1, n+1
		}
		t.literals(buf[done:s])
		t.match(n, s-p)
		done = s + n
		for s++; s < done && s <= last; s += 2 {
			heads[hash5(load64(buf, s))] = uint16(s)
		}
		s = done
	}
	t.literals(buf[done:end])
}

// common is how many bytes at the start of a are those of b, which is not shorter.
func common(a, b []byte) int {
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if differ := load64(a, n) ^ load64(b, n); differ != 0 {
			return n + bits.TrailingZeros64(differ)>>3
		}
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

// findBest follows the chain, and looks one position ahead if the effort says so.
func (m *matcher) findBest(t *tokens, s int) {
	buf := m.buf
	end := len(buf)
	done := s
	for last := end - hashed; s <= last; {
		n, distance := m.longest(s, hashed-1)
		if n == 0 {
			s++
			continue
		}
		next := s + 1
		for m.effort.lazy && n < m.effort.nice && next <= last {
			better, further := m.longest(next, n)
			if better == 0 {
				next++
				break
			}
			s, n, distance = next, better, further
			next++
		}
		t.literals(buf[done:s])
		t.match(n, distance)
		done = s + n
		for ; next < done && next <= last; next++ {
			m.insert(next, hash4(load32(buf, next)))
		}
		s = done
	}
	t.literals(buf[done:end])
}

// insert puts a position into the chain and gives the one before.
func (m *matcher) insert(s int, h uint32) int {
	before := m.heads[h]
	m.chain[s] = before
	m.heads[h] = uint16(s)
	return int(before)
}

// longest inserts a position, and gives the longest match for it that is longer than
// least, or zeros.
func (m *matcher) longest(s, least int) (length, distance int) {
	buf := m.buf
	end := min(len(buf), s+maxMatch)
	word := load32(buf, s)
	low := max(m.low, s-m.maxDist)
	p := m.insert(s, hash4(word))
	for before, left := s, m.effort.depth; p >= low && p < before && left > 0; left-- {
		if s+least < end && buf[p+least] == buf[s+least] && load32(buf, p) == word {
			if n := hashed + common(buf[s+hashed:end], buf[p+hashed:]); n > least {
				length, distance, least = n, s-p, n
				if n >= m.effort.nice {
					break
				}
			}
		}
		before, p = p, int(m.chain[p])
	}
	return length, distance
}
