package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/chanws/chanws"
)

const usage = `usage: wscat [flags] [-c] URL          talk to a server
       wscat [flags] -l [HOST:]PORT    be one (-listen), by default on localhost

  -x LINE          send LINE, wait for replies (-w), end; repeatable
  -w TIME          how long to wait for replies after the last line, such as 2s
                   (default 200ms); negative: until the server closes
  -json            indent JSON messages    -v           show headers, pings
  -H 'NAME: VALUE' add a header to the request; repeatable
  -s NAME          offer a subprotocol (-subprotocol); repeatable
  -origin ORIGIN   send this Origin; with -l accept no other
  -compress        offer compression       -reconnect   come back after a loss
  -ping TIME       ping this often, and end if no pong comes
  -t TIME          how long connecting may take (default 30s)
  -unix PATH       connect to a unix socket; URL is then for host and path
  -ca FILE         trust this authority    -k           trust any (-insecure)
  -cert FILE       TLS certificate         -key FILE    its key, if not in there

  wscat wss://example.com/socket
  echo '{"op":"time"}' | wscat -json -H "Authorization: Bearer $T" example.com
  wscat -x hello -w 2s localhost:8080/ws

  wscat -json -l 8080                   # lines go to all clients

/help lists the commands, such as /ping. NO_COLOR=1 turns colours off.
`

// config is what the command line says.
type config struct {
	url       string
	listen    string
	dial      chanws.DialOptions // with -l, its Options, Header and Subprotocols are the server's
	redial    chanws.RedialPolicy
	origin    string
	execute   []string
	wait      time.Duration
	json      bool
	reconnect bool
	verbose   bool
}

// parseFlags reads the command line. Flags may come before and after the URL. It prints
// what is wrong with them.
func parseFlags(args []string, stderr io.Writer) (*config, error) {
	cfg := &config{
		dial:   chanws.DialOptions{Header: http.Header{}},
		redial: chanws.RedialPolicy{MaxInterval: 5 * time.Second},
		wait:   200 * time.Millisecond,
	}
	cfg.dial.MaxMessageSize = 64 << 20 // a bound, so that no server can fill our memory
	flags := flag.NewFlagSet("wscat", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var unix string
	var security security
	cfg.define(flags)
	security.define(flags)
	flags.StringVar(&unix, "unix", "", "")

	err := cfg.parse(flags, args)
	if err == nil {
		err = cfg.check(flags)
	}
	if err == nil {
		err = cfg.secure(security, unix)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
	case err != nil:
		fmt.Fprintf(stderr, "wscat: %v\nusage: wscat [flags] URL; wscat -h lists the flags\n", err)
	}
	return cfg, err
}

// define declares the flags that have nothing to do with TLS.
func (cfg *config) define(flags *flag.FlagSet) {
	subprotocol := func(v string) error {
		cfg.dial.Subprotocols = append(cfg.dial.Subprotocols, v)
		return nil
	}
	flags.Func("s", "", subprotocol)
	flags.Func("subprotocol", "", subprotocol)
	flags.StringVar(&cfg.listen, "l", "", "")
	flags.StringVar(&cfg.listen, "listen", "", "")
	flags.StringVar(&cfg.url, "c", "", "") // as in npm's wscat
	flags.StringVar(&cfg.origin, "origin", "", "")
	flags.BoolVar(&cfg.json, "json", false, "")
	flags.BoolVar(&cfg.reconnect, "reconnect", false, "")
	flags.BoolVar(&cfg.verbose, "v", false, "")
	flags.DurationVar(&cfg.dial.HandshakeTimeout, "t", 30*time.Second, "")
	flags.DurationVar(&cfg.dial.PingInterval, "ping", 0, "")
	flags.BoolFunc("compress", "", func(string) error {
		cfg.dial.Compression = chanws.CompressionContextTakeover
		return nil
	})
	flags.Func("x", "", func(line string) error {
		cfg.execute = append(cfg.execute, line)
		return nil
	})
	flags.Func("w", "", func(v string) (err error) {
		if _, err := strconv.ParseFloat(v, 64); err == nil {
			v += "s" // as in npm's wscat
		}
		if cfg.wait, err = time.ParseDuration(v); err != nil {
			return errors.New("want a time such as 500ms or 2s")
		}
		return nil
	})
	flags.Func("H", "", func(v string) error {
		name, value, ok := strings.Cut(v, ":")
		if !ok {
			return errors.New("want 'Name: value'")
		}
		cfg.dial.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
}

// parse parses args, and takes what is not a flag for the URL.
func (cfg *config) parse(flags *flag.FlagSet, args []string) error {
	for {
		if err := flags.Parse(args); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			return nil
		}
		if cfg.url != "" {
			return fmt.Errorf("two URLs, %s and %s: want one", cfg.url, flags.Arg(0))
		}
		cfg.url = flags.Arg(0)
		args = flags.Args()[1:]
	}
}

// check finds what does not go together, and completes addresses.
func (cfg *config) check(flags *flag.FlagSet) error {
	if cfg.dial.PingInterval < 0 {
		return fmt.Errorf("-ping %v: want a time that is not negative", cfg.dial.PingInterval)
	}
	if cfg.listen != "" {
		if cfg.url != "" {
			return fmt.Errorf("-l makes a server, and %s is a URL to connect to: want one of them", cfg.url)
		}
		var alone error
		flags.Visit(func(f *flag.Flag) {
			switch f.Name {
			case "x", "reconnect", "unix", "ca", "k", "insecure":
				alone = fmt.Errorf("-%s is for connecting to a server, not for -l", f.Name)
			}
		})
		if !strings.Contains(cfg.listen, ":") {
			cfg.listen = net.JoinHostPort("localhost", cfg.listen)
		}
		return alone
	}
	if cfg.url == "" {
		return errors.New("no URL to connect to, and no -l")
	}
	if !strings.Contains(cfg.url, "://") {
		cfg.url = "ws://" + cfg.url
	}
	if cfg.origin != "" {
		cfg.dial.Header.Set("Origin", cfg.origin)
	}
	return nil
}

// security is what the flags say about TLS.
type security struct {
	ca, cert, key string
	insecure      bool
}

func (s *security) define(flags *flag.FlagSet) {
	flags.StringVar(&s.ca, "ca", "", "")
	flags.StringVar(&s.cert, "cert", "", "")
	flags.StringVar(&s.key, "key", "", "")
	flags.BoolVar(&s.insecure, "k", false, "")
	flags.BoolVar(&s.insecure, "insecure", false, "")
}

// secure sets up TLS and the unix socket. They meet in one http.Client.
func (cfg *config) secure(s security, unix string) error {
	if s == (security{}) && unix == "" {
		return nil
	}
	conf := &tls.Config{InsecureSkipVerify: s.insecure}
	if s.ca != "" {
		text, err := os.ReadFile(s.ca)
		if err != nil {
			return fmt.Errorf("-ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("-ca: no certificate in %s", s.ca)
		}
	}
	switch {
	case s.cert != "":
		if s.key == "" {
			s.key = s.cert
		}
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return fmt.Errorf("-cert, -key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	case s.key != "":
		return errors.New("-key without -cert")
	}
	if unix == "" {
		cfg.dial.TLSConfig = conf
		return nil
	}
	cfg.dial.HTTPClient = &http.Client{Transport: &http.Transport{
		TLSClientConfig: conf,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", unix)
		},
	}}
	return nil
}
