package chanws_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/chanws/chanws"
)

// A client with a token, a subprotocol, a private certificate authority, and pings.
func ExampleDialOptions() {
	authority, err := os.ReadFile("authority.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)

	c, err := chanws.Dial(context.Background(), "wss://example.com/feed", &chanws.DialOptions{
		Options:      chanws.Options{PingInterval: 25 * time.Second},
		Subprotocols: []string{"feed.v2", "feed.v1"},
		TLSConfig:    &tls.Config{RootCAs: roots},
		Authorize: func(_ context.Context, r *http.Request) error { // for every attempt
			r.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	log.Print("the server speaks ", c.Subprotocol())
}

// A server's answer that is not 101 is in the error.
func ExampleHandshakeError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "come back with a token", http.StatusUnauthorized)
	}))
	defer server.Close()

	_, err := chanws.Dial(context.Background(), server.URL, nil)
	var refused *chanws.HandshakeError
	if errors.As(err, &refused) {
		fmt.Printf("%s: %s", refused.Status, refused.Body)
	}
	// Output: 401 Unauthorized: come back with a token
}

// A Client that connects again when its connection is lost.
func ExampleClientOptions() {
	c, err := chanws.NewClient(context.Background(), "wss://example.com/feed", &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{Options: chanws.Options{PingInterval: 25 * time.Second}},
		ReadTimeout: time.Minute,
		Retry:       &chanws.RedialPolicy{MaxInterval: 10 * time.Second},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(chanws.StatusNormalClosure, "")
	for {
		text, err := c.ReadTextMessage(context.Background())
		if errors.Is(err, os.ErrDeadlineExceeded) && c.IsOpen() {
			continue // a minute of silence; the connection is unharmed
		}
		if err != nil {
			log.Fatal(err)
		}
		log.Print(text)
	}
}

func ExampleWriteJSON() {
	l := echo()
	defer l.Close()
	ctx := context.Background()
	c, err := chanws.NewClient(ctx, l.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(chanws.StatusNormalClosure, "")

	fmt.Println(chanws.WriteJSON(ctx, c, map[string]int{"x": 3}))
	text, err := c.ReadTextMessage(ctx)
	fmt.Println(text, err)
	// Output:
	// <nil>
	// {"x":3} <nil>
}
