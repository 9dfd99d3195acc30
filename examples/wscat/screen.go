package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
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
	"golang.org/x/term"
)

// The colours of what is printed, as escape sequences.
const (
	cyan  = "\x1b[36m" // messages
	faint = "\x1b[2m"  // notes
	red   = "\x1b[31m" // errors
	reset = "\x1b[m"
)

// A screen prints. If stdout is a terminal, people read it: there are colours, and the
// peer's control characters are not let through. Otherwise programs do: stdout has the
// messages as they are, each on a line, and nothing else.
type screen struct {
	stdout, stderr io.Writer
	terminal       bool // stdout is one
	notes          bool // stderr is the same one
	colours        bool
	verbose        bool
	json           bool
	editor         *term.Terminal // keeps the line being typed below what is printed; nil: none
}

func newScreen(stdout, stderr io.Writer, cfg *config) *screen {
	s := &screen{
		stdout:   stdout,
		stderr:   stderr,
		terminal: isTerminal(stdout),
		verbose:  cfg.verbose,
		json:     cfg.json,
	}
	s.notes = s.terminal && isTerminal(stderr)
	s.colours = s.terminal && os.Getenv("NO_COLOR") == "" && understandsEscapes(stdout.(*os.File))
	return s
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// event prints what was received from a peer, with its name, which may be empty.
func (s *screen) event(name string, ev chanws.Event) {
	switch ev := ev.(type) {
	case chanws.Text:
		s.text(name, string(ev))
	case chanws.Binary:
		s.binary(name, ev)
	case chanws.Ping:
		s.control("%sping %q, answered", spaced(name), ev)
	case chanws.Pong:
		s.control("%spong %q", spaced(name), ev)
	}
}

// text prints a message.
func (s *screen) text(name, text string) {
	if s.json {
		var indented bytes.Buffer
		if json.Indent(&indented, []byte(text), "", "  ") == nil {
			text = indented.String()
		}
	}
	if s.terminal {
		text = printable(strings.ReplaceAll(text, "\r\n", "\n"))
		text = s.colour(cyan, name+"< "+strings.ReplaceAll(text, "\n", "\n  "))
	}
	s.print(s.stdout, text)
}

// binary prints a message in hexadecimal, on a terminal only its beginning.
func (s *screen) binary(name string, b []byte) {
	const most = 512
	text := fmt.Sprintf("%x", b[:min(len(b), most)])
	switch {
	case !s.terminal:
		text = fmt.Sprintf("%x", b)
	case len(b) > most:
		text = s.colour(cyan, fmt.Sprintf("%s< (%d bytes) %s...", name, len(b), text))
	default:
		text = s.colour(cyan, fmt.Sprintf("%s< (%d bytes) %s", name, len(b), text))
	}
	s.print(s.stdout, text)
}

// note prints something about the conversation that is not part of it.
func (s *screen) note(format string, args ...any) {
	text := printable(strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
	if s.notes {
		text = s.colour(faint, text)
	}
	s.print(s.stderr, text)
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

// print prints a line, or several. The editor draws the line being typed again below it.
func (s *screen) print(w io.Writer, text string) {
	if s.editor != nil && (w == s.stdout || s.notes) {
		w = s.editor
		fitEditor(s.editor, s.stdout.(*os.File))
	}
	fmt.Fprintln(w, text)
}

func (s *screen) colour(escape, text string) string {
	if !s.colours {
		return text
	}
	return escape + text + reset
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
	s.invite()
}

// invite says how to type, if somebody can.
func (s *screen) invite() {
	if s.editor != nil {
		s.note("Type a line to send it, /help for more, Ctrl-D to end.")
	}
}

// failed prints an error, and what helps against it.
func (s *screen) failed(err error) {
	text := "wscat: " + printable(strings.ReplaceAll(err.Error(), "chanws: ", ""))
	if s.notes {
		text = s.colour(red, text)
	}
	s.print(s.stderr, text)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		s.note("-ca names a file with the authority to trust, -k accepts any certificate")
	}
	var refused *chanws.HandshakeError
	if errors.As(err, &refused) {
		s.control("%s\n%s\n%s", refused.Status, headerLines(refused.Header), printable(string(refused.Body)))
	}
}

// headerLines returns a header as it is to be shown.
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

func spaced(name string) string {
	if name == "" {
		return ""
	}
	return name + " "
}
