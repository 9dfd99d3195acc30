// Package deflate compresses and decompresses WebSocket messages as
// permessage-deflate asks, RFC 7692 section 7.2. The codec is
// github.com/klauspost/compress/flate; this package adds what a connection needs.
//
// An [Encoder] and a [Decoder] are one direction of a connection each. Between messages
// they hold the window that the next message may refer to if the context is taken over,
// and nothing if it is not. The state of the codec, which is far larger, comes from pools
// for each message, and is given the window as its dictionary.
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

// tail ends the compressed form of a message. The sender removes it, and the receiver
// puts it back, RFC 7692 sections 7.2.1 and 7.2.2.
const tail = "\x00\x00\xff\xff"
