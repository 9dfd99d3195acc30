// Echo upgrades a request inside a route of github.com/labstack/echo, with a parameter
// in the path and behind middleware.
//
//	go run ./examples/routers/echo
//	go run ./examples/wscat 'ws://localhost:8080/rooms/kitchen?user=ann'
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal("echo: ", err)
	}
	fmt.Printf("echo: an upgrade in a route of echo: ws://%s/rooms/kitchen?user=ann\n", l.Addr())
	log.Fatal("echo: ", http.Serve(l, routes()))
}

func routes() http.Handler {
	e := echo.New()
	e.Use(middleware.RequestID(), middleware.Recover())
	e.GET("/rooms/:room", room, authenticate)
	return e
}

// authenticate refuses a request before the upgrade. A real program would check a
// cookie or a token.
func authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		user := c.QueryParam("user")
		if user == "" {
			return echo.NewHTTPError(http.StatusUnauthorized, "who are you? add ?user=NAME")
		}
		c.Set("user", user)
		return next(c)
	}
}

// room serves the connection before it returns: echo reuses its Context afterwards. It
// returns nil, because echo would write an error to a connection that it no longer has.
func room(e echo.Context) error {
	c, err := chanws.Upgrade(e.Response(), e.Request(), nil)
	if err != nil {
		return nil // the HTTP answer has been written
	}
	defer c.CloseNow()
	name, user := e.Param("room"), e.Get("user")
	for ev := range c.Events() {
		if text, ok := ev.(chanws.Text); ok {
			c.Send <- chanws.Text(fmt.Sprintf("%s in %s: %s", user, name, text))
		}
	}
	return nil
}
