package pump

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/chanws/chanws/internal/frame"
)

// requests holds the messages given to Write, in order. Each goes after what Send held
// when it was queued. It is guarded by mu.
type requests struct {
	queue []*writeRequest // from head
	head  int
	free  []*writeRequest
}

// A writeRequest is a message given to Write, a flush, or a local Close's frame.
type writeRequest struct {
	message   Outgoing
	rest      []byte // what is not yet copied or written
	started   bool   // the first byte is on its way
	abandoned bool   // nobody waits for it any more
	// cancellable reports that the caller may take rest back at any time: copy it
	// under mu.
	cancellable bool
	result      chan error
}

const (
	// maxKept bounds the slices of requests that an idle connection keeps.
	maxKept = 16
	// maxFree is how many requests are kept for the next Write.
	maxFree = 4
)

// flushMark is the opcode of a request that is no message: it only marks a place in the
// queue.
const flushMark frame.Opcode = 0xff

// waiting reports whether requests wait.
func (r *requests) waiting() bool { return r.head < len(r.queue) }

func (r *requests) push(w *writeRequest) { r.queue = append(r.queue, w) }

func (r *requests) pop() *writeRequest {
	w := r.queue[r.head]
	r.queue[r.head] = nil
	if r.head++; r.head == len(r.queue) {
		r.queue, r.head = r.queue[:0], 0
		if cap(r.queue) > maxKept {
			r.queue = nil
		}
	}
	return w
}

// remove takes a request out of the queue.
func (r *requests) remove(w *writeRequest) {
	if i := slices.Index(r.queue[r.head:], w); i >= 0 {
		r.queue = slices.Delete(r.queue, r.head+i, r.head+i+1)
	}
}

// make returns a request for a message, which is not queued yet.
func (r *requests) make(m Outgoing) *writeRequest {
	w := &writeRequest{}
	if n := len(r.free); n > 0 {
		w = r.free[n-1]
		r.free = r.free[:n-1]
	}
	if w.result == nil {
		w.result = make(chan error, 1)
	}
	*w = writeRequest{message: m, rest: m.Payload, result: w.result}
	return w
}

// finish ends a request with its result.
func (w *writeRequest) finish(err error) {
	w.rest, w.message = nil, Outgoing{}
	if !w.abandoned {
		w.result <- err
	}
}

// check returns an error that says why a message cannot be sent, or nil.
func (m *Outgoing) check() error {
	var wrong error
	switch {
	case m.Invalid != "":
		wrong = errors.New(m.Invalid)
	case m.Opcode == frame.Ping, m.Opcode == frame.Pong:
		wrong = frame.CheckControl(m.Opcode, len(m.Payload))
	case m.Opcode == frame.Close:
		wrong = frame.CheckClose(m.Code, m.Reason)
	case m.Opcode == frame.Text:
		wrong = frame.CheckText(m.Payload)
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("chanws: %w: %w", ErrInvalidMessage, wrong)
}

// Write sends one message. It returns when the operating system has it, when ctx
// ends, or when it cannot be sent.
func (p *Pump[E, M]) Write(ctx context.Context, m M) error {
	out := p.types.Outgoing(m)
	if err := out.check(); err != nil {
		return err
	}
	return p.request(ctx, out)
}

// Flush returns when the operating system has everything that the caller has sent or
// written before, or as Write does.
func (p *pump) Flush(ctx context.Context) error {
	return p.request(ctx, Outgoing{Opcode: flushMark})
}

// request queues a request and waits for its result.
func (p *pump) request(ctx context.Context, m Outgoing) error {
	if ctx == nil {
		return ErrNilContext
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if err := p.refusal(); err != nil {
		p.mu.Unlock()
		return err
	}
	w := p.requests.make(m)
	w.cancellable = ctx.Done() != nil
	if m.Opcode == frame.Close {
		p.closeQueued()
	}
	p.requests.push(w)
	p.mu.Unlock()
	p.wakeWriter()

	var err error
	select {
	case err = <-w.result:
	case <-ctx.Done():
		if err = p.withdraw(w); err == nil {
			return ctx.Err()
		}
		err = <-w.result
	}
	p.mu.Lock()
	if len(p.requests.free) < maxFree {
		p.requests.free = append(p.requests.free, w)
	}
	p.mu.Unlock()
	return err
}

// errFinished says that a request has its result already.
var errFinished = errors.New("the request has its result")

// withdraw takes the caller's bytes back from a request. It returns nil, unless the
// request has been finished.
func (p *pump) withdraw(w *writeRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(w.result) > 0 {
		return errFinished
	}
	w.abandoned = true
	if w.started {
		w.rest = slices.Clone(w.rest)
		return nil
	}
	if w.message.Opcode == frame.Close {
		return nil // it is queued, and stays so
	}
	p.requests.remove(w)
	return nil
}

// queueClose queues a close frame after what Send holds now, unless a close frame is
// queued or none can follow. Called with mu held.
func (p *pump) queueClose(code int, reason string) {
	if p.state != stateOpen {
		return
	}
	w := p.requests.make(Outgoing{Opcode: frame.Close, Code: code, Reason: reason})
	w.abandoned = true
	p.closeQueued()
	p.requests.push(w)
}

// takeRequests returns the requests that the write pump had in hand. Called with mu
// held, by the write pump.
func (p *pump) takeRequests() []*writeRequest {
	taken := p.out.unflushed
	if p.out.current != nil {
		taken = append(taken, p.out.current)
	}
	p.out.current, p.out.unflushed = nil, nil
	return taken
}

// failRequests ends every Write that waits. Called with mu held, by the write pump or
// after its end.
func (p *pump) failRequests(err error) {
	for _, w := range append(p.takeRequests(), p.requests.queue[p.requests.head:]...) {
		w.finish(err)
	}
	p.requests.queue, p.requests.head = nil, 0
}
