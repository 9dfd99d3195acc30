package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/chanws/chanws"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var gobwasLibrary = library{
	name:   "gobwas/ws",
	answer: same,
	dial: func(ctx context.Context, url string, set peerSettings) (peer, error) {
		d := ws.Dialer{TLSConfig: set.tls, Protocols: set.subprotocols, Timeout: patience}
		conn, br, hs, err := d.Dial(ctx, url)
		if err != nil {
			return nil, err
		}
		return newGobwasPeer(conn, br, ws.StateClientSide, hs, set), nil
	},
	upgrade: func(w http.ResponseWriter, r *http.Request, set peerSettings) (peer, error) {
		u := ws.HTTPUpgrader{Protocol: func(name string) bool { return slices.Contains(set.subprotocols, name) }}
		conn, rw, hs, err := u.Upgrade(r, w)
		if err != nil {
			return nil, err
		}
		return newGobwasPeer(conn, rw.Reader, ws.StateServerSide, hs, set), nil
	},
}

// A gobwasPeer is frames on a net.Conn; each is one call to its Write, which makes
// it safe to write from several goroutines.
type gobwasPeer struct {
	*mailbox
	conn     net.Conn
	state    ws.State
	chosen   string
	fragment int
	closing  atomic.Bool // our close frame has gone
}

func newGobwasPeer(conn net.Conn, br *bufio.Reader, state ws.State, hs ws.Handshake, set peerSettings) *gobwasPeer {
	p := &gobwasPeer{mailbox: newMailbox(), conn: conn, state: state, chosen: hs.Protocol, fragment: set.fragment}
	source := io.Reader(conn)
	if br != nil {
		source = br
	}
	go p.readLoop(source)
	return p
}

func (p *gobwasPeer) readLoop(source io.Reader) {
	reader := &wsutil.Reader{Source: source, State: p.state, CheckUTF8: true, OnIntermediate: p.control}
	for {
		data, binary, err := p.read(reader)
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed):
			p.put(chanws.Close{Code: chanws.StatusCode(closed.Code), Reason: closed.Reason})
			return
		case err != nil:
			p.put(chanws.Error{Err: err})
			return
		case data != nil:
			p.message(binary, data)
		}
	}
}

// read reads a message, or a control frame, of which it gives nil.
func (p *gobwasPeer) read(reader *wsutil.Reader) ([]byte, bool, error) {
	header, err := reader.NextFrame()
	if err != nil {
		return nil, false, err
	}
	if header.OpCode.IsControl() {
		if err := p.control(header, reader); err != nil {
			return nil, false, err
		}
		return nil, false, reader.Discard()
	}
	data, err := io.ReadAll(reader)
	return data, header.OpCode == ws.OpBinary, err
}

// control tells of a control frame and lets the library answer it.
func (p *gobwasPeer) control(header ws.Header, r io.Reader) error {
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return err
	}
	switch header.OpCode {
	case ws.OpPing:
		p.put(chanws.Ping(payload))
	case ws.OpPong:
		p.put(chanws.Pong(payload))
	case ws.OpClose:
		if p.closing.Load() {
			return closedBy(payload)
		}
	}
	return wsutil.ControlHandler{
		Src:                 bytes.NewReader(payload),
		Dst:                 p.conn,
		State:               p.state,
		DisableSrcCiphering: true,
	}.Handle(header)
}

// closedBy reads the answer to a close frame, which the library would answer.
func closedBy(payload []byte) error {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 0 {
		code = ws.StatusNoStatusRcvd
	}
	return wsutil.ClosedError{Code: code, Reason: reason}
}

func (p *gobwasPeer) write(binary bool, data []byte) error {
	opcode := ws.OpText
	if binary {
		opcode = ws.OpBinary
	}
	if p.fragment == 0 {
		return p.writeFrame(ws.NewFrame(opcode, true, data))
	}
	w := wsutil.NewWriterSize(p.conn, p.state, opcode, p.fragment)
	if err := inPieces(w, data, p.fragment); err != nil {
		return err
	}
	return w.Flush()
}

func (p *gobwasPeer) writeFrame(f ws.Frame) error {
	if p.state.ClientSide() {
		f = ws.MaskFrame(f)
	}
	frame, err := ws.CompileFrame(f)
	if err != nil {
		return err
	}
	_, err = p.conn.Write(frame)
	return err
}

func (p *gobwasPeer) ping(payload []byte) error { return p.writeFrame(ws.NewPingFrame(payload)) }

func (p *gobwasPeer) close(code chanws.StatusCode, reason string) error {
	p.closing.Store(true)
	if code == chanws.StatusNoStatusRcvd {
		return p.writeFrame(ws.NewCloseFrame(nil))
	}
	return p.writeFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
}

func (p *gobwasPeer) subprotocol() string { return p.chosen }

func (p *gobwasPeer) drop() {
	p.abandon()
	p.conn.Close()
}
