// Package deflate compresses and decompresses WebSocket messages as
// permessage-deflate asks, RFC 7692 section 7.2, in the format of RFC 1951.
//
// It works on whole messages in memory and does no I/O. An [Encoder] and a
// [Decoder] are one direction of a connection each: between messages they hold the
// window that the next message may refer to, if the context is taken over, and
// nothing at all if it is not. What a message needs while it is worked on is taken
// from pools.
//
// Why there is a codec here at all: the general ones work on streams, and cost a
// message of 1 KiB two to three times as much, and a connection with context
// takeover ten times the memory. docs/dependencies.md has the figures.
package deflate

// The window's size as the handshake agrees on it, in bits; RFC 7692 section 7.1.2.
const (
	MinWindowBits = 8
	MaxWindowBits = 15
)

// The levels of an [Encoder].
const (
	MinLevel = 1
	MaxLevel = 9
)

// The alphabets of RFC 1951 section 3.2.5.
const (
	endOfBlock  = 256
	firstLength = 257 // the symbol of the shortest length
	litCodes    = 286
	distCodes   = 30
	precodes    = 19 // those that the code lengths are written with

	minMatch = 3
	maxMatch = 258

	maxBits        = 15 // of a literal, length or distance code
	maxPrecodeBits = 7
)

// The types of a block, RFC 1951 section 3.2.3.
const (
	typeStored = iota
	typeFixed
	typeDynamic
)

// precodeOrder is the order in which the lengths of the precode are written, RFC
// 1951 section 3.2.7.
var precodeOrder = [precodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengthBase and lengthExtra are the shortest length of each symbol from 257 on, and
// how many bits follow the symbol; distBase and distExtra those of the distances.
// RFC 1951 section 3.2.5.
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [distCodes]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [distCodes]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// fixedLengths are the lengths of the fixed code's literals and lengths, RFC 1951
// section 3.2.6. It has two symbols that never occur.
var fixedLengths = func() (lengths [288]uint8) {
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	return lengths
}()
