// Package pump runs one WebSocket connection: a read pump that turns bytes into
// events, a write pump that turns messages into bytes, and the one place that
// decides how the connection ends.
//
// It knows no HTTP and not the public types: a [Vocabulary] tells it how the root
// package's events are made and its messages are read. It runs exactly two
// goroutines a connection.
package pump

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"golang.org/x/sync/errgroup"
)

// Vocabulary makes events of type E from what was received, and reads messages of
// type M. Closed and Failed must give values that are errors as well.
type Vocabulary[E, M any] struct {
	Text       func(string) E
	Binary     func([]byte) E
	Ping, Pong func([]byte) E
	Idle       func(time.Duration) E
	Closed     func(code int, reason string) E
	Failed     func(error) E

	// Outgoing tells what to write for a message.
	Outgoing func(M) Outgoing
	// Message gives a dropped event as a message, if it is one.
	Message func(E) (M, bool)
}

// Outgoing is a message as the write pump sees it. Payload is that of a data
// message, a ping or a pong; Code and Reason are a close frame's. A non-empty
// Invalid tells why the message cannot be sent.
type Outgoing struct {
	Opcode  frame.Opcode
	Payload []byte
	Code    int
	Reason  string
	Invalid string

	compressed bool // Payload is, RFC 7692
}

// Config is what a Pump is made of.
type Config[E, M any] struct {
	// Context gives the connection's context its values, not its end.
	Context context.Context
	// Conn carries the frames, after the bytes in Buffered.
	Conn     net.Conn
	Buffered []byte
	// Client tells which side this is: a client masks what it sends.
	Client     bool
	Options    *Options // shared with other connections: never changed
	OnDrop     func(M, error)
	Vocabulary *Vocabulary[E, M]
	// Compression is nil when none was negotiated.
	Compression *Compression
}

// Pump is a running connection.
type Pump[E, M any] struct {
	conn   net.Conn
	tcp    *net.TCPConn // conn, where vectored writes pay
	client bool
	opts   *Options
	onDrop func(M, error)
	voc    *Vocabulary[E, M]

	compression *Compression // or nil

	events  chan E
	send    chan M
	pumps   errgroup.Group
	ctx     context.Context // ends with the connection
	cancel  context.CancelCauseFunc
	in      input
	out     output[M]
	stall   stallWatch
	started time.Time

	// wake tells the write pump that there is something for it under mu.
	wake chan struct{}
	// attention is set whenever wake is worth looking at, so that the write pump need
	// not lock to see that nothing overtakes its data.
	attention atomic.Bool
	// room tells the read pump that queued pongs have been taken.
	room chan struct{}
	// freed is closed by the user's own Close: nobody waits for the consumer then.
	freed chan struct{}
	// written is closed when the write pump has written its last byte.
	written chan struct{}

	// deliveryMu orders the end of the event channel against idle events and a local
	// Close. It is held only for operations that do not block.
	deliveryMu sync.Mutex
	ending     bool        // no event but the terminal one is put any more
	ended      bool        // it has been put, and the channel is closed
	dropping   atomic.Bool // a local Close: data events are discarded

	mu           sync.Mutex // guards what follows
	closeTimeout time.Duration
	outbox       outbox[M]
	end          end[E]
	clocks       clocks

	midFrame   atomic.Bool // part of a frame has come: no pong can until the rest has
	publishing sync.Once
	lastActive atomic.Int64 // nanoseconds after started; see clocks.go
	progress   progress
	counters   counters
}

// Start runs the pumps. The Pump must be ended by Close or CloseNow.
func Start[E, M any](cfg Config[E, M]) *Pump[E, M] {
	p := &Pump[E, M]{
		conn:         cfg.Conn,
		client:       cfg.Client,
		opts:         cfg.Options,
		onDrop:       cfg.OnDrop,
		voc:          cfg.Vocabulary,
		compression:  cfg.Compression,
		events:       make(chan E, cfg.Options.EventBuffer),
		send:         make(chan M, cfg.Options.sendRoom()),
		wake:         make(chan struct{}, 1),
		room:         make(chan struct{}, 1),
		freed:        make(chan struct{}),
		written:      make(chan struct{}),
		started:      time.Now(),
		closeTimeout: cfg.Options.CloseTimeout,
	}
	p.tcp, _ = cfg.Conn.(*net.TCPConn)
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(cfg.Context))
	p.in.sequence = frame.Sequence{FromClient: !cfg.Client, RSV1: cfg.Compression != nil}
	p.in.open(cfg.Conn, cfg.Buffered)
	p.out.send = p.send
	if cfg.Client {
		p.out.keys = new(maskingKeys)
	}
	p.watchProgress()
	p.startClocks()
	p.pumps.Go(p.readLoop)
	p.pumps.Go(p.writeLoop)
	return p
}

// Events gives the channel of events.
func (p *Pump[E, M]) Events() <-chan E { return p.events }

// Send gives the channel of messages.
func (p *Pump[E, M]) Send() chan<- M { return p.send }

// Context ends with the connection; its cause is Err.
func (p *Pump[E, M]) Context() context.Context { return p.ctx }

// NetConn gives the connection below, for its addresses.
func (p *Pump[E, M]) NetConn() net.Conn { return p.conn }

// Err gives the terminal event after the end, nil before.
func (p *Pump[E, M]) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.end.published {
		return nil
	}
	return p.end.err()
}

// nudge makes the write pump look at what is under mu.
func (p *Pump[E, M]) nudge() {
	p.attention.Store(true)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
