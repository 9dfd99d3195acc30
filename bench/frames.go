package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	opText   = 1
	opBinary = 2
	opClose  = 8

	finBit  = 0x80
	rsv1Bit = 0x40
	maskBit = 0x80
)

// appendHeader appends the header of an unfragmented frame, RFC 6455 section 5.2.
func appendHeader(dst []byte, first byte, size int, key *[4]byte) []byte {
	var masked byte
	if key != nil {
		masked = maskBit
	}
	switch {
	case size < 126:
		dst = append(dst, first, masked|byte(size))
	case size < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, masked|126), uint16(size))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, masked|127), uint64(size))
	}
	if key != nil {
		dst = append(dst, key[:]...)
	}
	return dst
}

// appendMasked appends a frame as clients send it.
func appendMasked(dst []byte, first byte, payload []byte) []byte {
	key := [4]byte{0x9a, 0x5b, 0xe1, 0x37}
	dst = appendHeader(dst, first, len(payload), &key)
	start := len(dst)
	dst = append(dst, payload...)
	unmask(dst[start:], key)
	return dst
}

// unmask is a plain loop over words: the floor should not be slow, but needs no
// assembly either.
func unmask(p []byte, key [4]byte) {
	k32 := uint64(binary.LittleEndian.Uint32(key[:]))
	k := k32 | k32<<32
	for len(p) >= 32 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
		binary.LittleEndian.PutUint64(p[8:], binary.LittleEndian.Uint64(p[8:])^k)
		binary.LittleEndian.PutUint64(p[16:], binary.LittleEndian.Uint64(p[16:])^k)
		binary.LittleEndian.PutUint64(p[24:], binary.LittleEndian.Uint64(p[24:])^k)
		p = p[32:]
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}

// A header is what parseHeader found.
type header struct {
	first byte
	key   *[4]byte // nil: not masked
	start int      // of the payload
	end   int      // of the frame
}

// parseHeader reads a frame's header at the beginning of p. ok is false if p does not
// hold all of it.
func parseHeader(p []byte) (h header, ok bool) {
	if len(p) < 2 {
		return h, false
	}
	h.first, h.start = p[0], 2
	size := uint64(p[1] &^ maskBit)
	switch size {
	case 126:
		h.start = 4
		if len(p) < h.start {
			return h, false
		}
		size = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		h.start = 10
		if len(p) < h.start {
			return h, false
		}
		size = binary.BigEndian.Uint64(p[2:])
	}
	if p[1]&maskBit != 0 {
		if len(p) < h.start+4 {
			return h, false
		}
		h.key = (*[4]byte)(p[h.start:])
		h.start += 4
	}
	h.end = h.start + int(size)
	return h, true
}

// checkReply tells what is wrong with a complete frame from a server.
func checkReply(frame []byte, w workload, want []byte) error {
	h, ok := parseHeader(frame)
	if !ok || h.end != len(frame) {
		return fmt.Errorf("reply has %d bytes, its header says %d", len(frame), h.end)
	}
	op := byte(opBinary)
	if w.Text {
		op = opText
	}
	if h.key != nil || h.first&^rsv1Bit != finBit|op {
		return fmt.Errorf("reply begins with % x", frame[:2])
	}
	got := frame[h.start:]
	if h.first&rsv1Bit != 0 {
		var err error
		if !w.Deflate {
			return errors.New("reply is compressed, but nothing was negotiated")
		}
		if got, err = inflate(got); err != nil {
			return fmt.Errorf("reply cannot be inflated: %w", err)
		}
	}
	if string(got) != string(want) {
		return fmt.Errorf("reply is not what was sent: %.40q", got)
	}
	return nil
}
