//go:build unix

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// libwebsockets is testdata/libwebsockets/peer.c, which the tests compile. It does not
// compress: Debian's version aborts at an empty message when it does.
var libwebsockets = newForeign("libwebsockets", func() (*exec.Cmd, error) {
	cert, key := certificateFiles()
	program := filepath.Join(filepath.Dir(cert), "libwebsockets")
	out, err := exec.Command("cc", "-Wall", "-O1", "-o", program, "testdata/libwebsockets/peer.c", "-lwebsockets").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w: %s(./test.sh installs libwebsockets-dev, CHANWS_NO_PEERS=1 leaves these tests out)", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "PEER_CERT="+cert, "PEER_KEY="+key)
	return cmd, nil
})

var libwebsocketsLibrary = library{
	name: "libwebsockets",
	start: func(t *testing.T) {
		t.Helper()
		needs(t, "cc")
		libwebsockets.start(t)
	},
	dial:            libwebsockets.dial(""),
	listen:          libwebsockets.listen,
	answer:          same,
	hidesPings:      true,
	hidesAnswer:     true,
	hidesEmptyPongs: true,
	alwaysCloseCode: true,
}

func init() { libraries = append(libraries, libwebsocketsLibrary) }
