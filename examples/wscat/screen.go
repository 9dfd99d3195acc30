package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	neturl "net/url"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/chanws/chanws"
)

// A screen prints. Where stdout is a terminal, people read it: there is a prompt,
// and control characters of the peer are not let through. Otherwise programs do:
// then stdout has the messages as they are, each on a line, and nothing else.
type screen struct {
	stdout, stderr io.Writer
	terminal       bool // stdout is one
	keyboard       bool // stdin is a terminal, too
	verbose        bool
	prompted       bool
}

func newScreen(stdin io.Reader, stdout, stderr io.Writer, verbose bool) *screen {
	terminal := isTerminal(stdout)
	return &screen{
		stdout:   stdout,
		stderr:   stderr,
		terminal: terminal,
		keyboard: terminal && isTerminal(stdin),
		verbose:  verbose,
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// prompt invites to type, if somebody can.
func (s *screen) prompt() {
	if s.keyboard {
		fmt.Fprint(s.stdout, "\r\x1b[K> ")
		s.prompted = true
	}
}

// clear takes the prompt away, so that something else can be printed.
func (s *screen) clear() {
	if s.prompted {
		fmt.Fprint(s.stdout, "\r\x1b[K")
		s.prompted = false
	}
}

// text prints a message.
func (s *screen) text(text string) {
	if s.terminal {
		text = "< " + printable(text)
	}
	s.clear()
	fmt.Fprintln(s.stdout, text)
	s.prompt()
}

// binary prints a message in hexadecimal, on a terminal only its beginning.
func (s *screen) binary(b []byte) {
	const most = 512
	switch {
	case s.terminal && len(b) > most:
		s.text(fmt.Sprintf("(%d bytes) %x...", len(b), b[:most]))
	case s.terminal:
		s.text(fmt.Sprintf("(%d bytes) %x", len(b), b))
	default:
		s.text(fmt.Sprintf("%x", b))
	}
}

// note prints something about the conversation that is not part of it.
func (s *screen) note(format string, args ...any) {
	s.clear()
	fmt.Fprintln(s.stderr, strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
	s.prompt()
}

// status is a note that a program does not need.
func (s *screen) status(format string, args ...any) {
	if s.terminal || s.verbose {
		s.note(format, args...)
	}
}

// control is a note about a control frame, or a header.
func (s *screen) control(format string, args ...any) {
	if s.verbose {
		s.note(format, args...)
	}
}

// connected prints what the handshake came to.
func (s *screen) connected(url string, c *chanws.Conn) {
	if u, err := neturl.Parse(url); err == nil {
		url = u.Redacted()
	}
	if c.Subprotocol() != "" {
		url += ", subprotocol " + c.Subprotocol()
	}
	s.status("connected to %s", url)
	r := c.Response()
	s.control("%s %s\n%s", r.Proto, r.Status, headerLines(r.Header))
	if s.keyboard {
		s.note("Type a line to send it, /help for more, Ctrl-D to end.")
	}
}

// headerLines gives a header as it is to be shown.
func headerLines(header http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(&b, "  %s: %s\n", name, printable(value))
		}
	}
	return b.String()
}

// printable replaces what a terminal might take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
