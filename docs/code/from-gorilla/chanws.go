package fromgorilla

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

const token = "secret"

func chanwsEcho(w http.ResponseWriter, r *http.Request) {
	c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
		Options: chanws.Options{MaxMessageSize: 64 << 10},
		Origins: []string{"https://app.example.com"},
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

func chanwsAsk(ctx context.Context, url, question string) (string, error) {
	c, err := chanws.NewClient(ctx, url, &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}},
		ReadTimeout: 10 * time.Second,
	})
	if err != nil {
		return "", err
	}
	defer c.Close(chanws.StatusNormalClosure, "") // waits for the server's close frame
	if err := c.WriteTextMessage(ctx, question); err != nil {
		return "", err
	}
	return c.ReadTextMessage(ctx)
}

var keepalive = chanws.Options{
	PingInterval: 54 * time.Second,
	PongTimeout:  6 * time.Second,
	WriteTimeout: 10 * time.Second,
}

func chanwsReads(c *chanws.Conn) error {
	for ev := range c.Events() {
		switch m := ev.(type) {
		case chanws.Text:
			handle([]byte(m))
		case chanws.Binary:
			handle(m)
		}
	}
	if code := chanws.CloseStatus(c.Err()); code == chanws.StatusGoingAway || code == chanws.StatusNormalClosure {
		return nil
	}
	return c.Err()
}

func chanwsBroadcast(conns []*chanws.Conn, data []byte) {
	m := chanws.Text(data)
	for _, c := range conns {
		select {
		case c.Send <- m:
		default: // its Send is full: this client is too slow
			go c.Close(chanws.StatusTryAgainLater, "too slow")
		}
	}
}

// receiveWithin returns false if no event came in time. The connection lives on.
func receiveWithin(c *chanws.Conn, d time.Duration) (chanws.Event, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	ev, err := c.Receive(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, false, nil
	}
	return ev, err == nil, err
}
