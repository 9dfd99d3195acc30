package chanws_test

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

// A Group shuts down the connections of one's own http.Server.
func ExampleGroup() {
	var group chanws.Group
	http.HandleFunc("/chat", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Group: &group})
		if err != nil {
			return // the client has its answer
		}
		defer c.CloseNow()
		for ev := range c.Events() {
			if text, ok := ev.(chanws.Text); ok {
				for other := range group.Conns() {
					other.Write(r.Context(), text)
				}
			}
		}
	})
	srv := &http.Server{Addr: ":8080"}
	go srv.ListenAndServe()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	srv.RegisterOnShutdown(func() { group.Shutdown(ctx) })
	err := srv.Shutdown(ctx)                    // starts group.Shutdown, and does not wait for it
	err = errors.Join(err, group.Shutdown(ctx)) // waits until all connections have ended
	log.Print(err)
}

// Serve listens where [net.Listen] can, here on a Unix socket.
func ExampleServe() {
	nl, err := net.Listen("unix", "/run/chat.sock")
	if err != nil {
		log.Fatal(err)
	}
	l, err := chanws.Serve(nl, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c := range l.Conns() {
			c.Send <- chanws.Text("welcome")
			c.Close(chanws.StatusNormalClosure, "")
		}
	}()

	c, err := chanws.Dial(context.Background(), l.URL(), &chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
		},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	log.Print(c.Receive(context.Background()))
}

// NewConn needs no handshake: here two parts of a program talk over a pipe.
func ExampleNewConn() {
	a, b := net.Pipe()
	client, err := chanws.NewConn(a, &chanws.ConnOptions{Client: true})
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseNow()
	server, err := chanws.NewConn(b, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.CloseNow()
	client.Send <- chanws.Text("hello")
	log.Print(<-server.Events())
}
