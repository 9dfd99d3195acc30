package interop

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
)

// certified gives the settings of a server with a certificate for 127.0.0.1, and of
// a client that trusts it.
func certified() (server, client *tls.Config) {
	cert := certificate()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}
}

// certificate is that of net/http/httptest.
var certificate = sync.OnceValue(func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	cert := s.TLS.Certificates[0]
	cert.Leaf = s.Certificate()
	return cert
})

// certificateFiles gives the paths of the certificate and of its key, for programs.
// The first also says whom to trust.
var certificateFiles = sync.OnceValues(func() (cert, key string) {
	dir, err := os.MkdirTemp("", "chanws-certificate-")
	if err != nil {
		panic(err)
	}
	atExit = append(atExit, func() { os.RemoveAll(dir) })
	pair := certificate()
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		panic(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			panic(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", pair.Leaf.Raw), write("key.pem", "PRIVATE KEY", secret)
})
