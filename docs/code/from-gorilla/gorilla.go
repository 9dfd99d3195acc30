// Package fromgorilla is the code of docs/from-gorilla.md.
package fromgorilla

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{
	CheckOrigin: func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		return origin == "" || origin == "https://app.example.com"
	},
}

func gorillaEcho(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetReadLimit(64 << 10)
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		if err := c.WriteMessage(kind, data); err != nil {
			return
		}
	}
}

func gorillaAsk(ctx context.Context, url, question string) (string, error) {
	c, _, err := websocket.DefaultDialer.DialContext(ctx, url, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte(question)); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, answer, err := c.ReadMessage()
	if err != nil {
		return "", err
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	c.ReadMessage() // the server's close frame
	return string(answer), nil
}

const pongWait = time.Minute

func gorillaReads(c *websocket.Conn) error {
	c.SetReadDeadline(time.Now().Add(pongWait))
	c.SetPongHandler(func(string) error {
		return c.SetReadDeadline(time.Now().Add(pongWait))
	})
	for {
		_, data, err := c.ReadMessage()
		if websocket.IsUnexpectedCloseError(err, websocket.CloseGoingAway, websocket.CloseNormalClosure) {
			return err
		}
		if err != nil {
			return nil
		}
		handle(data)
	}
}

// gorillaWrites runs in a second goroutine, the only one that may write.
func gorillaWrites(c *websocket.Conn, out <-chan []byte) error {
	ticker := time.NewTicker(pongWait * 9 / 10)
	defer ticker.Stop()
	for {
		select {
		case m, more := <-out:
			c.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if !more {
				return c.WriteMessage(websocket.CloseMessage, nil)
			}
			if err := c.WriteMessage(websocket.TextMessage, m); err != nil {
				return err
			}
		case <-ticker.C:
			c.SetWriteDeadline(time.Now().Add(10 * time.Second))
			if err := c.WriteMessage(websocket.PingMessage, nil); err != nil {
				return err
			}
		}
	}
}

func gorillaBroadcast(conns []*websocket.Conn, data []byte) error {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err != nil {
		return err
	}
	for _, c := range conns {
		c.WritePreparedMessage(m)
	}
	return nil
}
