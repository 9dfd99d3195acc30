package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// serveCoder reads and writes whole messages: one frame each, and faster than the
// reader and the writer of the package's example. Its context has no end, because a
// timeout for each message would only cost.
func serveCoder(l net.Listener, w workload) error {
	opts := &websocket.AcceptOptions{}
	if w.Deflate {
		opts.CompressionMode = websocket.CompressionNoContextTakeover
	}
	ctx := context.Background()
	return serveHTTP(l, func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, opts)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		if w.Job == push {
			p := w.payload()
			for c.Write(ctx, websocket.MessageBinary, p) == nil {
			}
			return
		}
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				return
			}
			if w.Job == sink && p[0] != mark {
				continue
			}
			if c.Write(ctx, kind, p) != nil {
				return
			}
		}
	})
}

func clientCoder(ctx context.Context, url string, w workload, m *meter) error {
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	ctx = context.Background()
	p := w.payload()
	for range w.Window {
		if err := c.Write(ctx, websocket.MessageBinary, p); err != nil {
			return err
		}
	}
	for m.going() {
		_, got, err := c.Read(ctx)
		if err != nil {
			return err
		}
		m.count(got)
		if err := c.Write(ctx, websocket.MessageBinary, p); err != nil {
			return err
		}
	}
	return nil
}
