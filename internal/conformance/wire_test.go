package conformance

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// The bits of a frame's first octet, RFC 6455 section 5.2.
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

var opcodeNames = map[byte]string{
	opContinuation: "continuation", opText: "text", opBinary: "binary",
	opClose: "close", opPing: "ping", opPong: "pong",
}

// A wire is a frame as it goes on the wire, also one that breaks the rules. The zero
// value of all but first is a frame that breaks none.
type wire struct {
	first   byte // FIN, the reserved bits, the opcode
	payload string
	form    int      // in which the length is told: 7, 16 or 64 bits; 0 is the shortest
	claim   *uint64  // the length that is told, where it is not that of the payload
	wrong   bool     // masked where it must not be, or not masked where it must
	key     *[4]byte // the masking key; nil is that of the RFC's examples
	sent    int      // only so many octets of it are sent; 0 is all of them
	header  bool     // only the header is sent
}

// Frames that break no rule.

func text(s string) wire     { return wire{first: fin | opText, payload: s} }
func blob(s string) wire     { return wire{first: fin | opBinary, payload: s} }
func ping(s string) wire     { return wire{first: fin | opPing, payload: s} }
func pong(s string) wire     { return wire{first: fin | opPong, payload: s} }
func textPart(s string) wire { return wire{first: opText, payload: s} }
func blobPart(s string) wire { return wire{first: opBinary, payload: s} }
func part(s string) wire     { return wire{first: opContinuation, payload: s} }
func last(s string) wire     { return wire{first: fin | opContinuation, payload: s} }
func goodbye(s string) wire  { return wire{first: fin | opClose, payload: s} }

// closing is a close frame with a code.
func closing(code int, reason string) wire {
	return goodbye(string([]byte{byte(code >> 8), byte(code)}) + reason)
}

// opcode is an empty frame of any opcode.
func opcode(o byte) wire { return wire{first: fin | o} }

// The ways to break rules, or to use what freedom they leave. Each gives a copy.

func (w wire) with(bits byte) wire      { w.first |= bits; return w }
func (w wire) unfinished() wire         { w.first &^= fin; return w }
func (w wire) holding(p string) wire    { w.payload = p; return w }
func (w wire) in(bits int) wire         { w.form = bits; return w }
func (w wire) claiming(n uint64) wire   { w.claim = &n; return w }
func (w wire) wronglyMasked() wire      { w.wrong = true; return w }
func (w wire) keyed(key [4]byte) wire   { w.key = &key; return w }
func (w wire) cutAfter(octets int) wire { w.sent = octets; return w }

// headerOnly is what is sent of w before its payload: a header is read as a whole
// before it is held against those that came before.
func (w wire) headerOnly() wire { w.header = true; return w }

// rfcKey is the masking key of the examples in RFC 6455 section 5.7.
var rfcKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// incomplete tells whether octets are missing that the frame has announced.
func (w wire) incomplete() bool {
	return w.sent > 0 || w.claim != nil || w.header && w.payload != ""
}

// append appends w as the peer of a role says it. A client masks.
func (w wire) append(dst []byte, client bool) []byte {
	begin := len(dst)
	length := uint64(len(w.payload))
	if w.claim != nil {
		length = *w.claim
	}
	masked := client != w.wrong
	dst = appendHeader(dst, w.first, w.form, length, masked)
	key := rfcKey
	if w.key != nil {
		key = *w.key
	}
	if masked {
		dst = append(dst, key[:]...)
	}
	if w.header {
		return dst
	}
	at := len(dst)
	dst = append(dst, w.payload...)
	if masked {
		mask(dst[at:], key)
	}
	if w.sent > 0 {
		dst = dst[:begin+w.sent]
	}
	return dst
}

// mask masks, RFC 6455 section 5.3, eight octets at once where it can.
func mask(b []byte, key [4]byte) {
	eight := uint64(binary.LittleEndian.Uint32(key[:]))
	for eight |= eight << 32; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^eight)
	}
	for i := range b {
		b[i] ^= key[i%4]
	}
}

// appendHeader appends a header up to its masking key.
func appendHeader(dst []byte, first byte, form int, length uint64, masked bool) []byte {
	var mask byte
	if masked {
		mask = 0x80
	}
	if form == 0 {
		switch {
		case length <= 125:
			form = 7
		case length <= 0xffff:
			form = 16
		default:
			form = 64
		}
	}
	switch form {
	case 7:
		return append(dst, first, mask|byte(length))
	case 16:
		return binary.BigEndian.AppendUint16(append(dst, first, mask|126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, mask|127), length)
}

// encode gives all of what the peer says.
func encode(says []wire, client bool) []byte {
	var b []byte
	for _, w := range says {
		b = w.append(b, client)
	}
	return b
}

// asHeard gives the octets that the peer must hear for w, where the masking keys of a
// client are those that it has chosen itself, at the place where got has them.
func (w wire) asHeard(got []byte, fromClient bool) []byte {
	if fromClient {
		at := len(appendHeader(nil, w.first, 0, uint64(len(w.payload)), true))
		if len(got) >= at+4 {
			w = w.keyed([4]byte(got[at:]))
		}
	}
	return w.append(nil, fromClient)
}

// describe tells what octets are, for the message of a test that fails.
func describe(b []byte) string {
	var s string
	for len(b) >= 2 {
		size, n := 2, int(b[1]&0x7f)
		switch {
		case n == 126 && len(b) >= 4:
			size, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		case n == 127 && len(b) >= 10:
			size, n = 10, int(binary.BigEndian.Uint64(b[2:]))
		}
		var key [4]byte
		if b[1]&0x80 != 0 && len(b) >= size+4 {
			key = [4]byte(b[size:])
			size += 4
		}
		if n < 0 || len(b) < size+n {
			break
		}
		payload := make([]byte, min(n, 200))
		for i := range payload {
			payload[i] = b[size+i] ^ key[i%4]
		}
		format := "[%02x %s, %d octets: %x] "
		if utf8.Valid(payload) {
			format = "[%02x %s, %d octets: %q] "
		}
		s += fmt.Sprintf(format, b[0], opcodeNames[b[0]&0x0f], n, payload)
		b = b[size+n:]
	}
	if len(b) > 0 {
		s += fmt.Sprintf("and %x", b[:min(len(b), 100)])
	}
	return s
}
