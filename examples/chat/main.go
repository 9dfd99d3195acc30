// Chat is a chat server with rooms, and the page for it. Everything that happens
// goes through channels into one goroutine, the hub.
//
//	go run ./examples/chat
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/chanws/chanws"
	"golang.org/x/sync/errgroup"
)

//go:embed page
var files embed.FS

const about = "chat: rooms, names and a page; one goroutine owns all of the server's state"

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
	flags.SetOutput(stdout)
	addr := flags.String("addr", "localhost:8080", "address to listen on")
	flags.Usage = func() {
		fmt.Fprintln(stdout, about)
		flags.PrintDefaults()
	}
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
	fmt.Fprintln(stdout, about)
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
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // "page" is a valid path
	}
	served := http.FileServerFS(page)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		// Even if a message could become part of the page, it could not load anything.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		served.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		p := &person{}
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{
			// Origins is not set: only pages of this very server may connect. Otherwise
			// any page on the web could chat in its visitor's name.
			Options: chanws.Options{
				MaxMessageSize: 8 << 10,                               // maxText, in the longest encoding, fits
				MessageRate:    chanws.Rate{PerSecond: 10, Burst: 30}, // nobody types faster: 1008
				SendBuffer:     256,                                   // who is further behind than that is too slow: see hub.send
				PingInterval:   10 * time.Second,                      // a phone that lost its network says no goodbye
				WriteTimeout:   10 * time.Second,
				Trace: &chanws.Trace{
					KeepalivePong: func(roundTrip time.Duration) { p.roundTrip.Store(int64(roundTrip)) },
				},
			},
		})
		if err != nil {
			return // Upgrade has answered
		}
		p.conn = c
		select {
		case h.arrivals <- p: // the handler returns, the connection lives on
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
