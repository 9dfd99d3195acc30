package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"runtime/pprof"
	"time"
)

// runServer is the process of a server. It answers questions on its standard input,
// and ends with it.
func runServer(name string, w workload) error {
	p, ok := findPeer(name)
	if !ok {
		return errors.New("no such server: " + name)
	}
	raiseFileLimit()
	l, err := listen(w)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- p.serve(l, w) }()
	say(wordListening, l.Addr().String())
	stopProfile, err := profile(w.Profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			say(in.Text(), use(in.Text() == wordCollect))
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-asked:
		return nil
	}
}

// profile writes a CPU profile to the file until the function is called.
func profile(file string) (func(), error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// listen opens the workload's listener on a port of the loopback.
func listen(w workload) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || !w.TLS {
		return l, err
	}
	cert, err := certificate()
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}), nil
}

// certificate makes one that nobody trusts, which the load does not mind.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
