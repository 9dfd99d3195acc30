package frame

import "encoding/binary"

// UTF8 checks that a text message is UTF-8 (RFC 6455, section 8.1) while its
// bytes come in pieces that may be cut anywhere, also inside a character. The
// zero value is ready for a message's first piece.
type UTF8 struct {
	state uint64 // of the automaton below, with accept and 0 changing places
}

// Valid reports whether p, following what came before, is or can still become
// UTF-8. It is false as soon as the bytes are there that nothing can follow to
// make the text valid: overlong forms, surrogates and what is above U+10FFFF are
// found at their second byte at the latest (RFC 3629, section 4). Once false it
// stays false until [UTF8.Reset].
func (u *UTF8) Valid(p []byte) bool {
	s := u.state ^ accept
	p = p[:len(p):len(p)] // one length to keep, not two
	for len(p) >= 16 {
		if s&stateBits == accept && (word(p, 0)|word(p, 8))&highBits == 0 {
			for p = p[16:]; len(p) > 32 && (word(p, 0)|word(p, 8)|word(p, 16)|word(p, 24))&highBits == 0; {
				p = p[32:]
			}
			continue
		}
		s = next16(s, (*[16]byte)(p))
		p = p[16:]
	}
	for _, c := range p {
		s = rows[c] >> (s & stateBits)
	}
	s &= stateBits
	u.state = s ^ accept
	return s != reject
}

// Complete reports whether the text may end here: what came is valid, and no
// character is left unfinished.
func (u *UTF8) Complete() bool { return u.state == 0 }

// Reset makes u ready for the next message.
func (u *UTF8) Reset() { u.state = 0 }

// highBits is set in the bytes of a word that are not ASCII.
const highBits = 0x8080808080808080

// word returns the eight bytes of p from at on.
func word(p []byte, at int) uint64 { return binary.LittleEndian.Uint64(p[at:]) }

// next16 takes the automaton from state s over 16 bytes. The steps are written
// out because a loop costs as much again (BenchmarkUTF8).
func next16(s uint64, p *[16]byte) uint64 {
	s = rows[p[0]] >> (s & stateBits)
	s = rows[p[1]] >> (s & stateBits)
	s = rows[p[2]] >> (s & stateBits)
	s = rows[p[3]] >> (s & stateBits)
	s = rows[p[4]] >> (s & stateBits)
	s = rows[p[5]] >> (s & stateBits)
	s = rows[p[6]] >> (s & stateBits)
	s = rows[p[7]] >> (s & stateBits)
	s = rows[p[8]] >> (s & stateBits)
	s = rows[p[9]] >> (s & stateBits)
	s = rows[p[10]] >> (s & stateBits)
	s = rows[p[11]] >> (s & stateBits)
	s = rows[p[12]] >> (s & stateBits)
	s = rows[p[13]] >> (s & stateBits)
	s = rows[p[14]] >> (s & stateBits)
	return rows[p[15]] >> (s & stateBits)
}

// The automaton reads the grammar of RFC 3629, section 4. A byte's row is a word
// that holds for each state the state that follows, at the bit that is the
// state's number: one shift a byte, and no branch that text of several scripts
// could mislead. From 64 bytes on it takes a third to two thirds of the time that
// utf8.Valid takes, and about the same for long ASCII (BenchmarkUTF8,
// BenchmarkUTF8Std).
const (
	reject  = 6 * iota // never left; where a row has no entry
	accept             // between characters
	need1              // any continuation byte, then the character is complete
	need2              // two of them
	need3              // three of them
	afterE0            // as need2, but no overlong form: the next is A0 to BF
	afterED            // as need2, but no surrogate: the next is 80 to 9F
	afterF0            // as need3, but no overlong form: the next is 90 to BF
	afterF4            // as need3, but not above U+10FFFF: the next is 80 to 8F

	stateBits = 63
)

// The rows, by kind of byte.
const (
	never  = 0
	ascii  = accept << accept
	head2  = need1 << accept
	head3  = need2 << accept
	head4  = need3 << accept
	headE0 = afterE0 << accept
	headED = afterED << accept
	headF0 = afterF0 << accept
	headF4 = afterF4 << accept
	cont   = accept<<need1 | need1<<need2 | need2<<need3
	con8x  = cont | need1<<afterED | need2<<afterF4
	con9x  = cont | need1<<afterED | need2<<afterF0
	conAB  = cont | need1<<afterE0 | need2<<afterF0
)

// rows holds the row of every byte.
var rows = [256]uint64{
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x00
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x10
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x20
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x30
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x40
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x50
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x60
	ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, ascii, // 0x70
	con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, con8x, // 0x80
	con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, con9x, // 0x90
	conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, // 0xA0
	conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, conAB, // 0xB0
	never, never, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, // 0xC0
	head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, head2, // 0xD0
	headE0, head3, head3, head3, head3, head3, head3, head3, head3, head3, head3, head3, head3, headED, head3, head3, // 0xE0
	headF0, head4, head4, head4, headF4, never, never, never, never, never, never, never, never, never, never, never, // 0xF0
}
