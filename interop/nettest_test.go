package interop

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/chanws/chanws/wstest"
)

func TestTheConnOfWstestIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b = wstest.NetPipe(t)
		return a, b, func() {
			a.Close()
			b.Close()
		}, nil
	})
}
