// Dispatch has messages with types: the "event" of a JSON object decides which
// function gets it, decoded. A subscription is answered with a stream of updates,
// which goes on beside everything else until it is ended. Server and client are one
// program, which tells line by line what happens, and ends by itself.
//
//	go run ./examples/dispatch
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
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

const about = "dispatch: a server and a client that talk in typed messages, with a stream that lasts until it is unsubscribed from"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dispatch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("dispatch", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() { fmt.Fprintln(stdout, about) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(stdout, about)
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	if err != nil {
		return err
	}
	defer func() { // Ctrl-C has ended ctx, but the close frames still need a moment
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, l.GracefulStop(grace))
	}()
	if err := errors.Join(l.Attach("/prices", newDesk, nil), l.Start()); err != nil {
		return err
	}

	url := "ws://" + l.Addr().String() + "/prices"
	c, err := adapt.NewAsyncClient(ctx, url, customer(log.New(stdout, "", 0)), nil)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		_ = c.Close(chanws.StatusGoingAway, "interrupted") // OnClose or OnError tells how that went
		<-c.Done()
	}
	return nil
}

// customer is the client. What it does next depends on what it is told.
func customer(out *log.Logger) *adapt.Service {
	say := func(c *adapt.Caller, message string) error {
		out.Print("> ", message)
		return c.WriteTextMessage(message)
	}
	problems := 0 // the callbacks of one connection run one at a time: no lock
	return &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			return say(c, `{"event":"subscribe","topic":"gold"}`)
		},
		Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{
			{Name: "onUpdate", Handle: adapt.JSON(func(c *adapt.Caller, u update) (any, error) {
				out.Printf("< update %d: %s costs %d", u.Number, u.Topic, u.Price)
				if u.Number == 2 {
					return nil, say(c, `{"event":"heartbeat","id":7}`)
				}
				return nil, nil // a nil result sends nothing
			})},
			{Name: "onHeartbeat", Handle: adapt.JSON(func(c *adapt.Caller, h heartbeat) (any, error) {
				out.Print("< heartbeat ", h.ID)
				return nil, say(c, `{"event":"unsubscribe","topic":"gold"}`)
			})},
			{Name: "onUnsubscribed", Handle: adapt.JSON(func(c *adapt.Caller, s subscription) (any, error) {
				out.Print("< no more of ", s.Topic)
				return nil, errors.Join(
					say(c, `{"event":"subscribe","topic":47}`),
					say(c, `{"event":"buy"}`))
			})},
			{Name: "onProblem", Handle: adapt.JSON(func(_ *adapt.Caller, p problem) (any, error) {
				out.Print("< problem: ", p.Text)
				if problems++; problems == 2 {
					return nil, adapt.CloseFrame(chanws.StatusNormalClosure)
				}
				return nil, nil
			})},
		}},
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error {
			out.Print("closed: ", code)
			return nil
		},
		OnError: func(_ *adapt.Caller, err error) error {
			out.Print("error: ", err)
			return nil
		},
	}
}
