package pump

import (
	"io"
	"net"
	"syscall"

	"github.com/chanws/chanws/internal/frame"
)

// input is what the read pump alone uses: the bytes that have come and are not
// decoded yet, and the rules for what may come next.
type input struct {
	conn     net.Conn
	raw      syscall.RawConn // of a plain TCP connection: waits without a buffer
	readable func(fd uintptr) bool
	n        int   // what readable read
	err      error // what readable failed with

	// buf is nil while nothing is buffered and the connection can be waited for
	// without it. Bytes not yet decoded are buf[start:end].
	buf        *[bufferSize]byte
	start, end int
	// early is what came with the handshake and is not in the buffer yet.
	early []byte

	noted bool   // as activity, since the last fill
	slab  []byte // room for small messages of the last fill

	sequence frame.Sequence
	message  assembly
	tokens   bucket
	tally    tally
}

func (in *input) open(conn net.Conn, buffered []byte) {
	in.conn = conn
	in.raw = rawConn(conn)
	in.readable = in.readNow
	in.early = buffered
}

// hold makes sure that there is a buffer.
func (in *input) hold() {
	if in.buf == nil {
		in.buf = buffers.Get().(*[bufferSize]byte)
	}
}

// release returns the buffer to the pool, and discards the bytes in it.
func (in *input) release() {
	if in.buf != nil {
		buffers.Put(in.buf)
		in.buf = nil
	}
	in.start, in.end = 0, 0
}

// pending returns the bytes that are not decoded yet.
func (in *input) pending() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf[in.start:in.end]
}

// fill reads more into the buffer, once. It has room: what is decoded piece by piece
// never needs more than a part of it.
func (in *input) fill() error {
	in.slab = nil
	if in.start == in.end {
		in.start, in.end = 0, 0
	} else if in.end == bufferSize || in.start > bufferSize/2 {
		in.end = copy(in.buf[:], in.buf[in.start:in.end])
		in.start = 0
	}
	if len(in.early) > 0 {
		in.hold()
		n := copy(in.buf[in.end:], in.early)
		in.end += n
		in.tally.bytes += uint64(n)
		if in.early = in.early[n:]; len(in.early) == 0 {
			in.early = nil
		}
		return nil
	}
	in.tally.calls++
	if in.raw != nil {
		if err := in.raw.Read(in.readable); err != nil {
			return err
		}
		in.end += in.n
		in.tally.bytes += uint64(in.n)
		return in.err
	}
	in.hold()
	n, err := in.conn.Read(in.buf[in.end:])
	in.end += n
	in.tally.bytes += uint64(n)
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// readInto reads into b directly, once.
func (in *input) readInto(b []byte) (int, error) {
	if len(in.early) > 0 {
		n := copy(b, in.early)
		in.early = in.early[n:]
		in.tally.bytes += uint64(n)
		return n, nil
	}
	in.tally.calls++
	n, err := in.conn.Read(b)
	in.tally.bytes += uint64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
