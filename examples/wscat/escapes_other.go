//go:build !windows

package main

import "os"

// understandsEscapes reports whether a terminal understands escape sequences for
// colours and for moving the cursor.
func understandsEscapes(*os.File) bool { return os.Getenv("TERM") != "dumb" }
