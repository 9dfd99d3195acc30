package main

import (
	"context"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// serveGorilla is the package's examples/echo.
func serveGorilla(l net.Listener, w workload) error {
	upgrader := websocket.Upgrader{EnableCompression: w.Deflate}
	return serveHTTP(l, func(rw http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(rw, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		if w.Job == push {
			p := w.payload()
			for c.WriteMessage(websocket.BinaryMessage, p) == nil {
			}
			return
		}
		for {
			kind, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if w.Job == sink && p[0] != mark {
				continue
			}
			if c.WriteMessage(kind, p) != nil {
				return
			}
		}
	})
}

func clientGorilla(ctx context.Context, url string, w workload, m *meter) error {
	c, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	p := w.payload()
	for range w.Window {
		if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
			return err
		}
	}
	for m.going() {
		_, got, err := c.ReadMessage()
		if err != nil {
			return err
		}
		m.count(got)
		if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
			return err
		}
	}
	return nil
}
