//go:build unix

package interop

import (
	"os"
	"os/exec"
	"testing"
)

// python is testdata/python/peer.py. It is Debian's, for which Debian has the library.
var python = newForeign("Python", func() (*exec.Cmd, error) {
	cert, key := certificateFiles()
	cmd := exec.Command("/usr/bin/python3", "testdata/python/peer.py")
	cmd.Env = append(os.Environ(), "PEER_CERT="+cert, "PEER_KEY="+key)
	return cmd, nil
})

var pythonLibrary = library{
	name: "Python's websockets",
	start: func(t *testing.T) {
		t.Helper()
		needs(t, "/usr/bin/python3")
		python.start(t)
	},
	dial:            python.dial(""),
	listen:          python.listen,
	compresses:      true,
	answer:          same,
	alwaysCloseCode: true,
	lacks:           anyCut,
}

func init() { libraries = append(libraries, pythonLibrary) }
