// Chat is a chat server with rooms, and the page for it. Everything that happens
// goes through channels into one goroutine, the hub.
//
//	go run ./examples/chat
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/chanws/chanws"
	"golang.org/x/sync/errgroup"
)

//go:embed page.html
var page []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills us at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:8080", "address to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program; choose another address with -addr", *addr)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "chat: open %s in two tabs\n", pageURL(*addr, l.Addr()))

	h := newHub()
	server := &http.Server{Handler: routes(h), ReadHeaderTimeout: 10 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		h.run(ctx) // says goodbye to everybody when ctx ends, and returns when all have gone
		return nil
	})
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done() // Ctrl-C, or Serve has failed
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			return server.Close() // browsers keep connections open that never ask for anything
		}
		return nil
	})
	return group.Wait()
}

// routes serves the page and the connections on one port, so that the page can find
// the server it came from. A program without a page would use [chanws.Listen]
// instead of package net/http.
func routes(h *hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		// Even if a message could become part of the page, it could not load anything.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Write(page)
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
			// Origins is not set: only pages of this very server may connect. Otherwise
			// any page on the web could chat in its visitor's name.
			Options: chanws.Options{
				MaxMessageSize: 8 << 10,                               // maxText, in the longest encoding, fits
				MessageRate:    chanws.Rate{PerSecond: 10, Burst: 30}, // nobody types faster: 1008
				SendBuffer:     256,                                   // who is further behind than that is too slow: see hub.send
				PingInterval:   20 * time.Second,                      // a phone that lost its network says no goodbye
				WriteTimeout:   10 * time.Second,
			},
		})
		if err != nil {
			return // Upgrade has answered
		}
		select {
		case h.arrivals <- c: // the handler returns, the connection lives on
		case <-h.done:
			c.CloseNow()
		}
	})
	return mux
}

// pageURL is what to type into a browser: the host as it was asked for, the port as
// it has been given.
func pageURL(addr string, real net.Addr) string {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(real.String())
	return "http://" + net.JoinHostPort(host, port)
}
