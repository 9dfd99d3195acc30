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
var recycled poisoned

type poisoned struct {
	mu    sync.Mutex
	kept  [][]byte // the oldest first
	bytes int
}

const (
	poison = 0xdb
	// mostPoisoned bounds the bytes that are kept.
	mostPoisoned = 4 << 20
)

func takePayload(class int) []byte {
	r := &recycled
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, b := range r.kept {
		if classOf(cap(b))-minClass == class {
			r.forget(i)
			for _, c := range b {
				if c != poison {
					panic("chanws: a payload was written to after its Recycle")
				}
			}
			return b
		}
	}
	return nil
}

func keepPayload(_ int, b []byte) {
	b = b[:cap(b)]
	r := &recycled
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.kept {
		if unsafe.SliceData(other) == unsafe.SliceData(b) {
			panic("chanws: a payload was recycled twice")
		}
	}
	for i := range b {
		b[i] = poison
	}
	r.kept, r.bytes = append(r.kept, b), r.bytes+len(b)
	for r.bytes > mostPoisoned {
		r.forget(0)
	}
}

// forget drops a payload. Called with mu held.
func (r *poisoned) forget(i int) {
	r.bytes -= len(r.kept[i])
	r.kept = slices.Delete(r.kept, i, i+1)
}
