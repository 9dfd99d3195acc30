package main

import (
	"context"
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

// serveGws is the package's examples/echo; its compression only where it is asked for.
func serveGws(l net.Listener, w workload) error {
	upgrader := gws.NewUpgrader(&gwsHandler{w: w}, &gws.ServerOption{
		CheckUtf8Enabled:   true,
		Recovery:           gws.Recovery,
		ReadMaxPayloadSize: 64 << 20, WriteMaxPayloadSize: 64 << 20,
		PermessageDeflate: gws.PermessageDeflate{Enabled: w.Deflate},
	})
	return serveHTTP(l, func(rw http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(rw, r)
		if err != nil {
			return
		}
		if w.Job == push {
			go func() {
				p := w.payload()
				for c.WriteMessage(gws.OpcodeBinary, p) == nil {
				}
			}()
		}
		go c.ReadLoop()
	})
}

type gwsHandler struct {
	gws.BuiltinEventHandler
	w workload
}

func (h *gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if p := m.Bytes(); h.w.Job != sink || p[0] == mark {
		_ = c.WriteMessage(m.Opcode, p)
	}
}

func clientGws(_ context.Context, url string, w workload, m *meter) error {
	h := &gwsClient{payload: w.payload(), meter: m}
	c, _, err := gws.NewClient(h, &gws.ClientOption{Addr: url})
	if err != nil {
		return err
	}
	for range w.Window {
		if err := c.WriteMessage(gws.OpcodeBinary, h.payload); err != nil {
			return err
		}
	}
	c.ReadLoop()
	return nil
}

type gwsClient struct {
	gws.BuiltinEventHandler
	payload []byte
	meter   *meter
}

func (h *gwsClient) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	h.meter.count(m.Bytes())
	if !h.meter.going() {
		_ = c.NetConn().Close()
		return
	}
	_ = c.WriteMessage(gws.OpcodeBinary, h.payload)
}
