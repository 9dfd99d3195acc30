package pump

import (
	"io"
	"net"
	"syscall"

	"github.com/chanws/chanws/internal/frame"
)

// reader is the state of the read pump: the bytes that have arrived and are not decoded
// yet, and the rules for what may follow.
type reader struct {
	conn     net.Conn
	raw      syscall.RawConn // of a plain TCP connection, which can be waited for without a buffer
	readable func(fd uintptr) bool
	n        int   // how many bytes readable has read
	err      error // why readable failed

	// buf is nil while an idle connection needs no buffer. The bytes that are not decoded
	// yet are buf[start:end].
	buf        *[bufferSize]byte
	start, end int
	// early holds bytes that arrived with the handshake and are not in buf yet.
	early []byte

	noted bool   // activity has been noted since the last fill
	slab  []byte // room for small messages of the last fill

	sequence frame.Sequence
	message  assembly
	tokens   bucket
	counts   counts
}

func (in *reader) open(conn net.Conn, buffered []byte) {
	in.conn = conn
	in.raw = rawConn(conn)
	in.readable = in.readNow
	in.early = buffered
}

// getBuffer takes a buffer from the pool, if there is none.
func (in *reader) getBuffer() {
	if in.buf == nil {
		in.buf = buffers.Get().(*[bufferSize]byte)
	}
}

// putBuffer puts the buffer back and forgets its bytes.
func (in *reader) putBuffer() {
	if in.buf != nil {
		buffers.Put(in.buf)
		in.buf = nil
	}
	in.start, in.end = 0, 0
}

// pending returns the bytes that are not decoded yet.
func (in *reader) pending() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf[in.start:in.end]
}

// fill reads once into the buffer. The buffer always has room, because larger frames are
// decoded in parts.
func (in *reader) fill() error {
	in.slab = nil
	if in.start == in.end {
		in.start, in.end = 0, 0
	} else if in.end == bufferSize || in.start > bufferSize/2 {
		in.end = copy(in.buf[:], in.buf[in.start:in.end])
		in.start = 0
	}
	if len(in.early) > 0 {
		in.getBuffer()
		n := copy(in.buf[in.end:], in.early)
		in.end += n
		in.counts.bytes += uint64(n)
		if in.early = in.early[n:]; len(in.early) == 0 {
			in.early = nil
		}
		return nil
	}
	in.counts.calls++
	if in.raw != nil {
		if err := in.raw.Read(in.readable); err != nil {
			return err
		}
		in.end += in.n
		in.counts.bytes += uint64(in.n)
		return in.err
	}
	in.getBuffer()
	n, err := in.conn.Read(in.buf[in.end:])
	in.end += n
	in.counts.bytes += uint64(n)
	if n > 0 {
		return nil // the next read returns the error again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// readInto reads once, directly into b.
func (in *reader) readInto(b []byte) (int, error) {
	if len(in.early) > 0 {
		n := copy(b, in.early)
		in.early = in.early[n:]
		in.counts.bytes += uint64(n)
		return n, nil
	}
	in.counts.calls++
	n, err := in.conn.Read(b)
	in.counts.bytes += uint64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
