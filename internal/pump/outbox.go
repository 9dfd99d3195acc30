package pump

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/frame"
)

// outbox is what reaches the write pump past the Send channel. It is guarded by mu.
type outbox[M any] struct {
	// urgent holds encoded pings and pongs, which overtake data at the next frame
	// boundary. It is bounded: at the bound the read pump waits.
	urgent      []byte
	pings       uint64 // how many urgent holds
	pongs       uint64
	roomWanted  bool // the read pump waits for room in urgent
	urgentClose *closeFrame
	queue       []*entry // in order, from head; each goes after what Send held when it was queued
	head        int
	free        []*entry
	closing     bool // a close frame is queued: no further message
	done        bool // the write pump has written its last byte
	released    bool // the write pump may end
	// keepaliveUnsent tells that the library's last ping is not with the operating
	// system yet.
	keepaliveUnsent bool
}

// waiting tells whether entries wait.
func (o *outbox[M]) waiting() bool { return o.head < len(o.queue) }

func (o *outbox[M]) push(e *entry) { o.queue = append(o.queue, e) }

func (o *outbox[M]) pop() *entry {
	e := o.queue[o.head]
	o.queue[o.head] = nil
	if o.head++; o.head == len(o.queue) {
		o.queue, o.head = o.queue[:0], 0
		if cap(o.queue) > maxKept {
			o.queue = nil
		}
	}
	return e
}

// remove takes an entry out of the queue.
func (o *outbox[M]) remove(e *entry) {
	if i := slices.Index(o.queue[o.head:], e); i >= 0 {
		o.queue = slices.Delete(o.queue, o.head+i, o.head+i+1)
	}
}

// maxKept bounds the slices of entries that an idle connection keeps.
const maxKept = 16

// maxUrgent bounds the encoded pings and pongs that wait, in bytes.
const maxUrgent = 4 << 10

// maxFree is how many entries are kept for the next Write.
const maxFree = 4

// closeFrame is the content of a close frame; code 1005 is none.
type closeFrame struct {
	code   int
	reason string
}

// entry is a message given to Write, or a local Close's frame.
type entry struct {
	message Outgoing
	rest    []byte // what is not yet copied or written
	begun   bool   // the first byte is on its way
	orphan  bool   // nobody waits any more
	copied  bool   // rest may be taken from the waiter at any time: copy under mu
	result  chan error
}

// finish tells the waiter.
func (e *entry) finish(err error) {
	e.rest, e.message = nil, Outgoing{}
	if !e.orphan {
		e.result <- err
	}
}

// check tells why a message cannot be sent, or nil.
func (m *Outgoing) check() error {
	reason := m.Invalid
	if reason == "" {
		switch m.Opcode {
		case frame.Ping, frame.Pong:
			if len(m.Payload) > frame.MaxControlPayload {
				reason = fmt.Sprintf("%v of %d bytes, more than %d", m.Opcode, len(m.Payload), frame.MaxControlPayload)
			}
		case frame.Close:
			reason = checkClose(m.Code, m.Reason)
		case frame.Text:
			if !utf8.Valid(m.Payload) {
				reason = "text is not valid UTF-8"
			}
		}
	}
	if reason == "" {
		return nil
	}
	return fmt.Errorf("chanws: %w: %s", ErrInvalidMessage, reason)
}

func checkClose(code int, reason string) string {
	switch {
	case !frame.ValidCode(code):
		return fmt.Sprintf("close code %d must not be sent", code)
	case len(reason) > frame.MaxControlPayload-2:
		return fmt.Sprintf("close reason of %d bytes, more than %d", len(reason), frame.MaxControlPayload-2)
	case !utf8.ValidString(reason):
		return "close reason is not valid UTF-8"
	}
	return ""
}

// Write sends one message, and returns when it is with the operating system, when
// ctx ends, or when it cannot be sent.
func (p *Pump[E, M]) Write(ctx context.Context, m M) error {
	out := p.voc.Outgoing(m)
	if err := out.check(); err != nil {
		return err
	}
	return p.submit(ctx, out)
}

// flushMark is the opcode of an entry that is no message: it only marks its place in
// the line.
const flushMark frame.Opcode = 0xff

// Flush returns when all that the caller has sent or written before is with the
// operating system, or as Write does.
func (p *Pump[E, M]) Flush(ctx context.Context) error {
	return p.submit(ctx, Outgoing{Opcode: flushMark})
}

// submit queues an entry and waits for it.
func (p *Pump[E, M]) submit(ctx context.Context, out Outgoing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if err := p.refusal(); err != nil {
		p.mu.Unlock()
		return err
	}
	e := p.newEntry(out)
	e.copied = ctx.Done() != nil
	if out.Opcode == frame.Close {
		p.closeQueued()
	}
	p.outbox.push(e)
	p.mu.Unlock()
	p.nudge()

	var err error
	select {
	case err = <-e.result:
	case <-ctx.Done():
		if err = p.withdraw(e); err == nil {
			return ctx.Err()
		}
		err = <-e.result
	}
	p.mu.Lock()
	if len(p.outbox.free) < maxFree {
		p.outbox.free = append(p.outbox.free, e)
	}
	p.mu.Unlock()
	return err
}

// errTold tells that an entry has its result already.
var errTold = errors.New("told")

// withdraw takes the caller's bytes back from an entry: nil, unless it has been
// finished.
func (p *Pump[E, M]) withdraw(e *entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(e.result) > 0 {
		return errTold
	}
	e.orphan = true
	if e.begun {
		e.rest = slices.Clone(e.rest)
		return nil
	}
	if e.message.Opcode == frame.Close {
		return nil // it is queued, and stays so
	}
	p.outbox.remove(e)
	return nil
}

func (p *Pump[E, M]) newEntry(m Outgoing) *entry {
	var e *entry
	if n := len(p.outbox.free); n > 0 {
		e = p.outbox.free[n-1]
		p.outbox.free = p.outbox.free[:n-1]
		*e = entry{result: e.result}
	} else {
		e = &entry{result: make(chan error, 1)}
	}
	e.message, e.rest = m, m.Payload
	return e
}

// refusal tells why no message is taken any more, or nil. Called with mu held.
func (p *Pump[E, M]) refusal() error {
	switch {
	case p.end.published:
		return p.end.err()
	case p.end.writeErr != nil:
		return p.end.writeErr
	case p.outbox.closing:
		return errClosing
	case p.end.decided:
		return p.end.err() // it is about to be published
	}
	return nil
}

// queuePong answers a ping. At the bound it waits for the write pump, so that no
// pong is dropped.
func (p *Pump[E, M]) queuePong(payload []byte) {
	size := frame.MaxHeaderSize + len(payload)
	p.mu.Lock()
	for len(p.outbox.urgent)+size > maxUrgent && !p.outbox.done {
		p.outbox.roomWanted = true
		p.mu.Unlock()
		p.counters.in.publish(&p.in.tally)
		p.pauseClocks()
		<-p.room
		p.resumeClocks()
		p.mu.Lock()
	}
	if p.outbox.done {
		p.mu.Unlock()
		return
	}
	p.appendUrgent(frame.Pong, payload)
	p.outbox.pongs++
	p.mu.Unlock()
	p.nudge()
	p.traceSent(frame.Header{Fin: true, Opcode: frame.Pong, Length: int64(len(payload))})
}

// appendUrgent encodes a control frame into urgent. Called with mu held.
func (p *Pump[E, M]) appendUrgent(opcode frame.Opcode, payload []byte) {
	p.outbox.urgent = p.encode(p.outbox.urgent, frame.Header{Fin: true, Opcode: opcode, Length: int64(len(payload))}, payload)
}

// queueUrgentClose queues the close frame that answers the peer's, or an error,
// unless none can follow. Called with mu held.
func (p *Pump[E, M]) queueUrgentClose(code int, reason string) {
	if p.outbox.done || p.end.closeSent || p.outbox.urgentClose != nil {
		return
	}
	p.outbox.urgentClose = &closeFrame{code, reason}
	p.closeQueued()
	p.armCloseTimer(p.closeTimeout)
}

// queueClose queues a close frame after what Send holds now, unless one is queued.
// Called with mu held.
func (p *Pump[E, M]) queueClose(code int, reason string) {
	if p.outbox.closing || p.end.decided || p.outbox.done {
		return
	}
	e := p.newEntry(Outgoing{Opcode: frame.Close, Code: code, Reason: reason})
	e.orphan = true
	p.closeQueued()
	p.outbox.push(e)
}

// closeQueued notes that a close frame is queued: no message follows, and the peer's
// time to answer runs. Called with mu held.
func (p *Pump[E, M]) closeQueued() {
	if p.outbox.urgentClose == nil {
		p.noteOurs()
	}
	p.outbox.closing = true
	p.tellClosing()
	p.clocks.pong.stop() // a peer that closes need not answer pings
	p.armCloseTimer(p.closeTimeout)
}
