package adapt_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

// A server of callbacks, with a room in the path, and its end in good order.
func ExampleNewListener() {
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	err = l.Attach("/rooms/{room}", func(r *http.Request) (*adapt.Service, error) {
		room := r.PathValue("room")
		return &adapt.Service{
			OnOpen: func(c *adapt.Caller) error {
				return c.WriteTextMessage("welcome to the " + room)
			},
		}, nil
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Start(); err != nil {
		log.Fatal(err)
	}

	c, err := chanws.Dial(context.Background(), "ws://"+l.Addr().String()+"/rooms/kitchen", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	fmt.Println(<-c.Events())
	fmt.Println(l.GracefulStop(context.Background()))
	<-c.Done()
	fmt.Println(chanws.CloseStatus(c.Err()))
	// Output:
	// welcome to the kitchen
	// <nil>
	// 1001 (going away)
}

// serveAtRoot serves a service on a free port and returns its URL.
func serveAtRoot(s *adapt.Service) (l *adapt.Listener, url string) {
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Attach("/", func(*http.Request) (*adapt.Service, error) { return s, nil }, nil); err != nil {
		log.Fatal(err)
	}
	if err := l.Start(); err != nil {
		log.Fatal(err)
	}
	return l, "ws://" + l.Addr().String()
}

// A client of callbacks. Done is closed after the last of them.
func ExampleNewAsyncClient() {
	l, url := serveAtRoot(&adapt.Service{
		OnTextMessage: func(c *adapt.Caller, text string) error { return c.WriteTextMessage("you said " + text) },
	})
	defer l.ImmediateStop()

	c, err := adapt.NewAsyncClient(context.Background(), url, &adapt.Service{
		OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("hello") },
		OnTextMessage: func(c *adapt.Caller, text string) error {
			fmt.Println(text)
			return chanws.Close{Code: chanws.StatusNormalClosure} // closes
		},
		OnClose: func(c *adapt.Caller, code chanws.StatusCode, reason string) error {
			fmt.Println("closed with", code)
			return nil
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-c.Done()
	// Output:
	// you said hello
	// closed with 1000 (normal closure)
}

// An UpgradeFunc refuses a request with an answer of its choice.
func ExampleUpgradeError() {
	http.Handle("/members", adapt.Handler(func(r *http.Request) (*adapt.Service, error) {
		cookie, err := r.Cookie("session")
		if err != nil {
			return nil, &adapt.UpgradeError{StatusCode: http.StatusUnauthorized, Message: "log in first"}
		}
		return &adapt.Service{
			OnOpen: func(c *adapt.Caller) error {
				c.SetAttribute("session", cookie.Value)
				return nil
			},
		}, nil
	}, nil))
}

// JSON decodes a message, calls a function, and sends its result.
func ExampleJSON() {
	type numbers struct{ A, B int }
	type sum struct{ Sum int }
	l, url := serveAtRoot(&adapt.Service{
		OnTextMessage: adapt.JSON(func(_ *adapt.Caller, n numbers) (sum, error) {
			return sum{n.A + n.B}, nil
		}),
	})
	defer l.ImmediateStop()

	c, err := chanws.Dial(context.Background(), url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	c.Send <- chanws.Text(`{"A":1,"B":2}`)
	fmt.Println(<-c.Events())
	// Output: {"Sum":3}
}

// Stream sends a sequence while other callbacks run.
func ExampleStream() {
	countdown := func(yield func(int, error) bool) {
		for i := 3; i > 0; i-- {
			if !yield(i, nil) {
				return // the connection has ended
			}
		}
		yield(0, chanws.Close{Code: chanws.StatusNormalClosure})
	}
	l, url := serveAtRoot(&adapt.Service{
		OnOpen: func(c *adapt.Caller) error { return adapt.Stream(c, iter.Seq2[int, error](countdown)) },
	})
	defer l.ImmediateStop()

	c, err := chanws.Dial(context.Background(), url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	for ev := range c.Events() {
		fmt.Println(ev)
	}
	// Output:
	// 3
	// 2
	// 1
	// websocket closed: 1000 (normal closure)
}

// Serve runs callbacks on a connection of package chanws, until it has ended.
func ExampleServe() {
	l, url := serveAtRoot(&adapt.Service{
		OnOpen: func(c *adapt.Caller) error { return errors.Join(c.WriteTextMessage("one"), c.WriteTextMessage("two")) },
	})
	defer l.ImmediateStop()

	c, err := chanws.Dial(context.Background(), url, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = adapt.Serve(c, &adapt.Service{
		OnTextMessage: func(_ *adapt.Caller, text string) error {
			fmt.Println(text)
			if text == "two" {
				return chanws.Close{Code: chanws.StatusNormalClosure}
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// one
	// two
	// <nil>
}
