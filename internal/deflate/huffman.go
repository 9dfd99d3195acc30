package deflate

import (
	"math/bits"
	"slices"
)

// A code is a prefix code as the encoder uses it: for each symbol its word, in the
// order of the wire, and its length.
type code struct {
	words   [288]uint32 // the length above the word, by wordShift
	lengths [288]uint8
}

const wordShift = 16

// codeBuilder is what building a code needs besides.
type codeBuilder struct {
	symbols [288]uint32 // those that occur: frequency and symbol, in rising order
	spare   [288]uint32
	tree    [288]uint32
	buckets [256]uint16
}

const symbolBits = 9 // of an element of codeBuilder.symbols

// build makes the best code for n symbols with these frequencies, of words of at most
// limit bits. It has at least two symbols, as some decoders want.
func (c *code) build(b *codeBuilder, frequencies []uint32, limit int) {
	used := 0
	most := uint32(0)
	for symbol, f := range frequencies {
		c.lengths[symbol] = 0
		if f != 0 {
			b.symbols[used] = f<<symbolBits | uint32(symbol)
			used++
			most = max(most, f)
		}
	}
	for symbol := uint32(0); used < 2; symbol++ {
		if frequencies[symbol] == 0 {
			b.symbols[used] = symbol
			used++
		}
	}
	symbols := b.sort(used, most)
	counts := b.lengthCounts(symbols, limit)
	c.assign(symbols, &counts, len(frequencies))
}

// sort orders the symbols by frequency.
func (b *codeBuilder) sort(used int, most uint32) []uint32 {
	if used < 24 || most >= uint32(len(b.buckets)) {
		slices.Sort(b.symbols[:used])
		return b.symbols[:used]
	}
	clear(b.buckets[:most+1])
	for _, s := range b.symbols[:used] {
		b.buckets[s>>symbolBits]++
	}
	at := uint16(0)
	for f := range most + 1 {
		b.buckets[f], at = at, at+b.buckets[f]
	}
	for _, s := range b.symbols[:used] {
		f := s >> symbolBits
		b.spare[b.buckets[f]] = s
		b.buckets[f]++
	}
	return b.spare[:used]
}

// lengthCounts tells how many words of each length the code has. It builds Huffman's
// tree in place, after Moffat and Katajainen: the nodes are made in the order of their
// weight, each in the place of one that has got its parent. Where a word would be
// too long, a shorter one is split instead.
func (b *codeBuilder) lengthCounts(symbols []uint32, limit int) (counts [maxBits + 2]uint16) {
	n := len(symbols)
	tree := b.tree[:n]
	leaf, root := 0, 0 // the lightest that have no parent yet
	for node := range n - 1 {
		switch { // the two lightest become one
		case leaf+1 < n && (root == node || symbols[leaf+1]>>symbolBits <= tree[root]):
			tree[node] = symbols[leaf]>>symbolBits + symbols[leaf+1]>>symbolBits
			leaf += 2
		case root+2 <= node && (leaf == n || tree[root+1] < symbols[leaf]>>symbolBits):
			tree[node] = tree[root] + tree[root+1]
			tree[root], tree[root+1] = uint32(node), uint32(node) // from now on their parent
			root += 2
		default:
			tree[node] = symbols[leaf]>>symbolBits + tree[root]
			tree[root] = uint32(node)
			leaf, root = leaf+1, root+1
		}
	}
	// From the root down: parents become depths, and each node makes one word of its
	// depth into two of the next.
	counts[0] = 1
	tree[n-2] = 0
	for node := n - 2; node >= 0; node-- {
		depth := 0
		if node < n-2 {
			depth = int(tree[tree[node]]) + 1
		}
		tree[node] = uint32(depth)
		for depth >= limit || counts[depth] == 0 {
			depth = min(depth, limit) - 1
		}
		counts[depth]--
		counts[depth+1] += 2
	}
	return counts
}

// assign gives the rarest symbols the longest words, and words of one length to their
// symbols in order, RFC 1951 section 3.2.2.
func (c *code) assign(symbols []uint32, counts *[maxBits + 2]uint16, n int) {
	at := 0
	for length := maxBits; length > 0; length-- {
		for range counts[length] {
			c.lengths[symbols[at]&(1<<symbolBits-1)] = uint8(length)
			at++
		}
	}
	c.number(counts, n)
}

// number gives the words to the lengths.
func (c *code) number(counts *[maxBits + 2]uint16, n int) {
	var next [maxBits + 2]uint16
	for length := 1; length <= maxBits; length++ {
		next[length+1] = (next[length] + counts[length]) << 1
	}
	for symbol, length := range c.lengths[:n] {
		if length > 0 {
			c.words[symbol] = uint32(bits.Reverse16(next[length])>>(16-length)) | uint32(length)<<wordShift
			next[length]++
		}
	}
}

// fixedCode is the code of literals and lengths of RFC 1951 section 3.2.6, and
// fixedDistCode that of the distances.
var fixedCode, fixedDistCode = func() (lit, dist code) {
	var counts [maxBits + 2]uint16
	lit.lengths = fixedLengths
	for _, n := range fixedLengths {
		counts[n]++
	}
	lit.number(&counts, len(fixedLengths))
	counts = [maxBits + 2]uint16{5: 32}
	for i := range 32 {
		dist.lengths[i] = 5
	}
	dist.number(&counts, 32)
	return lit, dist
}()
