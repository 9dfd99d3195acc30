// Echo is a WebSocket server and a client of it in one program. It tells line by
// line what happens, and ends by itself.
//
//	go run ./examples/echo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/chanws/chanws"
)

const about = "echo: a server and a client of it; the client sends three messages, and the server sends them back"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() { fmt.Fprintln(stdout, about) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(stdout, about)
	out := log.New(stdout, "", 0) // server and client print at the same time

	l, err := chanws.Listen("127.0.0.1:0", nil) // port 0: any that is free
	if err != nil {
		return err
	}
	out.Print("server: listening on ", l.URL())

	// New connections come out of a channel, too. It is closed by Shutdown, so the
	// loop ends then.
	var serving sync.WaitGroup
	serving.Go(func() {
		for c := range l.Conns() {
			serving.Go(func() { serve(c, out) })
		}
	})

	err = talk(ctx, l.URL(), out)

	// Ctrl-C has ended ctx, but the close frames still need a moment to go round.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, l.Shutdown(grace))
	serving.Wait()
	out.Print("server: bye")
	return err
}

// serve is the server's side of one connection. Its loop ends when the connection
// does, whoever ends it and however: the last event is always a Close or an Error.
func serve(c *chanws.Conn, out *log.Logger) {
	defer c.CloseNow() // a connection is closed by its user, also one that has ended
	for ev := range c.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			out.Printf("server: got %q, sends it back", ev)
			c.Send <- ev // waits while a slow client leaves no room: then we read no more either
		case chanws.Binary:
			c.Send <- ev
		case chanws.Close:
			out.Print("server: ", ev)
		case chanws.Error:
			out.Print("server: the connection broke: ", ev)
		}
	}
}

// talk is the client.
func talk(ctx context.Context, url string, out *log.Logger) error {
	c, err := chanws.Dial(ctx, url, nil)
	if err != nil {
		return err // says what was wrong: the address, the network, the server's answer
	}
	defer c.CloseNow()

	for _, text := range []string{"hello", "channels are enough", "good night"} {
		out.Printf("client: sends %q", text)
		c.Send <- chanws.Text(text)

		// Receive is `<-c.Events()` that also ends with ctx, here at Ctrl-C.
		ev, err := c.Receive(ctx)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		out.Printf("client: got %q", ev)
	}

	out.Print("client: closes")
	return c.Close(chanws.StatusNormalClosure, "that was all") // waits for the server's answer
}
