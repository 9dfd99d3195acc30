// Wscat talks to any WebSocket server, or is one: a line typed is a message sent, and
// every message received is printed.
//
//	go install github.com/chanws/chanws/examples/wscat@latest
//	wscat wss://example.com/socket
//	wscat -l 8080
//
// On a terminal lines can be edited, and the arrow keys bring back earlier ones. In a
// script stdout has the messages alone, each on a line; everything else is on stderr.
// When a pipe or a file on stdin has ended, wscat waits for the replies and closes the
// connection. /dev/null on stdin means that nobody types: wscat prints until the other
// side closes. wscat -h lists the flags.
//
// The exit code is 0 after a normal closure (1000, 1001, or one that this side began),
// 1 if the connection failed or something could not be sent, 2 on wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/chanws/chanws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills the program
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2 // parseFlags has printed it
	}
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	// After Ctrl-D no connection is opened any more. One that is open lives on.
	dialling, stopDialling := context.WithCancel(ctx)
	defer stopDialling()

	screen := newScreen(stdout, stderr, cfg)
	var lines <-chan input
	switch {
	case len(cfg.execute) > 0:
		lines = given(cfg.execute)
	case canEdit(stdin, screen):
		keyboard, err := openKeyboard(stdin.(*os.File), screen)
		if err != nil {
			screen.failed(err)
			return 1
		}
		defer keyboard.close()
		lines = keyboard.lines(ctx, interrupt, stopDialling)
	case isNull(stdin):
		// Nobody types, and that has no end: a nil channel is never ready.
	default:
		lines = readLines(ctx, stdin)
	}
	if cfg.listen != "" {
		err = newServer(cfg, screen, lines).run(ctx)
	} else {
		err = talk(ctx, dialling, newSession(cfg, screen, lines))
	}
	if err != nil {
		screen.failed(err)
		return 1
	}
	return 0
}

// talk connects, and with -reconnect connects again after each loss. It prints every
// error but the one that it returns.
func talk(ctx, dialling context.Context, s *session) error {
	opts := s.cfg.dial
	opts.OnDrop = s.drop
	if !s.cfg.reconnect {
		c, err := chanws.Dial(dialling, s.cfg.url, &opts)
		if err != nil {
			return plain(dialling, err)
		}
		return s.converse(ctx, c)
	}
	var failure string // the last one printed: many attempts may fail for the same reason
	for c, err := range chanws.Redial(dialling, s.cfg.url, &opts, s.cfg.redial) {
		if dialling.Err() != nil {
			return plain(dialling, err)
		}
		if err != nil {
			if err.Error() != failure {
				s.screen.failed(err)
			}
			failure = err.Error()
			continue
		}
		failure = ""
		if err = s.converse(ctx, c); !s.lost(ctx, c) {
			return err
		}
		if err != nil {
			s.screen.failed(err)
		}
		s.screen.status("connecting again")
	}
	return errors.New("gave up connecting")
}

// plain returns err in plain words if it only says that dialling has ended.
func plain(dialling context.Context, err error) error {
	if dialling.Err() != nil {
		return errors.New("stopped while there was no connection")
	}
	return err
}
