package fromcoder

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

func chanwsEcho(w http.ResponseWriter, r *http.Request) {
	c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
		Options:      chanws.Options{MaxMessageSize: 64 << 10},
		Origins:      []string{"*.example.com"},
		Subprotocols: []string{"echo"},
	})
	if err != nil {
		return // the HTTP answer has been written
	}
	defer c.CloseNow()
	for ev := range c.Events() {
		switch m := ev.(type) {
		case chanws.Text:
			c.Send <- m
		case chanws.Binary:
			c.Send <- m
		}
	}
}

func chanwsPrice(ctx context.Context, url string) (p price, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := chanws.NewClient(ctx, url, &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{Header: http.Header{"X-Api-Key": {key}}},
	})
	if err != nil {
		return p, err
	}
	defer c.CloseNow()
	if err := chanws.WriteJSON(ctx, c, query{"BTC"}); err != nil {
		return p, err
	}
	if p, err = chanws.ReadJSON[price](ctx, c); err != nil {
		return p, err
	}
	return p, c.Close(chanws.StatusNormalClosure, "")
}

func chanwsReads(ctx context.Context, c *chanws.Conn) error {
	for {
		ev, err := c.Receive(ctx)
		if chanws.CloseStatus(err) == chanws.StatusNormalClosure {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := ev.(type) {
		case chanws.Text:
			handle([]byte(m))
		case chanws.Binary:
			handle(m)
		}
	}
}

var pings = chanws.Options{
	PingInterval: 30 * time.Second,
	PongTimeout:  10 * time.Second,
}

func chanwsTicks(w http.ResponseWriter, r *http.Request) {
	c, err := chanws.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.Send <- chanws.Text(now.Format(time.TimeOnly))
		case ev := <-c.Events():
			if _, over := ev.(error); over {
				return // the terminal event, a Close or an Error
			}
		}
	}
}

// chanwsUpload sends a stream as messages of at most 64 KiB, and an empty one at the end.
func chanwsUpload(ctx context.Context, c *chanws.Conn, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := c.Write(ctx, chanws.Binary(buf[:n])); err != nil { // buf is ours again
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return c.Write(ctx, chanws.Binary{})
		}
		if err != nil {
			return err
		}
	}
}
