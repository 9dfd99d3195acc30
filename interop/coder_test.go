package interop

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/chanws/chanws"
	"github.com/coder/websocket"
)

var coderLibrary = library{
	name:        "coder/websocket",
	answer:      same,
	ownPings:    true,
	hidesAnswer: true, // a Read that waits meanwhile reports net.ErrClosed
	dial: func(ctx context.Context, url string, set peerSettings) (peer, error) {
		p := &coderPeer{mailbox: newMailbox(), fragment: set.fragment}
		conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
			HTTPClient:      &http.Client{Transport: &http.Transport{TLSClientConfig: set.tls}},
			Subprotocols:    set.subprotocols,
			CompressionMode: set.coderMode(),
			OnPingReceived:  p.pinged,
			OnPongReceived:  p.ponged,
		})
		if err != nil {
			return nil, err
		}
		return p.start(conn), nil
	},
	upgrade: func(w http.ResponseWriter, r *http.Request, set peerSettings) (peer, error) {
		p := &coderPeer{mailbox: newMailbox(), fragment: set.fragment}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols:    set.subprotocols,
			CompressionMode: set.coderMode(),
			OnPingReceived:  p.pinged,
			OnPongReceived:  p.ponged,
		})
		if err != nil {
			return nil, err
		}
		return p.start(conn), nil
	},
}

func (set *peerSettings) coderMode() websocket.CompressionMode {
	switch {
	case set.goDeflate == nil:
		return websocket.CompressionDisabled
	case set.goDeflate.takeover:
		return websocket.CompressionContextTakeover
	}
	return websocket.CompressionNoContextTakeover
}

// A coderPeer fragments at every call to its writer.
type coderPeer struct {
	*mailbox
	conn     *websocket.Conn
	fragment int
}

func (p *coderPeer) start(conn *websocket.Conn) peer {
	conn.SetReadLimit(-1)
	p.conn = conn
	go p.readLoop()
	return p
}

func (p *coderPeer) pinged(_ context.Context, payload []byte) bool {
	p.put(chanws.Ping(slices.Clone(payload)))
	return true
}

func (p *coderPeer) ponged(_ context.Context, payload []byte) {
	p.put(chanws.Pong(slices.Clone(payload)))
}

func (p *coderPeer) readLoop() {
	for {
		kind, data, err := p.conn.Read(context.Background())
		var closed websocket.CloseError
		switch {
		case errors.As(err, &closed):
			p.put(chanws.Close{Code: chanws.StatusCode(closed.Code), Reason: closed.Reason})
			return
		case err != nil:
			p.put(chanws.Error{Err: err})
			return
		}
		p.message(kind == websocket.MessageBinary, data)
	}
}

func (p *coderPeer) write(binary bool, data []byte) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	if p.fragment == 0 {
		return p.conn.Write(context.Background(), kind, data)
	}
	w, err := p.conn.Writer(context.Background(), kind)
	if err != nil {
		return err
	}
	if err := inPieces(w, data, p.fragment); err != nil {
		return err
	}
	return w.Close()
}

// ping waits for the pong.
func (p *coderPeer) ping([]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.conn.Ping(ctx)
}

func (p *coderPeer) close(code chanws.StatusCode, reason string) error {
	return p.conn.Close(websocket.StatusCode(code), reason)
}

func (p *coderPeer) subprotocol() string { return p.conn.Subprotocol() }

func (p *coderPeer) drop() {
	p.abandon()
	p.conn.CloseNow()
}
