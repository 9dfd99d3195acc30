package soak

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
)

// A barePeer is a client without the library.
type barePeer struct {
	net.Conn
	in *bufio.Reader
}

func openBarePeer(addr string, p plan) (*barePeer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &barePeer{conn, bufio.NewReader(conn)}
	if err := b.shakeHands(p); err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

// misbehave sends the messages, and then leaves without a word, or stays and does
// nothing more until the server has cleared it away.
func (b *barePeer) misbehave(p plan, pace pacer, cleared <-chan struct{}) {
	var reading chan struct{}
	if p.vanishedReads() {
		reading = make(chan struct{})
		go func() {
			defer close(reading)
			io.Copy(io.Discard, b.in)
		}()
	}
	out := p.stream(client)
	for range p.messages[client] {
		pace.rest(pace.every)
		if _, err := b.Write(encode(out.next(), p.fragment[client])); err != nil {
			break
		}
	}
	if p.ending == peerVanishes {
		<-cleared
	} else {
		b.Conn.(*net.TCPConn).SetLinger(0)
	}
	b.Close()
	if reading != nil {
		<-reading
	}
}

func (b *barePeer) shakeHands(p plan) error {
	_, err := fmt.Fprintf(b, "GET %s HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", p.path())
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(b.in, nil)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return &chanws.HandshakeError{StatusCode: answer.StatusCode, Status: answer.Status}
	}
	return nil
}

// encode gives a message's masked frames, of at most the given size; 0 is one frame.
func encode(m chanws.Message, fragment int) (frames []byte) {
	opcode, payload := frame.Binary, []byte(nil)
	switch m := m.(type) {
	case chanws.Text:
		opcode, payload = frame.Text, []byte(m)
	case chanws.Binary:
		payload = m
	}
	for first := true; first || len(payload) > 0; first = false {
		n := len(payload)
		if fragment > 0 {
			n = min(n, fragment)
		}
		h := frame.Header{Fin: n == len(payload), Opcode: opcode, Length: int64(n), Masked: true, Key: rand.Uint32()}
		frames = h.Append(frames)
		start := len(frames)
		frames = append(frames, payload[:n]...)
		frame.Mask(frames[start:], h.Key)
		payload, opcode = payload[n:], frame.Continuation
	}
	return frames
}
