package frame

import (
	"encoding/binary"
	"math/bits"
)

// Mask masks or unmasks b in place with a masking key as [Header] holds it (RFC
// 6455, section 5.3). It returns the key rotated for the bytes that follow b, so
// that a payload may be masked in pieces of any size.
//
// Words of 64 bits, eight in a row, are the fastest way at every size:
// crypto/subtle.XORBytes with a block of repeated keys takes more than 100 ns to
// prepare the block, is well behind at 4 KiB and no faster at 64 KiB
// (BenchmarkMask, BenchmarkMaskXORBytes). So there is no threshold here.
func Mask(b []byte, key uint32) uint32 {
	n := len(b)
	next := bits.RotateLeft32(key, -8*(n&3))
	if n < 8 {
		maskShort(b, b, key, next)
		return next
	}
	key64 := uint64(key)<<32 | uint64(key)
	// The last word overlaps those before it, so it is read before they are
	// written, and written after them.
	last := b[n-8:]
	tail := binary.LittleEndian.Uint64(last) ^ (uint64(next)<<32 | uint64(next))
	for len(b) >= 64 {
		p := (*[64]byte)(b)
		binary.LittleEndian.PutUint64(p[0:], binary.LittleEndian.Uint64(p[0:])^key64)
		binary.LittleEndian.PutUint64(p[8:], binary.LittleEndian.Uint64(p[8:])^key64)
		binary.LittleEndian.PutUint64(p[16:], binary.LittleEndian.Uint64(p[16:])^key64)
		binary.LittleEndian.PutUint64(p[24:], binary.LittleEndian.Uint64(p[24:])^key64)
		binary.LittleEndian.PutUint64(p[32:], binary.LittleEndian.Uint64(p[32:])^key64)
		binary.LittleEndian.PutUint64(p[40:], binary.LittleEndian.Uint64(p[40:])^key64)
		binary.LittleEndian.PutUint64(p[48:], binary.LittleEndian.Uint64(p[48:])^key64)
		binary.LittleEndian.PutUint64(p[56:], binary.LittleEndian.Uint64(p[56:])^key64)
		b = b[64:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^key64)
		b = b[8:]
	}
	binary.LittleEndian.PutUint64(last, tail)
	return next
}

// MaskTo writes src, masked or unmasked with key, to dst and returns the key
// rotated for the bytes that follow, as [Mask] does. dst must be at least as
// long as src; what it holds behind that length is left alone. The two must not
// overlap, unless they start at the same byte.
//
// It is not what Mask calls, because a second slice costs a third of the speed
// (BenchmarkMask, BenchmarkMaskTo).
func MaskTo(dst, src []byte, key uint32) uint32 {
	n := len(src)
	dst = dst[:n:len(dst)] // panics also if only dst's capacity is enough
	next := bits.RotateLeft32(key, -8*(n&3))
	if n < 8 {
		maskShort(dst, src, key, next)
		return next
	}
	key64 := uint64(key)<<32 | uint64(key)
	tail := binary.LittleEndian.Uint64(src[n-8:]) ^ (uint64(next)<<32 | uint64(next))
	last := dst[n-8:]
	for len(src) >= 64 && len(dst) >= 64 {
		d, s := (*[64]byte)(dst), (*[64]byte)(src)
		binary.LittleEndian.PutUint64(d[0:], binary.LittleEndian.Uint64(s[0:])^key64)
		binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:])^key64)
		binary.LittleEndian.PutUint64(d[16:], binary.LittleEndian.Uint64(s[16:])^key64)
		binary.LittleEndian.PutUint64(d[24:], binary.LittleEndian.Uint64(s[24:])^key64)
		binary.LittleEndian.PutUint64(d[32:], binary.LittleEndian.Uint64(s[32:])^key64)
		binary.LittleEndian.PutUint64(d[40:], binary.LittleEndian.Uint64(s[40:])^key64)
		binary.LittleEndian.PutUint64(d[48:], binary.LittleEndian.Uint64(s[48:])^key64)
		binary.LittleEndian.PutUint64(d[56:], binary.LittleEndian.Uint64(s[56:])^key64)
		dst, src = dst[64:], src[64:]
	}
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^key64)
		dst, src = dst[8:], src[8:]
	}
	binary.LittleEndian.PutUint64(last, tail)
	return next
}

// maskShort does the work of MaskTo for less than eight bytes.
func maskShort(dst, src []byte, key, next uint32) {
	n := len(src)
	if n >= 4 {
		head, tail := binary.LittleEndian.Uint32(src), binary.LittleEndian.Uint32(src[n-4:])
		binary.LittleEndian.PutUint32(dst, head^key)
		binary.LittleEndian.PutUint32(dst[n-4:], tail^next)
		return
	}
	for i, c := range src {
		dst[i] = c ^ byte(key>>(8*i))
	}
}
