package main

import "time"

// stats is what the page's panel shows about its connection.
type stats struct {
	Keepalive   float64 `json:"keepalive"` // round trip of the last ping in ms, 0 before the first
	Received    uint64  `json:"received"`  // messages from the page
	Sent        uint64  `json:"sent"`      // messages to the page
	Dropped     uint64  `json:"dropped"`   // messages and events that were lost on the way
	Connections int     `json:"connections"`
}

func (h *hub) stats(p *person) *stats {
	s := p.conn.Stats()
	roundTrip := time.Duration(p.roundTrip.Load())
	return &stats{
		Keepalive:   float64(roundTrip) / float64(time.Millisecond),
		Received:    s.MessagesReceived,
		Sent:        s.MessagesSent,
		Dropped:     s.DroppedMessages + s.DroppedEvents,
		Connections: len(h.people),
	}
}
