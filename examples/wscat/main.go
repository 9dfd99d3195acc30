// Wscat talks to any WebSocket server: lines of stdin go out as text messages, and
// what comes is printed.
//
//	go run ./examples/wscat ws://localhost:8080/path
//	echo hi | go run ./examples/wscat wss://example.com
//
// It ends with 0 after a normal closure (1000, 1001, or one of our own), with 1
// when the connection failed or something could not be sent, with 2 on wrong usage.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/chanws/chanws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills us at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// config is what the command line says.
type config struct {
	url     string
	dial    chanws.DialOptions
	verbose bool
	wait    time.Duration
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2 // package flag has said why
	}
	s := &session{
		screen:  newScreen(stdin, stdout, stderr, cfg.verbose),
		wait:    cfg.wait,
		dropped: make(chan drop, 16),
	}
	cfg.dial.OnDrop = s.drop

	c, err := chanws.Dial(ctx, cfg.url, &cfg.dial)
	if err != nil {
		explain(stderr, err, cfg.verbose)
		return 1
	}
	defer c.CloseNow()
	s.screen.connected(cfg.url, c)

	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	err = s.loop(ctx, c, readLines(reading, stdin))
	s.screen.clear()
	if err != nil {
		fmt.Fprintln(stderr, "wscat:", err)
		return 1
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (config, error) {
	cfg := config{dial: chanws.DialOptions{Header: http.Header{}}}
	cfg.dial.MaxMessageSize = 64 << 20 // a bound, so that no server can fill our memory
	flags := flag.NewFlagSet("wscat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: wscat [flags] url\n\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, "\nLines of stdin are sent as text, but for these:\n", commands)
	}
	flags.Func("H", "add a `header` to the request, 'Name: value'; repeatable", func(v string) error {
		name, value, ok := strings.Cut(v, ":")
		if !ok {
			return errors.New("want 'Name: value'")
		}
		cfg.dial.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
	flags.Func("s", "offer a `subprotocol`; repeatable", func(v string) error {
		cfg.dial.Subprotocols = append(cfg.dial.Subprotocols, v)
		return nil
	})
	var tlsConfig tls.Config
	flags.Func("ca", "trust the certificates in this PEM `file`, and no others", func(name string) (err error) {
		tlsConfig.RootCAs, err = readPool(name)
		return err
	})
	flags.BoolVar(&tlsConfig.InsecureSkipVerify, "k", false, "accept any TLS certificate")
	flags.DurationVar(&cfg.dial.HandshakeTimeout, "t", 30*time.Second, "how long connecting may take")
	flags.DurationVar(&cfg.dial.PingInterval, "ping", 0, "send a ping every so often, and end if it is not answered; 0: never")
	flags.DurationVar(&cfg.wait, "w", 200*time.Millisecond, "when stdin has ended, wait so long for replies")
	flags.BoolVar(&cfg.verbose, "v", false, "print control frames and the headers of the handshake")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return cfg, errors.New("no url, or more than one")
	}
	cfg.url = flags.Arg(0)
	if !strings.Contains(cfg.url, "://") {
		cfg.url = "ws://" + cfg.url
	}
	if tlsConfig.RootCAs != nil || tlsConfig.InsecureSkipVerify {
		cfg.dial.TLSConfig = &tlsConfig
	}
	return cfg, nil
}

// readPool reads the certificates in a PEM file.
func readPool(name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// explain tells why there is no connection. A server that refuses mostly says why.
func explain(stderr io.Writer, err error, verbose bool) {
	fmt.Fprintln(stderr, "wscat:", err)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		fmt.Fprintln(stderr, "-ca names a file with the authority to trust, -k accepts any certificate")
	}
	var refused *chanws.HandshakeError
	if !errors.As(err, &refused) || !verbose {
		return
	}
	fmt.Fprintf(stderr, "%s\n%s\n%s\n", refused.Status, headerLines(refused.Header), printable(string(refused.Body)))
}
