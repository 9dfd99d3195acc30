package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"time"
)

// manyLoopbacks tells whether all of 127.0.0.0/8 is there.
const manyLoopbacks = runtime.GOOS == "linux"

// A loadConn is one connection of the load. It costs the same whatever the server is:
// the frames that it sends were made before, and replies of a known size are counted,
// not decoded. Some of them are compared.
type loadConn struct {
	net.Conn
	tcp   *net.TCPConn // below TLS
	w     workload
	meter *meter

	frames  []byte // of a whole window
	batch   int    // bytes of one batch
	reply   []byte // what a reply is, byte by byte; with compression nobody knows
	buf     []byte
	pending int   // bytes of an incomplete reply; where they are needed, at the beginning of buf
	bytes   int64 // of replies
}

// openConn connects, does the handshake, and prepares the frames.
func openConn(addr string, w workload, i int, m *meter) (*loadConn, error) {
	d := net.Dialer{Timeout: patience}
	if a := sourceAddr(w, i); a != nil {
		d.LocalAddr = a
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &loadConn{Conn: conn, tcp: conn.(*net.TCPConn), w: w, meter: m}
	if w.TLS {
		c.Conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the server made its certificate itself
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := c.handshake(addr); err != nil {
		c.cut()
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(10*patience + w.Warmup + w.Duration)) // nothing hangs for ever
	c.prepare()
	return c, nil
}

const key = "dGhlIHNhbXBsZSBub25jZQ==" // the RFC's own: nobody attacks here

func (c *loadConn) handshake(addr string) error {
	extensions := ""
	if c.w.Deflate {
		extensions = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\n"+extensions+"\r\n")
	if err != nil {
		return err
	}
	c.buf = make([]byte, 4096)
	n := 0
	for {
		k, err := c.Read(c.buf[n:])
		n += k
		answer, frames, complete := bytes.Cut(c.buf[:n], []byte("\r\n\r\n"))
		if complete {
			c.buf, c.pending = frames, len(frames)
			return c.checkAnswer(string(answer))
		}
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
}

func (c *loadConn) checkAnswer(answer string) error {
	status, _, _ := strings.Cut(answer, "\r\n")
	switch {
	case !strings.HasPrefix(status, "HTTP/1.1 101 "):
		return errors.New("handshake: " + strings.TrimPrefix(status, "HTTP/1.1 "))
	case !strings.Contains(answer, acceptKey(key)):
		return errors.New("handshake: the accept key is wrong or missing")
	case c.w.Deflate && !strings.Contains(answer, "permessage-deflate"):
		return errors.New("handshake: no compression was negotiated")
	}
	return nil
}

// prepare makes the frames of a window and the reply that is expected.
func (c *loadConn) prepare() {
	w, payload := c.w, c.w.payload()
	first := c.first()
	c.reply = append(appendHeader(nil, first, len(payload), nil), payload...)
	sent := payload
	if w.Deflate {
		first, sent, c.reply = first|rsv1Bit, deflate(payload), nil
	}
	one := appendMasked(nil, first, sent)
	for range w.Window * w.Batch {
		c.frames = append(c.frames, one...)
	}
	c.batch = len(one) * w.Batch
	if w.Job == sink { // the last message of each batch is the one with a reply
		payload[0] = mark
		c.reply = append(appendHeader(nil, first, len(payload), nil), payload...)
		one = appendMasked(nil, first, payload)
		for end := c.batch; end <= len(c.frames); end += c.batch {
			copy(c.frames[end-len(one):], one)
		}
	}
	size := min(max(2*w.Window*len(c.reply), 512), 256<<10)
	if w.Job == push || w.Deflate {
		size = 64 << 10
	}
	buf := make([]byte, max(size, c.pending))
	copy(buf, c.buf)
	c.buf = buf
}

// run keeps the window full until the end, then waits for what is under way.
func (c *loadConn) run() error {
	var received, sent int64
	if c.w.Job != push {
		if _, err := c.Write(c.frames); err != nil {
			return err
		}
		sent = int64(c.w.Window)
	}
	came := c.pending // with the answer to the handshake
	c.pending = 0
	for {
		k, err := c.count(came)
		if err != nil {
			return err
		}
		if k > 0 {
			received += k
			c.meter.got(received)
			switch going := c.meter.going(); {
			case c.w.Job == push:
				if !going {
					return nil
				}
			case going:
				if _, err := c.Write(c.frames[:int(k)*c.batch]); err != nil {
					return err
				}
				sent += k
				c.meter.sent(sent)
			case received == sent:
				return c.exchange()
			case received > sent:
				return fmt.Errorf("%d replies to %d messages", received, sent)
			}
		}
		if came, err = c.Read(c.room()); err != nil {
			return err
		}
		c.bytes += int64(came)
	}
}

// room is where the next bytes are read to.
func (c *loadConn) room() []byte {
	if c.reply == nil {
		return c.buf[c.pending:]
	}
	return c.buf
}

// count takes note of so many more bytes, and gives how many replies they complete.
func (c *loadConn) count(n int) (int64, error) {
	if c.reply == nil {
		return c.countFrames(c.pending + n)
	}
	return c.countFixed(n)
}

// countFixed counts replies of a known size. Of the n bytes that were read it compares
// the first ones.
func (c *loadConn) countFixed(n int) (int64, error) {
	const compared = 4096
	size, at := len(c.reply), c.pending
	c.pending += n
	for got := c.buf[:min(n, size, compared)]; len(got) > 0; {
		k := min(len(got), size-at)
		if !bytes.Equal(got[:k], c.reply[at:at+k]) {
			return 0, fmt.Errorf("reply is wrong from byte %d on: %.40q", at, got[:k])
		}
		got, at = got[k:], 0
	}
	k := c.pending / size
	c.pending %= size
	return int64(k), nil
}

// countFrames counts replies by their headers.
func (c *loadConn) countFrames(n int) (k int64, err error) {
	rest := c.buf[:n]
	for {
		h, ok := parseHeader(rest)
		if !ok || h.end > len(rest) {
			break
		}
		if c.meter.replies.Load() == 0 && k == 0 {
			err = checkReply(rest[:h.end], c.w, c.meter.want)
		}
		rest = rest[h.end:]
		k++
	}
	c.pending = copy(c.buf, rest)
	return k, err
}

// exchange sends a message of its own kind, and compares the reply.
func (c *loadConn) exchange() error {
	payload := bytes.ToUpper(c.w.payload())
	if c.w.Job == sink {
		payload[0] = mark
	}
	first := c.first()
	sent := payload
	if c.w.Deflate {
		first, sent = first|rsv1Bit, deflate(payload)
	}
	if _, err := c.Write(appendMasked(nil, first, sent)); err != nil {
		return err
	}
	for {
		if h, ok := parseHeader(c.buf[:c.pending]); ok && h.end <= c.pending {
			frame := c.buf[:h.end]
			c.pending -= h.end
			return checkReply(frame, c.w, payload)
		} else if ok && h.end > len(c.buf) {
			c.buf = append(c.buf, make([]byte, h.end-len(c.buf))...)
		}
		n, err := c.Read(c.buf[c.pending:])
		if err != nil {
			return err
		}
		c.pending += n
	}
}

func (c *loadConn) first() byte {
	if c.w.Text {
		return finBit | opText
	}
	return finBit | opBinary
}

// cut resets the connection, so that its port is free at once.
func (c *loadConn) cut() {
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}
