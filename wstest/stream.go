package wstest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how much one direction of a pipe holds.
const bufferSize = 64 << 10

// A stream is one direction of a pipe, from the end that writes to the end that
// reads. Whoever has to wait does so on a sync.Cond, which is durably blocking for
// testing/synctest, and arms a timer only for as long as it waits.
type stream struct {
	mu   sync.Mutex
	wake sync.Cond // something below has changed

	ring        []byte // bufferSize bytes, allocated by the first write
	start, size int    // what is buffered
	taken       int64  // how many bytes have been read

	readDeadline, writeDeadline time.Time

	writing     bool // a write is under way; others wait for it
	fin         bool // the writing end has said all: EOF after what is buffered
	writeClosed bool // the writing end is closed
	readClosed  bool // the reading end is closed
	reset       bool
}

func newStream() *stream {
	s := new(stream)
	s.wake.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case len(p) == 0:
			return 0, nil
		case expired(s.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case s.reset:
			return 0, os.NewSyscallError("read", syscall.ECONNRESET)
		case s.size > 0:
			return s.get(p), nil
		case s.fin:
			return 0, io.EOF
		}
		s.wait(s.readDeadline)
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := false
	defer func() {
		if mine {
			s.writing = false
			s.wake.Broadcast()
		}
	}()
	for {
		switch {
		case s.writeClosed:
			return n, net.ErrClosed
		case expired(s.writeDeadline):
			return n, os.ErrDeadlineExceeded
		case s.reset:
			return n, os.NewSyscallError("write", syscall.ECONNRESET)
		case s.fin, s.readClosed:
			return n, os.NewSyscallError("write", syscall.EPIPE)
		}
		if mine || !s.writing {
			mine, s.writing = true, true
			n += s.put(p[n:])
			if n == len(p) {
				return n, nil
			}
		}
		s.wait(s.writeDeadline)
	}
}

// get moves what is buffered to p, as much as it takes.
func (s *stream) get(p []byte) int {
	end := min(s.start+s.size, bufferSize)
	n := copy(p, s.ring[s.start:end])
	n += copy(p[n:], s.ring[:s.size-(end-s.start)])
	s.start = (s.start + n) % bufferSize
	s.size -= n
	s.taken += int64(n)
	s.wake.Broadcast()
	return n
}

// put buffers what there is room for of p.
func (s *stream) put(p []byte) int {
	p = p[:min(len(p), bufferSize-s.size)]
	if len(p) == 0 {
		return 0
	}
	if s.ring == nil {
		s.ring = make([]byte, bufferSize)
	}
	n := copy(s.ring[(s.start+s.size)%bufferSize:], p)
	copy(s.ring, p[n:])
	s.size += len(p)
	s.wake.Broadcast()
	return len(p)
}

// transferred returns how many bytes have been written, and how many of them read.
func (s *stream) transferred() (written, read int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken + int64(s.size), s.taken
}

// wait gives up s.mu until something has changed or the deadline has come.
func (s *stream) wait(deadline time.Time) {
	if !deadline.IsZero() {
		timer := time.AfterFunc(time.Until(deadline), func() { s.change(func() {}) })
		defer timer.Stop()
	}
	s.wake.Wait()
}

// change does something to s and wakes whoever waits.
func (s *stream) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.wake.Broadcast()
}

func (s *stream) closeRead() (err error) {
	s.change(func() {
		if s.readClosed {
			err = net.ErrClosed
		}
		s.readClosed = true
	})
	return err
}

func (s *stream) closeWrite() { s.change(func() { s.writeClosed, s.fin = true, true }) }

// finish ends the stream after what is buffered.
func (s *stream) finish() (err error) {
	s.change(func() {
		if s.writeClosed {
			err = net.ErrClosed
			return
		}
		s.fin = true
	})
	return err
}

// drop resets the stream. What is buffered is lost.
func (s *stream) drop() { s.change(func() { s.reset = true }) }

func (s *stream) setReadDeadline(t time.Time) (err error) {
	s.change(func() {
		if s.readClosed {
			err = net.ErrClosed
			return
		}
		s.readDeadline = t
	})
	return err
}

func (s *stream) setWriteDeadline(t time.Time) (err error) {
	s.change(func() {
		if s.writeClosed {
			err = net.ErrClosed
			return
		}
		s.writeDeadline = t
	})
	return err
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}
