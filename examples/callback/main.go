// Callback is a service with every callback there is, and a client that makes each
// of them be called. It tells line by line what happens, and ends by itself.
//
//	go run ./examples/callback
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

const about = "callback: a service with every callback there is, and a client that makes each of them be called"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "callback:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("callback", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() { fmt.Fprintln(stdout, about) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(stdout, about)
	out := log.New(stdout, "", 0) // server and client print at the same time

	l, err := adapt.NewListener("127.0.0.1:0", nil) // port 0: any that is free
	if err != nil {
		return err
	}
	defer func() { // Ctrl-C has ended ctx, but the close frames still need a moment
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, l.GracefulStop(grace))
		out.Print("bye")
	}()
	cfg := &adapt.ServiceConfig{Options: chanws.Options{
		IdleTimeout: 100 * time.Millisecond,
		ManualPong:  true, // OnPing answers; else a ping is answered before it is called
	}}
	service := server(out) // one for all connections: what is each one's own is in its Caller
	up := func(*http.Request) (*adapt.Service, error) { return service, nil }
	if err := errors.Join(l.Attach("/talk", up, cfg), l.Start()); err != nil {
		return err
	}

	c, err := adapt.NewAsyncClient(ctx, "ws://"+l.Addr().String()+"/talk", client(out), nil)
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

// server answers. Its callbacks run one at a time for each connection, OnOpen first,
// and OnClose or OnError last.
func server(out *log.Logger) *adapt.Service {
	return &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			out.Print("server: OnOpen")
			return c.WriteTextMessage("welcome")
		},
		OnTextMessage: func(_ *adapt.Caller, text string) error {
			out.Printf("server: OnTextMessage %q", text)
			return fmt.Errorf("no idea what %q means", text) // OnError gets it
		},
		OnBinaryMessage: func(c *adapt.Caller, b []byte) error {
			out.Printf("server: OnBinaryMessage % x", b)
			return c.WriteBinaryMessage(append(b, b...))
		},
		OnPing: func(c *adapt.Caller, data []byte) error {
			out.Printf("server: OnPing %q", data)
			return c.Pong(data)
		},
		OnPong: func(c *adapt.Caller, data []byte) error {
			out.Printf("server: OnPong %q", data)
			c.SetAttribute("waiting", true)
			return nil
		},
		OnIdleTimeout: func(c *adapt.Caller) error {
			if c.RemoveAttribute("waiting") == nil {
				return nil // not yet, or not again
			}
			out.Print("server: OnIdleTimeout")
			return c.WriteTextMessage("anybody there?")
		},
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, reason string) error {
			out.Printf("server: OnClose %d %q", code, reason)
			return nil
		},
		OnError: func(c *adapt.Caller, err error) error {
			out.Print("server: OnError ", err)
			if !c.IsOpen() {
				return nil // it was the connection that failed
			}
			return c.WriteTextMessage("pardon?")
		},
	}
}

// client does one thing after the other, each when the one before was answered.
func client(out *log.Logger) *adapt.Service {
	return &adapt.Service{
		OnOpen: func(*adapt.Caller) error {
			out.Print("client: OnOpen")
			return nil
		},
		OnTextMessage: func(c *adapt.Caller, text string) error {
			out.Printf("client: OnTextMessage %q", text)
			switch text {
			case "welcome":
				return c.WriteBinaryMessage([]byte{1, 2, 3})
			case "anybody there?":
				return c.WriteTextMessage("???")
			}
			return chanws.Close{Code: chanws.StatusNormalClosure, Reason: "that was all"}
		},
		OnBinaryMessage: func(c *adapt.Caller, b []byte) error {
			out.Printf("client: OnBinaryMessage % x", b)
			return c.Ping([]byte("are you well?"))
		},
		OnPong: func(c *adapt.Caller, data []byte) error {
			out.Printf("client: OnPong %q", data)
			return c.Pong([]byte("me too")) // nobody asked; then silence
		},
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error {
			out.Printf("client: OnClose %d", code)
			return nil
		},
		OnError: func(_ *adapt.Caller, err error) error {
			out.Print("client: OnError ", err)
			return nil
		},
	}
}
