package pump

import "sync/atomic"

// Stats are the counters of a connection.
type Stats struct {
	MessagesReceived, MessagesSent uint64
	FramesReceived, FramesSent     uint64
	BytesReceived, BytesSent       uint64
	PingsReceived, PingsSent       uint64
	PongsReceived, PongsSent       uint64
	Reads, Flushes                 uint64

	DroppedEvents, DroppedMessages uint64
}

// counts is one direction's counters, for one pump alone to count in.
type counts struct{ messages, frames, bytes, pings, pongs, calls uint64 }

func (t *counts) add(o *counts) {
	t.messages += o.messages
	t.frames += o.frames
	t.bytes += o.bytes
	t.pings += o.pings
	t.pongs += o.pongs
	t.calls += o.calls
}

// shared is a counts as others may read it.
type shared struct{ messages, frames, bytes, pings, pongs, calls atomic.Uint64 }

func (s *shared) publish(t *counts) {
	s.messages.Store(t.messages)
	s.frames.Store(t.frames)
	s.bytes.Store(t.bytes)
	s.pings.Store(t.pings)
	s.pongs.Store(t.pongs)
	s.calls.Store(t.calls)
}

type counters struct {
	in, out                        shared
	droppedEvents, droppedMessages atomic.Uint64
}

// Stats reads the counters.
func (p *pump) Stats() Stats {
	c := &p.counters
	return Stats{
		MessagesReceived: c.in.messages.Load(), MessagesSent: c.out.messages.Load(),
		FramesReceived: c.in.frames.Load(), FramesSent: c.out.frames.Load(),
		BytesReceived: c.in.bytes.Load(), BytesSent: c.out.bytes.Load(),
		PingsReceived: c.in.pings.Load(), PingsSent: c.out.pings.Load(),
		PongsReceived: c.in.pongs.Load(), PongsSent: c.out.pongs.Load(),
		Reads: c.in.calls.Load(), Flushes: c.out.calls.Load(),
		DroppedEvents:   c.droppedEvents.Load(),
		DroppedMessages: c.droppedMessages.Load(),
	}
}
