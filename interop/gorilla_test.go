package interop

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/chanws/chanws"
	"github.com/gorilla/websocket"
)

var gorillaLibrary = library{
	name:   "gorilla/websocket",
	answer: same,
	dial: func(ctx context.Context, url string, set peerSettings) (peer, error) {
		d := websocket.Dialer{TLSClientConfig: set.tls, Subprotocols: set.subprotocols, WriteBufferSize: set.fragment, EnableCompression: set.goDeflate != nil}
		conn, _, err := d.DialContext(ctx, url, nil)
		if err != nil {
			return nil, err
		}
		return newGorillaPeer(conn, set), nil
	},
	upgrade: func(w http.ResponseWriter, r *http.Request, set peerSettings) (peer, error) {
		u := websocket.Upgrader{Subprotocols: set.subprotocols, WriteBufferSize: set.fragment, EnableCompression: set.goDeflate != nil}
		conn, err := u.Upgrade(w, r, nil)
		if err != nil {
			return nil, err
		}
		return newGorillaPeer(conn, set), nil
	},
}

// A gorillaPeer fragments at the size of its write buffer.
type gorillaPeer struct {
	*mailbox
	conn     *websocket.Conn
	fragment int
}

func newGorillaPeer(conn *websocket.Conn, set peerSettings) *gorillaPeer {
	p := &gorillaPeer{newMailbox(), conn, set.fragment}
	answerPing := conn.PingHandler()
	conn.SetPingHandler(func(payload string) error {
		p.put(chanws.Ping(payload))
		return answerPing(payload)
	})
	conn.SetPongHandler(func(payload string) error {
		p.put(chanws.Pong(payload))
		return nil
	})
	go p.readLoop()
	return p
}

func (p *gorillaPeer) readLoop() {
	for {
		kind, data, err := p.conn.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			p.put(chanws.Close{Code: chanws.StatusCode(closed.Code), Reason: closed.Text})
			return
		case err != nil:
			p.put(chanws.Error{Err: err})
			return
		}
		p.message(kind == websocket.BinaryMessage, data)
	}
}

func (p *gorillaPeer) write(binary bool, data []byte) error {
	kind := websocket.TextMessage
	if binary {
		kind = websocket.BinaryMessage
	}
	if p.fragment == 0 {
		return p.conn.WriteMessage(kind, data)
	}
	w, err := p.conn.NextWriter(kind)
	if err != nil {
		return err
	}
	if err := inPieces(w, data, p.fragment); err != nil {
		return err
	}
	return w.Close()
}

func (p *gorillaPeer) ping(payload []byte) error {
	return p.conn.WriteControl(websocket.PingMessage, payload, time.Now().Add(patience))
}

func (p *gorillaPeer) close(code chanws.StatusCode, reason string) error {
	payload := websocket.FormatCloseMessage(int(code), reason)
	return p.conn.WriteControl(websocket.CloseMessage, payload, time.Now().Add(patience))
}

func (p *gorillaPeer) subprotocol() string { return p.conn.Subprotocol() }

func (p *gorillaPeer) drop() {
	p.abandon()
	p.conn.Close()
}
