// Package deflatetest checks what package deflate does: it has a reader of DEFLATE of its
// own, written for shortness, and data of many distributions. It is for tests only.
package deflatetest

import (
	"bytes"
	"slices"
)

// tail is what a sender removes from a message, RFC 7692 section 7.2.1.
const tail = "\x00\x00\xff\xff"

// A Reader reads the compressed messages of one direction as RFC 1951 and RFC 7692 define
// them.
type Reader struct {
	Window     int  // in bytes: how far back a message may refer
	NoTakeover bool // to the same message only
	// Lax allows distances up to 32 KiB within a message, whatever Window is.
	Lax bool

	// Farthest is the greatest distance so far.
	Farthest int

	sent []byte // what later messages may refer to

	in     []byte
	at     int // in bytes
	bits   uint64
	n      uint // how many there are in bits
	broken bool
}

// Message decompresses a message. ok is false if it is not valid.
func (r *Reader) Message(compressed string) (message []byte, ok bool) {
	if r.NoTakeover {
		r.sent = nil
	}
	start := len(r.sent)
	r.read(compressed)
	message = bytes.Clone(r.sent[start:])
	r.sent = r.sent[max(0, len(r.sent)-r.Window):]
	return message, !r.broken
}

func (r *Reader) read(compressed string) {
	r.in = []byte(compressed)
	if !bytes.HasSuffix(r.in, []byte(tail)) {
		r.in = append(r.in, tail...)
	}
	r.at, r.bits, r.n, r.broken = 0, 0, 0, false
	if compressed == "" {
		return
	}
	stored := false // the last block is, and not final
	for finals := 0; !r.broken && !(stored && r.at == len(r.in)); {
		final := r.take(1) == 1
		kind := r.take(2)
		stored = kind == 0 && !final
		switch kind {
		case 0:
			r.stored(len(compressed))
		case 1:
			r.block(fixedLiterals, fixedDistances)
		case 2:
			r.dynamic()
		default:
			r.broken = true
		}
		if !final || r.broken {
			continue
		}
		r.align()
		// BFINAL ends a message only where its octets end, with or without the one that
		// RFC 7692 section 7.2.3.4 asks for.
		switch left := len(compressed) - r.at; {
		case left == 0, left == 1 && compressed[len(compressed)-1] == 0:
			return
		case left < 0, finals > 64+len(compressed)/64:
			r.broken = true
		}
		finals++
	}
}

// take reads n bits, the lowest first. It leaves less than eight in r.bits.
func (r *Reader) take(n int) int {
	for r.n < uint(n) {
		if r.at == len(r.in) {
			r.broken = true
			return 0
		}
		r.bits |= uint64(r.in[r.at]) << r.n
		r.at++
		r.n += 8
	}
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.n -= uint(n)
	return int(v)
}

func (r *Reader) align() { r.bits, r.n = 0, 0 }

// stored reads a stored block, whose content ends before most.
func (r *Reader) stored(most int) {
	r.align()
	n, complement := r.take(16), r.take(16)
	if n+complement != 0xffff || n > 0 && r.at+n > most {
		r.broken = true
	}
	if !r.broken {
		r.sent = append(r.sent, r.in[r.at:][:n]...)
		r.at += n
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

func (r *Reader) symbol(c *prefixCode) int {
	word, first, index := 0, 0, 0
	for n := 1; n <= 15 && !r.broken; n++ {
		word |= r.take(1)
		if word-first < c.counts[n] {
			return c.symbols[index+word-first]
		}
		index += c.counts[n]
		first = (first + c.counts[n]) << 1
		word <<= 1
	}
	r.broken = true
	return 0
}

var fixedLiterals, fixedDistances = func() (*prefixCode, *prefixCode) {
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
	return &a, &b
}()

// farthest is the greatest distance that is allowed here.
func (r *Reader) farthest() int {
	if r.Lax {
		return min(len(r.sent), 1<<15)
	}
	return min(len(r.sent), r.Window)
}

func (r *Reader) block(literals, dists *prefixCode) {
	for !r.broken {
		s := r.symbol(literals)
		switch {
		case r.broken || s == 256:
			return
		case s < 256:
			r.sent = append(r.sent, byte(s))
			continue
		case s-257 >= len(Lengths):
			r.broken = true
			return
		}
		length := Lengths[s-257].Base + r.take(Lengths[s-257].Bits)
		s = r.symbol(dists)
		if r.broken || s >= len(Distances) {
			r.broken = true
			return
		}
		distance := Distances[s].Base + r.take(Distances[s].Bits)
		if r.broken || distance > r.farthest() {
			r.broken = true
			return
		}
		r.Farthest = max(r.Farthest, distance)
		for range length {
			r.sent = append(r.sent, r.sent[len(r.sent)-distance])
		}
	}
}

func (r *Reader) dynamic() {
	literals, dists, pres := 257+r.take(5), 1+r.take(5), 4+r.take(4)
	var pre [19]int
	for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:pres] {
		pre[symbol] = r.take(3)
	}
	c, ok := codeOf(pre[:])
	if r.broken = r.broken || !ok || literals > 286 || dists > 30; r.broken {
		return
	}
	var all []int
	for len(all) < literals+dists && !r.broken {
		s, times, value := r.symbol(&c), 1, 0
		switch {
		case s < 16:
			value = s
		case s == 16 && len(all) == 0:
			r.broken = true
		case s == 16:
			value, times = all[len(all)-1], 3+r.take(2)
		case s == 17:
			times = 3 + r.take(3)
		default:
			times = 11 + r.take(7)
		}
		for range times {
			all = append(all, value)
		}
	}
	if r.broken || len(all) != literals+dists || all[256] == 0 {
		r.broken = true
		return
	}
	a, ok1 := codeOf(all[:literals])
	b, ok2 := codeOf(all[literals:])
	if r.broken = !ok1 || !ok2; !r.broken {
		r.block(&a, &b)
	}
}

// A Range stands for all numbers from Base on that Bits more bits tell apart.
type Range struct{ Base, Bits int }

// Lengths and Distances are the tables of RFC 1951 section 3.2.5, made by their rule.
var (
	Lengths = func() (all []Range) {
		base := 3
		for i := range 28 {
			n := max(0, i/4-1)
			all = append(all, Range{base, n})
			base += 1 << n
		}
		return append(all, Range{258, 0})
	}()
	Distances = func() (all []Range) {
		base := 1
		for i := range 30 {
			n := max(0, i/2-1)
			all = append(all, Range{base, n})
			base += 1 << n
		}
		return all
	}()
)
