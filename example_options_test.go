package chanws_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/chanws/chanws"
)

// What a server on the open internet should set at least.
func ExampleOptions() {
	l, err := chanws.Listen(":8080", &chanws.ListenOptions{
		Options: chanws.Options{
			MaxMessageSize: 64 << 10,
			PingInterval:   25 * time.Second,
			WriteTimeout:   10 * time.Second,
			MessageRate:    chanws.Rate{PerSecond: 50, Burst: 200},
		},
		MaxConns: 10_000,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
}

// A consumer that wants the latest price and may miss older ones.
func ExampleOverflow() {
	c, err := chanws.Dial(context.Background(), "wss://example.com/prices", &chanws.DialOptions{
		Options: chanws.Options{EventBuffer: 1, Overflow: chanws.DropOldest},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	for ev := range c.Events() {
		log.Print(ev)
		time.Sleep(time.Second) // slow work
	}
	log.Print(c.Stats().DroppedEvents, " prices were not looked at")
}

// Hooks see the frames of a connection.
func ExampleTrace() {
	l := echo()
	defer l.Close()
	c, err := chanws.Dial(context.Background(), l.URL(), &chanws.DialOptions{Options: chanws.Options{
		Trace: &chanws.Trace{
			FrameSent: func(f chanws.FrameInfo) { fmt.Printf("opcode %d, %d bytes\n", f.Opcode, f.Payload) },
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	c.Send <- chanws.Text("hello")
	<-c.Events()
	c.Close(chanws.StatusNormalClosure, "bye")
	// Output:
	// opcode 1, 5 bytes
	// opcode 8, 5 bytes
}

// Authorize sees the request before the upgrade, and chooses the answer that refuses it.
func ExampleHTTPError() {
	http.HandleFunc("GET /feed", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
			Authorize: func(r *http.Request) error {
				if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || token != "secret" {
					return &chanws.HTTPError{StatusCode: http.StatusUnauthorized, Message: "a token, please"}
				}
				return nil
			},
		})
		if err != nil {
			return // the HTTP answer has been written
		}
		defer c.Close(chanws.StatusNormalClosure, "")
		c.Send <- chanws.Text("welcome")
	})
}
