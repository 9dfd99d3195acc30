// Package faq is the code of docs/faq.md.
package faq

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

type move struct{ X, Y int }

func serveMoves(c *chanws.Conn) error {
	defer c.CloseNow()
	for ev := range c.Events() {
		text, ok := ev.(chanws.Text)
		if !ok {
			continue
		}
		var m move
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return c.Close(chanws.StatusInvalidFramePayloadData, "not a move")
		}
		reply, err := json.Marshal(move{m.Y, m.X})
		if err != nil {
			return err
		}
		c.Send <- chanws.Text(reply)
	}
	return c.Err()
}

func askForAMove(ctx context.Context, c *chanws.Client, m move) (move, error) {
	if err := chanws.WriteJSON(ctx, c, m); err != nil {
		return move{}, err
	}
	return chanws.ReadJSON[move](ctx, c)
}

type userKey struct{}

var withCookie = &chanws.UpgradeOptions{
	Authorize: func(r *http.Request) error {
		cookie, err := r.Cookie("session")
		if err != nil {
			return &chanws.HTTPError{StatusCode: http.StatusUnauthorized}
		}
		user, err := lookUp(cookie.Value)
		if err != nil {
			return err // 403, and the client does not see the text
		}
		*r = *r.WithContext(context.WithValue(r.Context(), userKey{}, user))
		return nil
	},
}

func userOf(c *chanws.Conn) string {
	user, _ := c.Context().Value(userKey{}).(string)
	return user
}

// authenticate takes a token as the first message, within 5 s.
func authenticate(ctx context.Context, c *chanws.Conn) (user string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ev, err := c.Receive(ctx)
	if err == nil {
		token, _ := ev.(chanws.Text)
		user, err = lookUp(string(token))
	}
	if err != nil {
		c.Close(chanws.StatusPolicyViolation, "authenticate first")
	}
	return user, err
}

// send returns false if the connection has ended.
func send(c *chanws.Conn, m chanws.Message) bool {
	select {
	case c.Send <- m:
		return true
	case <-c.Done():
		return false
	}
}

var origins = &chanws.UpgradeOptions{
	Origins: []string{"https://app.example.com", "http://localhost:3000"},
}

// lookUp stands for what knows sessions and tokens.
func lookUp(token string) (user string, err error) {
	if token != "ann's" {
		return "", errors.New("no such session")
	}
	return "ann", nil
}
