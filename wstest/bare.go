package wstest

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/chanws/chanws"
)

// request does the client's side of the handshake on near by hand, RFC 6455
// section 4.1, and reads not one byte more than the answer.
func request(near *conn, server *chanws.UpgradeOptions) error {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	key := base64.StdEncoding.EncodeToString(nonce)
	r, err := http.NewRequest(http.MethodGet, "http"+strings.TrimPrefix(url, "ws"), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", key)
	if server != nil && len(server.Subprotocols) > 0 {
		r.Header.Set("Sec-WebSocket-Protocol", strings.Join(server.Subprotocols, ", "))
	}
	if server != nil && server.Compression > chanws.CompressionDisabled {
		r.Header.Set("Sec-WebSocket-Extensions", deflate)
	}
	if err := r.Write(near); err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	resp, err := http.ReadResponse(unbuffered(near), r)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("the answer is %s: %q", resp.Status, body)
	}
	if got, want := resp.Header.Get("Sec-WebSocket-Accept"), accept(key); got != want {
		return fmt.Errorf("the answer's Sec-WebSocket-Accept is %q instead of %q", got, want)
	}
	return nil
}

// answer does the server's side of the handshake on far by hand, RFC 6455 section
// 4.2.2, and reads not one byte more than the request. When it fails, far is
// closed, so that the client's side ends too.
func answer(far *conn) (err error) {
	defer func() {
		if err != nil {
			far.Close()
		}
	}()
	r, err := http.ReadRequest(unbuffered(far))
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		return errors.New("the request has no Sec-WebSocket-Key")
	}
	header := http.Header{
		"Connection":           {"Upgrade"},
		"Upgrade":              {"websocket"},
		"Sec-WebSocket-Accept": {accept(key)},
	}
	if offered := r.Header.Get("Sec-WebSocket-Protocol"); offered != "" {
		first, _, _ := strings.Cut(offered, ",")
		header.Set("Sec-WebSocket-Protocol", strings.TrimSpace(first))
	}
	if agreed := agree(r.Header.Get("Sec-WebSocket-Extensions")); agreed != "" {
		header.Set("Sec-WebSocket-Extensions", agreed)
	}
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(&head)
	head.WriteString("\r\n")
	if _, err := io.WriteString(far, head.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// accept is the answer to a Sec-WebSocket-Key, RFC 6455 section 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const deflate = "permessage-deflate"

// agree accepts the first extension that is offered, if it is permessage-deflate,
// RFC 7692 section 7.1: all parameters that have to be answered come back.
func agree(offer string) string {
	first, _, _ := strings.Cut(offer, ",")
	params := strings.Split(first, ";")
	if strings.TrimSpace(params[0]) != deflate {
		return ""
	}
	agreed := deflate
	for _, p := range params[1:] {
		// Without a value this one only tells that the client could.
		if p = strings.TrimSpace(p); p != "client_max_window_bits" {
			agreed += "; " + p
		}
	}
	return agreed
}

// unbuffered is a reader that never takes more from c than was asked for.
func unbuffered(c *conn) *bufio.Reader { return bufio.NewReader(byteReader{c}) }

type byteReader struct{ io.Reader }

func (r byteReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }
