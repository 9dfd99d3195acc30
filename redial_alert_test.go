package chanws_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// serveEach runs a server over loopback, and gives its address. A connection is read to
// its end before it is closed, so that no reset overtakes what serve has written.
func serveEach(t *testing.T, serve func(net.Conn)) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return l.Addr().String()
}

// attempts redials as often as the default of Retry thinks fit, at most twice, and gives
// the attempts made, and the last error.
func attempts(t *testing.T, addr string, client *tls.Config) (n int, last error) {
	policy := chanws.RedialPolicy{Interval: time.Millisecond, MaxAttempts: 2}
	for c, err := range chanws.Redial(t.Context(), "wss://"+addr, &chanws.DialOptions{TLSConfig: client}, policy) {
		require.Nil(t, c)
		n, last = n+1, err
	}
	return n, last
}

// requireAlert tells that err is an alert as crypto/tls gives the peer's.
func requireAlert(t *testing.T, err error) {
	t.Helper()
	var remote *net.OpError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, "remote error", remote.Op)
	require.False(t, errors.As(err, new(tls.AlertError)), "that type is for QUIC alone")
}

func TestRedialTellsAServersAlertsApart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		alert    byte // RFC 8446 section 6
		attempts int
	}{
		{"handshake_failure", 40, 2},
		{"bad_certificate", 42, 1},
		{"unsupported_certificate", 43, 1},
		{"certificate_revoked", 44, 1},
		{"certificate_expired", 45, 1},
		{"certificate_unknown", 46, 1},
		{"illegal_parameter", 47, 2},
		{"unknown_ca", 48, 1},
		{"access_denied", 49, 2},
		{"protocol_version", 70, 2},
		{"internal_error", 80, 2},
		{"unrecognized_name", 112, 2},
		{"certificate_required", 116, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr := serveEach(t, func(c net.Conn) {
				_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, tc.alert}) // a fatal one, as a record
			})
			n, err := attempts(t, addr, nil)
			requireAlert(t, err)
			require.Equal(t, tc.attempts, n, err)
		})
	}
}

func TestRedialGivesUpOverCertificatesAndNotOverTheRestOfTLS(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := testTLS()
	wanting := func(auth tls.ClientAuthType, version uint16) *tls.Config {
		cfg := serverTLS.Clone()
		cfg.ClientAuth, cfg.ClientCAs = auth, x509.NewCertPool()
		cfg.MinVersion, cfg.MaxVersion = version, version
		return cfg
	}
	showing := func(certificates ...tls.Certificate) *tls.Config {
		cfg := clientTLS.Clone()
		cfg.Certificates = certificates
		return cfg
	}
	newest := showing()
	newest.MinVersion = tls.VersionTLS13
	mistrusting := showing()
	mistrusting.RootCAs = x509.NewCertPool()
	elsewhere := showing()
	elsewhere.ServerName = "elsewhere.test"

	for _, tc := range []struct {
		name           string
		server, client *tls.Config
		attempts       int
		alert          string // of the server's; none: the client refuses
	}{
		{"no certificate of ours, TLS 1.3", wanting(tls.RequireAnyClientCert, tls.VersionTLS13), showing(), 1, "certificate required"},
		// TLS 1.2 has no alert for that: the reason may be another one, which passes.
		{"no certificate of ours, TLS 1.2", wanting(tls.RequireAnyClientCert, tls.VersionTLS12), showing(), 2, "handshake failure"},
		{"a certificate of ours that is not trusted, TLS 1.3", wanting(tls.RequireAndVerifyClientCert, tls.VersionTLS13), showing(serverTLS.Certificates...), 1, "unknown certificate authority"},
		{"a certificate of ours that is not trusted, TLS 1.2", wanting(tls.RequireAndVerifyClientCert, tls.VersionTLS12), showing(serverTLS.Certificates...), 1, "unknown certificate authority"},
		{"no version in common", wanting(tls.NoClientCert, tls.VersionTLS12), newest, 2, "protocol version not supported"},
		{"no certificate of the server's", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}, showing(), 2, "internal error"},
		{"a certificate of the server's that is not trusted", serverTLS, mistrusting, 1, ""},
		{"a certificate of somebody else's", serverTLS, elsewhere, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr := serveEach(t, func(c net.Conn) { _ = tls.Server(c, tc.server).Handshake() })
			n, err := attempts(t, addr, tc.client)
			if tc.alert == "" {
				require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			} else {
				requireAlert(t, err)
				require.ErrorContains(t, err, tc.alert)
			}
			require.Equal(t, tc.attempts, n, err)
		})
	}
}
