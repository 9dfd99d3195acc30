// Gin upgrades a request inside a route of github.com/gin-gonic/gin, with a parameter
// in the path and behind middleware.
//
//	go run ./examples/routers/gin
//	go run ./examples/wscat 'ws://localhost:8080/rooms/kitchen?user=ann'
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/gin-gonic/gin"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal("gin: ", err)
	}
	fmt.Printf("gin: an upgrade in a route of gin: ws://%s/rooms/kitchen?user=ann\n", l.Addr())
	log.Fatal("gin: ", http.Serve(l, routes()))
}

func routes() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Logger(), gin.Recovery())
	r.GET("/rooms/:room", authenticate, room)
	return r
}

// authenticate refuses a request before the upgrade. A real program would check a
// cookie or a token.
func authenticate(c *gin.Context) {
	user := c.Query("user")
	if user == "" {
		c.String(http.StatusUnauthorized, "who are you? add ?user=NAME")
		c.Abort()
		return
	}
	c.Set("user", user)
}

// room serves the connection before it returns: gin reuses its Context afterwards.
func room(g *gin.Context) {
	c, err := chanws.Upgrade(g.Writer, g.Request, nil)
	if err != nil {
		return // the HTTP answer has been written
	}
	defer c.CloseNow()
	name, user := g.Param("room"), g.GetString("user")
	for ev := range c.Events() {
		if text, ok := ev.(chanws.Text); ok {
			c.Send <- chanws.Text(fmt.Sprintf("%s in %s: %s", user, name, text))
		}
	}
}
