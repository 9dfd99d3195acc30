package fromgws

import (
	"context"
	"net/http"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

var adaptRoom = adapt.Handler(func(r *http.Request) (*adapt.Service, error) {
	user := r.URL.Query().Get("user")
	if user == "" {
		return nil, &adapt.UpgradeError{StatusCode: http.StatusUnauthorized}
	}
	return &adapt.Service{
		OnTextMessage: func(c *adapt.Caller, text string) error {
			return c.WriteTextMessage(user + ": " + text)
		},
		OnClose: func(c *adapt.Caller, code chanws.StatusCode, reason string) error {
			left(int(code))
			return nil
		},
	}, nil
}, &adapt.ServiceConfig{Options: chanws.Options{
	MaxMessageSize: 64 << 10,
	PingInterval:   30 * time.Second,
	Compression:    chanws.CompressionNoContextTakeover,
}})

func adaptVisit(ctx context.Context, url string, lines chan string) (*adapt.AsyncClient, error) {
	service := &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			return c.WriteTextMessage("hello")
		},
		OnTextMessage: func(c *adapt.Caller, text string) error {
			lines <- text
			return nil
		},
	}
	return adapt.NewAsyncClient(ctx, url, service, &adapt.ClientConfig{DialOptions: chanws.DialOptions{
		Header: http.Header{"X-Api-Key": {key}},
	}})
}

func adaptBroadcast(callers []*adapt.Caller, text string) {
	m := chanws.Text(text)
	for _, c := range callers {
		select {
		case c.Conn().Send <- m:
		default: // its Send is full: this client is too slow
			go c.Close(chanws.StatusTryAgainLater, "too slow")
		}
	}
}
