package conformance

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// terms are what the peer negotiates, RFC 7692 section 7.1: as a client it offers
// them, as a server it answers with them.
type terms struct {
	// peer is about the messages that the peer sends, ours about those of the library.
	peer, ours direction
	// silent is no word of an extension.
	silent bool
}

// A direction is how messages are compressed one way.
type direction struct {
	bits  int  // of the window; 0 says nothing about it, which is 15
	fresh bool // no context takeover
}

func (d direction) window() int {
	if d.bits == 0 {
		return 1 << 15
	}
	return 1 << d.bits
}

// header gives the peer's line, where the library is a server or a client.
func (a *terms) header(server bool) string {
	if a.silent {
		return ""
	}
	client, serving := a.peer, a.ours
	if !server {
		client, serving = serving, client
	}
	line := "Sec-WebSocket-Extensions: permessage-deflate"
	return line + client.params("client") + serving.params("server") + "\r\n"
}

// params gives what the header says of a side's messages.
func (d direction) params(side string) (s string) {
	if d.fresh {
		s = "; " + side + "_no_context_takeover"
	}
	if d.bits > 0 {
		s += fmt.Sprintf("; %s_max_window_bits=%d", side, d.bits)
	}
	return s
}

// A mode is a way to compress, as the user wants it and as it is agreed on.
type mode struct {
	name    string
	options chanws.Compression
	terms   terms
}

const (
	takeover   = chanws.CompressionContextTakeover
	noTakeover = chanws.CompressionNoContextTakeover
)

// modes are those that a table is played in: each side with its context, and with none,
// by the user's choice and by the peer's; and windows.
var modes = func() []mode {
	all := []mode{
		{"takeover", takeover, terms{}},
		{"no takeover", noTakeover, terms{direction{0, true}, direction{0, true}, false}},
		{"takeover of the peer's alone", takeover, terms{ours: direction{fresh: true}}},
		{"takeover of ours alone", takeover, terms{peer: direction{fresh: true}}},
	}
	for _, bits := range []int{8, 9, 15} {
		all = append(all,
			mode{fmt.Sprintf("takeover, %d bits", bits), takeover, terms{direction{bits, false}, direction{bits, false}, false}},
			mode{fmt.Sprintf("no takeover, %d bits", bits), noTakeover, terms{direction{bits, true}, direction{bits, true}, false}})
	}
	return append(all, mode{"takeover, 8 bits there and 15 back", takeover, terms{direction{bits: 8}, direction{bits: 15}, false}})
}()

// playCompressed plays what table gives for each mode.
func playCompressed(t *testing.T, table func(m mode) []exchange) {
	t.Helper()
	var all []exchange
	for _, m := range modes {
		all = append(all, m.exchanges(table(m))...)
	}
	play(t, all)
}

// exchanges gives exchanges as they are in a mode.
func (m mode) exchanges(table []exchange) []exchange {
	for i := range table {
		table[i].name = m.name + ": " + table[i].name
		table[i].options.Compression = m.options
		table[i].deflate = &m.terms
	}
	return table
}

// An opening is a handshake whose other side is spoken by hand.
type opening struct {
	conn *chanws.Conn
	err  error
	bare net.Conn
	// said is the head of what the library says: its answer, or its request.
	said string
}

// openBy opens a connection whose peer adds line to its part of the handshake.
func openBy(t *testing.T, server bool, options chanws.Options, line string) opening {
	t.Helper()
	if server {
		return openServer(t, options, line)
	}
	return openClient(t, options, line)
}

// openServer asks a server.
func openServer(t *testing.T, options chanws.Options, line string) opening {
	near, far := wstest.NetPipe(t)
	_, err := io.WriteString(near, "GET / HTTP/1.1\r\nHost: server.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+line+"\r\n")
	require.NoError(t, err)
	w := &answering{Conn: far, in: bufio.NewReader(far), header: http.Header{}}
	r, err := http.ReadRequest(w.in)
	require.NoError(t, err)
	conn, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: options})
	if conn != nil {
		t.Cleanup(func() { conn.CloseNow() })
	}
	return opening{conn, err, near, readHead(t, near)}
}

// An answering is an http.ResponseWriter whose connection can be taken over.
type answering struct {
	net.Conn
	in     *bufio.Reader
	header http.Header
}

func (a *answering) Header() http.Header { return a.header }
func (a *answering) WriteHeader(status int) {
	fmt.Fprintf(a.Conn, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
}
func (a *answering) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.Conn, bufio.NewReadWriter(a.in, bufio.NewWriter(a.Conn)), nil
}

// openClient answers a client.
func openClient(t *testing.T, options chanws.Options, line string) opening {
	near, far := wstest.NetPipe(t)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	defer transport.CloseIdleConnections()
	said := make(chan string, 1)
	go func() {
		head := readHead(t, far)
		said <- head
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			far.Close()
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(far, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
			base64.StdEncoding.EncodeToString(sum[:]), line)
	}()
	conn, err := chanws.Dial(t.Context(), "ws://server.test/", &chanws.DialOptions{Options: options, HTTPClient: &http.Client{Transport: transport}})
	if conn != nil {
		t.Cleanup(func() { conn.CloseNow() })
	}
	return opening{conn, err, far, <-said}
}

// readHead reads the head of a request or an answer, and nothing behind it.
func readHead(t *testing.T, c net.Conn) string {
	var head strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := c.Read(b); err != nil {
			t.Errorf("%v behind %q", err, head.String())
			break
		}
		head.Write(b)
	}
	return head.String()
}

// extensionsIn gives what is in the header's lines about extensions, octet by octet.
func extensionsIn(head string) (lines []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Sec-WebSocket-Extensions") {
			lines = append(lines, value)
		}
	}
	return lines
}
