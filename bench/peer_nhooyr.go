//lint:file-ignore SA1019 This is the library that is measured, by the name that it had.

package main

import (
	"context"
	"net"
	"net/http"

	"nhooyr.io/websocket"
)

// serveNhooyr is used as serveCoder is: the one is the older name of the other.
func serveNhooyr(l net.Listener, w workload) error {
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

func clientNhooyr(ctx context.Context, url string, w workload, m *meter) error {
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
