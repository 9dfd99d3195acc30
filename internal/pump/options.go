package pump

import (
	"math"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// Overflow is what happens to a message that finds the event channel full.
type Overflow int

// The policies, in the order of the root package's.
const (
	Block Overflow = iota
	DropOldest
	DropNewest
	CloseSlow
)

// None stands for a size without a limit.
const None = math.MaxInt64

// endTimeout bounds what must end although the user lets the peer take for ever.
const endTimeout = 5 * time.Second

// lingerTimeout is how long a peer is given to read the close frame that answers
// its error, before the socket is closed.
const lingerTimeout = time.Second

// tlsCloseTimeout is how long TLS may take to say that nothing follows, after both
// close frames have said so already.
const tlsCloseTimeout = 100 * time.Millisecond

// Options are the settings of a connection, checked and complete: sizes without a
// limit are None, durations that are off are zero. CloseTimeout is negative if there is no
// limit, and PongTimeout if no pong is required.
type Options struct {
	EventBuffer, SendBuffer int
	Overflow                Overflow

	MaxMessageSize, MaxFrameSize, FragmentSize int64

	IdleTimeout, PingInterval, PongTimeout, WriteTimeout, CloseTimeout time.Duration

	ManualPong bool
	Rate       float64 // messages a second; 0 none
	Burst      int

	Trace Trace
}

// Trace holds the user's hooks; any may be nil.
type Trace struct {
	FrameReceived, FrameSent func(frame.Header)
	Flushed                  func(bytes int, took time.Duration, err error)
	KeepalivePong            func(roundTrip time.Duration)
	Ended                    func(err error)
}

// boundedCloseTimeout is the close timeout where something must end even if the close
// timeout is without a limit. Called with mu held.
func (p *pump) boundedCloseTimeout() time.Duration {
	if p.closeTimeout < 0 {
		return endTimeout
	}
	return p.closeTimeout
}

// sendRoom is the capacity of the Send channel. After the user's Close nobody receives
// from it, so it must have room for what a consumer's loop still sends: up to
// SendBuffer messages each for an event in hand and for the terminal one. When the
// connection had ended before, events that wait are not discarded, and one message for
// each of those has room as well.
func (o *Options) sendRoom() int {
	return max(2*o.SendBuffer, o.EventBuffer+1)
}
