// Package fromgws is the code of docs/from-gws.md.
package fromgws

import (
	"errors"
	"net/http"
	"time"

	"github.com/lxzan/gws"
)

type room struct{}

func (room) OnOpen(c *gws.Conn) {
	c.SetDeadline(time.Now().Add(time.Minute))
}

func (room) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	user, _ := c.Session().Load("user")
	c.WriteString(user.(string) + ": " + string(m.Bytes()))
}

func (room) OnPing(c *gws.Conn, payload []byte) {
	c.SetDeadline(time.Now().Add(time.Minute))
	c.WritePong(payload)
}

func (room) OnPong(c *gws.Conn, payload []byte) {}

func (room) OnClose(c *gws.Conn, err error) {
	var end *gws.CloseError
	if errors.As(err, &end) {
		left(int(end.Code))
	}
}

var upgrader = gws.NewUpgrader(room{}, &gws.ServerOption{
	ReadMaxPayloadSize: 64 << 10,
	CheckUtf8Enabled:   true,
	Recovery:           gws.Recovery,
	PermessageDeflate:  gws.PermessageDeflate{Enabled: true},
	Authorize: func(r *http.Request, s gws.SessionStorage) bool {
		s.Store("user", r.URL.Query().Get("user"))
		return r.URL.Query().Has("user")
	},
})

func gwsRoom(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r)
	if err != nil {
		return
	}
	go c.ReadLoop()
}

type printer struct {
	gws.BuiltinEventHandler
	lines chan string
}

func (p printer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	p.lines <- string(m.Bytes())
}

func gwsVisit(url string, lines chan string) (*gws.Conn, error) {
	c, _, err := gws.NewClient(printer{lines: lines}, &gws.ClientOption{
		Addr:          url,
		RequestHeader: http.Header{"X-Api-Key": {key}},
	})
	if err != nil {
		return nil, err
	}
	go c.ReadLoop()
	return c, c.WriteString("hello")
}

func gwsBroadcast(conns []*gws.Conn, text string) {
	b := gws.NewBroadcaster(gws.OpcodeText, []byte(text))
	defer b.Close()
	for _, c := range conns {
		b.Broadcast(c)
	}
}
