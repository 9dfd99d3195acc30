//go:build race

package pump

import (
	"slices"
	"sync"
	"unsafe"
)

// With the race detector, payloads that were given back are kept in the open: a second
// Recycle of one panics, and so does the next use of one that somebody has written to.
// Who reads one reads nothing but poison, and is reported as a race where another
// goroutine does so.
var recycled struct {
	mu     sync.Mutex
	byPart [classes][][]byte
	known  map[*byte]bool
}

const (
	poison = 0xdb
	// maxPoisoned bounds how many of a class are kept.
	maxPoisoned = 16
)

func takePayload(class int) []byte {
	r := &recycled
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.byPart[class]
	if len(kept) == 0 {
		return nil
	}
	b := kept[0]
	r.byPart[class] = slices.Delete(kept, 0, 1)
	delete(r.known, unsafe.SliceData(b))
	for _, c := range b {
		if c != poison {
			panic("chanws: a payload was written to after its Recycle")
		}
	}
	return b
}

func keepPayload(class int, b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] = poison
	}
	r := &recycled
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[*byte]bool)
	}
	if r.known[unsafe.SliceData(b)] {
		panic("chanws: a payload was recycled twice")
	}
	if len(r.byPart[class]) == maxPoisoned {
		return
	}
	r.known[unsafe.SliceData(b)] = true
	r.byPart[class] = append(r.byPart[class], b)
}
