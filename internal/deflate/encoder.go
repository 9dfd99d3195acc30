package deflate

import "sync"

// An Encoder compresses the messages of one direction.
type Encoder struct {
	bits     int
	level    int
	takeover bool
	window   *matcher // from the first message on, with context takeover
}

// NewEncoder gives an encoder that never refers back more than 1<<bits bytes, and with
// takeover also to earlier messages. The level is [MinLevel] to [MaxLevel].
func NewEncoder(bits int, takeover bool, level int) *Encoder {
	return &Encoder{bits: bits, takeover: takeover, level: level}
}

// Bound is how much room Encode needs for n bytes: what it may write, and a word.
func Bound(n int) int { return n + n>>10 + 64 }

// What a message needs while it is compressed, and matchers for messages that leave
// no window.
var (
	workspaces = sync.Pool{New: func() any { return new(workspace) }}
	matchers   = sync.Pool{New: func() any { return newMatcher(1 << 16) }}
)

type workspace struct {
	tokens tokens
	blocks blockWriter
}

func newMatcher(size int) *matcher {
	return &matcher{buf: make([]byte, 1, size), low: 1}
}

// Encode appends a message to dst, compressed, without its last four bytes, RFC 7692
// section 7.2.1. dst must have room for [Bound] of its size. When the message would
// not get smaller it gives dst as it was and false, and it is as if the encoder had
// never seen it: whoever sends it uncompressed has to leave it out of the window.
//
// A message that begins like one that can be compressed, and goes on otherwise, is
// compressed all the same; it grows by less than one in a thousand.
func (e *Encoder) Encode(dst, message []byte) ([]byte, bool) {
	w := workspaces.Get().(*workspace)
	defer w.close()
	m := e.open(len(message))
	w.blocks.out, w.blocks.n = dst[:cap(dst)], len(dst)
	w.blocks.bits, w.blocks.used = 0, 0
	for rest := message; len(rest) > 0; {
		first := len(rest) == len(message)
		n := w.nextBlock(m, rest, first)
		w.blocks.write(&w.tokens, rest[:n])
		if first && w.blocks.n+2-len(dst) >= n {
			m.takeBack(n)
			e.close(m)
			return dst, false
		}
		rest = rest[n:]
	}
	w.blocks.finish()
	e.close(m)
	return w.blocks.out[:w.blocks.n], true
}

// open gives the matcher, ready for the first part of a message of n bytes.
func (e *Encoder) open(n int) *matcher {
	m := e.window
	if m == nil {
		if e.takeover {
			m = newMatcher(e.windowSize(n))
			e.window = m
		} else {
			m = matchers.Get().(*matcher)
		}
		m.maxDist, m.effort = 1<<e.bits, efforts[e.level]
	}
	if !e.takeover {
		m.low = len(m.buf)
	}
	e.grow(m, n)
	if m.room() < min(n, firstPart) {
		m.slide()
	}
	if m.effort.depth > 0 && len(m.chain) < cap(m.buf) {
		m.chain = append(make([]uint16, 0, cap(m.buf)), m.chain...)[:cap(m.buf)]
	}
	return m
}

// firstPart is how much of a message decides whether it is compressed at all: as much
// as can always be taken back.
const firstPart = 8<<10 - 1

// windowSize is how large a matcher is to be for n bytes more: at first as the message
// needs it, at last for the window and some room, so that it is not moved with every
// message.
func (e *Encoder) windowSize(n int) int {
	return min(max(4<<10, 2*n), 1<<e.bits+firstPart+1)
}

// grow makes a window larger that is not at its size yet.
func (e *Encoder) grow(m *matcher, n int) {
	if !e.takeover || m.room() >= n {
		return
	}
	if size := e.windowSize(len(m.buf) + n); size > cap(m.buf) {
		m.buf = append(make([]byte, 0, size), m.buf...)
	}
}

// close puts a matcher back that is nobody's window.
func (e *Encoder) close(m *matcher) {
	if !e.takeover {
		matchers.Put(m)
	}
}

func (w *workspace) close() {
	w.blocks.out = nil
	workspaces.Put(w)
}

// takeBack removes the first part of a message.
func (m *matcher) takeBack(n int) { m.buf = m.buf[:len(m.buf)-n] }

// nextBlock makes tokens of the next block of a message, and tells how much of rest
// it holds.
func (w *workspace) nextBlock(m *matcher, rest []byte, first bool) int {
	w.tokens.reset()
	size := min(len(rest), blockSize)
	if first && len(rest) > firstPart {
		size = firstPart
	}
	for done := 0; done < size; {
		if m.room() == 0 {
			m.slide()
		}
		n := min(size-done, m.room())
		from := len(m.buf)
		m.buf = append(m.buf, rest[done:done+n]...)
		m.find(&w.tokens, from)
		done += n
	}
	return size
}
