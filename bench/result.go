package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A result is what one process says about one measurement.
type result struct {
	Messages    int64
	Seconds     float64
	P50, P99    time.Duration // of replies
	Samples     int
	Compression float64 // bytes on the wire for a byte of the replies; 0: nothing negotiated
	Begin, End  usage   // of the measured process
	Idle        usage   // the same, after a collection, with all connections open
	Before      usage   // the same, before they were opened
	Err         string
}

// rate is messages a second.
func (r result) rate() float64 { return float64(r.Messages) / r.Seconds }

// cpu is what a message costs the measured process.
func (r result) cpu() time.Duration {
	if r.Messages == 0 {
		return 0
	}
	return (r.End.CPU - r.Begin.CPU) / time.Duration(r.Messages)
}

// allocs is allocations of the measured process a message.
func (r result) allocs() float64 {
	return float64(r.End.Mallocs-r.Begin.Mallocs) / float64(max(1, r.Messages))
}

// calls is how often the measured process reads and writes a message.
func (r result) calls() (reads, writes float64) {
	n := float64(max(1, r.Messages))
	return float64(r.End.Reads-r.Begin.Reads) / n, float64(r.End.Writes-r.Begin.Writes) / n
}

// The words of the children's protocol, each a line; JSON may follow.
const (
	wordListening = "listening" // server: and the address
	wordBegin     = "begin"     // load: the measured time begins
	wordEnd       = "end"       // load: it has ended
	wordIdle      = "idle"      // load: all connections are open and idle; it waits for a line
	wordResult    = "result"    // load: and the result
	wordUsage     = "usage"     // both ways: question, and answer
	wordCollect   = "collect"   // the same after a collection
)

// say writes a line of the protocol.
func say(word string, v any) {
	if v == nil {
		fmt.Println(word)
		return
	}
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain structs are said
	}
	fmt.Fprintf(os.Stdout, "%s %s\n", word, line)
}
