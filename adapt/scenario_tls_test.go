package adapt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// A bIdentity is a self-signed certificate of the loopback, as PEM.
type bIdentity struct{ certificate, key []byte }

func bIdentify(t *testing.T) bIdentity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return bIdentity{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

// pair is what i shows to others.
func (i bIdentity) pair(t *testing.T) []tls.Certificate {
	pair, err := tls.X509KeyPair(i.certificate, i.key)
	require.NoError(t, err)
	return []tls.Certificate{pair}
}

// trust is what others need to know i.
func (i bIdentity) trust(t *testing.T) *x509.CertPool {
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(i.certificate))
	return pool
}

// bSecure are the options of a client for wss.
func bSecure(secure *tls.Config) *chanws.ClientOptions {
	return &chanws.ClientOptions{DialOptions: chanws.DialOptions{TLSConfig: secure}}
}

// bRequireUntrusted fails to connect.
func bRequireUntrusted(t *testing.T, url string, opts *chanws.ClientOptions) {
	t.Helper()
	_, err := chanws.NewClient(bContext(t), url, opts)
	require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
	require.ErrorAs(t, err, new(x509.UnknownAuthorityError))
}

// bRequireSecureEcho has a message echoed.
func bRequireSecureEcho(t *testing.T, url string, secure *tls.Config) *chanws.Client {
	t.Helper()
	c := bDial(t, url, bSecure(secure))
	require.True(t, c.IsSecure())
	bSend(t, c, chanws.Text("Hi"))
	bExpect(t, c, chanws.Text("Hi"))
	return c
}

func TestScenario222_AnEchoByTLSAndAnAttribute(t *testing.T) {
	t.Parallel()
	server := bIdentify(t)
	url := bListenTLS(t, bMirror(), &tls.Config{Certificates: server.pair(t)})
	c := bRequireSecureEcho(t, url, &tls.Config{RootCAs: server.trust(t)})
	c.SetAttribute("test", "testSyncClient")
	require.Equal(t, "testSyncClient", c.RemoveAttribute("test"))
	require.Nil(t, c.Attribute("test"))
}

func TestScenario223_AServerThatTheClientDoesNotTrustIsRefused(t *testing.T) {
	t.Parallel()
	url := bListenTLS(t, bMirror(), &tls.Config{Certificates: bIdentify(t).pair(t)})
	bRequireUntrusted(t, url, bSecure(&tls.Config{RootCAs: bIdentify(t).trust(t)}))
}

func TestScenario224_AServerThatTheSystemDoesNotTrustIsRefused(t *testing.T) {
	t.Parallel()
	url := bListenTLS(t, bMirror(), &tls.Config{Certificates: bIdentify(t).pair(t)})
	bRequireUntrusted(t, url, nil)
}

// Key stores are tls.Config's certificates here. Go has no TLS 1.1 by default, and no
// session timeout.
func TestScenario225_MutualTLSWithOneCipher(t *testing.T) {
	t.Parallel()
	server, client := bIdentify(t), bIdentify(t)
	url := bListenTLS(t, bMirror(), &tls.Config{
		Certificates: server.pair(t),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    client.trust(t),
		MaxVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	opts := bSecure(&tls.Config{RootCAs: server.trust(t), Certificates: client.pair(t)})
	opts.HandshakeTimeout = 20 * time.Second
	c := bDial(t, url, opts)
	require.True(t, c.IsSecure())
	require.EqualValues(t, tls.VersionTLS12, c.Response().TLS.Version)
	require.Equal(t, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, c.Response().TLS.CipherSuite)
	bSend(t, c, chanws.Text("Hi"))
	bExpect(t, c, chanws.Text("Hi"))

	_, err := chanws.NewClient(bContext(t), url, bSecure(&tls.Config{RootCAs: server.trust(t)}))
	require.Error(t, err, "without a certificate")
}

func TestScenario226_MutualTLSWithPEMFiles(t *testing.T) {
	t.Parallel()
	server, client := bIdentify(t), bIdentify(t)
	load := func(i bIdentity) []tls.Certificate {
		dir := t.TempDir()
		certificate, key := filepath.Join(dir, "public.crt"), filepath.Join(dir, "private.key")
		require.NoError(t, os.WriteFile(certificate, i.certificate, 0o600))
		require.NoError(t, os.WriteFile(key, i.key, 0o600))
		pair, err := tls.LoadX509KeyPair(certificate, key)
		require.NoError(t, err)
		return []tls.Certificate{pair}
	}
	url := bListenTLS(t, bMirror(), &tls.Config{
		Certificates: load(server),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    client.trust(t),
	})
	bRequireSecureEcho(t, url, &tls.Config{RootCAs: server.trust(t), Certificates: load(client)})
}

func TestScenario227_AClientMayTrustEverybody(t *testing.T) {
	t.Parallel()
	url := bListenTLS(t, bMirror(), &tls.Config{Certificates: bIdentify(t).pair(t)})
	bRequireSecureEcho(t, url, &tls.Config{InsecureSkipVerify: true})
}

func TestScenario228_WithoutACommonVersionTheServerSendsAnAlert(t *testing.T) {
	t.Parallel()
	server := bIdentify(t)
	url := bListenTLS(t, bMirror(), &tls.Config{Certificates: server.pair(t), MaxVersion: tls.VersionTLS12})
	_, err := chanws.NewClient(bContext(t), url, bSecure(&tls.Config{RootCAs: server.trust(t), MinVersion: tls.VersionTLS13}))
	var alert *net.OpError
	require.ErrorAs(t, err, &alert)
	require.Equal(t, "remote error", alert.Op, "crypto/tls does not export the type of an alert by TCP")
	require.ErrorContains(t, err, "protocol version")
}

// bRelay is a proxy between clients and a backend, TLS on both sides.
func bRelay(t *testing.T) (url string, secure *tls.Config) {
	t.Helper()
	front, back := bIdentify(t), bIdentify(t)
	backend := bListenTLS(t, bMirror(), &tls.Config{Certificates: back.pair(t)})
	cfg := &adapt.ClientConfig{DialOptions: chanws.DialOptions{TLSConfig: &tls.Config{RootCAs: back.trust(t)}}}
	closed := make(chan struct{})
	const far = "backend"
	proxy := &adapt.Service{
		OnOpen: func(c *adapt.Caller) error {
			a, err := adapt.NewAsyncClient(c.Context(), backend, &adapt.Service{
				OnMessage: func(_ *adapt.Caller, m chanws.Message) error { return c.WriteMessage(m) },
			}, cfg)
			if err != nil {
				close(closed)
				return err
			}
			c.SetAttribute(far, a)
			return nil
		},
		OnMessage: func(c *adapt.Caller, m chanws.Message) error {
			return c.Attribute(far).(*adapt.AsyncClient).WriteMessage(m)
		},
		OnClose: func(c *adapt.Caller, code chanws.StatusCode, reason string) error {
			defer close(closed)
			a := c.Attribute(far).(*adapt.AsyncClient)
			err := a.Close(code, reason)
			<-a.Done()
			return err
		},
	}
	url = bListenTLS(t, proxy, &tls.Config{Certificates: front.pair(t)})
	t.Cleanup(func() { receive(t, closed) })
	return url, &tls.Config{RootCAs: front.trust(t)}
}

func TestScenario229_TextIsRelayedByTLS(t *testing.T) {
	t.Parallel()
	url, secure := bRelay(t)
	c := bRequireSecureEcho(t, url, secure)
	require.NoError(t, c.Close(1000, ""))
}

func TestScenario230_BytesAreRelayedByTLS(t *testing.T) {
	t.Parallel()
	url, secure := bRelay(t)
	c := bDial(t, url, bSecure(secure))
	bSend(t, c, chanws.Binary("Hi"))
	bExpect(t, c, chanws.Binary("Hi"))
	require.NoError(t, c.Close(1000, ""))
}
