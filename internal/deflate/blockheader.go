package deflate

// planHeader decides how the codes of a block are described, RFC 1951 section 3.2.7:
// how many literal and length codes there are, how many distance codes, how many
// lengths of the precode, and how many bits all that takes.
func (w *blockWriter) planHeader() (lits, dists, pre, bits int) {
	lits, dists = litCodes, distCodes
	for lits > 257 && w.lit.lengths[lits-1] == 0 {
		lits--
	}
	for dists > 1 && w.dist.lengths[dists-1] == 0 {
		dists--
	}
	var lengths [litCodes + distCodes + 1]uint8
	copy(lengths[:], w.lit.lengths[:lits])
	copy(lengths[lits:], w.dist.lengths[:dists])
	lengths[lits+dists] = 0xff // ends every run
	repeats := w.describe(lengths[:lits+dists+1])

	w.pre.build(&w.builder, w.preCounts[:], maxPrecodeBits)
	pre = precodes
	for pre > 4 && w.pre.lengths[precodeOrder[pre-1]] == 0 {
		pre--
	}
	bits = 3 + 5 + 5 + 4 + 3*pre + repeats + size(&w.pre, w.preCounts[:])
	return lits, dists, pre, bits
}

// Symbols of the precode, with the bits that follow each and the fewest lengths that
// it stands for.
const (
	repeatLast  = 16 // 2 bits
	repeatZero  = 17 // 3 bits
	repeatZeros = 18 // 7 bits

	preShift = 5 // in preList: a symbol is below, what follows it above
)

// describe puts the lengths, except the last one, into preList, and counts the bits
// that follow symbols.
func (w *blockWriter) describe(lengths []uint8) (bits int) {
	clear(w.preCounts[:])
	list := w.preList[:0]
	add := func(symbol, rest int) {
		list = append(list, uint16(symbol|rest<<preShift))
		w.preCounts[symbol]++
	}
	for i := 0; i < len(lengths)-1; {
		length := lengths[i]
		run := 1
		for lengths[i+run] == length {
			run++
		}
		i += run
		if length == 0 {
			for run >= 11 {
				n := min(run, maxRepeat)
				add(repeatZeros, n-11)
				run, bits = run-n, bits+7
			}
			if run >= 3 {
				add(repeatZero, run-3)
				run, bits = 0, bits+3
			}
		} else if run > 3 {
			add(int(length), 0)
			for run--; run >= 3; bits += 2 {
				n := min(run, 6)
				add(repeatLast, n-3)
				run -= n
			}
		}
		for range run {
			add(int(length), 0)
		}
	}
	w.preList[len(list)] = preListEnd
	return bits
}

const preListEnd = 0xffff

// writeHeader writes what planHeader has planned.
func (w *blockWriter) writeHeader(lits, dists, pre int) {
	w.put(uint64(lits-257), 5)
	w.put(uint64(dists-1), 5)
	w.put(uint64(pre-4), 4)
	w.flush()
	for _, symbol := range precodeOrder[:pre] {
		w.put(uint64(w.pre.lengths[symbol]), 3)
		if w.used > 40 {
			w.flush()
		}
	}
	for _, described := range w.preList {
		if described == preListEnd {
			break
		}
		w.flush()
		symbol := described & (1<<preShift - 1)
		w.putWord(&w.pre, int(symbol))
		switch symbol {
		case repeatLast:
			w.put(uint64(described>>preShift), 2)
		case repeatZero:
			w.put(uint64(described>>preShift), 3)
		case repeatZeros:
			w.put(uint64(described>>preShift), 7)
		}
	}
	w.flush()
}
