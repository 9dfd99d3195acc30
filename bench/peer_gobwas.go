package main

import (
	"context"
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serveGobwas is the echo server at the top of the package's README.
func serveGobwas(l net.Listener, w workload) error {
	return serveHTTP(l, func(rw http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, rw)
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if w.Job == push {
				p := w.payload()
				for wsutil.WriteServerMessage(c, ws.OpBinary, p) == nil {
				}
				return
			}
			for {
				p, op, err := wsutil.ReadClientData(c)
				if err != nil {
					return
				}
				if w.Job == sink && p[0] != mark {
					continue
				}
				if wsutil.WriteServerMessage(c, op, p) != nil {
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
