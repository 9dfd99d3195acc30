package pump

import (
	"errors"

	"github.com/chanws/chanws/internal/frame"
)

// output is what the write pump alone uses: the frames that it has gathered and not
// yet handed to the operating system.
type output[M any] struct {
	send  chan M
	buf   *[bufferSize]byte // nil while there is nothing to write
	batch []byte            // of buf
	// head is how many bytes at the start of batch belong to a frame begun before.
	head int
	// current is the entry whose frames are being gathered, unflushed those that are
	// gathered to their last byte.
	current   *entry
	unflushed []*entry
	keys      *maskingKeys // of a client
	// gathered counts what has its last byte in batch, tally what was flushed.
	// keepalive tells that the library's ping is in batch, and other that something else
	// is.
	gathered, tally  tally
	keepalive, other bool
}

// writePiece bounds what one call writes, so that WriteTimeout and the keepalive see
// progress in a large message.
const writePiece = 64 << 10

// vectored is the payload size from which copying costs more than a vectored write.
const vectored = 8 << 10

// errWritten ends the writing: the close frame is out, or nothing may follow.
var errWritten = errors.New("everything is written")

// writeLoop is the write pump. It writes until a close frame is out or nothing can
// be written any more; then it discards what is sent, until the user has closed.
func (p *Pump[E, M]) writeLoop() error {
	var failure *writeFailure
	if errors.As(p.write(), &failure) {
		p.writeFailed(failure)
	}
	p.endWriting()
	p.discard()
	return nil
}

// write gathers what there is to write and calls the operating system when there is
// no more, or when the buffer is full.
func (p *Pump[E, M]) write() error {
	for {
		if p.attention.Load() {
			if err := p.attend(); err != nil {
				return err
			}
			continue
		}
		select {
		case m, ok := <-p.out.send:
			if err := p.writeMessage(m, ok); err != nil {
				return err
			}
			continue
		default:
		}
		if err := p.flush(); err != nil {
			return err
		}
		p.releaseBatch()
		select {
		case m, ok := <-p.out.send:
			if err := p.writeMessage(m, ok); err != nil {
				return err
			}
		case <-p.wake:
		}
	}
}

// attend writes what does not come through Send: what is urgent, then one entry.
func (p *Pump[E, M]) attend() error {
	if err := p.boundary(); err != nil {
		return err
	}
	p.mu.Lock()
	if !p.outbox.waiting() {
		p.mu.Unlock()
		return nil
	}
	e := p.outbox.pop()
	p.mu.Unlock()
	p.out.current = e
	// One more than Send holds: it may have been closed before.
	for n, more := len(p.out.send)+1, true; n > 0 && more; n-- {
		select {
		case m, ok := <-p.out.send:
			if err := p.writeMessage(m, ok); err != nil {
				return err
			}
		default:
			more = false
		}
	}
	return p.writeEntry(e)
}

// boundary is called between two frames. It gathers the pings and pongs that wait,
// and ends the writing with a close frame that is urgent.
func (p *Pump[E, M]) boundary() error {
	p.mu.Lock()
	p.attention.Store(p.outbox.waiting()) // those are for attend
	for len(p.outbox.urgent) > 0 {
		if len(p.out.batch)+len(p.outbox.urgent) > bufferSize {
			p.mu.Unlock()
			if err := p.flush(); err != nil {
				return err
			}
			p.mu.Lock()
			continue
		}
		p.gatherUrgent()
	}
	closing, decided := p.outbox.urgentClose, p.end.decided
	p.mu.Unlock()
	if closing != nil {
		return p.writeClose(closing.code, closing.reason, nil)
	}
	if decided {
		return errWritten
	}
	return nil
}

// gatherUrgent takes all pings and pongs that wait. Called with mu held.
func (p *Pump[E, M]) gatherUrgent() {
	o := &p.outbox
	p.hold()
	p.out.batch = append(p.out.batch, o.urgent...)
	p.out.gathered.frames += o.pings + o.pongs
	p.out.gathered.pings += o.pings
	p.out.gathered.pongs += o.pongs
	if o.pongs > 0 {
		p.out.other = true
	}
	p.out.keepalive = p.out.keepalive || o.pings > 0
	o.pings, o.pongs = 0, 0
	o.urgent = o.urgent[:0]
	if cap(o.urgent) > 512 {
		o.urgent = nil
	}
	p.signalRoom()
}

// signalRoom lets the read pump queue pongs again. Called with mu held.
func (p *Pump[E, M]) signalRoom() {
	if p.outbox.roomWanted {
		p.outbox.roomWanted = false
		p.room <- struct{}{}
	}
}

// writeMessage gathers a message that came through Send; !ok is a closed Send.
func (p *Pump[E, M]) writeMessage(m M, ok bool) error {
	out := Outgoing{Opcode: frame.Close, Code: 1000}
	if ok {
		out = p.voc.Outgoing(m)
		if err := out.check(); err != nil {
			p.drop(m, err)
			return nil
		}
	}
	if out.Opcode == frame.Close {
		p.mu.Lock()
		p.closeQueued()
		p.mu.Unlock()
		return p.writeLast(out.Code, out.Reason, nil)
	}
	return p.writeFrames(&out, nil)
}

// writeEntry gathers a message given to Write, or a local Close's frame.
func (p *Pump[E, M]) writeEntry(e *entry) error {
	switch e.message.Opcode {
	case frame.Close:
		return p.writeLast(e.message.Code, e.message.Reason, e)
	case flushMark:
		p.out.current, p.out.unflushed = nil, append(p.out.unflushed, e)
		return nil
	}
	p.mu.Lock()
	if e.orphan {
		p.mu.Unlock()
		p.out.current = nil
		return nil
	}
	e.begun = true
	p.mu.Unlock()
	if err := p.writeFrames(&e.message, e); err != nil {
		return err
	}
	p.out.current = nil
	p.out.unflushed = append(p.out.unflushed, e)
	return nil
}

// writeFrames gathers a message, in fragments where it is larger than FragmentSize.
func (p *Pump[E, M]) writeFrames(m *Outgoing, e *entry) error {
	if err := p.writeData(m, e); err != nil {
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

func (p *Pump[E, M]) writeData(m *Outgoing, e *entry) error {
	if p.compresses(m) {
		if done, err := p.writeCompressed(m, e); done || err != nil {
			return err
		}
	}
	return p.writeFragments(m, e)
}

func (p *Pump[E, M]) writeFragments(m *Outgoing, e *entry) error {
	opcode, rest, compressed := m.Opcode, m.Payload, m.compressed
	for {
		if p.attention.Load() {
			if err := p.boundary(); err != nil {
				return err
			}
		}
		n := len(rest)
		if int64(n) > p.opts.FragmentSize && !opcode.Control() {
			n = int(p.opts.FragmentSize)
		}
		fin := n == len(rest)
		h := frame.Header{Fin: fin, RSV1: compressed, Opcode: opcode, Length: int64(n)}
		if err := p.writeFrame(h, rest[:n], e); err != nil || fin {
			return err
		}
		rest, opcode, compressed = rest[n:], frame.Continuation, false
	}
}

// writeFrame gathers one frame. Its payload is copied into the batch, unless it is
// large and may go out from where it is.
func (p *Pump[E, M]) writeFrame(h frame.Header, payload []byte, e *entry) error {
	out := &p.out
	copied := e != nil && e.copied
	if bufferSize-len(out.batch) < frame.MaxHeaderSize {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.hold()
	out.other = true
	out.gathered.frames++
	if p.client {
		h.Masked, h.Key = true, out.keys.next()
	}
	out.batch = h.Append(out.batch)
	p.traceSent(h)
	uncopied := !p.client && !copied && !(p.tcp != nil && copiesSlowly(payload, len(out.batch)))
	if uncopied && p.tcp != nil && len(payload) >= vectored {
		return p.writeVectored(payload)
	}
	key := h.Key
	for {
		n := min(len(payload), bufferSize-len(out.batch))
		dst := out.batch[len(out.batch) : len(out.batch)+n]
		out.batch = out.batch[:len(out.batch)+n]
		if copied {
			p.mu.Lock()
			key = p.copyPayload(dst, e.rest, key)
			e.rest = e.rest[n:]
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
		p.hold()
		out.head, out.other = len(payload), true
	}
}

// copyPayload fills dst from src, masked on a client.
func (p *Pump[E, M]) copyPayload(dst, src []byte, key uint32) uint32 {
	if p.client {
		return frame.MaskTo(dst, src[:len(dst)], key)
	}
	copy(dst, src)
	return 0
}

// writeLast writes a close frame in its turn, after the pongs that wait, unless
// another close frame is more urgent.
func (p *Pump[E, M]) writeLast(code int, reason string, e *entry) error {
	if err := p.boundary(); err != nil {
		return err
	}
	return p.writeClose(code, reason, e)
}

// writeClose writes a close frame, the last one: that of the current entry e, or nil.
func (p *Pump[E, M]) writeClose(code int, reason string, e *entry) error {
	payload := frame.AppendClose(make([]byte, 0, frame.MaxControlPayload), code, reason)
	if err := p.writeFrame(frame.Header{Fin: true, Opcode: frame.Close, Length: int64(len(payload))}, payload, nil); err != nil {
		return err
	}
	if e != nil {
		p.out.current, p.out.unflushed = nil, append(p.out.unflushed, e)
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.mu.Lock()
	p.end.closeSent = true
	p.mu.Unlock()
	return errWritten
}

// encode appends a whole frame to dst.
func (p *Pump[E, M]) encode(dst []byte, h frame.Header, payload []byte) []byte {
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

// traceSent tells the hook of a frame that has been encoded. Called without mu.
func (p *Pump[E, M]) traceSent(h frame.Header) {
	if p.opts.Trace.FrameSent != nil {
		p.opts.Trace.FrameSent(h)
	}
}

// endWriting notes that the write pump has written its last byte. Entries that wait
// learn the end when it is decided, else that they are too late.
func (p *Pump[E, M]) endWriting() {
	p.mu.Lock()
	p.outbox.done = true
	p.outbox.urgent = nil
	if p.end.decided {
		p.outbox.queue = append(p.takeEntries(), p.outbox.queue[p.outbox.head:]...)
		p.outbox.head = 0
		if p.end.published {
			p.failEntries(p.end.err())
		}
	} else {
		p.failEntries(errClosing)
	}
	p.signalRoom()
	p.mu.Unlock()
	p.dropGathered()
	p.releaseBatch()
	if p.compression != nil {
		p.compression.Encoder = nil // its window
	}
	p.counters.out.publish(&p.out.tally)
	close(p.written)
}

// dropGathered counts the messages in a batch that will not be written.
func (p *Pump[E, M]) dropGathered() {
	p.counters.droppedMessages.Add(p.out.gathered.messages)
	p.out.gathered = tally{}
}

// takeEntries gives the entries that the write pump had in hand. Called with mu held,
// by the write pump.
func (p *Pump[E, M]) takeEntries() []*entry {
	taken := p.out.unflushed
	if p.out.current != nil {
		taken = append(taken, p.out.current)
	}
	p.out.current, p.out.unflushed = nil, nil
	return taken
}

// failEntries ends every Write that waits. Called with mu held, by the write pump.
func (p *Pump[E, M]) failEntries(err error) {
	for _, e := range append(p.takeEntries(), p.outbox.queue[p.outbox.head:]...) {
		e.finish(err)
	}
	p.outbox.queue, p.outbox.head = nil, 0
}

// discard receives what is sent after the end, so that no sender hangs, until the
// user's own Close.
func (p *Pump[E, M]) discard() {
	send := p.out.send
	for {
		select {
		case m, ok := <-send:
			if !ok {
				send = nil
				continue
			}
			p.drop(m, errTooLate)
		case <-p.wake:
			p.mu.Lock()
			released := p.outbox.released
			p.mu.Unlock()
			if released {
				p.emptySend()
				return
			}
		}
	}
}

// drop counts and reports a message that is not written.
func (p *Pump[E, M]) drop(m M, err error) {
	p.counters.droppedMessages.Add(1)
	if p.onDrop != nil && !p.dropping.Load() {
		p.onDrop(m, err)
	}
}
