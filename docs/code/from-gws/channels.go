package fromgws

import (
	"net/http"

	"github.com/chanws/chanws"
)

func chanwsRoom(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
		Authorize: func(r *http.Request) error {
			if user == "" {
				return &chanws.HTTPError{StatusCode: http.StatusUnauthorized}
			}
			return nil
		},
	})
	if err != nil {
		return // the HTTP answer has been written
	}
	defer c.CloseNow()
	for ev := range c.Events() {
		switch m := ev.(type) {
		case chanws.Text:
			c.Send <- chanws.Text(user) + ": " + m
		case chanws.Close:
			left(int(m.Code))
		}
	}
}
