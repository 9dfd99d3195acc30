package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
)

// serveFloor handles frames without any library: what one read brings is decoded,
// unmasked, encoded and written with one write. Nothing is checked, so nobody who keeps
// to the RFC can be faster with the same calls to the operating system.
func serveFloor(l net.Listener, w workload) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			br := bufio.NewReaderSize(c, 1024)
			if answerHandshake(c, br) != nil {
				return
			}
			if w.Job == push {
				pushFloor(c, w)
				return
			}
			rest, _ := br.Peek(br.Buffered())
			echoFloor(c, append([]byte(nil), rest...), w.Job == sink)
		}()
	}
}

func answerHandshake(c io.Writer, br *bufio.Reader) error {
	r, err := http.ReadRequest(br)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	return err
}

// acceptKey is the answer to a client's key, RFC 6455 section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func echoFloor(c net.Conn, pending []byte, marked bool) {
	buf := make([]byte, max(32<<10, len(pending)))
	out := make([]byte, 0, len(buf))
	held := copy(buf, pending)
	for {
		rest := buf[:held]
		for {
			h, ok := parseHeader(rest)
			if ok && h.end > len(buf) {
				buf = make([]byte, h.end) // rest still has the bytes
			}
			if !ok || h.end > len(rest) {
				break
			}
			payload := rest[h.start:h.end]
			if h.key != nil {
				unmask(payload, *h.key)
			}
			if !marked || len(payload) > 0 && payload[0] == mark {
				out = append(appendHeader(out, h.first, len(payload), nil), payload...)
			}
			rest = rest[h.end:]
		}
		held = copy(buf, rest)
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		n, err := c.Read(buf[held:])
		if err != nil {
			return
		}
		held += n
	}
}

// pushFloor encodes as many messages as fit into one write.
func pushFloor(c net.Conn, w workload) {
	p := w.payload()
	out := make([]byte, 0, 32<<10)
	for {
		for out = out[:0]; len(out)+len(p)+10 <= cap(out); {
			out = append(appendHeader(out, finBit|opBinary, len(p), nil), p...)
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}
