package deflate

// A table decodes one prefix code. It is indexed with the next bits of the input,
// and an entry says what they begin with:
//
//	bits 0 to 4    the length of the code, or of its part that led here
//	bits 8 to 11   how many extra bits follow; of a link, the bits of the subtable
//	bit 12         end of the block, or with a base no code at all
//	bit 13         a link to a subtable, for codes longer than the table's bits
//	bit 15         a literal
//	bits 16 to 31  the literal, the base of a length or distance, the subtable's place
type table struct {
	entries []uint32
	bits    uint // of the index
}

const (
	entryLengthBits = 0x1f
	entryExtraShift = 8
	entryExtraBits  = 0xf
	entryEnd        = 1 << 12
	entryLink       = 1 << 13
	entryLiteral    = 1 << 15
	entryBaseShift  = 16

	entryInvalid = entryEnd | 1<<entryBaseShift
)

// The tables' sizes: with these bits for the index, no code of the format needs more
// entries. More bits cost more to fill than they save in a message of some KiB.
const (
	litTableBits      = 10
	litTableSize      = 1408
	distTableBits     = 8
	distTableSize     = 512
	precodeTableBits  = maxPrecodeBits
	precodeTableSize  = 1 << precodeTableBits
	longestDecodeBits = maxBits
)

// What the symbols of the alphabets mean, as entries without code lengths.
var (
	litMeaning = func() (m [288]uint32) {
		for i := range m {
			switch {
			case i < endOfBlock:
				m[i] = entryLiteral | uint32(i)<<entryBaseShift
			case i == endOfBlock:
				m[i] = entryEnd
			case i < litCodes:
				m[i] = uint32(lengthBase[i-firstLength])<<entryBaseShift | uint32(lengthExtra[i-firstLength])<<entryExtraShift
			default:
				m[i] = entryInvalid
			}
		}
		return m
	}()
	distMeaning = func() (m [32]uint32) {
		for i := range m {
			m[i] = entryInvalid
			if i < distCodes {
				m[i] = uint32(distBase[i])<<entryBaseShift | uint32(distExtra[i])<<entryExtraShift
			}
		}
		return m
	}()
	precodeMeaning = func() (m [precodes]uint32) {
		for i := range m {
			m[i] = uint32(i) << entryBaseShift
		}
		return m
	}()
)

// fixedLit and fixedDist decode the fixed code.
var fixedLit, fixedDist = func() (lit, dist table) {
	lit.entries = make([]uint32, 1<<litTableBits)
	dist.entries = make([]uint32, 1<<distTableBits)
	lit.build(fixedLengths[:], litMeaning[:], litTableBits)
	var lengths [32]uint8
	for i := range lengths {
		lengths[i] = 5
	}
	dist.build(lengths[:], distMeaning[:], distTableBits)
	return lit, dist
}()

// build fills the table for the code with these lengths, and tells whether it is one.
// A code must be complete; RFC 1951 section 3.2.7 excepts one with a single symbol, of
// one bit, and one without any.
func (t *table) build(lengths []uint8, meaning []uint32, most uint) bool {
	var counts [longestDecodeBits + 1]uint16
	for _, n := range lengths {
		counts[n&longestDecodeBits]++
	}
	unused := counts[0]
	counts[0] = 0
	longest, left := uint(0), 1
	var starts [longestDecodeBits + 2]uint16
	for n := 1; n <= longestDecodeBits; n++ {
		left = left<<1 - int(counts[n])
		if left < 0 {
			return false
		}
		starts[n+1] = starts[n] + counts[n]
		if counts[n] > 0 {
			longest = uint(n)
		}
	}
	if left > 0 {
		return t.buildIncomplete(lengths, meaning, longest, len(lengths)-int(unused))
	}
	var sorted [288]uint16
	for symbol, n := range lengths {
		if n != 0 {
			sorted[starts[n]] = uint16(symbol)
			starts[n]++
		}
	}
	t.bits = min(most, longest)
	return t.fill(&counts, sorted[:], meaning, longest)
}

// buildIncomplete makes the table of a code with one symbol or none.
func (t *table) buildIncomplete(lengths []uint8, meaning []uint32, longest uint, used int) bool {
	if used > 1 || longest > 1 {
		return false
	}
	t.bits = 1
	t.entries[0], t.entries[1] = entryInvalid|1, entryInvalid|1
	for symbol, n := range lengths {
		if n == 1 {
			t.entries[0] = meaning[symbol] | 1
		}
	}
	return true
}

// fill makes the entries of a complete code. The code words of one length are
// consecutive numbers, but come with their first bit lowest: the next one is found by
// carrying from the top.
func (t *table) fill(counts *[longestDecodeBits + 1]uint16, sorted []uint16, meaning []uint32, longest uint) bool {
	word, next := uint(0), 0
	// The table grows with the length: what is there so far is valid for any next bit.
	size := uint(1)
	n := uint(1)
	for ; n <= t.bits; n++ {
		copy(t.entries[size:2*size], t.entries[:size])
		size <<= 1
		for range counts[n] {
			t.entries[word] = meaning[sorted[next]] | uint32(n)
			next++
			word = carry(word, n)
		}
	}
	end := size
	var link, subBits uint
	for prefix := size; n <= longest; n++ {
		for left := uint(counts[n]); left > 0; left-- {
			if low := word & (size - 1); low != prefix {
				prefix = low
				subBits = subtableBits(counts, n, left, t.bits)
				link = end
				end += 1 << subBits
				if end > uint(len(t.entries)) {
					return false
				}
				t.entries[prefix] = uint32(link)<<entryBaseShift | entryLink | uint32(subBits)<<entryExtraShift | uint32(t.bits)
			}
			entry := meaning[sorted[next]] | uint32(n-t.bits)
			next++
			for i := word >> t.bits; i < 1<<subBits; i += 1 << (n - t.bits) {
				t.entries[link+i] = entry
			}
			word = carry(word, n)
		}
	}
	return true
}

// carry gives the code word after word, of n bits, their order reversed.
func carry(word, n uint) uint {
	bit := uint(1) << (n - 1)
	for word&bit != 0 {
		word ^= bit
		bit >>= 1
	}
	return word | bit
}

// subtableBits gives the bits of the subtable that begins with a code of n bits, when
// left codes of that length remain: as many as its longest code has behind the first
// most bits.
func subtableBits(counts *[longestDecodeBits + 1]uint16, n, left, most uint) uint {
	bits := n - most
	room := 1<<bits - int(left)
	for room > 0 {
		bits++
		room = room<<1 - int(counts[most+bits])
	}
	return bits
}
