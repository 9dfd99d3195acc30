// Package pump runs a WebSocket connection: a read pump that turns bytes into events,
// and a write pump that turns messages into bytes.
//
// It knows nothing of HTTP, nor of the root package's types: [Types] makes its events
// and reads its messages. A connection has exactly two goroutines, the two pumps. All
// timers are time.AfterFunc.
//
// # Files
//
//   - pump.go: what a connection is made of; Start
//   - read.go, input.go, assembly.go, decompress.go: the read pump, from the socket to
//     a message
//   - deliver.go: from a message to the event channel
//   - send.go, requests.go: from the Send channel and from Write to the write pump
//   - control.go: pings, pongs and close frames, which overtake messages
//   - write.go, compress.go, masking.go, flush.go: the write pump, from a message to the
//     socket
//   - life.go: the states of a connection and every way to its end
//   - close.go: Close and its relatives, called by users
//   - socket.go: how the socket is closed
//   - timers.go, keepalive.go: the timers, idle events, and pings that want a pong
//   - stall.go, progress.go, sendqueue_*.go, tcpinfo_*.go: whether the peer takes what is
//     written
//   - buffer.go, recycle*.go: buffers and payloads that are used again
//   - options.go, errors*.go, rate.go, stats.go: limits, errors and counters
//
// # The facts about the end
//
// These fields, and no others, hold how a connection ends. All but the channels are
// guarded by mu.
//
//	state       how far the connection's life has come; see [state]
//	err         the terminal event, from stateEnded on
//	writeErr    a write that failed; it is the end unless the peer's close frame comes first
//	peerClosed  err is the peer's close frame
//	closedLocally  this side began the end
//	closeFrame  our close frame that overtakes messages, once it is queued
//	closeSent   our close frame, or one that has been queued as a message, is written
//	socket      who closes the socket; see [socketOwner]
//	userClosed  closed by the user's own Close or CloseNow
//	abandoned   nobody can reach the connection any more to close it
//	readerDone  closed when the read pump has ended: the terminal event is put, the socket closed
//	writerDone  closed when the write pump has written its last byte
//	closing     closed when state leaves stateOpen, for those who wait for that
//	ctx         cancelled at stateAnnounced, for those who wait for that
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

// Types makes events of type E from what was received, and reads messages of type M.
// The values that Closed and Failed return must be errors as well.
type Types[E, M any] struct {
	Text       func(string) E
	Binary     func([]byte) E
	Ping, Pong func([]byte) E
	Idle       func(time.Duration) E
	Closed     func(code int, reason string) E
	Failed     func(error) E

	// Outgoing returns what to write for a message.
	Outgoing func(M) Outgoing
	// Message returns a dropped event as a message, if it is one.
	Message func(E) (M, bool)
}

// Outgoing is a message as the write pump sees it. Payload is the payload of a data
// message, a ping or a pong. Code and Reason are those of a close frame. If Invalid is
// not empty, it says why the message cannot be sent.
type Outgoing struct {
	Opcode  frame.Opcode
	Payload []byte
	Code    int
	Reason  string
	Invalid string
}

// Config holds the arguments of [Start].
type Config[E, M any] struct {
	// Context provides the values of the connection's context. Its end is ignored.
	Context context.Context
	// Conn carries the frames that follow the bytes in Buffered.
	Conn     net.Conn
	Buffered []byte
	// Client reports which side this is. A client masks what it sends.
	Client  bool
	Options *Options // shared by connections, never changed
	OnDrop  func(M, error)
	Types   *Types[E, M]
	// Compression is nil if none was negotiated.
	Compression *Compression
}

// Pump is a running connection with its channels. Only its own methods know the types of
// events and messages.
type Pump[E, M any] struct {
	pump
	events chan E
	send   chan M
	types  *Types[E, M]
	onDrop func(M, error)
}

// pump is a connection without its channels.
type pump struct {
	conn        net.Conn
	tcp         *net.TCPConn // conn, if vectored writes pay on it
	client      bool
	opts        *Options
	compression *Compression // or nil
	delivery    delivery

	pumps   errgroup.Group
	ctx     context.Context // ends with the connection; its cause is err
	cancel  context.CancelCauseFunc
	started time.Time

	in  reader // used by the read pump alone
	out writer // used by the write pump alone

	stall    stallWatch
	progress progress

	// wake holds a token while control or requests has something for the write pump.
	wake chan struct{}

	userClosed chan struct{}
	readerDone chan struct{}
	writerDone chan struct{}
	closing    chan struct{}
	announcing sync.Once

	mu         sync.Mutex // guards what follows
	state      state
	err        error
	writeErr   error
	peerClosed bool
	closeFrame *closeFrame
	closeSent  bool
	socket     socketOwner
	afterEnd   func() // see AfterEnd
	// closedLocally reports that this side began the end, before anything else decided it.
	closedLocally bool
	// abandoned reports that nobody can reach the connection any more to close it.
	abandoned    bool
	closeTimeout time.Duration
	control      control
	requests     requests
	timers       timers
	pongSpace    sync.Cond // control has space for a pong again, or takes none any more

	frameInParts atomic.Bool  // part of a frame has come: no pong can come until it is complete
	lastActive   atomic.Int64 // nanoseconds after started; see timers.go
	counters     counters
}

// delivery is the event channel as the read pump and the timers see it. [Pump]
// implements it.
type delivery interface {
	// deliver puts a data event. payload belongs to the receiver.
	deliver(opcode frame.Opcode, payload []byte) error
	// deliverControl puts an event for a ping or pong, unless the channel is full. It
	// copies payload.
	deliverControl(opcode frame.Opcode, payload []byte)
	// deliverIdle puts an idle event, unless the channel is full. Called with mu held.
	deliverIdle(idle time.Duration)
	// offerTerminal puts the terminal event and closes the channel, if that needs no
	// waiting.
	offerTerminal() bool
	// putTerminal does the same, and waits for the consumer to make room.
	putTerminal()
	// emptyEvents discards what nobody has received. Called with mu held.
	emptyEvents()

	closedError(code int, reason string) error
	failedError(error) error
}

// Start runs the pumps. The Pump must be ended by Close or CloseNow.
func Start[E, M any](cfg Config[E, M]) *Pump[E, M] {
	p := &Pump[E, M]{
		pump: pump{
			conn:         cfg.Conn,
			client:       cfg.Client,
			opts:         cfg.Options,
			compression:  cfg.Compression,
			wake:         make(chan struct{}, 1),
			userClosed:   make(chan struct{}),
			readerDone:   make(chan struct{}),
			writerDone:   make(chan struct{}),
			closing:      make(chan struct{}),
			started:      time.Now(),
			closeTimeout: cfg.Options.CloseTimeout,
		},
		events: make(chan E, cfg.Options.EventBuffer),
		send:   make(chan M, cfg.Options.sendRoom()),
		types:  cfg.Types,
		onDrop: cfg.OnDrop,
	}
	p.delivery = p
	p.pongSpace.L = &p.mu
	p.tcp, _ = cfg.Conn.(*net.TCPConn)
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(cfg.Context))
	p.in.sequence = frame.Sequence{FromClient: !cfg.Client, RSV1: cfg.Compression != nil}
	p.in.open(cfg.Conn, cfg.Buffered)
	if cfg.Client {
		p.out.keys = new(maskingKeys)
	}
	p.watchProgress()
	p.startTimers()
	p.pumps.Go(p.readLoop)
	p.pumps.Go(p.writeLoop)
	return p
}

// Events returns the channel of events.
func (p *Pump[E, M]) Events() <-chan E { return p.events }

// Send returns the channel of messages.
func (p *Pump[E, M]) Send() chan<- M { return p.send }

// Context returns a context that is cancelled when the connection has ended, with Err
// as its cause.
func (p *pump) Context() context.Context { return p.ctx }

// NetConn returns the connection below, for its addresses.
func (p *pump) NetConn() net.Conn { return p.conn }

// isClosed reports whether a channel that nobody sends on is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wakeWriter makes the write pump look at control and requests.
func (p *pump) wakeWriter() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
