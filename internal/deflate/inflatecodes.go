package deflate

import "encoding/binary"

// slack is how much one round of the fast loop may write: two literals, a match, and
// what a copy by words writes behind that.
const slack = 2 + maxMatch + 16

// codes decodes a block of codes until its end, or until out is full. The fast loop
// needs a word of input and room for whatever comes; the rest is done step by step.
func (f *inflater) codes() (full bool, err error) {
	for {
		ended, err := f.fastCodes()
		if ended || err != nil {
			return false, err
		}
		if f.at+maxMatch > len(f.out) {
			return true, nil
		}
		if ended, err := f.nextCode(); ended || err != nil {
			return false, err
		}
	}
}

// fastCodes decodes while it need not look where input and room end. It tells whether
// the block has ended.
func (f *inflater) fastCodes() (ended bool, err error) {
	in, out := f.in, f.out
	pos, at := f.pos, f.at
	bits, n := f.bits, f.n
	lits, dists := f.lit.entries, f.dist.entries
	litMask, distMask := uint64(1)<<f.lit.bits-1, uint64(1)<<f.dist.bits-1
	maxDist := f.maxDist
	lastIn, lastOut := len(in)-16, len(out)-slack // a round loads two words
loop:
	for pos <= lastIn && at <= lastOut {
		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56

		entry := lits[bits&litMask]
		if entry&entryLiteral != 0 {
			bits >>= entry & entryLengthBits
			n -= uint(entry & entryLengthBits)
			out[at] = byte(entry >> entryBaseShift)
			at++
			entry = lits[bits&litMask]
			if entry&entryLiteral != 0 {
				bits >>= entry & entryLengthBits
				n -= uint(entry & entryLengthBits)
				out[at] = byte(entry >> entryBaseShift)
				at++
				entry = lits[bits&litMask]
				if entry&entryLiteral != 0 {
					bits >>= entry & entryLengthBits
					n -= uint(entry & entryLengthBits)
					out[at] = byte(entry >> entryBaseShift)
					at++
					continue
				}
			}
		}
		if entry&(entryLink|entryEnd) != 0 {
			if entry&entryLink != 0 {
				bits >>= entry & entryLengthBits
				n -= uint(entry & entryLengthBits)
				entry = lits[uint64(entry>>entryBaseShift)+bits&(1<<(entry>>entryExtraShift&entryExtraBits)-1)]
			}
			switch {
			case entry&entryLiteral != 0:
				bits >>= entry & entryLengthBits
				n -= uint(entry & entryLengthBits)
				out[at] = byte(entry >> entryBaseShift)
				at++
				continue
			case entry == entryInvalid|entry&entryLengthBits:
				err = errCode
				break loop
			case entry&entryEnd != 0:
				bits >>= entry & entryLengthBits
				n -= uint(entry & entryLengthBits)
				f.state, ended = atHeader, true
				break loop
			}
		}
		bits >>= entry & entryLengthBits
		extra := entry >> entryExtraShift & entryExtraBits
		length := int(entry>>entryBaseShift) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(entry&entryLengthBits + extra)

		if n < maxBits+13 {
			bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
			pos += int(63-n) >> 3
			n |= 56
		}
		entry = dists[bits&distMask]
		if entry&(entryLink|entryEnd) != 0 {
			if entry&entryLink != 0 {
				bits >>= entry & entryLengthBits
				n -= uint(entry & entryLengthBits)
				entry = dists[uint64(entry>>entryBaseShift)+bits&(1<<(entry>>entryExtraShift&entryExtraBits)-1)]
			}
			if entry&entryEnd != 0 {
				err = errCode
				break loop
			}
		}
		bits >>= entry & entryLengthBits
		extra = entry >> entryExtraShift & entryExtraBits
		distance := int(entry>>entryBaseShift) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(entry&entryLengthBits + extra)
		if distance > at || distance > maxDist {
			err = errDistance
			break loop
		}
		to := at + length
		if distance < 8 {
			copyNear(out, at, distance, length)
			at = to
			continue
		}
		// Eight bytes at a time, and some more than asked for: what is behind is
		// written later.
		for from := at - distance; at < to; from, at = from+16, at+16 {
			binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
			binary.LittleEndian.PutUint64(out[at+8:], binary.LittleEndian.Uint64(out[from+8:]))
		}
		at = to
	}
	f.pos, f.at, f.bits, f.n = pos, at, bits, n
	return ended, err
}

// copyNear repeats the last distance bytes before at, RFC 1951 section 3.2.3.
func copyNear(out []byte, at, distance, length int) {
	for to := at + length; at < to; {
		at += copy(out[at:to], out[at-distance:at])
		distance *= 2
	}
}

// nextCode decodes a literal, a match or the block's end, of which it tells.
func (f *inflater) nextCode() (ended bool, err error) {
	f.load()
	entry := f.decode(f.lit)
	switch {
	case entry&entryLiteral != 0:
		f.out[f.at] = byte(entry >> entryBaseShift)
		f.at++
	case entry == entryInvalid:
		return false, errCode
	case entry&entryEnd != 0:
		f.state, ended = atHeader, true
	default:
		length := f.value(entry)
		f.load()
		entry = f.decode(f.dist)
		if entry&entryEnd != 0 {
			return false, errCode
		}
		distance := f.value(entry)
		if distance > f.at || distance > f.maxDist {
			return false, errDistance
		}
		copyNear(f.out, f.at, distance, length)
		f.at += length
	}
	if f.overrun() {
		return false, errTruncated
	}
	return ended, nil
}

// decode uses the bits of one code and gives its meaning, without lengths.
func (f *inflater) decode(t *table) uint32 {
	entry := t.entries[f.bits&(1<<t.bits-1)]
	if entry&entryLink != 0 {
		f.take(uint(entry & entryLengthBits))
		entry = t.entries[uint64(entry>>entryBaseShift)+f.bits&(1<<(entry>>entryExtraShift&entryExtraBits)-1)]
	}
	f.take(uint(entry & entryLengthBits))
	return entry &^ entryLengthBits
}

// value adds the extra bits to the base of a length or distance.
func (f *inflater) value(entry uint32) int {
	return int(entry>>entryBaseShift) + int(f.take(uint(entry>>entryExtraShift&entryExtraBits)))
}
