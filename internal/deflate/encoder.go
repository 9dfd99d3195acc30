package deflate

import (
	"slices"

	"github.com/klauspost/compress/flate"
)

// An Encoder compresses the messages of one direction. It must not be used concurrently.
type Encoder struct {
	bits     int
	level    int
	takeover bool
	window   window // empty without context takeover
}

// NewEncoder returns an encoder that refers back at most 1<<bits bytes, and with takeover
// also to earlier messages. The level is [MinLevel] to [MaxLevel]. If bits is less than
// [MaxWindowBits], every level is about level 5: the codec has one level for small windows.
func NewEncoder(bits int, takeover bool, level int) *Encoder {
	e := &Encoder{bits: bits, level: level, takeover: takeover}
	if takeover {
		e.window.size = min(1<<bits, memory(level))
	}
	return e
}

// memory is how many bytes of earlier messages an encoder of a level remembers. They are
// learned anew with every message, so that more of them cost more time than they save
// bytes: BenchmarkEncode measures both.
func memory(level int) int {
	if level == MinLevel {
		return 4 << 10
	}
	return 8 << 10
}

// Bound returns how much room Encode needs for a message of n bytes.
func Bound(n int) int { return n + n>>10 + 64 }

// pieceSize is how much of a message is compressed at once, in bytes: the codec's blocks
// have this size at most.
const pieceSize = 1<<16 - 1

// Encode appends the compressed form of a message to dst, without its last four bytes, RFC
// 7692 section 7.2.1. dst should have room for [Bound] of its size. Encode keeps neither.
//
// If the message would not get smaller, Encode returns dst unchanged and false, and the
// message does not become part of the window: it must be sent uncompressed.
func (e *Encoder) Encode(dst, message []byte) (compressed []byte, smaller bool) {
	shrunk := func() bool { return len(compressed)-len(tail)-len(dst) < len(message) }
	if len(message) < e.smallMessage() {
		compressed = e.encodeSmall(dst, message)
		if e.takeover && !shrunk() {
			compressed = e.encodeUnlike(dst, message)
		}
	} else {
		compressed = e.encodePieces(dst, message)
	}
	if !shrunk() || len(message) == 0 {
		return dst, false
	}
	if e.takeover {
		e.window.add(message)
	}
	return compressed[:len(compressed)-len(tail)], true
}

// smallMessage is the size in bytes below which the codec's function without state does
// better than its writers, which look for no matches below 128. Those of the levels 7 to 9 do.
func (e *Encoder) smallMessage() int {
	if e.bits == MaxWindowBits && e.level >= 7 {
		return 0
	}
	return 160
}

// encodeSmall appends the compressed form of a small message to dst, with the tail.
func (e *Encoder) encodeSmall(dst, message []byte) []byte {
	out := buffer(dst)
	must(flate.StatelessDeflate(&out, message, false, e.dictionary(message)))
	return out
}

// dictionary is the part of the window to which every byte of a small message may refer.
func (e *Encoder) dictionary(message []byte) []byte {
	return e.window.last(1<<e.bits - len(message))
}

// encodeUnlike appends the compressed form of a small message that encodeSmall does not
// shrink to dst, with the tail. Such a message resembles nothing in the window, and unless
// it shrinks it does not become part of it: the next ones of its kind would find nothing
// there either. The level weighs frequent bytes, and takes twice the time of encodeSmall.
func (e *Encoder) encodeUnlike(dst, message []byte) []byte {
	const level = 7
	w := levelWriter(level)
	defer w.close()
	w.out = dst
	w.ResetDict(&w.out, e.dictionary(message))
	w.write(message)
	return w.out
}

// encodePieces appends the compressed form of a message to dst, with the tail. Each piece
// is an end of its own, at which the codec may be changed.
func (e *Encoder) encodePieces(dst, message []byte) []byte {
	w := e.getWriter()
	defer w.close()
	w.out = dst
	w.ResetDict(&w.out, e.window.b)
	for piece := range slices.Chunk(message, pieceSize) {
		start := len(w.out)
		w.write(piece)
		if len(w.out)-len(tail)-start >= len(piece) {
			w.out = encodeBytes(w.out[:start], piece)
		}
	}
	return w.out
}

// encodeBytes appends the compressed form of a piece in which nothing repeats, with the
// tail. The codec's levels would store it, but if some bytes are more frequent than
// others, as in samples of sound and of sensors, it can be compressed byte by byte.
func encodeBytes(dst, piece []byte) []byte {
	w := writerOf(&huffmanPool, func() (*flate.Writer, error) { return flate.NewWriter(nil, flate.HuffmanOnly) })
	defer w.close()
	w.out = dst
	w.Reset(&w.out)
	w.write(piece)
	return w.out
}
