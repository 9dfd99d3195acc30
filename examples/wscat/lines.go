package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
)

// input is a line to send, or the error that ended stdin.
type input struct {
	text string
	err  error
}

// given returns lines, and then the end.
func given(texts []string) <-chan input {
	lines := make(chan input, len(texts))
	for _, text := range texts {
		lines <- input{text: text}
	}
	close(lines)
	return lines
}

// readLines reads lines of any length. The channel is closed at the end of r. The
// goroutine may outlive ctx, because nothing can interrupt a read of stdin; but then
// the program is at its end.
func readLines(ctx context.Context, r io.Reader) <-chan input {
	lines := make(chan input)
	go func() {
		defer close(lines)
		in := bufio.NewReader(r)
		for {
			text, err := in.ReadString('\n')
			if err == nil || text != "" {
				text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
				select {
				case lines <- input{text: text}:
				case <-ctx.Done():
					return
				}
			}
			if err == nil {
				continue
			}
			if err != io.EOF {
				select {
				case lines <- input{err: err}:
				case <-ctx.Done():
				}
			}
			return
		}
	}()
	return lines
}

// isNull reports whether stdin is the null device, as it is under cron, systemd and
// nohup.
func isNull(stdin io.Reader) bool {
	f, ok := stdin.(*os.File)
	if !ok || isTerminal(f) {
		return false
	}
	is, err := f.Stat()
	if err != nil || is.Mode()&os.ModeCharDevice == 0 { // on Windows SameFile is true for a pipe
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(is, null)
}
