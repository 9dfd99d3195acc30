package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes reports whether a terminal understands escape sequences for
// colours and for moving the cursor. A console does once it is told to.
func understandsEscapes(console *os.File) bool {
	handle := windows.Handle(console.Fd())
	var mode uint32
	return windows.GetConsoleMode(handle, &mode) == nil &&
		windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
