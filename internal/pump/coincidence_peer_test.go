package pump

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/rawpeer"
)

// quantumPeer is the peer of a script. It answers every ping and every close frame, and
// takes bytes, at the latest one quantum before it would be too late. A ping that comes in
// the middle of a frame it can answer only after that.
type quantumPeer struct {
	c    *coincide
	conn net.Conn
	all  sync.WaitGroup

	closing chan struct{} // a close frame is to be sent: no pauses any more
	once    sync.Once
	silent  chan struct{} // nothing is sent any more
	deaf    chan struct{} // and nothing is taken

	mu       sync.Mutex
	owed     []byte        // of the last ping that has no answer yet
	since    time.Duration // of the first one
	messages map[string]bool
	promised [][]byte
}

func newQuantumPeer(c *coincide, conn net.Conn) *quantumPeer {
	return &quantumPeer{
		c: c, conn: conn, messages: map[string]bool{},
		closing: make(chan struct{}), silent: make(chan struct{}), deaf: make(chan struct{}),
	}
}

// live makes the peer live. It takes bytes at once, or is slow in that.
func (p *quantumPeer) live(slow bool) {
	reads, writes := p.c.source(), p.c.source()
	p.all.Go(func() { p.read(reads, slow) })
	p.all.Go(func() { p.write(writes) })
}

// close has the peer begin a close handshake.
func (p *quantumPeer) close() { p.once.Do(func() { close(p.closing) }) }

func (p *quantumPeer) fallSilent(deaf bool) {
	close(p.silent)
	if deaf {
		close(p.deaf)
	}
	p.conn.SetWriteDeadline(time.Unix(1, 0))
	if deaf {
		p.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// end closes the peer's side.
func (p *quantumPeer) end() {
	p.conn.Close()
	p.all.Wait()
}

// check checks at the end what the peer was promised.
func (p *quantumPeer) check() {
	for _, m := range p.promised {
		if !p.messages[string(m)] {
			p.c.t.Errorf("%.10q has not come, though Write returned nil", m)
		}
	}
}

// written notes a message that Write has called written.
func (p *quantumPeer) written(m []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.promised = append(p.promised, m)
}

// margin is the longest pause that leaves a quantum to spare.
func (p *quantumPeer) margin(rng *rand.Rand, limits ...time.Duration) time.Duration {
	least := p.c.opts.PongTimeout
	for _, limit := range limits {
		if limit > 0 {
			least = min(least, limit)
		}
	}
	return time.Duration(rng.Int64N(int64(least/quantum))) * quantum
}

// pause waits, but not when the end has come.
func (p *quantumPeer) pause(d time.Duration) {
	if d == 0 {
		return // Go 1.26 may crash under -race where a timer in a bubble is due when it is made
	}
	select {
	case <-time.After(d):
	case <-p.closing:
	case <-p.silent:
	}
}

func (p *quantumPeer) read(rng *rand.Rand, slow bool) {
	var ahead, message []byte
	b := make([]byte, writePiece)
	closes := 0
	for {
		if slow && rng.IntN(3) == 0 {
			p.pause(p.margin(rng, p.c.opts.WriteTimeout))
		}
		n, err := p.conn.Read(b)
		if err != nil {
			return
		}
		ahead = append(ahead, b[:n]...)
		for {
			h, payload, size := next(ahead)
			if size == 0 {
				break
			}
			if closes > 0 {
				p.c.t.Errorf("%v after a close frame", h.Opcode)
			}
			switch h.Opcode {
			case frame.Ping:
				n -= size
				p.mu.Lock()
				if p.owed == nil {
					p.since = p.c.now()
				}
				p.owed = bytes.Clone(payload)
				p.mu.Unlock()
			case frame.Pong:
			case frame.Close:
				closes++
				p.close()
			default:
				if message = append(message, payload...); h.Fin {
					p.messages[string(message)] = true
					message = nil
				}
			}
			ahead = ahead[size:]
		}
		if n > 0 {
			p.c.activity()
		}
	}
}

// next gives the frame that b begins with, and its size: 0 if it is not whole.
func next(b []byte) (h frame.Header, payload []byte, size int) {
	h, n, _ := frame.Parse(b)
	if n == 0 || int64(len(b)-n) < h.Length {
		return h, nil, 0
	}
	size = n + int(h.Length)
	payload = b[n:size]
	if h.Masked {
		frame.Mask(payload, h.Key)
	}
	return h, payload, size
}

// write sends this and that until it is to close, or to be silent.
func (p *quantumPeer) write(rng *rand.Rand) {
	for {
		select {
		case <-p.silent:
			return
		case <-p.closing:
			p.answer(rng)
			time.Sleep(p.margin(rng, p.c.opts.CloseTimeout))
			p.send(p.frame(frame.Close, frame.AppendClose(nil, 4000, "")))
			return
		default:
		}
		if !p.answer(rng) || !p.something(rng) {
			return
		}
	}
}

// answer answers the last ping, if it has no answer yet, and may say something before.
func (p *quantumPeer) answer(rng *rand.Rand) bool {
	p.mu.Lock()
	owed, left := p.owed, p.since+p.c.opts.PongTimeout-p.c.now()
	p.owed = nil
	p.mu.Unlock()
	if owed == nil {
		return true
	}
	if left > quantum && rng.IntN(2) == 0 {
		p.pause(time.Duration(rng.Int64N(int64(left/quantum))) * quantum)
		if !p.send(p.frame(frame.Text, []byte("wait"))) {
			return false
		}
	}
	_, err := p.conn.Write(p.frame(frame.Pong, owed))
	return err == nil
}

// something sends or waits for a while.
func (p *quantumPeer) something(rng *rand.Rand) bool {
	switch rng.IntN(6) {
	case 0:
		return p.send(p.frame(frame.Text, []byte("hello")))
	case 1:
		return p.send(p.frame(frame.Ping, []byte("ping")))
	case 2:
		whole := p.frame(frame.Binary, make([]byte, []int{200, 200, 200, 20_000}[rng.IntN(4)]))
		for parts := 1 + rng.IntN(4); parts > 1; parts-- {
			n := len(whole) / parts
			if !p.send(whole[:n]) {
				return false
			}
			p.pause(p.margin(rng))
			whole = whole[n:]
		}
		if !p.send(whole) {
			return false
		}
		p.pause(p.margin(rng)) // what came before its end has its whole time from now
		return true
	default:
		p.pause(p.margin(rng))
		return true
	}
}

func (p *quantumPeer) frame(op frame.Opcode, payload []byte) []byte {
	return rawpeer.Encode(!p.c.client, true, op, payload)
}

// send sends what is not the keepalive's.
func (p *quantumPeer) send(b []byte) bool {
	_, err := p.conn.Write(b)
	if err == nil {
		p.c.activity()
	}
	return err == nil
}
