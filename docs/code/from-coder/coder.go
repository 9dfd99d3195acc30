// Package fromcoder is the code of docs/from-coder.md.
package fromcoder

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

func coderEcho(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns: []string{"*.example.com"},
		Subprotocols:   []string{"echo"},
	})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(64 << 10)
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

func coderPrice(ctx context.Context, url string) (p price, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {key}}})
	if err != nil {
		return p, err
	}
	defer c.CloseNow()
	if err := wsjson.Write(ctx, c, query{"BTC"}); err != nil {
		return p, err
	}
	if err := wsjson.Read(ctx, c, &p); err != nil {
		return p, err
	}
	return p, c.Close(websocket.StatusNormalClosure, "")
}

func coderReads(ctx context.Context, c *websocket.Conn) error {
	for {
		_, data, err := c.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return nil
		}
		if err != nil {
			return err
		}
		handle(data)
	}
}

func coderPings(ctx context.Context, c *websocket.Conn) error {
	for {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := c.Ping(ctx) // needs a Read in another goroutine
		cancel()
		if err != nil {
			return err
		}
	}
}

func coderTicks(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ctx := c.CloseRead(r.Context())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if c.Write(ctx, websocket.MessageText, []byte(now.Format(time.TimeOnly))) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func coderUpload(ctx context.Context, c *websocket.Conn, r io.Reader) error {
	w, err := c.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}
