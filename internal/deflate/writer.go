package deflate

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// A writer is the state of the codec, and where it writes to.
type writer struct {
	*flate.Writer
	out  buffer
	pool *sync.Pool
}

// The pools of *writer, by level for the largest window, and by size for smaller ones.
var (
	levelPools  [MaxLevel - MinLevel + 1]sync.Pool
	windowPools [MaxWindowBits - MinWindowBits]sync.Pool
	huffmanPool sync.Pool
)

// getWriter takes a writer from the pool of the encoder's kind.
func (e *Encoder) getWriter() *writer {
	if e.bits < MaxWindowBits {
		return writerOf(&windowPools[e.bits-MinWindowBits], func() (*flate.Writer, error) {
			return flate.NewWriterWindow(nil, 1<<e.bits)
		})
	}
	return levelWriter(e.level)
}

// levelWriter takes a writer from the pool of a level. Its window is the largest.
func levelWriter(level int) *writer {
	return writerOf(&levelPools[level-MinLevel], func() (*flate.Writer, error) {
		return flate.NewWriter(nil, level)
	})
}

// writerOf takes a writer from a pool, or makes one.
func writerOf(pool *sync.Pool, create func() (*flate.Writer, error)) *writer {
	if w, ok := pool.Get().(*writer); ok {
		return w
	}
	w, err := create()
	must(err)
	return &writer{Writer: w, pool: pool}
}

// close puts the writer back into its pool.
func (w *writer) close() {
	w.out = nil
	w.pool.Put(w)
}

// write compresses a piece to its last byte, with the tail.
func (w *writer) write(piece []byte) {
	_, err := w.Write(piece)
	must(err)
	must(w.Flush())
}

// must is for errors that cannot be: the levels and windows are those that the codec has,
// and a buffer takes everything.
func must(err error) {
	if err != nil {
		panic("deflate: " + err.Error())
	}
}

// A buffer appends what is written.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
