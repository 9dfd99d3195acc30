package deflate

// A window is the end of what one direction of a connection has said so far. It grows as
// messages come.
type window struct {
	size int // in bytes, at most
	b    []byte
}

// add appends a message or a part of one. It copies p.
func (w *window) add(p []byte) {
	if len(p) > w.size {
		p = p[len(p)-w.size:]
	}
	if excess := len(w.b) + len(p) - w.size; excess > 0 {
		w.b = w.b[:copy(w.b, w.b[excess:])]
	}
	if need := len(w.b) + len(p); need > cap(w.b) {
		w.b = append(make([]byte, 0, min(w.size, max(need, 2*cap(w.b), firstWindow))), w.b...)
	}
	w.b = append(w.b, p...)
}

// firstWindow is the capacity that a window begins with, in bytes, unless it is smaller.
const firstWindow = 1 << 10

// last returns the last n bytes, or all if there are fewer.
func (w *window) last(n int) []byte { return w.b[max(0, len(w.b)-n):] }
