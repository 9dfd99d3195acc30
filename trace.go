package chanws

import (
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/pump"
)

// Trace is a set of hooks that see a connection at work, in the manner of
// net/http/httptrace. Any of them may be nil. They run on the pumps, on a timer, or in the
// caller of CloseNow, possibly concurrently. They must neither block nor call Close or Write.
type Trace struct {
	// FrameReceived is called when a valid frame header has been read, before the payload
	// is read.
	FrameReceived func(FrameInfo)
	// FrameSent is called when a frame has been encoded, before it is written.
	FrameSent func(FrameInfo)
	// Flushed is called after every call to the operating system that writes, with
	// the bytes it took, the time it took, and its error.
	Flushed func(bytes int, took time.Duration, err error)
	// KeepalivePong is called when the answer to one of the library's own pings has
	// arrived, with the time from queueing the ping to reading the pong.
	KeepalivePong func(roundTrip time.Duration)
	// Ended is called once, with the terminal event, before Done closes.
	Ended func(err error)
}

// FrameInfo describes a frame to [Trace] hooks.
type FrameInfo struct {
	Opcode  byte  // RFC 6455 section 5.2
	Fin     bool  // the message's last frame
	Payload int64 // bytes of payload, as they are on the wire
	// Compressed is RSV1, RFC 7692 section 6: the first frame of a compressed message.
	Compressed bool
}

// hooks returns t in the form that the pumps call.
func (t *Trace) hooks() pump.Trace {
	adapt := func(hook func(FrameInfo)) func(frame.Header) {
		if hook == nil {
			return nil
		}
		return func(h frame.Header) { hook(FrameInfo{byte(h.Opcode), h.Fin, h.Length, h.RSV1}) }
	}
	return pump.Trace{
		FrameReceived: adapt(t.FrameReceived),
		FrameSent:     adapt(t.FrameSent),
		Flushed:       t.Flushed,
		KeepalivePong: t.KeepalivePong,
		Ended:         t.Ended,
	}
}

// Stats are a connection's counters, both directions. Bytes are those of whole
// frames, headers included, as they are on the wire above TLS.
type Stats struct {
	MessagesReceived, MessagesSent uint64 // Text and Binary
	FramesReceived, FramesSent     uint64
	BytesReceived, BytesSent       uint64
	PingsReceived, PingsSent       uint64 // keepalive included
	PongsReceived, PongsSent       uint64
	Reads, Flushes                 uint64 // calls to the operating system

	// DroppedEvents counts events that found the channel full or that a local Close
	// discarded. DroppedMessages counts messages taken from Send, or begun by Write, that
	// were not written as a whole: invalid, too late, or caught in a write that failed.
	DroppedEvents, DroppedMessages uint64
}
