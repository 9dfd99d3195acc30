package pump

import (
	"math/bits"
	"unsafe"
)

// Payloads of these capacities are kept for the next message when their receiver gives
// them back, by class: four for every power of two.
const (
	minRecycled = 4 << 10
	maxRecycled = 16 << 20
)

// classOf gives the class of a size within those bounds. A payload is kept in the class
// of its capacity.
func classOf(size int) int {
	power := bits.Len(uint(size)) - 1
	return 4*power + size>>(power-2)&3
}

const (
	minClass = 4 * 12
	classes  = 4*24 + 1 - minClass
)

// newPayload gives a slice of length 0 that has room for size bytes, and for a quarter
// more at most.
func newPayload(size int) []byte {
	if size >= minRecycled && size <= maxRecycled {
		// Messages of one size find their buffers in the class of that size, others
		// in the next one.
		for class := classOf(size); class <= min(classOf(size)+1, minClass+classes-1); class++ {
			b := takePayload(class - minClass)
			if cap(b) >= size && cap(b)-size <= size/4 {
				return b[:0]
			}
			if b != nil {
				keepPayload(class-minClass, b)
			}
		}
	}
	if size < skewed {
		return make([]byte, 0, size)
	}
	return make([]byte, skew, skew+size)[skew:]
}

// Recycle takes back the bytes of a received message, if it is worth it.
func Recycle(b []byte) {
	if cap(b) >= minRecycled && cap(b) <= maxRecycled {
		keepPayload(classOf(cap(b))-minClass, b)
	}
}

// Copying is up to four times slower where the destination is less than 32 bytes ahead
// of the source modulo 4096, because the processor takes a load for one of what was
// stored just before. This is the rule in writing large payloads uncopied: they begin
// a page, and the kernel puts them on pages of its own, behind a header of 10 bytes. So
// large payloads that are made here begin elsewhere (BenchmarkVectoredWrite).
const (
	skew   = 128
	skewed = 16 << 10
)

// copiesSlowly tells whether the kernel is going to copy a payload slowly when it goes
// out behind n bytes.
func copiesSlowly(payload []byte, n int) bool {
	ahead := (uintptr(n) - uintptr(unsafe.Pointer(unsafe.SliceData(payload)))) % 4096
	return ahead > 0 && ahead < 32
}
