// Chi upgrades a request inside a route of github.com/go-chi/chi, with a parameter in
// the path and behind middleware.
//
//	go run ./examples/routers/chi
//	go run ./examples/wscat 'ws://localhost:8080/rooms/kitchen?user=ann'
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal("chi: ", err)
	}
	fmt.Printf("chi: an upgrade in a route of chi: ws://%s/rooms/kitchen?user=ann\n", l.Addr())
	log.Fatal("chi: ", http.Serve(l, routes()))
}

func routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	r.With(authenticate).Get("/rooms/{room}", room)
	return r
}

type userKey struct{}

// authenticate refuses a request before the upgrade. A real program would check a
// cookie or a token.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := r.URL.Query().Get("user")
		if user == "" {
			http.Error(w, "who are you? add ?user=NAME", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

func room(w http.ResponseWriter, r *http.Request) {
	c, err := chanws.Upgrade(w, r, nil)
	if err != nil {
		return // the HTTP answer has been written
	}
	defer c.CloseNow()
	name := chi.URLParam(r, "room")
	user := c.Context().Value(userKey{}) // Conn.Context keeps the request's values
	for ev := range c.Events() {
		if text, ok := ev.(chanws.Text); ok {
			c.Send <- chanws.Text(fmt.Sprintf("%s in %s: %s", user, name, text))
		}
	}
}
