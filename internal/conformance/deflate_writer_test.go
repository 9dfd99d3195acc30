package conformance

import (
	"math/bits"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
)

// A packer writes DEFLATE by hand, RFC 1951, bit by bit: what is right, and what no
// compressor would ever say.
type packer struct {
	out  []byte
	used int // bits of the last octet
}

// put writes a number of n bits, the lowest first.
func (p *packer) put(v uint32, n int) *packer {
	for i := range n {
		if p.used == 0 {
			p.out = append(p.out, 0)
		}
		p.out[len(p.out)-1] |= byte(v>>i&1) << p.used
		p.used = (p.used + 1) % 8
	}
	return p
}

// word writes a word of a prefix code, the highest bit first.
func (p *packer) word(v uint32, n int) *packer {
	return p.put(bits.Reverse32(v)>>(32-n), n)
}

func (p *packer) align() *packer {
	p.used = 0
	return p
}

// stored writes a block that is not compressed.
func (p *packer) stored(s string) *packer {
	p.put(0, 3).align().put(uint32(len(s)), 16).put(^uint32(len(s))&0xffff, 16)
	p.out = append(p.out, s...)
	return p
}

// fixed begins a block with the fixed codes.
func (p *packer) fixed() *packer { return p.put(0b010, 3) }

// last begins a block with the fixed codes and BFINAL.
func (p *packer) last() *packer { return p.put(0b011, 3) }

// symbol writes a literal, a length or the end of a block in the fixed code.
func (p *packer) symbol(n uint32) *packer {
	switch {
	case n < 144:
		return p.word(0x30+n, 8)
	case n < 256:
		return p.word(0x190+n-144, 9)
	case n < 280:
		return p.word(n-256, 7)
	}
	return p.word(0xc0+n-280, 8)
}

func (p *packer) literals(s string) *packer {
	for _, c := range []byte(s) {
		p.symbol(uint32(c))
	}
	return p
}

// match writes three to ten octets of before again.
func (p *packer) match(length, distance int) *packer {
	p.symbol(uint32(254 + length))
	for i := len(deflatetest.Distances) - 1; ; i-- {
		if d := deflatetest.Distances[i]; distance >= d.Base {
			return p.word(uint32(i), 5).put(uint32(distance-d.Base), d.Bits)
		}
	}
}

func (p *packer) end() *packer { return p.symbol(256) }

// message ends a message: an empty block that is not compressed, without its length, RFC
// 7692 section 7.2.1.
func (p *packer) message() string { return string(p.put(0, 3).out) }
