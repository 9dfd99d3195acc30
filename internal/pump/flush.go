package pump

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/chanws/chanws/internal/frame"
)

// writeFailure is a write that failed. wholeFrames reports that the bytes that were
// written end with a whole frame.
type writeFailure struct {
	err         error
	wholeFrames bool
}

func (f *writeFailure) Error() string { return f.err.Error() }

// flush writes the batch.
func (p *pump) flush() error {
	out := &p.out
	if len(out.batch) == 0 {
		if out.gathered != (counts{}) || len(out.unflushed) > 0 { // the last payload went out uncopied
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

// writeVectored writes the batch and, uncopied, a payload that follows it.
func (p *pump) writeVectored(payload []byte) error {
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

// writeDirect writes the rest of a payload uncopied. The batch is empty.
func (p *pump) writeDirect(payload []byte) error {
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

// startWrite is called before each call that writes.
func (p *pump) startWrite() (started time.Time) {
	if p.opts.WriteTimeout > 0 || p.opts.Trace.Flushed != nil {
		started = time.Now()
	}
	if p.opts.WriteTimeout > 0 {
		p.stall.begin(started)
	}
	p.progress.calls.Add(1)
	return started
}

// endWrite is called after each call that writes.
func (p *pump) endWrite(started time.Time, n int, err error) error {
	out := &p.out
	if p.opts.WriteTimeout > 0 && p.stall.end() && err == nil {
		p.conn.SetWriteDeadline(time.Time{}) // the peer took the last byte just then
	}
	out.counts.bytes += uint64(n)
	p.counters.out.bytes.Store(out.counts.bytes)
	if out.other && n > 0 {
		p.progress.data.Store(out.counts.bytes)
		p.noteActivity()
	}
	p.progress.calls.Add(1)
	out.counts.calls++
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

// flushed notes that the whole batch is written.
func (p *pump) flushed() {
	out := &p.out
	if out.keepalive || len(out.unflushed) > 0 {
		p.mu.Lock()
		if out.keepalive {
			p.pingWritten()
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
	out.counts.add(&out.gathered)
	out.gathered, out.head, out.keepalive, out.other = counts{}, 0, false, false
	out.batch = out.batch[:0]
	p.counters.out.publish(&out.counts)
}

// getBatch takes a buffer for the batch from the pool, if there is none.
func (p *pump) getBatch() {
	if p.out.buf == nil {
		p.out.buf = buffers.Get().(*[bufferSize]byte)
		p.out.batch = p.out.buf[:0]
	}
}

// putBatch puts the buffer of the empty batch back before the pump waits.
func (p *pump) putBatch() {
	if p.out.buf != nil {
		buffers.Put(p.out.buf)
		p.out.buf, p.out.batch = nil, nil
	}
}

// writeFailed ends the writing after a write that failed. The connection does not end yet:
// the peer's last messages and its close frame are still read for up to CloseTimeout.
func (p *pump) writeFailed(f *writeFailure) {
	p.mu.Lock()
	if p.state >= stateEnded {
		p.mu.Unlock()
		return
	}
	p.writeErr = p.delivery.failedError(p.writeError(f.err))
	p.advance(stateClosing)
	p.startDrain()
	p.pongSpace.Signal()
	p.failRequests(p.writeErr)
	limit := p.boundedCloseTimeout()
	p.mu.Unlock()
	p.dropGathered()
	if _, encrypted := p.conn.(*tls.Conn); encrypted || !f.wholeFrames || !errors.Is(f.err, os.ErrDeadlineExceeded) {
		return // nothing can follow
	}
	// The peer did not read in time, but it can still decode what follows: tell it why the
	// connection ends.
	p.getBatch()
	p.out.batch = p.encode(p.out.batch[:0],
		frame.Header{Fin: true, Opcode: frame.Close, Length: 2 + int64(len(writeTimedOut))},
		frame.AppendClose(nil, 1011, writeTimedOut))
	p.conn.SetWriteDeadline(time.Now().Add(limit))
	n, err := p.conn.Write(p.out.batch)
	p.out.counts.add(&counts{bytes: uint64(n), calls: 1})
	if err == nil {
		p.out.counts.frames++
		p.mu.Lock()
		p.closeSent = true
		p.mu.Unlock()
	}
}

const writeTimedOut = "write timed out"
