// Package testingyourcode is the code of docs/testing-your-code.md.
package testingyourcode

import (
	"net/http"
	"strings"
	"time"

	"github.com/chanws/chanws"
)

// shout is the code under test: it answers in capitals, and hangs up after a minute of
// silence.
func shout(c *chanws.Conn) error {
	defer c.Close(chanws.StatusNormalClosure, "silence")
	for ev := range c.Events() {
		switch m := ev.(type) {
		case chanws.Text:
			c.Send <- chanws.Text(strings.ToUpper(string(m)))
		case chanws.IdleTimeout:
			return nil
		}
	}
	return c.Err()
}

var minute = &chanws.UpgradeOptions{Options: chanws.Options{IdleTimeout: time.Minute}}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shout", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, minute)
		if err != nil {
			return
		}
		shout(c)
	})
	return mux
}
