//go:build unix

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chanws/chanws"
)

// node is testdata/node/peer.js.
var node = newForeign("Node", func() (*exec.Cmd, error) {
	cert, key := certificateFiles()
	cmd := exec.Command("node", "testdata/node/peer.js")
	// The WebSocket of Node has no setting for whom to trust.
	cmd.Env = append(os.Environ(), "PEER_CERT="+cert, "PEER_KEY="+key, "NODE_EXTRA_CA_CERTS="+cert)
	return cmd, nil
})

func startNode(t *testing.T) {
	t.Helper()
	needs(t, "node")
	if _, err := os.Stat(filepath.Join("testdata", "node", "node_modules", "ws")); err != nil {
		t.Fatalf("%v: `npm ci` in interop/testdata/node brings it, CHANWS_NO_PEERS=1 leaves these tests out", err)
	}
	node.start(t)
}

var nodeWsLibrary = library{
	name:       "Node's ws",
	start:      startNode,
	dial:       node.dial("ws"),
	listen:     node.listen,
	compresses: true,
	answer:     same,
}

var nodeWebSocketLibrary = library{
	name:       "Node's WebSocket",
	start:      startNode,
	dial:       node.dial("undici"),
	answer:     same,
	hidesPings: true,
	lacks:      pings | fragments | dropping,
	// As in browsers.
	mayClose: func(code chanws.StatusCode) bool {
		return code == chanws.StatusNormalClosure || code == chanws.StatusNoStatusRcvd || code >= 3000
	},
}

func init() { libraries = append(libraries, nodeWsLibrary, nodeWebSocketLibrary) }
