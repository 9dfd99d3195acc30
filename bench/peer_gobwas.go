package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serveGobwas is the echo server at the top of the package's README, without any
// buffer: little memory and many calls to the operating system.
func serveGobwas(l net.Listener, w workload) error {
	return serveGobwasOn(l, w, func(c net.Conn, _ *bufio.ReadWriter) (io.ReadWriter, func() error) {
		return c, func() error { return nil }
	})
}

// serveGobwasBuffered is the same on the buffers that UpgradeHTTP gives beside the
// connection: its fastest way to echo small messages.
func serveGobwasBuffered(l net.Listener, w workload) error {
	return serveGobwasOn(l, w, func(_ net.Conn, b *bufio.ReadWriter) (io.ReadWriter, func() error) {
		return b, b.Flush
	})
}

func serveGobwasOn(l net.Listener, w workload, stream func(net.Conn, *bufio.ReadWriter) (io.ReadWriter, func() error)) error {
	return serveHTTP(l, func(answer http.ResponseWriter, r *http.Request) {
		c, buffers, _, err := ws.UpgradeHTTP(r, answer)
		if err != nil {
			return
		}
		rw, flush := stream(c, buffers) // here, so that what is not used is garbage
		go func() {
			defer c.Close()
			if w.Job == push {
				p := w.payload()
				for wsutil.WriteServerMessage(rw, ws.OpBinary, p) == nil && flush() == nil {
				}
				return
			}
			for {
				p, op, err := wsutil.ReadClientData(rw)
				if err != nil {
					return
				}
				if w.Job == sink && p[0] != mark {
					continue
				}
				if wsutil.WriteServerMessage(rw, op, p) != nil || flush() != nil {
					return
				}
			}
		}()
	})
}

func clientGobwas(ctx context.Context, url string, w workload, m *meter) error {
	c, _, _, err := ws.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	p := w.payload()
	for range w.Window {
		if err := wsutil.WriteClientMessage(c, ws.OpBinary, p); err != nil {
			return err
		}
	}
	for m.going() {
		got, _, err := wsutil.ReadServerData(c)
		if err != nil {
			return err
		}
		m.count(got)
		if err := wsutil.WriteClientMessage(c, ws.OpBinary, p); err != nil {
			return err
		}
	}
	return nil
}
