package deflate

// blockSize is how many bytes of a message a block holds at most.
const blockSize = 32 << 10

// Tokens are a block before it is coded: its literals and matches in order, and how
// often each symbol occurs.
type tokens struct {
	list []uint32 // a literal, or a match: its length and distance with tokenMatch
	room [blockSize]uint32

	lits  [litCodes]uint32
	dists [distCodes]uint32
}

const (
	tokenMatch       = 1 << 31
	tokenLengthShift = 16 // of the length less minMatch; below is the distance less one
)

func (t *tokens) reset() {
	t.list = t.room[:0]
	clear(t.lits[:])
	clear(t.dists[:])
}

// literals adds bytes as they are.
func (t *tokens) literals(b []byte) {
	n := len(t.list)
	list := t.room[n : n+len(b)]
	for i, c := range b {
		list[i] = uint32(c)
		t.lits[c]++
	}
	t.list = t.room[:n+len(b)]
}

// match adds a match of minMatch or more bytes, as several if it is a long one.
func (t *tokens) match(length, distance int) {
	symbol := distSymbol(uint32(distance - 1))
	for length > 0 {
		n := length
		if n > maxMatch {
			n = min(maxMatch, length-minMatch) // the rest is a match as well
		}
		t.list = append(t.list, tokenMatch|uint32(n-minMatch)<<tokenLengthShift|uint32(distance-1))
		t.lits[lengthSymbol(uint32(n-minMatch))]++
		t.dists[symbol]++
		length -= n
	}
}

// lengthSymbol gives the symbol of a length less minMatch.
func lengthSymbol(length uint32) uint32 { return uint32(lengthSymbols[uint8(length)]) }

// distSymbol gives the symbol of a distance less one.
func distSymbol(distance uint32) uint32 {
	if distance < 256 {
		return uint32(distSymbols[uint8(distance)])
	}
	return uint32(distSymbols[uint8(distance>>7)]) + 14
}

// lengthSymbols are the symbols of lengths less minMatch; distSymbols those of
// distances less one, and the same again, fourteen lower, for each 128 of them.
var lengthSymbols, distSymbols = func() (lengths [256]uint16, dists [256]uint8) {
	for symbol, base := range lengthBase {
		for i := int(base) - minMatch; i < len(lengths); i++ {
			lengths[i] = firstLength + uint16(symbol)
		}
	}
	for symbol, base := range distBase {
		for i := int(base) - 1; i < len(dists); i++ {
			dists[i] = uint8(symbol)
		}
	}
	return lengths, dists
}()
