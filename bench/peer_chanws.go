package main

import (
	"context"
	"net"
	"net/http"

	"github.com/chanws/chanws"
)

// options are the defaults, but for the size of messages.
func options(w workload) chanws.Options {
	o := chanws.Options{MaxMessageSize: -1}
	if w.Deflate {
		o.Compression = chanws.CompressionNoContextTakeover
	}
	return o
}

// serveChanws is the loop at the top of the README.
func serveChanws(l net.Listener, w workload) error {
	opts := &chanws.UpgradeOptions{Options: options(w)}
	return serveHTTP(l, func(rw http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(rw, r, opts)
		if err != nil {
			return
		}
		go func() {
			defer c.CloseNow()
			chanwsJobs[w.Job](c, w)
		}()
	})
}

var chanwsJobs = map[job]func(*chanws.Conn, workload){
	echo: func(c *chanws.Conn, _ workload) {
		for ev := range c.Events() {
			switch ev.(type) {
			case chanws.Text, chanws.Binary:
				c.Send <- ev.(chanws.Message) // as it is: no second allocation
			}
		}
	},
	sink: func(c *chanws.Conn, _ workload) {
		for ev := range c.Events() {
			if m, ok := ev.(chanws.Binary); ok && m[0] == mark {
				c.Send <- m
			}
		}
	},
	push: func(c *chanws.Conn, w workload) {
		p, done := w.payload(), c.Done()
		for {
			select {
			case c.Send <- chanws.Binary(p):
			case <-done:
				return
			}
		}
	},
	large: func(c *chanws.Conn, _ workload) {
		for ev := range c.Events() {
			if m, ok := ev.(chanws.Binary); ok {
				if c.Write(context.Background(), m) != nil {
					return
				}
				m.Recycle()
			}
		}
	},
}

func clientChanws(ctx context.Context, url string, w workload, m *meter) error {
	c, err := chanws.Dial(ctx, url, &chanws.DialOptions{Options: options(w)})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	p := w.payload()
	for range w.Window {
		c.Send <- chanws.Binary(p)
	}
	for ev := range c.Events() {
		got, ok := ev.(chanws.Binary)
		if !ok {
			break
		}
		m.count(got)
		if !m.going() {
			return nil
		}
		c.Send <- chanws.Binary(p)
	}
	return c.Err()
}
