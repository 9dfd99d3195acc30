package chanws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/chanws/chanws"
)

// A type switch sees everything that can happen. The last event is a Close or an Error.
func ExampleEvent() {
	l := echo()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()

	c.Send <- chanws.Text("one")
	for ev := range c.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			fmt.Printf("text %q\n", ev)
			c.Send <- chanws.Ping("two")
		case chanws.Binary:
			fmt.Printf("%d bytes\n", len(ev))
		case chanws.Ping: // has been answered
		case chanws.Pong:
			fmt.Printf("pong %q\n", ev)
			close(c.Send) // that is all
		case chanws.IdleTimeout:
			fmt.Println("nothing for", ev.Idle)
		case chanws.Close:
			fmt.Println("the peer closed:", ev.Code)
		case chanws.Error:
			fmt.Println("it broke:", ev)
		}
	}
	// Output:
	// text "one"
	// pong "two"
	// the peer closed: 1000 (normal closure)
}

// Why a connection ended.
func ExampleError() {
	why := func(err error) string {
		var wrong *chanws.ProtocolError
		switch {
		case chanws.CloseStatus(err) >= 0:
			return "the peer closed it"
		case errors.Is(err, io.ErrUnexpectedEOF):
			return "it was dropped"
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "a timeout expired"
		case errors.As(err, &wrong):
			return "the peer broke a rule or a limit"
		}
		return err.Error()
	}
	fmt.Println(why(chanws.Close{Code: chanws.StatusGoingAway}))
	fmt.Println(why(chanws.Error{Err: io.ErrUnexpectedEOF}))
	fmt.Println(why(chanws.Error{Err: &chanws.ProtocolError{Code: chanws.StatusMessageTooBig}}))
	// Output:
	// the peer closed it
	// it was dropped
	// the peer broke a rule or a limit
}

// One message goes to many connections. The send does not wait for slow ones.
func ExampleText() {
	l := echo()
	defer l.Close()
	a, _ := chanws.Dial(context.Background(), l.URL(), nil)
	b, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer a.CloseNow()
	defer b.CloseNow()

	news := chanws.Text("news")
	for _, c := range []*chanws.Conn{a, b} {
		select {
		case c.Send <- news:
		default: // its Send is full: this one is too slow
			go c.Close(chanws.StatusTryAgainLater, "too slow")
		}
	}
	fmt.Println(<-a.Events(), <-b.Events())
	// Output: news news
}

// Recycle returns a large payload to the library when nobody needs it any more.
func ExampleBinary_Recycle() {
	l := echoBytes()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()
	c.Send <- chanws.Binary(make([]byte, 64<<10))
	if b, ok := (<-c.Events()).(chanws.Binary); ok {
		fmt.Println(len(b), "bytes")
		b.Recycle()
	}
	// Output: 65536 bytes
}

// Flush waits until what was sent is with the operating system.
func ExampleConn_Flush() {
	l := echo()
	defer l.Close()
	c, _ := chanws.Dial(context.Background(), l.URL(), nil)
	defer c.CloseNow()
	for i := range 1000 {
		c.Send <- chanws.Binary{byte(i)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(c.Flush(ctx))
	// Output: <nil>
}

// echoBytes listens on a free port and sends binary messages back.
func echoBytes() *chanws.Listener {
	l, err := chanws.Listen("127.0.0.1:0", nil)
	if err != nil {
		panic(err)
	}
	go func() {
		for c := range l.Conns() {
			go func() {
				defer c.CloseNow()
				for ev := range c.Events() {
					if b, ok := ev.(chanws.Binary); ok {
						c.Send <- b
					}
				}
			}()
		}
	}()
	return l
}
