package main

import "time"

// A job is what the server does with messages.
type job string

const (
	echo  job = "echo"  // sends every message back
	sink  job = "sink"  // sends back only messages that begin with the mark
	push  job = "push"  // sends messages of its own, as fast as it can
	large job = "large" // echo that waits until each message is with the operating system
)

// mark is the first byte of a message that a sink answers.
const mark = '!'

// A metric is what a row compares.
type metric string

const (
	rate   metric = "messages a second"
	opens  metric = "connections a second"
	memory metric = "bytes a connection"
	allocs metric = "allocations a message"
)

// lowerIsBetter tells how to compare.
func (m metric) lowerIsBetter() bool { return m == memory || m == allocs }

// A workload is what goes on between the load and a server. It goes to both processes
// as JSON.
type workload struct {
	Job     job
	Conns   int
	Size    int  // of a message's payload
	Window  int  // batches under way on each connection
	Batch   int  // messages for which there is one reply
	Text    bool // else binary
	TLS     bool
	Deflate bool // permessage-deflate without context takeover

	Client bool // the library is the client, and the server is the floor's
	Open   bool // connections are opened, used once and cut, one after the other
	Idle   bool // connections are opened and used once, and then nothing

	Warmup   time.Duration
	Duration time.Duration
	Profile  string // file for a CPU profile of the measured process
}

// payload is what every message of the workload consists of.
func (w workload) payload() []byte {
	if w.Deflate {
		return jsonPayload(w.Size)
	}
	p := make([]byte, w.Size)
	for i := range p {
		p[i] = 'a' + byte(i%26)
	}
	return p
}
