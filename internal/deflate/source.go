package deflate

import (
	"bytes"
	"io"
)

// final is an empty block with BFINAL, which ends the codec's stream.
const final = "\x01\x00\x00\xff\xff"

// A source is a compressed message, the tail that its sender has removed, and final. The
// codec reads codes and headers byte by byte, the lengths and the content of stored blocks in
// pieces, and nothing behind the end of its stream.
type source struct {
	b       []byte
	then    string // what follows b
	at      int    // how many bytes have been read, of both
	readEnd int    // where the last piece ended
}

// open begins a message. If its sender has left the tail on it, none is appended. A
// message without its tail never ends like this: the header of its last block, three bits
// that are zero, is in its last byte.
func (s *source) open(compressed []byte) {
	*s = source{b: compressed, then: tail + final}
	if bytes.HasSuffix(compressed, []byte(tail)) {
		s.then = final
	}
}

// rest is what has not been read of the message itself.
func (s *source) rest() []byte { return s.b[min(s.at, len(s.b)):] }

func (s *source) end() int { return len(s.b) + len(s.then) }

// tailEnd is where final begins.
func (s *source) tailEnd() int { return s.end() - len(final) }

// ReadByte implements [io.ByteReader].
func (s *source) ReadByte() (byte, error) {
	if at := s.at; at < len(s.b) {
		s.at++
		return s.b[at], nil
	}
	// The tail is the end of a stored block, and has been read as one: otherwise the data
	// ends within a block, and final must not be taken for the rest of it.
	if s.at == s.end() || s.at == s.tailEnd() && s.readEnd != s.at {
		return 0, io.EOF
	}
	s.at++
	return s.then[s.at-1-len(s.b)], nil
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (n int, err error) {
	switch tailEnd := s.tailEnd(); {
	case s.at < len(s.b):
		n = copy(p, s.b[s.at:])
	case s.at == len(s.b) && s.readEnd == s.at:
		// A stored block goes on behind the message. The tail is not its content.
	case s.at < tailEnd:
		n = copy(p, s.then[s.at-len(s.b):tailEnd-len(s.b)])
	case s.at > tailEnd:
		n = copy(p, s.then[s.at-len(s.b):])
	}
	if n == 0 {
		return 0, io.EOF
	}
	s.at += n
	s.readEnd = s.at
	return n, nil
}
