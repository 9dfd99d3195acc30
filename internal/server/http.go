package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// newHTTP returns the HTTP/1.1 server below a Server.
func (s *Server) newHTTP() *http.Server {
	server := &http.Server{
		Handler:                      http.HandlerFunc(s.serveHTTP),
		DisableGeneralOptionsHandler: true,
		TLSConfig:                    withoutHTTP2(s.config.TLS),
		TLSNextProto:                 map[string]func(*http.Server, *tls.Conn, http.Handler){},
		Protocols:                    new(http.Protocols),
		ReadHeaderTimeout:            s.config.HandshakeTimeout, // net/http takes it for TLS too
		MaxHeaderBytes:               s.config.MaxHeaderBytes,
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		ConnContext:                  s.arrived,
		ConnState:                    s.connState,
		ErrorLog:                     log.New(serverLog{s.config.Logger}, "", 0),
	}
	server.Protocols.SetHTTP1(true)
	return server
}

// withoutHTTP2 is a copy of config whose GetConfigForClient offers no h2: chosen, it
// would end the connection. What config itself offers is net/http's to filter.
func withoutHTTP2(config *tls.Config) *tls.Config {
	config = config.Clone()
	if config == nil || config.GetConfigForClient == nil {
		return config
	}
	choose := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen == nil || !slices.Contains(chosen.NextProtos, "h2") {
			return chosen, err
		}
		chosen = chosen.Clone()
		chosen.NextProtos = append(slices.DeleteFunc(slices.Clone(chosen.NextProtos), func(p string) bool { return p == "h2" }), "http/1.1")
		return chosen, nil
	}
	return config
}

// A serverLog passes on what net/http logs. What any stranger can cause, as failed
// TLS handshakes, is for debugging only; what is left is the user's.
type serverLog struct{ logger *slog.Logger }

func (s serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelDebug
	if strings.HasPrefix(text, "http: panic serving") || strings.HasPrefix(text, "http: Accept error") {
		level = slog.LevelWarn
	}
	s.logger.Log(context.Background(), level, text)
	return len(line), nil
}

// A persistentListener never gives up: net/http waits up to a second after an
// error that says that it is temporary (too many open files), and takes every other
// one for the end, which nobody would notice here.
type persistentListener struct{ net.Listener }

func (p persistentListener) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		err = passingError{err}
	}
	if c != nil && !reflect.ValueOf(c).Comparable() {
		c = &comparableConn{c}
	}
	return c, err
}

// A comparableConn makes a key of a connection that cannot be one, such as a struct
// with a slice in it.
type comparableConn struct{ net.Conn }

type passingError struct{ error }

func (passingError) Temporary() bool { return true }
func (passingError) Timeout() bool   { return false }
func (e passingError) Unwrap() error { return e.error }
