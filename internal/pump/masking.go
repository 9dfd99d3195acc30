package pump

import (
	"crypto/rand"
	"encoding/binary"
)

// maskingKeys gives a client fresh masking keys from a strong source, as RFC 6455
// section 5.3 asks, and asks the source for several at once.
type maskingKeys struct {
	random [64]byte
	used   int
	filled bool
}

func (k *maskingKeys) next() uint32 {
	if !k.filled || k.used == len(k.random) {
		rand.Read(k.random[:]) // never fails: see its documentation
		k.used, k.filled = 0, true
	}
	key := binary.LittleEndian.Uint32(k.random[k.used:])
	k.used += 4
	return key
}

// randomKey gives one masking key.
func randomKey() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint32(b[:])
}
