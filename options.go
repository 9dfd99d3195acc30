package chanws

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/chanws/chanws/internal/pump"
)

// Overflow is what happens to a received message that finds the event channel
// full.
type Overflow int

const (
	// Block stops reading until the consumer has made room. TCP's flow control then slows
	// the peer down, and nothing is lost. Meanwhile pings are not answered and a close is
	// not noticed.
	Block Overflow = iota
	// DropOldest drops the oldest event in the channel.
	DropOldest
	// DropNewest drops the message that has just arrived.
	DropNewest
	// CloseSlow ends the connection: close code 1008 and an [Error] that matches
	// [ErrOverflow].
	CloseSlow
)

// Rate is a limit on messages: PerSecond on average, and Burst in a row. A Burst below one
// means one. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Options are the settings that client and server share. A zero field is the
// default that its comment names. Durations of less than a second are honoured.
type Options struct {
	// EventBuffer is how many events wait for the consumer. Default 64.
	EventBuffer int
	// SendBuffer is how many messages a receive loop may send per event and still never
	// block when another goroutine closes the connection. Default 64. The capacity of
	// [Conn.Send] is max(2*SendBuffer, EventBuffer+1).
	SendBuffer int
	// Overflow is what happens to a message that finds the event channel full.
	// Default [Block]. Control frames never wait: they are dropped and counted.
	Overflow Overflow

	// MaxMessageSize is the largest message to receive, in bytes after decompression. A
	// larger message ends the connection with 1009. Default 1 MiB; -1 is no limit.
	MaxMessageSize int64
	// MaxFrameSize is the largest frame to receive, in bytes of payload on the wire. A
	// larger frame ends the connection with 1009. Default and -1: no limit.
	MaxFrameSize int64
	// FragmentSize is the largest frame to send, in bytes of payload. A larger message is
	// fragmented, RFC 6455 section 5.4. Default and -1: one frame per message.
	FragmentSize int

	// IdleTimeout is the period of [IdleTimeout] events. Default none.
	IdleTimeout time.Duration
	// PingInterval is the period of the library's own pings. Default none.
	PingInterval time.Duration
	// PongTimeout is how long such a ping may stay unanswered before the connection
	// ends: 1011 and an [Error] that matches os.ErrDeadlineExceeded. It runs only
	// while the library reads, so that a slow consumer is never taken for a dead
	// peer. It begins anew whenever the peer has taken some of what was written, as for
	// WriteTimeout, because megabytes may lie in the operating system ahead of the ping.
	// It also begins anew at the end of a frame that came in parts: the peer cannot send a
	// pong inside a frame. Default PingInterval. Negative: pings are sent and no pong is
	// required. Without PingInterval it is an error.
	PongTimeout time.Duration
	// WriteTimeout is how long the peer may take not one byte of what is being written.
	// Default none.
	//
	// On Linux and macOS the send queue of the socket shows what the peer takes, for TCP,
	// unix sockets and TLS over them. Elsewhere only a call to the operating system that
	// returns shows it, so the peer must take up to 64 KiB in that time. No deadline is set
	// on the connection for a peer that takes bytes. TCP opens a full receive window in large
	// steps: a peer that reads little at a time may take nothing for several seconds.
	//
	// After a timeout nothing more is written, but the connection is read for up to
	// CloseTimeout, so that the peer's last messages and close frame are not lost: a peer
	// that neither reads nor sends holds the connection for WriteTimeout and CloseTimeout
	// together.
	WriteTimeout time.Duration
	// CloseTimeout is how long the peer may take to answer our close frame, counted
	// from the moment it is queued. Default 5 s; negative: without limit.
	CloseTimeout time.Duration

	// Compression is the mode of permessage-deflate, RFC 7692. Default disabled.
	Compression Compression
	// CompressionLevel is the effort, 1 (fastest) to 9 (smallest). Default 1.
	CompressionLevel int
	// CompressionThreshold is the size of a message in bytes below which it is sent
	// uncompressed, as is any message that compression would not shrink. Default 512, or
	// 128 with context takeover on this side; -1 compresses messages of every size.
	CompressionThreshold int

	// ManualPong leaves the answer to a [Ping] event to the user.
	ManualPong bool
	// MessageRate limits the messages received; one too many ends the connection:
	// 1008. Default none.
	MessageRate Rate

	// Trace holds hooks that are called for what the connection does. They must neither
	// block nor call Close or Write. Default none.
	Trace *Trace
	// OnDrop is called for every message that is dropped. Its error matches [ErrOverflow]
	// if the event channel was full, [ErrInvalidMessage] if a message on Send cannot be
	// sent, and net.ErrClosed if it came too late. Messages that a local Close discards
	// are only counted. OnDrop runs on the pumps: it must neither block nor call Close or
	// Write. Default none.
	OnDrop func(Message, error)
	// Logger receives the connection's beginning and end, and every message that is
	// dropped with the reason (but not its content), at debug level. Default nil: silent.
	Logger *slog.Logger
}

// settings are Options that have been checked, defaults filled in.
type settings struct {
	pump        pump.Options
	compression compression
	onDrop      func(Message, error)
	logger      *slog.Logger
}

// maxBuffer bounds the channels, which are set aside as a whole.
const maxBuffer = 1 << 20

// check returns an error that names the first field that is invalid, its value, and
// the values that are allowed.
func (o *Options) check() error {
	const (
		wantBuffer   = "0 to 1048576 events or messages; 0 is the default of 64"
		wantSize     = "a number of bytes, 0 for the default, or -1 for no limit"
		wantDuration = "0 (off) or more"
	)
	for _, f := range []struct {
		name  string
		value any
		bad   bool
		want  string
	}{
		{"EventBuffer", o.EventBuffer, o.EventBuffer < 0 || o.EventBuffer > maxBuffer, wantBuffer},
		{"SendBuffer", o.SendBuffer, o.SendBuffer < 0 || o.SendBuffer > maxBuffer, wantBuffer},
		{"Overflow", o.Overflow, o.Overflow < Block || o.Overflow > CloseSlow, "Block, DropOldest, DropNewest or CloseSlow"},
		{"MaxMessageSize", o.MaxMessageSize, o.MaxMessageSize < -1, wantSize},
		{"MaxFrameSize", o.MaxFrameSize, o.MaxFrameSize < -1, wantSize},
		{"FragmentSize", o.FragmentSize, o.FragmentSize < -1, wantSize},
		{"IdleTimeout", o.IdleTimeout, o.IdleTimeout < 0, wantDuration},
		{"PingInterval", o.PingInterval, o.PingInterval < 0, wantDuration},
		{"PongTimeout", o.PongTimeout, o.PongTimeout != 0 && o.PingInterval == 0, "a PingInterval as well: without one no ping is sent"},
		{"WriteTimeout", o.WriteTimeout, o.WriteTimeout < 0, wantDuration},
		{"Compression", int(o.Compression), o.Compression < CompressionDefault || o.Compression > CompressionContextTakeover,
			"CompressionDefault, CompressionDisabled, CompressionNoContextTakeover or CompressionContextTakeover"},
		{"CompressionLevel", o.CompressionLevel, o.CompressionLevel < 0 || o.CompressionLevel > 9, "1 (fastest) to 9 (smallest), or 0 for the default"},
		{"CompressionThreshold", o.CompressionThreshold, o.CompressionThreshold < -1, "a number of bytes, 0 for the default, or -1 to compress messages of every size"},
		{"MessageRate.PerSecond", o.MessageRate.PerSecond, !(o.MessageRate.PerSecond >= 0), "0 (no limit) or more"},
		{"MessageRate.Burst", o.MessageRate.Burst, o.MessageRate.Burst < 0, "0 or more"},
		{"MessageRate.Burst", o.MessageRate.Burst, o.MessageRate.Burst > 0 && o.MessageRate.PerSecond == 0, "a PerSecond as well: without one there is no limit"},
	} {
		if f.bad {
			return fmt.Errorf("chanws: invalid Options.%s %v: want %s", f.name, f.value, f.want)
		}
	}
	return nil
}

// normalize checks o and fills in the defaults.
func (o *Options) normalize() (*settings, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	po := pump.Options{
		EventBuffer:    orDefault(o.EventBuffer, 64),
		SendBuffer:     orDefault(o.SendBuffer, 64),
		Overflow:       pump.Overflow(o.Overflow),
		MaxMessageSize: limit(o.MaxMessageSize, 1<<20),
		MaxFrameSize:   limit(o.MaxFrameSize, pump.None),
		FragmentSize:   limit(int64(o.FragmentSize), pump.None),
		IdleTimeout:    o.IdleTimeout,
		PingInterval:   o.PingInterval,
		PongTimeout:    orDefault(o.PongTimeout, o.PingInterval),
		WriteTimeout:   o.WriteTimeout,
		CloseTimeout:   orDefault(o.CloseTimeout, 5*time.Second),
		ManualPong:     o.ManualPong,
		Rate:           o.MessageRate.PerSecond,
		Burst:          o.MessageRate.Burst,
	}
	if o.Trace != nil {
		po.Trace = o.Trace.hooks()
	}
	return &settings{po, compressionOf(o), o.OnDrop, o.Logger}, nil
}

// limit reads a size of which 0 is the default and -1 none.
func limit(size, def int64) int64 {
	switch size {
	case 0:
		return def
	case -1:
		return pump.None
	}
	return size
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
