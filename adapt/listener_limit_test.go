package adapt_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestMaxConnsBoundsConnectionsThatSayNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificates := server.TLS.Certificates
	server.Close()
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": {Certificates: certificates}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, &adapt.ListenerConfig{MaxConns: 1, TLSConfig: config})
			require.NoError(t, l.Attach("/", shared(echoing), nil))
			require.NoError(t, l.Start())
			var last net.Conn
			for range 1 + 256 + 1 {
				c, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				defer c.Close()
				last = c
			}
			require.NoError(t, last.SetReadDeadline(time.Now().Add(patience)))
			_, err := last.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF, "it is closed without an answer")
		})
	}
}
