package interop

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// FuzzReadersAgree lets a server say anything at all to a client of gorilla's and to
// one of ours: both must read the same messages and the same end.
//
// Where gorilla is more lenient by design, ours stops earlier, with an error, and what
// it has read until then must be the beginning of what gorilla reads: gorilla takes
// text that is not UTF-8, lengths that are not in their shortest form, and half a close
// code. A close code of 1014, which was registered later, is an error for gorilla only.
func FuzzReadersAgree(f *testing.F) {
	for _, says := range []string{
		"\x81\x05Hello\x82\x02\x00\xff\x88\x02\x03\xe8",
		"\x01\x03Hel\x89\x01p\x00\x00\x80\x02lo\x8a\x00\x88\x00",
		"\x81\x01\xff\x81\x01x", "\x81\x7e\x00\x01x", "\x88\x02\x03\xf6", "\x88\x02\x03\xed", "\x88\x01x",
		"\x83\x00", "\x8b\x00", "\xc1\x00", "\xa1\x00", "\x91\x00", "\x09\x00", "\x89\x7e\x00\x7e", "\x80\x00", "\x01\x00\x81\x00",
		"\x81\x80\x00\x00\x00\x00", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "\x82\x7e\x00\x80" + string(payload(128)),
		"\x88\x05\x0b\xb8bye\x81\x01x", "\x88\x03\x03\xe8\xff",
	} {
		f.Add([]byte(says))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		if len(says) > 4096 {
			return
		}
		theirs, theirEnd := readByGorilla(t, says)
		ours, ourEnd := readByChanws(t, says)

		var breach *chanws.ProtocolError
		var closed *websocket.CloseError
		switch theyClosed := errors.As(theirEnd, &closed); {
		case errors.As(ourEnd, &breach):
			if stricter(breach) {
				require.GreaterOrEqual(t, len(theirs), len(ours))
				theirs = theirs[:len(ours):len(ours)]
				break
			}
			require.False(t, theyClosed && closed.Code != websocket.CloseAbnormalClosure, "gorilla ends with %v, we with %v", theirEnd, ourEnd)
		case chanws.CloseStatus(ourEnd) == chanws.StatusBadGateway:
		case chanws.CloseStatus(ourEnd) == -1:
			// gorilla may find a breach in a header that has been cut.
			require.ErrorIs(t, ourEnd, io.ErrUnexpectedEOF)
			require.False(t, theyClosed && closed.Code != websocket.CloseAbnormalClosure, "gorilla ends with %v, we with %v", theirEnd, ourEnd)
		default:
			require.True(t, theyClosed, "gorilla ends with %v, we with %v", theirEnd, ourEnd)
			require.EqualValues(t, closed.Code, chanws.CloseStatus(ourEnd))
			require.Equal(t, closed.Text, ourEnd.(chanws.Close).Reason)
		}
		require.Len(t, ours, len(theirs))
		for i := range ours {
			require.Equal(t, theirs[i], ours[i])
		}
	})
}

// stricter tells of a breach that gorilla lets pass.
func stricter(breach *chanws.ProtocolError) bool {
	switch breach.Reason {
	case "text message is not valid UTF-8", "close frame of 1 byte, half a close code":
		return true
	}
	return strings.Contains(breach.Reason, "not in its shortest form")
}

const mostRead = 1 << 16 // octets of a message, for both

// accept is the answer to a Sec-WebSocket-Key, RFC 6455 section 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func readByChanws(t *testing.T, says []byte) (got []dataMessage, end error) {
	c, bare := wstest.RawServer(t, &chanws.DialOptions{Options: chanws.Options{MaxMessageSize: mostRead, EventBuffer: 1 << 12}})
	defer c.CloseNow()
	go say(bare, says)
	for ev := range c.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			got = append(got, dataMessage{false, []byte(ev)})
		case chanws.Binary:
			got = append(got, dataMessage{true, ev})
		}
	}
	return got, c.Err()
}

func readByGorilla(t *testing.T, says []byte) (got []dataMessage, end error) {
	near, far := wstest.NetPipe(t)
	go func() {
		r, err := http.ReadRequest(bufio.NewReader(far))
		if err != nil {
			return
		}
		io.WriteString(far, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+accept(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
		say(far, says)
	}()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	c, _, err := d.Dial("ws://example.com/", nil)
	require.NoError(t, err)
	defer c.Close()
	c.SetReadLimit(mostRead)
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return got, err
		}
		got = append(got, dataMessage{kind == websocket.BinaryMessage, data})
	}
}

// say writes octets, ends the stream, and hears what is answered.
func say(bare net.Conn, octets []byte) {
	bare.Write(octets)
	bare.(interface{ CloseWrite() error }).CloseWrite()
	io.Copy(io.Discard, bare)
	bare.Close()
}
