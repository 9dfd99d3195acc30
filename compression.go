package chanws

import (
	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/pump"
)

// Compression is the mode of permessage-deflate, RFC 7692: messages are compressed
// one by one, if the peer can do that too. docs/compression.md says which mode
// pays when, and what it costs.
//
// The larger the window, the better the compression: this library asks for, and uses,
// the largest that the peer allows, and honours every smaller one, of 256 bytes to 32
// KiB. What was agreed on is in the Sec-WebSocket-Extensions header of
// [Conn.Response], or of the 101 that [Upgrade] has answered.
type Compression int

const (
	// CompressionDefault is the package's default: disabled.
	CompressionDefault Compression = iota
	// CompressionDisabled neither offers nor accepts compression.
	CompressionDisabled
	// CompressionNoContextTakeover compresses every message for itself, RFC 7692
	// section 7.1.1: a connection that is idle needs no memory for it. The peer is asked
	// to do the same.
	CompressionNoContextTakeover
	// CompressionContextTakeover keeps the window from message to message, so that each
	// may refer to those before: small messages of one kind get much smaller still. A
	// connection holds up to 40 KiB for that.
	CompressionContextTakeover
)

// compression is the part of Options that is about it.
type compression struct {
	mode      Compression
	level     int
	threshold int // 0: by what is agreed on
}

// The thresholds. Below them a message that is compressed for itself saves nothing
// worth the time; with a window before it, it may.
const (
	defaultThreshold         = 512
	defaultTakeoverThreshold = 128
)

func compressionOf(o *Options) compression {
	return compression{o.Compression, orDefault(o.CompressionLevel, deflate.MinLevel), o.CompressionThreshold}
}

// offer is what a client asks for, nil for nothing.
func (c *compression) offer() *handshake.DeflateOffer {
	switch c.mode {
	case CompressionNoContextTakeover:
		return &handshake.DeflateOffer{ServerNoTakeover: true, ClientNoTakeover: true, ClientBits: handshake.AnyBits}
	case CompressionContextTakeover:
		return &handshake.DeflateOffer{ClientBits: handshake.AnyBits}
	}
	return nil
}

// policy is what a server accepts, nil for nothing.
func (c *compression) policy() *handshake.DeflatePolicy {
	switch c.mode {
	case CompressionNoContextTakeover:
		return &handshake.DeflatePolicy{ServerNoTakeover: true, ClientNoTakeover: true}
	case CompressionContextTakeover:
		return &handshake.DeflatePolicy{}
	}
	return nil
}

// start returns the encoder and the decoder for what was agreed on, or nil.
func (c *compression) start(d *handshake.Deflate, client bool) *pump.Compression {
	if d == nil {
		return nil
	}
	sent, received := direction{d.ServerBits, d.ServerTakeover}, direction{d.ClientBits, d.ClientTakeover}
	if client {
		sent, received = received, sent
	}
	return &pump.Compression{
		Encoder:   deflate.NewEncoder(sent.bits, sent.takeover, c.level),
		Decoder:   deflate.NewDecoder(received.bits, received.takeover),
		Threshold: c.leastSize(sent.takeover),
	}
}

// direction is what is agreed on for the messages of one side.
type direction struct {
	bits     int
	takeover bool
}

// leastSize is the size from which messages are compressed.
func (c *compression) leastSize(takeover bool) int {
	switch {
	case c.threshold < 0:
		return 0
	case c.threshold > 0:
		return c.threshold
	case takeover:
		return defaultTakeoverThreshold
	}
	return defaultThreshold
}
