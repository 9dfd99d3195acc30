// Package frame is the framing layer of RFC 6455 (sections 5 to 8) as pure
// functions: bytes in, headers and errors out. It does no I/O, starts no
// goroutine and keeps no state beyond the small values its caller holds
// ([Sequence], [UTF8]).
//
// A frame is read in four steps, each of which can be skipped by who does not
// need it: [Parse] reads the header and checks what a single header can
// violate, [Sequence.Next] checks the header against those that came before,
// [Mask] unmasks the payload in place, and [UTF8] or [ParseClose] checks what
// the payload holds. Every violation by the peer is an [*Error] with the close
// code that it deserves.
package frame

import (
	"encoding/binary"
	"strconv"
)

// Opcode says what a frame's payload is (RFC 6455, section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines (section 11.8); all others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// MaxControlPayload is the largest payload of a control frame in bytes (RFC
// 6455, section 5.5).
const MaxControlPayload = 125

// MaxHeaderSize is the size in bytes of the largest header: two bytes, a 64-bit
// length and a masking key.
const MaxHeaderSize = 14

// The bits of a header's first two bytes (RFC 6455, section 5.2).
const (
	finBit     = 0x80
	rsv1Bit    = 0x40
	rsv2Bit    = 0x20
	rsv3Bit    = 0x10
	opcodeBits = 0x0F
	controlBit = 0x08
	maskBit    = 0x80
	lengthBits = 0x7F

	length16 = 126 // the length follows in 16 bits
	length64 = 127 // the length follows in 64 bits

	// knownOpcodes has bit i set if opcode i is not reserved.
	knownOpcodes = 1<<Continuation | 1<<Text | 1<<Binary | 1<<Close | 1<<Ping | 1<<Pong
)

// Control reports whether o is a control opcode, reserved ones included (RFC
// 6455, section 5.5).
func (o Opcode) Control() bool { return o&controlBit != 0 }

// String returns the opcode's name in lower case, or "opcode 0x3" for one that
// is reserved.
func (o Opcode) String() string {
	switch o {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return "opcode 0x" + strconv.FormatUint(uint64(o), 16)
}

// Header is everything of a frame but its payload (RFC 6455, section 5.2).
type Header struct {
	Fin    bool
	RSV1   bool // the bit that permessage-deflate uses (RFC 7692, section 6)
	Opcode Opcode
	Masked bool
	Key    uint32 // the masking key's four bytes on the wire, read as little-endian; 0 unless Masked
	Length int64  // of the payload, in bytes; never negative
}

// Parse reads the header at b's start; n is its size in bytes. While b does not
// hold the whole header n is 0 and err is nil.
//
// The error is an [*Error] with code 1002 for whatever a header on its own can
// violate: a reserved bit or opcode, a control frame that is fragmented or too
// long, a length that is negative or not in its shortest form (RFC 6455,
// sections 5.2 and 5.5). It comes as soon as b holds the bytes that show the
// violation, and it does not depend on how many bytes follow them. Whether RSV1
// and the mask may be there is for [Sequence.Next] to say.
func Parse(b []byte) (h Header, n int, err error) {
	if len(b) < 2 || !validFirst(b[0]) {
		return Header{}, 0, firstError(b)
	}
	first, second := b[0], b[1]
	n = 2
	length := int64(second & lengthBits)
	if length > MaxControlPayload {
		switch {
		case first&controlBit != 0:
			return Header{}, 0, controlError(first, second)
		case length == length16:
			if len(b) < 4 {
				return Header{}, 0, nil
			}
			n, length = 4, int64(binary.BigEndian.Uint16(b[2:]))
			if length < length16 {
				return Header{}, 0, violation("length " + strconv.FormatInt(length, 10) + " not in its shortest form (16 bits)")
			}
		default:
			if n, length, err = parseLength64(b); n == 0 {
				return Header{}, 0, err
			}
		}
	}
	var key uint32
	masked := second&maskBit != 0
	if masked {
		if len(b) < n+4 {
			return Header{}, 0, nil
		}
		key = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	return Header{
		Fin:    first&finBit != 0,
		RSV1:   first&rsv1Bit != 0,
		Opcode: Opcode(first & opcodeBits),
		Masked: masked,
		Key:    key,
		Length: length,
	}, n, nil
}

// validFirst reports whether a header's first byte violates nothing.
func validFirst(first byte) bool {
	return first&(rsv2Bit|rsv3Bit) == 0 &&
		knownOpcodes>>(first&opcodeBits)&1 != 0 &&
		first&(finBit|controlBit) != controlBit
}

// firstError names what the first byte of b violates, if it is there and
// violates anything.
func firstError(b []byte) error {
	if len(b) == 0 || validFirst(b[0]) {
		return nil
	}
	o := Opcode(b[0] & opcodeBits)
	switch {
	case b[0]&rsv2Bit != 0:
		return violation("RSV2 set without an extension")
	case b[0]&rsv3Bit != 0:
		return violation("RSV3 set without an extension")
	case knownOpcodes>>o&1 == 0:
		return violation("reserved " + o.String())
	}
	return violation("fragmented " + o.String() + " frame")
}

// controlError names a control frame whose second byte says that its length is
// in the bytes that follow. They are not waited for: the frame is too long, or
// its length is not in its shortest form.
func controlError(first, second byte) error {
	form := "16"
	if second&lengthBits == length64 {
		form = "64"
	}
	return violation(Opcode(first&opcodeBits).String() + " frame of more than 125 bytes (" + form + "-bit length)")
}

// parseLength64 reads a header's length of 64 bits. n is the header's size up to
// the masking key, 0 on a violation or if more bytes are needed.
func parseLength64(b []byte) (n int, length int64, err error) {
	if len(b) > 2 && b[2]&0x80 != 0 {
		return 0, 0, violation("64-bit length with its top bit set")
	}
	// The first six of the eight bytes tell whether 16 bits would have done.
	if len(b) >= 8 && binary.BigEndian.Uint64(b)<<16 == 0 {
		return 0, 0, violation("length below 65536 not in its shortest form (64 bits)")
	}
	if len(b) < 10 {
		return 0, 0, nil
	}
	return 10, int64(binary.BigEndian.Uint64(b[2:])), nil
}

// Append appends h as it goes on the wire, its length in the shortest form (RFC
// 6455, section 5.2), and returns the extended buffer. It checks nothing.
func (h Header) Append(dst []byte) []byte {
	first := byte(h.Opcode) & opcodeBits
	if h.Fin {
		first |= finBit
	}
	if h.RSV1 {
		first |= rsv1Bit
	}
	var second byte
	if h.Masked {
		second = maskBit
	}
	switch {
	case h.Length < length16:
		dst = append(dst, first, second|byte(h.Length))
	case h.Length <= 0xFFFF:
		dst = append(dst, first, second|length16, byte(h.Length>>8), byte(h.Length))
	default:
		dst = append(dst, first, second|length64)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	}
	if h.Masked {
		dst = binary.LittleEndian.AppendUint32(dst, h.Key)
	}
	return dst
}

// Size returns how many bytes [Header.Append] appends.
func (h Header) Size() int {
	n := 2
	switch {
	case h.Length < length16:
	case h.Length <= 0xFFFF:
		n = 4
	default:
		n = 10
	}
	if h.Masked {
		n += 4
	}
	return n
}
