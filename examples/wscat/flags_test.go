package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

func TestUsageFitsAScreenAndNamesEveryFlag(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := wscat(t, "", "-h")
	require.Zero(t, code)
	require.Empty(t, stdout)
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	require.LessOrEqual(t, len(lines), 24)
	for _, line := range lines {
		require.LessOrEqual(t, len(line), 80, line)
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	new(config).define(flags)
	new(security).define(flags)
	count := 0
	flags.VisitAll(func(f *flag.Flag) {
		count++
		require.Regexp(t, `[\[ (]-`+f.Name+`[\]\s,)]`, stderr)
	})
	require.Greater(t, count, 15)
}

func TestFlagsMayFollowTheURL(t *testing.T) {
	t.Parallel()
	l := serve(t, inOrder, echo)
	for _, args := range [][]string{
		{l.URL(), "-x", "hi", "-w", "0"},
		{"-x", "hi", l.URL(), "-w", "0"},
		{"-w", "0", "-x", "hi", "-c", l.URL()},
		{strings.TrimPrefix(l.URL(), "ws://"), "--w=0s", "--x=hi"},
	} {
		code, stdout, stderr := wscat(t, "", args...)
		require.Zero(t, code, stderr)
		require.Equal(t, "hi\n", stdout)
	}
}

func TestContradictingFlagsAreWrongUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"no URL":                        {"-v"},
		"two URLs":                      {"ws://a", "-v", "ws://b"},
		"ws://a is a URL to connect to": {"-l", "8080", "ws://a"},
		"-x is for connecting":          {"-l", "8080", "-x", "hi"},
		"-reconnect is for":             {"-l", "8080", "-reconnect"},
		"-unix is for":                  {"-l", "8080", "-unix", "s"},
		"-insecure is for":              {"-l", "8080", "-insecure"},
		"-key without -cert":            {"-key", "k.pem", "ws://a"},
		"no such file or directory":     {"-cert", "no.pem", "ws://a"},
		`"soon"`:                        {"-w", "soon", "ws://a"},
		"-ping -1s":                     {"-ping", "-1s", "ws://a"},
	} {
		code, stdout, stderr := wscat(t, "", args...)
		require.Equal(t, 2, code, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
		require.Contains(t, stderr, "wscat -h")
	}
}

func TestOriginAndCompressionAreInTheRequest(t *testing.T) {
	t.Parallel()
	request := make(chan *http.Request, 1)
	l := serve(t, &chanws.ListenOptions{
		Origins: []string{"app.example"},
		Options: chanws.Options{Compression: chanws.CompressionContextTakeover},
	}, func(c *chanws.Conn) {
		request <- c.Request()
		echo(c)
	})
	text := strings.Repeat("again and ", 1000)
	code, stdout, stderr := wscat(t, text, "-compress", "-origin", "https://app.example", "-v", l.URL())
	require.Zero(t, code, stderr)
	require.Equal(t, text+"\n", stdout)
	r := <-request
	require.Equal(t, "https://app.example", r.Header.Get("Origin"))
	require.Contains(t, r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	require.Contains(t, stderr, "Sec-Websocket-Extensions: permessage-deflate")
}

// identity writes a self-signed certificate and its key, and returns the files' names
// and the certificate.
func identity(t *testing.T) (cert, key string, parsed *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	parsed, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return cert, key, parsed
}

func TestAClientCertificateIsShownToTheServer(t *testing.T) {
	t.Parallel()
	cert, key, parsed := identity(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	l := serve(t, &chanws.ListenOptions{
		Options:   inOrder.Options,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool},
	}, echo)
	code, _, stderr := wscat(t, "", "-ca", cert, "-x", "hi", l.URL())
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "certificate required")

	both := filepath.Join(t.TempDir(), "both.pem")
	var joined bytes.Buffer
	for _, name := range []string{cert, key} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		joined.Write(text)
	}
	require.NoError(t, os.WriteFile(both, joined.Bytes(), 0o600))
	for _, args := range [][]string{{"-cert", cert, "-key", key}, {"-cert", both}} {
		code, stdout, stderr := wscat(t, "", append(args, "-ca", cert, "-x", "hi", l.URL())...)
		require.Zero(t, code, stderr)
		require.Equal(t, "hi\n", stdout)
	}
}

func TestAUnixSocketIsDialledWithAndWithoutTLS(t *testing.T) {
	t.Parallel()
	cert, key, _ := identity(t)
	for scheme, serveOn := range map[string]func(*http.Server, net.Listener) error{
		"ws":  func(s *http.Server, l net.Listener) error { return s.Serve(l) },
		"wss": func(s *http.Server, l net.Listener) error { return s.ServeTLS(l, cert, key) },
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := chanws.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.Send <- chanws.Text(r.Host + r.URL.Path)
			for range c.Events() {
			}
		})}
		go serveOn(server, l)
		t.Cleanup(func() { server.Close() })
		code, stdout, stderr := wscat(t, "x", "-unix", path, "-k", scheme+"://some.host/chat")
		require.Zero(t, code, stderr)
		require.Equal(t, "some.host/chat\n", stdout)
	}
}
