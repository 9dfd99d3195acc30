package pump

import (
	"context"
	"errors"
	"net"
	"time"
)

var (
	ErrInvalidMessage = errors.New("invalid message")
	ErrOverflow       = errors.New("event channel full")
)

type Options struct{}
type Vocabulary[E, M any] struct{}
type Pump[E, M any] struct{}
type Config[E, M any] struct {
	Context    context.Context
	Conn       net.Conn
	Buffered   []byte
	Client     bool
	Options    Options
	Vocabulary *Vocabulary[E, M]
}

func Start[E, M any](cfg Config[E, M]) *Pump[E, M]                           { panic("soon") }
func (p *Pump[E, M]) Events() <-chan E                                        { panic("soon") }
func (p *Pump[E, M]) Send() chan<- M                                          { panic("soon") }
func (p *Pump[E, M]) Write(ctx context.Context, m M) error                    { panic("soon") }
func (p *Pump[E, M]) Close(ctx context.Context, code int, reason string) error { panic("soon") }
func (p *Pump[E, M]) CloseNow() error                                         { panic("soon") }
func (p *Pump[E, M]) Context() context.Context                                { panic("soon") }
func (p *Pump[E, M]) Err() error                                              { panic("soon") }
func (p *Pump[E, M]) NetConn() net.Conn                                       { panic("soon") }
func (p *Pump[E, M]) Stats() Stats                                            { panic("soon") }

// Shutdown queues a close frame as Listener.Shutdown does: no waiting, nothing discarded.
func (p *Pump[E, M]) Shutdown(code int, reason string) { panic("soon") }

// Kill ends the connection at once with net.ErrClosed, as Listener.Close does, without waiting; the user's own Close is still due.
func (p *Pump[E, M]) Kill() { panic("soon") }

type Stats struct {
	MessagesReceived, MessagesSent uint64
	FramesReceived, FramesSent     uint64
	BytesReceived, BytesSent       uint64
	PingsReceived, PingsSent       uint64
	PongsReceived, PongsSent       uint64
	Reads, Flushes                 uint64

	DroppedEvents, DroppedMessages uint64
}

func Recycle(b []byte) {}

var _ time.Duration
