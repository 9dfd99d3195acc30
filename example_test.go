package chanws_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/chanws/chanws"
	"golang.org/x/sync/errgroup"
)

// echo listens on a free port and sends every text back.
func echo() *chanws.Listener {
	l, err := chanws.Listen("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for c := range l.Conns() {
			go func() {
				defer c.CloseNow()
				for ev := range c.Events() {
					if text, ok := ev.(chanws.Text); ok {
						c.Send <- text
					}
				}
			}()
		}
	}()
	return l
}

// A server is a loop over the connections that come, and for each a loop over what
// happens on it.
func ExampleListen() {
	l, err := chanws.Listen("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for c := range l.Conns() {
			go func() {
				defer c.CloseNow()
				for ev := range c.Events() {
					if text, ok := ev.(chanws.Text); ok {
						c.Send <- "you said " + text
					}
				}
			}()
		}
	}()

	c, err := chanws.Dial(context.Background(), l.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	c.Send <- chanws.Text("hello")
	fmt.Println(<-c.Events())
	c.Close(chanws.StatusNormalClosure, "")
	l.Shutdown(context.Background())
	// Output: you said hello
}

// Inside any net/http server, a handler upgrades the request.
func ExampleUpgrade() {
	http.HandleFunc("GET /time", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
			Origins: []string{"app.example.com"},
		})
		if err != nil {
			return // the HTTP answer has been written
		}
		defer c.Close(chanws.StatusNormalClosure, "")
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				c.Send <- chanws.Text(now.Format(time.TimeOnly))
			case ev := <-c.Events():
				if _, over := ev.(error); over {
					return
				}
			}
		}
	})
}

// One goroutine may wait for several connections, and for anything else.
func ExampleConn_Events() {
	l := echo()
	defer l.Close()
	a, _ := chanws.Dial(context.Background(), l.URL(), nil)
	b, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer a.CloseNow()
	defer b.CloseNow()

	a.Send <- chanws.Text("ping")
	for range 3 {
		select {
		case ev := <-a.Events():
			fmt.Println("a:", ev)
			b.Send <- chanws.Text("pong")
		case ev := <-b.Events():
			fmt.Println("b:", ev)
			a.Send <- chanws.Text("ping")
		case <-time.After(time.Minute):
			fmt.Println("nothing happens")
		}
	}
	// Output:
	// a: ping
	// b: pong
	// a: ping
}

// The terminal event is an error that can be returned as it is: an errgroup then ends
// with it.
func ExampleConn_Receive() {
	l := echo()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()

	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error {
		for {
			ev, err := c.Receive(ctx)
			if err != nil {
				return err
			}
			fmt.Println(ev)
			close(c.Send) // that is all
		}
	})
	c.Send <- chanws.Text("one word")
	err := g.Wait()

	var end chanws.Close
	if errors.As(err, &end) {
		fmt.Println("closed with", end.Code)
	}
	// Output:
	// one word
	// closed with 1000 (normal closure)
}

// Write is for who must know that the message is on its way.
func ExampleConn_Write() {
	l := echo()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(c.Write(ctx, chanws.Text("important")))
	fmt.Println(c.Write(ctx, chanws.Ping(make([]byte, 200))))
	// Output:
	// <nil>
	// chanws: invalid message: ping of 200 bytes: want at most 125
}

func ExampleConn_Close() {
	l := echo()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	fmt.Println(c.Close(chanws.StatusNormalClosure, "that was all"))
	fmt.Println(c.Err())
	// Output:
	// <nil>
	// websocket closed: 1000 (normal closure)
}

// A Client reads by calls that wait.
func ExampleNewClient() {
	l := echo()
	defer l.Close()
	ctx := context.Background()
	c, err := chanws.NewClient(ctx, l.URL(), &chanws.ClientOptions{ReadTimeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(chanws.StatusNormalClosure, "")

	c.WriteTextMessage(ctx, "hello")
	text, err := c.ReadTextMessage(ctx)
	fmt.Println(text, err)
	// Output: hello <nil>
}

func ExampleReadJSON() {
	l := echo()
	defer l.Close()
	ctx := context.Background()
	c, err := chanws.NewClient(ctx, l.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(chanws.StatusNormalClosure, "")

	type point struct{ X, Y int }
	chanws.WriteJSON(ctx, c, point{3, 4})
	p, err := chanws.ReadJSON[point](ctx, c)
	fmt.Println(p, err)
	// Output: {3 4} <nil>
}

func ExampleCloseStatus() {
	err := fmt.Errorf("feed: %w", chanws.Close{Code: chanws.StatusGoingAway})
	fmt.Println(chanws.CloseStatus(err) == chanws.StatusGoingAway)
	// Output: true
}

// A listener that ends in good order: no new connections, a close frame to all, and a
// bounded time for them to answer.
func ExampleListener_Shutdown() {
	l := echo()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(l.Shutdown(ctx))
	<-c.Done()
	fmt.Println(chanws.CloseStatus(c.Err()))
	// Output:
	// <nil>
	// 1001 (going away)
}
