package deflate

import "encoding/binary"

// A bitWriter appends bits, the first one lowest. Its out has room behind n for all
// that comes, and for a word more.
type bitWriter struct {
	out  []byte
	n    int
	bits uint64
	used uint
}

// put adds up to 56 bits, after a flush.
func (w *bitWriter) put(v uint64, n uint) {
	w.bits |= v << (w.used & 63)
	w.used += n
}

// flush leaves less than eight bits.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.out[w.n:], w.bits)
	w.n += int(w.used >> 3)
	w.bits >>= w.used & 56
	w.used &= 7
}

// align fills up the byte.
func (w *bitWriter) align() {
	w.used = (w.used + 7) &^ 7
	w.flush()
}

// A blockWriter codes blocks.
type blockWriter struct {
	bitWriter
	builder   codeBuilder
	lit, dist code
	pre       code
	preList   [litCodes + distCodes + 1]uint16 // symbols of the precode, with what follows them
	preCounts [precodes]uint32
}

// write codes a block in whichever way is shortest. raw is what its tokens stand for.
func (w *blockWriter) write(t *tokens, raw []byte) {
	t.lits[endOfBlock] = 1
	extra := extraBits(t)
	fixed := extra + size(&fixedCode, t.lits[:]) + size(&fixedDistCode, t.dists[:])
	stored := 8*len(raw) + 32 + 7
	if len(raw) < smallBlock { // no code of its own will pay
		if fixed <= stored {
			w.writeFixed(t)
		} else {
			w.writeStored(raw)
		}
		return
	}
	w.lit.build(&w.builder, t.lits[:], maxBits)
	w.dist.build(&w.builder, t.dists[:], maxBits)
	lits, dists, pre, header := w.planHeader()
	dynamic := extra + header + size(&w.lit, t.lits[:]) + size(&w.dist, t.dists[:])
	switch {
	case dynamic < fixed && dynamic < stored:
		w.flush()
		w.put(typeDynamic<<1, 3)
		w.writeHeader(lits, dists, pre)
		w.writeTokens(t, &w.lit, &w.dist)
	case fixed <= stored:
		w.writeFixed(t)
	default:
		w.writeStored(raw)
	}
}

// smallBlock is the size up to which a code of its own does not pay: its description
// alone takes some 50 bytes.
const smallBlock = 64

// extraBits is what the tokens need besides their symbols.
func extraBits(t *tokens) (bits int) {
	for i, n := range t.lits[firstLength+8:] {
		bits += int(n) * int(lengthExtra[i+8])
	}
	for i, n := range t.dists[4:] {
		bits += int(n) * int(distExtra[i+4])
	}
	return bits
}

// size is how many bits symbols of these frequencies take.
func size(c *code, frequencies []uint32) (bits int) {
	lengths := c.lengths[:len(frequencies)]
	for symbol, n := range frequencies {
		bits += int(n) * int(lengths[symbol])
	}
	return bits
}

// writeStored writes raw as it is, RFC 1951 section 3.2.4.
func (w *blockWriter) writeStored(raw []byte) {
	w.flush()
	w.put(typeStored<<1, 3)
	w.align()
	w.put(uint64(len(raw))|uint64(^uint16(len(raw)))<<16, 32)
	w.flush()
	w.n += copy(w.out[w.n:], raw)
}

func (w *blockWriter) writeFixed(t *tokens) {
	w.flush()
	w.put(typeFixed<<1, 3)
	w.writeTokens(t, &fixedCode, &fixedDistCode)
}

// finish ends a message, RFC 7692 section 7.2.1: with an empty stored block, of which
// only the header remains.
func (w *blockWriter) finish() {
	w.put(typeStored<<1, 3)
	w.align()
}

// writeTokens writes a block's content and its end.
func (w *blockWriter) writeTokens(t *tokens, lit, dist *code) {
	out, n := w.out, w.n
	bits, used := w.bits, w.used
	for _, token := range t.list {
		// A word more must leave used below 64: a flush shifts by used&56, and would
		// leave 64 bits where they are.
		if used >= 64-maxBits {
			binary.LittleEndian.PutUint64(out[n:], bits)
			n += int(used >> 3)
			bits >>= used & 56
			used &= 7
		}
		if token < tokenMatch {
			word := lit.words[uint8(token)]
			bits |= uint64(word&0xffff) << (used & 63)
			used += uint(word >> wordShift)
			continue
		}
		binary.LittleEndian.PutUint64(out[n:], bits)
		n += int(used >> 3)
		bits >>= used & 56
		used &= 7

		length := token >> tokenLengthShift & 0xff
		symbol := lengthSymbol(length)
		word := lit.words[symbol]
		bits |= uint64(word&0xffff) << used
		used += uint(word >> wordShift)
		bits |= uint64(length+minMatch-uint32(lengthBase[symbol-firstLength])) << (used & 63)
		used += uint(lengthExtra[symbol-firstLength])

		distance := token & 0xffff
		symbol = distSymbol(distance)
		word = dist.words[symbol]
		bits |= uint64(word&0xffff) << (used & 63)
		used += uint(word >> wordShift)
		bits |= uint64(distance+1-uint32(distBase[symbol])) << (used & 63)
		used += uint(distExtra[symbol])
	}
	w.n, w.bits, w.used = n, bits, used
	w.flush()
	w.putWord(lit, endOfBlock)
	w.flush()
}

// putWord adds a word of a code.
func (w *bitWriter) putWord(c *code, symbol int) {
	word := c.words[symbol]
	w.put(uint64(word&0xffff), uint(word>>wordShift))
}
