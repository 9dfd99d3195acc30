package pump

import (
	"errors"

	"github.com/chanws/chanws/internal/frame"
)

// writer is the state of the write pump: the frames that it has gathered and not yet
// given to the operating system. Nobody else uses it, but for the requests in hand,
// which are failed at the end.
type writer struct {
	buf   *[bufferSize]byte // nil while there is nothing to write
	batch []byte            // of buf
	// head is how many bytes at the start of batch belong to a frame begun before.
	head int
	// current is the request whose frames are being gathered. unflushed are those that
	// are gathered to their last byte.
	current   *writeRequest
	unflushed []*writeRequest
	keys      *maskingKeys // of a client
	// gathered counts what has its last byte in batch, counts what was flushed.
	gathered, counts counts
	keepalive        bool // the library's ping is in batch
	other            bool // something else is
}

// writePiece bounds what one call writes, so that timeouts see progress in a large
// message.
const writePiece = 64 << 10

// vectored is the payload size from which copying costs more than a vectored write.
const vectored = 8 << 10

// errWritten ends the writing: the close frame is out, or nothing may follow.
var errWritten = errors.New("everything is written")

// controlPending reports whether control frames or requests wait for the write pump.
func (p *pump) controlPending() bool { return len(p.wake) > 0 }

// writeRequested gathers a message given to Write, or a local Close's frame.
func (p *pump) writeRequested(w *writeRequest) error {
	switch w.message.Opcode {
	case frame.Close:
		return p.writeLast(w.message.Code, w.message.Reason, w)
	case flushMark:
		p.out.current, p.out.unflushed = nil, append(p.out.unflushed, w)
		return nil
	}
	p.mu.Lock()
	if w.abandoned {
		p.mu.Unlock()
		p.out.current = nil
		return nil
	}
	w.started = true
	p.mu.Unlock()
	if err := p.writeMessage(&w.message, w); err != nil {
		return err
	}
	p.out.current = nil
	p.out.unflushed = append(p.out.unflushed, w)
	return nil
}

// writeMessage gathers a message: compressed, if that was negotiated and makes it
// smaller, and in fragments if it is larger than FragmentSize. w is its request, or nil.
func (p *pump) writeMessage(m *Outgoing, w *writeRequest) error {
	done, err := false, error(nil)
	if p.compresses(m) {
		done, err = p.writeCompressed(m, w)
	}
	if !done && err == nil {
		err = p.writeFragments(m.Opcode, m.Payload, false, w)
	}
	if err != nil {
		p.counters.droppedMessages.Add(1)
		return err
	}
	switch m.Opcode {
	case frame.Ping:
		p.out.gathered.pings++
	case frame.Pong:
		p.out.gathered.pongs++
	default:
		p.out.gathered.messages++
	}
	return nil
}

// writeFragments gathers the frames of a message.
func (p *pump) writeFragments(opcode frame.Opcode, rest []byte, compressed bool, w *writeRequest) error {
	for {
		if p.controlPending() {
			if err := p.writeControl(); err != nil {
				return err
			}
		}
		n := len(rest)
		if int64(n) > p.opts.FragmentSize && !opcode.Control() {
			n = int(p.opts.FragmentSize)
		}
		fin := n == len(rest)
		h := frame.Header{Fin: fin, RSV1: compressed, Opcode: opcode, Length: int64(n)}
		if err := p.writeFrame(h, rest[:n], w); err != nil || fin {
			return err
		}
		rest, opcode, compressed = rest[n:], frame.Continuation, false
	}
}

// writeFrame gathers one frame. Its payload is copied into the batch, unless it is
// large and may be written from where it is.
func (p *pump) writeFrame(h frame.Header, payload []byte, w *writeRequest) error {
	out := &p.out
	cancellable := w != nil && w.cancellable
	if bufferSize-len(out.batch) < frame.MaxHeaderSize {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.getBatch()
	out.other = true
	out.gathered.frames++
	if p.client {
		h.Masked, h.Key = true, out.keys.next()
	}
	out.batch = h.Append(out.batch)
	p.traceSent(h)
	uncopied := !p.client && !cancellable && !(p.tcp != nil && copiesSlowly(payload, len(out.batch)))
	if uncopied && p.tcp != nil && len(payload) >= vectored {
		return p.writeVectored(payload)
	}
	key := h.Key
	for {
		n := min(len(payload), bufferSize-len(out.batch))
		dst := out.batch[len(out.batch) : len(out.batch)+n]
		out.batch = out.batch[:len(out.batch)+n]
		if cancellable {
			p.mu.Lock()
			key = p.copyPayload(dst, w.rest, key)
			w.rest = w.rest[n:]
			p.mu.Unlock()
		} else {
			key = p.copyPayload(dst, payload, key)
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		if uncopied && len(payload) >= bufferSize {
			return p.writeDirect(payload)
		}
		p.getBatch()
		out.head, out.other = len(payload), true
	}
}

// copyPayload fills dst from src, masked on a client.
func (p *pump) copyPayload(dst, src []byte, key uint32) uint32 {
	if p.client {
		return frame.MaskTo(dst, src[:len(dst)], key)
	}
	copy(dst, src)
	return 0
}

// writeLast writes a close frame in its turn, after the pongs that wait, unless another
// close frame overtakes it.
func (p *pump) writeLast(code int, reason string, w *writeRequest) error {
	if err := p.writeControl(); err != nil {
		return err
	}
	return p.writeClose(code, reason, w)
}

// writeClose writes a close frame, which is the last frame. w is its request, or nil.
func (p *pump) writeClose(code int, reason string, w *writeRequest) error {
	payload := frame.AppendClose(make([]byte, 0, frame.MaxControlPayload), code, reason)
	if err := p.writeFrame(frame.Header{Fin: true, Opcode: frame.Close, Length: int64(len(payload))}, payload, nil); err != nil {
		return err
	}
	if w != nil {
		p.out.current, p.out.unflushed = nil, append(p.out.unflushed, w)
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.mu.Lock()
	p.closeSent = true
	p.mu.Unlock()
	return errWritten
}

// encode appends a whole frame to dst.
func (p *pump) encode(dst []byte, h frame.Header, payload []byte) []byte {
	if p.client {
		h.Masked, h.Key = true, randomKey()
	}
	dst = h.Append(dst)
	n := len(dst)
	dst = append(dst, payload...)
	if p.client {
		frame.Mask(dst[n:], h.Key)
	}
	return dst
}

// traceSent calls the hook for a frame that has been encoded. Called without mu.
func (p *pump) traceSent(h frame.Header) {
	if p.opts.Trace.FrameSent != nil {
		p.opts.Trace.FrameSent(h)
	}
}

// writeEnded notes that the write pump has written its last byte. Requests that wait
// are failed with the end, once that is decided, and otherwise because our close frame
// is out.
func (p *pump) writeEnded() {
	p.dropGathered()
	p.putBatch()
	if p.compression != nil {
		p.compression.Encoder = nil // its window
	}
	p.counters.out.publish(&p.out.counts)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.writerDone)
	p.control.frames = nil
	p.pongSpace.Signal()
	switch {
	case p.state >= stateAnnounced:
		p.failRequests(p.err)
	case p.state < stateEnded:
		p.failRequests(errClosing)
	default:
		// announce fails them, which is about to be called.
	}
}

// dropGathered counts the messages in a batch that will not be written.
func (p *pump) dropGathered() {
	p.counters.droppedMessages.Add(p.out.gathered.messages)
	p.out.gathered = counts{}
}
