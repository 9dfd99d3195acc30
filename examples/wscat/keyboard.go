package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// A keyboard is a terminal on stdin, with line editing and a history.
type keyboard struct {
	editor      *term.Terminal
	in, out     *os.File
	interrupted bool // Ctrl-C was pressed

	mu     sync.Mutex
	cooked *term.State // what the terminal was before it was raw; nil: it is not raw
}

// canEdit reports whether stdin and stdout are a terminal on which lines can be edited.
func canEdit(stdin io.Reader, s *screen) bool {
	return isTerminal(stdin) && s.terminal && understandsEscapes(s.stdout.(*os.File))
}

// openKeyboard makes what s prints appear above the line being typed.
func openKeyboard(stdin *os.File, s *screen) (*keyboard, error) {
	k := &keyboard{in: stdin, out: s.stdout.(*os.File)}
	k.editor = term.NewTerminal(k, "> ")
	k.editor.History = history{k.editor.History}
	if err := k.raw(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	s.editor = k.editor
	return k, nil
}

// lines sends what is typed. After Ctrl-D, and after Ctrl-C, which calls interrupt, it
// calls ended and closes the channel. The goroutine may outlive ctx, because nothing can
// interrupt a read of stdin.
func (k *keyboard) lines(ctx context.Context, interrupt, ended func()) <-chan input {
	lines := make(chan input, 64) // where lines wait while there is no connection
	go func() {
		defer close(lines)
		for {
			fitEditor(k.editor, k.out)
			text, err := k.editor.ReadLine()
			if err != nil && err != term.ErrPasteIndicator {
				break
			}
			select {
			case lines <- input{text: text}:
				continue
			default:
			}
			// Nothing can be sent now. Until then nobody reads keys, and Ctrl-C must be
			// a signal.
			k.restore()
			select {
			case lines <- input{text: text}:
			case <-ctx.Done():
				return
			}
			if k.raw() != nil {
				break
			}
		}
		k.close() // first, so that what is printed next finds no prompt
		if k.interrupted {
			interrupt()
		}
		ended()
	}()
	return lines
}

// Read is what the editor reads keys with. In raw mode Ctrl-C is a key like any other.
// The editor gets keys for it that clear the line and end the input.
func (k *keyboard) Read(p []byte) (int, error) {
	const (
		ctrlC = '\x03'
		clear = "\x05\x15\x04" // Ctrl-E, Ctrl-U, Ctrl-D
	)
	if len(p) <= len(clear) {
		return k.in.Read(p)
	}
	n, err := k.in.Read(p[:len(p)-len(clear)])
	if i := bytes.IndexByte(p[:n], ctrlC); i >= 0 {
		n = i + copy(p[i:], clear)
		k.interrupted = true
	}
	return n, err
}

func (k *keyboard) Write(p []byte) (int, error) { return k.out.Write(p) }

// raw makes keys arrive one by one, and pasted lines arrive marked, so that the editor
// takes tabs in them for text.
func (k *keyboard) raw() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cooked, err = term.MakeRaw(int(k.in.Fd())); err == nil {
		k.editor.SetBracketedPasteMode(true)
	}
	return err
}

func (k *keyboard) restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cooked != nil {
		k.editor.SetBracketedPasteMode(false)
		term.Restore(int(k.in.Fd()), k.cooked)
		k.cooked = nil
	}
}

// close removes the prompt and what is typed after it, and leaves the terminal as it
// was. It may be called twice.
func (k *keyboard) close() {
	k.editor.SetPrompt("")
	k.editor.Write(nil)
	io.WriteString(k.out, "\r\x1b[J")
	k.restore()
}

// fitEditor makes the editor wrap lines where the terminal does.
func fitEditor(editor *term.Terminal, terminal *os.File) {
	if width, height, err := term.GetSize(int(terminal.Fd())); err == nil && width > 0 {
		editor.SetSize(width, height)
	}
}

// A history keeps lines without the empty ones and the repeated ones. It ends with the
// program: what is typed may be secret.
type history struct{ term.History }

func (h history) Add(line string) {
	if line != "" && (h.Len() == 0 || h.At(0) != line) {
		h.History.Add(line)
	}
}
