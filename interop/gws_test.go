package interop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/chanws/chanws"
	"github.com/lxzan/gws"
)

var gwsLibrary = library{
	name:            "lxzan/gws",
	hidesAnswer:     true, // it closes the socket behind its close frame
	alwaysCloseCode: true,
	insists:         true,
	answer: func(code chanws.StatusCode) chanws.StatusCode {
		if code != chanws.StatusNoStatusRcvd && code < 1016 {
			return chanws.StatusNormalClosure
		}
		return code
	},
	dial: func(_ context.Context, url string, set peerSettings) (peer, error) {
		header := http.Header{}
		if len(set.subprotocols) > 0 {
			header.Set("Sec-WebSocket-Protocol", strings.Join(set.subprotocols, ", "))
		}
		h := &gwsHandler{newMailbox()}
		conn, _, err := gws.NewClient(h, &gws.ClientOption{
			Addr:              url,
			TlsConfig:         set.tls,
			RequestHeader:     header,
			CheckUtf8Enabled:  true,
			PermessageDeflate: set.gwsDeflate(),
			HandshakeTimeout:  patience,
		})
		if err != nil {
			return nil, err
		}
		return newGwsPeer(h, conn, set), nil
	},
	upgrade: func(w http.ResponseWriter, r *http.Request, set peerSettings) (peer, error) {
		h := &gwsHandler{newMailbox()}
		conn, err := gws.NewUpgrader(h, &gws.ServerOption{
			SubProtocols:      set.subprotocols,
			CheckUtf8Enabled:  true,
			PermessageDeflate: set.gwsDeflate(),
			HandshakeTimeout:  patience,
		}).Upgrade(w, r)
		if err != nil {
			return nil, err
		}
		return newGwsPeer(h, conn, set), nil
	},
}

func (set *peerSettings) gwsDeflate() gws.PermessageDeflate {
	if set.goDeflate == nil {
		return gws.PermessageDeflate{}
	}
	return gws.PermessageDeflate{
		Enabled:               true,
		ServerContextTakeover: set.goDeflate.takeover,
		ClientContextTakeover: set.goDeflate.takeover,
		ServerMaxWindowBits:   set.goDeflate.bits,
		ClientMaxWindowBits:   set.goDeflate.bits,
	}
}

// A gwsPeer fragments at every read from the file that it sends.
type gwsPeer struct {
	*mailbox
	conn     *gws.Conn
	fragment int
}

func newGwsPeer(h *gwsHandler, conn *gws.Conn, set peerSettings) *gwsPeer {
	go conn.ReadLoop()
	return &gwsPeer{h.mailbox, conn, set.fragment}
}

// A gwsHandler is what gws calls.
type gwsHandler struct{ *mailbox }

func (h *gwsHandler) OnOpen(*gws.Conn) {}

func (h *gwsHandler) OnClose(_ *gws.Conn, err error) {
	var closed *gws.CloseError
	switch {
	case !errors.As(err, &closed):
		h.put(chanws.Error{Err: err})
	case closed.Code == 0:
		h.put(chanws.Close{Code: chanws.StatusNoStatusRcvd})
	default:
		h.put(chanws.Close{Code: chanws.StatusCode(closed.Code), Reason: string(closed.Reason)})
	}
}

func (h *gwsHandler) OnPing(conn *gws.Conn, payload []byte) {
	h.put(chanws.Ping(slices.Clone(payload)))
	_ = conn.WritePong(payload)
}

func (h *gwsHandler) OnPong(_ *gws.Conn, payload []byte) {
	h.put(chanws.Pong(slices.Clone(payload)))
}

func (h *gwsHandler) OnMessage(_ *gws.Conn, m *gws.Message) {
	h.message(m.Opcode == gws.OpcodeBinary, slices.Clone(m.Bytes()))
	m.Close()
}

func (p *gwsPeer) write(binary bool, data []byte) error {
	opcode := gws.OpcodeText
	if binary {
		opcode = gws.OpcodeBinary
	}
	if p.fragment == 0 {
		return p.conn.WriteMessage(opcode, data)
	}
	return p.conn.WriteFile(opcode, &slowFile{bytes.NewReader(data), p.fragment})
}

// A slowFile gives at most size bytes a read.
type slowFile struct {
	io.Reader
	size int
}

func (f *slowFile) Read(p []byte) (int, error) { return f.Reader.Read(p[:min(len(p), f.size)]) }

func (p *gwsPeer) ping(payload []byte) error { return p.conn.WritePing(payload) }

func (p *gwsPeer) close(code chanws.StatusCode, reason string) error {
	return p.conn.WriteClose(uint16(code), []byte(reason))
}

func (p *gwsPeer) subprotocol() string { return p.conn.SubProtocol() }

func (p *gwsPeer) drop() {
	p.abandon()
	p.conn.NetConn().Close()
}
