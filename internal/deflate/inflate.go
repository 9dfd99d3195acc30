package deflate

import (
	"encoding/binary"
	"errors"
)

// errCorrupt and its kin tell what is wrong with compressed data.
var (
	errTruncated = corrupt("data ends within a block")
	errBlockType = corrupt("reserved block type")
	errStored    = corrupt("length of a stored block and its complement differ")
	errLengths   = corrupt("invalid code lengths")
	errCode      = corrupt("invalid code")
	errDistance  = corrupt("distance beyond the window")
)

// ErrCorrupt is matched by the errors for data that is no DEFLATE.
var ErrCorrupt = errors.New("corrupt")

type corruption struct{ what string }

func corrupt(what string) error { return &corruption{what} }

func (c *corruption) Error() string { return "corrupt compressed data: " + c.what }

func (c *corruption) Is(target error) bool { return target == ErrCorrupt }

// tail is what the sender has taken off the end of a message and the receiver puts
// back, RFC 7692 section 7.2.2. It is never copied: the inflater reads it from here
// when the input is at its end.
const tail = "\x00\x00\xff\xff"

// What an inflater is in the middle of.
const (
	atHeader = iota
	inStored
	inCodes
)

// An inflater decodes the blocks of one message into a window, of which it is told
// before how much is there.
type inflater struct {
	in   []byte
	pos  int    // of the next byte to load; behind in it is in the tail, or after it
	bits uint64 // that are loaded and not used, the next one lowest
	n    uint   // how many; above them bits may be set too, as the input has them

	out     []byte // the window, then room
	at      int    // where the next byte goes
	maxDist int

	state  int
	final  bool // BFINAL of the latest block
	stored int  // bytes that the stored block still has
	lit    *table
	dist   *table

	dynamicLit, dynamicDist, pre table
	lengths                      [litCodes + distCodes + maxRepeat]uint8
	litEntries                   [litTableSize]uint32
	distEntries                  [distTableSize]uint32
	preEntries                   [precodeTableSize]uint32
}

// maxRepeat is how many lengths one symbol of the precode stands for at most.
const maxRepeat = 138

func newInflater() *inflater {
	f := new(inflater)
	f.dynamicLit.entries = f.litEntries[:]
	f.dynamicDist.entries = f.distEntries[:]
	f.pre.entries = f.preEntries[:]
	return f
}

// open begins a message.
func (f *inflater) open(in []byte) {
	f.in, f.pos, f.bits, f.n = in, 0, 0, 0
	f.state, f.final = atHeader, false
}

// run decodes until the message is at its end, which done tells, or until out has no
// room for the longest match any more.
func (f *inflater) run() (done bool, err error) {
	for {
		switch f.state {
		case atHeader:
			if f.final {
				f.align()
			}
			if f.ended() {
				return true, nil
			}
			if err := f.header(); err != nil {
				return false, err
			}
		case inStored:
			n := copy(f.out[f.at:min(len(f.out), f.at+f.stored)], f.in[f.pos:])
			f.at += n
			f.pos += n
			if f.stored -= n; f.stored > 0 {
				return false, nil
			}
			f.state = atHeader
		case inCodes:
			full, err := f.codes()
			if full || err != nil {
				return false, err
			}
		}
	}
}

// used is how many bits of the input and its tail have been decoded.
func (f *inflater) used() int { return f.pos*8 - int(f.n) }

// ended tells, between two blocks, whether the message is over. By the RFC that is
// where the tail ends. A message that ends with a whole block is over as well: it is
// empty, or its sender has left the tail on it, or left out the octet that section
// 7.2.3.4 wants behind a block with BFINAL. With the tail behind it none of them
// would be DEFLATE.
func (f *inflater) ended() bool {
	used := f.used()
	return used == 8*len(f.in) || used >= 8*(len(f.in)+len(tail))
}

// overrun tells that bits have been used which are not there.
func (f *inflater) overrun() bool { return f.used() > 8*(len(f.in)+len(tail)) }

// load makes sure that there are 56 bits; behind the tail they are zero.
func (f *inflater) load() {
	if f.pos+8 <= len(f.in) {
		f.bits |= binary.LittleEndian.Uint64(f.in[f.pos:]) << (f.n & 63)
		f.pos += int(63-f.n) >> 3
		f.n |= 56
		return
	}
	for f.n <= 56 {
		f.bits |= uint64(f.byteAt(f.pos)) << f.n
		f.pos++
		f.n += 8
	}
}

// byteAt gives a byte of the input, of its tail, or of the nothing behind that.
func (f *inflater) byteAt(i int) byte {
	if i < len(f.in) {
		return f.in[i]
	}
	if i -= len(f.in); i < len(tail) {
		return tail[i]
	}
	return 0
}

// take uses up to 32 bits.
func (f *inflater) take(n uint) uint {
	v := uint(f.bits & (1<<(n&63) - 1))
	f.bits >>= n & 63
	f.n -= n
	return v
}

// align goes on to the next byte.
func (f *inflater) align() {
	f.take(f.n & 7)
}

// header reads a block's header. BFINAL ends nothing: more blocks may follow, on the
// next byte, RFC 7692 section 7.2.3.4.
func (f *inflater) header() error {
	f.load()
	f.final = f.take(1) == 1
	switch f.take(2) {
	case typeStored:
		return f.storedHeader()
	case typeFixed:
		f.lit, f.dist = &fixedLit, &fixedDist
	case typeDynamic:
		if err := f.dynamicHeader(); err != nil {
			return err
		}
		f.lit, f.dist = &f.dynamicLit, &f.dynamicDist
	default:
		return errBlockType
	}
	f.state = inCodes
	return nil
}

// storedHeader reads what follows the header of a stored block.
func (f *inflater) storedHeader() error {
	f.align()
	f.load()
	n, complement := f.take(16), f.take(16)
	switch {
	case f.overrun():
		return errTruncated
	case n != ^complement&0xffff:
		return errStored
	case n > 0 && f.used()/8+int(n) > len(f.in):
		return errTruncated
	}
	f.pos, f.bits, f.n = f.used()/8, 0, 0 // all that is loaded is whole bytes
	f.stored = int(n)
	if n > 0 {
		f.state = inStored
	}
	return nil
}

// dynamicHeader reads the codes of a block, RFC 1951 section 3.2.7.
func (f *inflater) dynamicHeader() error {
	lits, dists, pres := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if lits > litCodes || dists > distCodes {
		return errLengths
	}
	var preLengths [precodes]uint8
	f.load()
	for i, symbol := range precodeOrder[:pres] {
		if i == 16 {
			f.load()
		}
		preLengths[symbol] = uint8(f.take(3))
	}
	if !f.pre.build(preLengths[:], precodeMeaning[:], precodeTableBits) {
		return errLengths
	}
	if err := f.readLengths(lits + dists); err != nil {
		return err
	}
	if f.lengths[endOfBlock] == 0 ||
		!f.dynamicLit.build(f.lengths[:lits], litMeaning[:], litTableBits) ||
		!f.dynamicDist.build(f.lengths[lits:lits+dists], distMeaning[:], distTableBits) {
		return errLengths
	}
	return nil
}

// readLengths reads the lengths of both codes.
func (f *inflater) readLengths(n int) error {
	mask := uint64(1)<<f.pre.bits - 1
	for i := 0; i < n; {
		if f.n < maxPrecodeBits+7 {
			f.load()
			if f.overrun() {
				return errTruncated
			}
		}
		entry := f.preEntries[f.bits&mask]
		if entry&entryEnd != 0 {
			return errCode
		}
		f.take(uint(entry & entryLengthBits))
		symbol := uint8(entry >> entryBaseShift)
		if symbol < 16 {
			f.lengths[i] = symbol
			i++
			continue
		}
		var repeated uint8
		var times int
		switch symbol {
		case 16:
			if i == 0 {
				return errLengths
			}
			repeated, times = f.lengths[i-1], 3+int(f.take(2))
		case 17:
			times = 3 + int(f.take(3))
		default:
			times = 11 + int(f.take(7))
		}
		for j := range times {
			f.lengths[i+j] = repeated
		}
		if i += times; i > n {
			return errLengths
		}
	}
	return nil
}
