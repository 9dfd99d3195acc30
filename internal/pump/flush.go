package pump

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// writeFailure is a write that failed. boundary is whether the bytes that were written end
// with a whole frame.
type writeFailure struct {
	err      error
	boundary bool
}

func (f *writeFailure) Error() string { return f.err.Error() }

// flush hands the batch to the operating system.
func (p *Pump[E, M]) flush() error {
	out := &p.out
	if len(out.batch) == 0 {
		if out.gathered != (tally{}) || len(out.unflushed) > 0 { // the last payload went out uncopied
			p.flushed()
		}
		return nil
	}
	started := p.startWrite()
	n, err := p.conn.Write(out.batch)
	if err := p.endWrite(started, n, err); err != nil {
		return err
	}
	p.flushed()
	return nil
}

// writeVectored hands the batch and a payload behind it to the operating system,
// uncopied.
func (p *Pump[E, M]) writeVectored(payload []byte) error {
	piece := payload[:min(len(payload), writePiece-len(p.out.batch))]
	both := net.Buffers{p.out.batch, piece}
	started := p.startWrite()
	n, err := both.WriteTo(p.tcp)
	if err := p.endWrite(started, int(n), err); err != nil {
		return err
	}
	p.flushed()
	return p.writeDirect(payload[len(piece):])
}

// writeDirect hands the rest of a payload to the operating system, uncopied. The
// batch is empty.
func (p *Pump[E, M]) writeDirect(payload []byte) error {
	for len(payload) > 0 {
		piece := payload[:min(len(payload), writePiece)]
		started := p.startWrite()
		n, err := p.conn.Write(piece)
		p.out.head, p.out.other = len(payload), true
		if err := p.endWrite(started, n, err); err != nil {
			return err
		}
		p.out.head, p.out.other = 0, false
		payload = payload[len(piece):]
	}
	return nil
}

func (p *Pump[E, M]) startWrite() (started time.Time) {
	if p.opts.WriteTimeout > 0 || p.opts.Trace.Flushed != nil {
		started = time.Now()
	}
	if p.opts.WriteTimeout > 0 {
		p.stall.begin(started)
	}
	p.progress.calls.Add(1)
	return started
}

func (p *Pump[E, M]) endWrite(started time.Time, n int, err error) error {
	out := &p.out
	if p.opts.WriteTimeout > 0 && p.stall.end() && err == nil {
		p.conn.SetWriteDeadline(time.Time{}) // the peer took the last byte just then
	}
	out.tally.bytes += uint64(n)
	p.counters.out.bytes.Store(out.tally.bytes)
	if out.other && n > 0 {
		p.progress.data.Store(out.tally.bytes)
		p.noteActivity()
	}
	p.progress.calls.Add(1)
	out.tally.calls++
	if p.opts.Trace.Flushed != nil {
		p.opts.Trace.Flushed(n, time.Since(started), err)
	}
	if err != nil {
		return &writeFailure{err, endsFrame(out.batch, out.head, n)}
	}
	return nil
}

// endsFrame reports whether the first n bytes of a batch end with a whole frame, where
// the first head bytes of it belong to a frame begun before.
func endsFrame(batch []byte, head, n int) bool {
	at := int64(head)
	for at < int64(n) {
		h, size, err := frame.Parse(batch[at:])
		if size == 0 || err != nil {
			return false
		}
		at += int64(size) + h.Length
	}
	return at == int64(n)
}

// flushed notes that the whole batch is with the operating system.
func (p *Pump[E, M]) flushed() {
	out := &p.out
	if out.keepalive || len(out.unflushed) > 0 {
		p.mu.Lock()
		if out.keepalive {
			p.keepaliveSent()
		}
		for i, e := range out.unflushed {
			e.finish(nil)
			out.unflushed[i] = nil
		}
		p.mu.Unlock()
		out.unflushed = out.unflushed[:0]
		if cap(out.unflushed) > maxKept {
			out.unflushed = nil
		}
	}
	out.tally.add(&out.gathered)
	out.gathered, out.head, out.keepalive, out.other = tally{}, 0, false, false
	out.batch = out.batch[:0]
	p.counters.out.publish(&out.tally)
}

// hold makes sure that there is a batch to gather in.
func (p *Pump[E, M]) hold() {
	if p.out.buf == nil {
		p.out.buf = buffers.Get().(*[bufferSize]byte)
		p.out.batch = p.out.buf[:0]
	}
}

// releaseBatch returns the empty batch's buffer to the pool before the pump waits.
func (p *Pump[E, M]) releaseBatch() {
	if p.out.buf != nil {
		buffers.Put(p.out.buf)
		p.out.buf, p.out.batch = nil, nil
	}
}

// writeFailed does what remains after a write that failed. That does not decide the
// end: the peer's last messages and its close frame are still read for a while.
func (p *Pump[E, M]) writeFailed(f *writeFailure) {
	p.mu.Lock()
	if p.end.decided {
		p.mu.Unlock()
		return
	}
	p.end.writeErr = p.failed(p.writeError(f.err))
	p.outbox.closing = true
	p.tellClosing()
	p.clocks.pong.stop()
	p.startLastWords()
	p.failEntries(p.end.writeErr)
	patient := p.patient()
	p.mu.Unlock()
	p.dropGathered()
	if _, encrypted := p.conn.(*tls.Conn); encrypted || !f.boundary || !errors.Is(f.err, os.ErrDeadlineExceeded) {
		return // nothing can follow
	}
	// The peer did not read in time, but the stream is whole: it may still learn why
	// this ends.
	p.hold()
	p.out.batch = p.encode(p.out.batch[:0],
		frame.Header{Fin: true, Opcode: frame.Close, Length: 2 + int64(len(writeTimedOut))},
		frame.AppendClose(nil, 1011, writeTimedOut))
	p.conn.SetWriteDeadline(time.Now().Add(patient))
	n, err := p.conn.Write(p.out.batch)
	p.out.tally.add(&tally{bytes: uint64(n), calls: 1})
	if err == nil {
		p.out.tally.frames++
		p.mu.Lock()
		p.end.closeSent = true
		p.mu.Unlock()
	}
}

const writeTimedOut = "write timed out"
