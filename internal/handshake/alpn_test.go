package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// insisting is a TLS server that speaks with nobody who does not offer protocol.
func insisting(t *testing.T, protocol string, own []tls.Certificate) *rawServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	config := &tls.Config{Certificates: own, NextProtos: []string{protocol}}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != protocol {
			return errors.New("no " + protocol)
		}
		return nil
	}
	return badServerOn(t, tls.NewListener(l, config), echo101)
}

func TestALPNOffersWhatTheUserSaysOrHTTP11(t *testing.T) {
	t.Parallel()
	own, trusted := certificate(t)
	for name, tc := range map[string]struct {
		offered []string
		insists string
	}{
		"by default":    {nil, "http/1.1"},
		"empty":         {[]string{}, "http/1.1"},
		"of the user's": {[]string{"acme/2"}, "acme/2"},
		"several":       {[]string{"acme/2", "http/1.1"}, "http/1.1"},
		"beside HTTP/2": {[]string{"h2", "acme/2"}, "acme/2"},
		"instead of h2": {[]string{"h2", "http/1.1"}, "http/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := insisting(t, tc.insists, own)
			secureProxy := startProxy(t, &tls.Config{Certificates: own, NextProtos: []string{"http/1.1"}}, "")
			config := &tls.Config{RootCAs: trusted, NextProtos: tc.offered}
			through := func(proxy *url.URL) ClientOptions {
				return ClientOptions{HTTPClient: &http.Client{Transport: &http.Transport{
					Proxy: http.ProxyURL(proxy), TLSClientConfig: config, ForceAttemptHTTP2: true,
				}}}
			}
			for way, o := range map[string]ClientOptions{
				"TLSConfig":                 {TLSConfig: config},
				"HTTPClient":                {HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}},
				"through an HTTP proxy":     through(startProxy(t, nil, "").url("http")),
				"through a proxy with TLS":  through(secureProxy.url("https")),
				"through a proxy of SOCKS5": through(startSOCKS5(t)),
			} {
				o.Timeout = atOnce
				s, err := Dial(t.Context(), "wss://"+server.Addr().String(), o)
				require.NoError(t, err, way)
				require.Equal(t, tc.insists, s.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol, way)
				requireEcho(t, s)
				require.NoError(t, s.Conn.Close())
			}
		})
	}
}

func TestUsersTLSDiallerIsUsedWithoutAProxyAndToOne(t *testing.T) {
	t.Parallel()
	own, trusted := certificate(t)
	server := insisting(t, "http/1.1", own)
	var dialled []string
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return (&tls.Dialer{Config: &tls.Config{RootCAs: trusted, NextProtos: []string{"http/1.1"}}}).DialContext(ctx, network, addr)
		},
	}
	dial := func() {
		s, err := Dial(t.Context(), "wss://"+server.Addr().String(), ClientOptions{HTTPClient: &http.Client{Transport: transport}, Timeout: atOnce})
		require.NoError(t, err)
		requireEcho(t, s)
		require.NoError(t, s.Conn.Close())
	}
	dial()
	require.Equal(t, []string{server.Addr().String()}, dialled)
	plain := startProxy(t, nil, "")
	transport.Proxy = http.ProxyURL(plain.url("http"))
	dial()
	require.Len(t, dialled, 1, "net/http does the TLS behind a proxy")
	secure := startProxy(t, &tls.Config{Certificates: own}, "")
	transport.Proxy = http.ProxyURL(secure.url("https"))
	dial()
	require.Equal(t, []string{server.Addr().String(), secure.Addr().String()}, dialled)
}

// serveSilence is an HTTP/2 server that waits for the client's preface.
func serveSilence(t *testing.T, own []tls.Certificate) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return badServerOn(t, tls.NewListener(l, &tls.Config{Certificates: own, NextProtos: []string{"h2"}}), say("")).Addr().String()
}

func TestHTTP2IsNamedInTheError(t *testing.T) {
	t.Parallel()
	own, trusted := certificate(t)
	// What an HTTP/2 server says to an HTTP/1.1 request: SETTINGS, and GOAWAY with a text.
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x0d\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01HTTP\n"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := badServerOn(t, tls.NewListener(l, &tls.Config{Certificates: own, NextProtos: []string{"h2"}}), say(settings))
	h2 := &tls.Config{RootCAs: trusted, NextProtos: []string{"h2"}}
	secure := "wss://" + server.Addr().String()
	dialler := &http.Transport{DialTLSContext: (&tls.Dialer{Config: h2}).DialContext}
	for name, tc := range map[string]struct {
		url, text string
		o         ClientOptions
	}{
		"by the user's TLS dialler": {secure, `chose HTTP/2 ("h2" by ALPN)`, ClientOptions{HTTPClient: &http.Client{Transport: dialler}}},
		"by a foreign RoundTripper": {secure, `chose HTTP/2 ("h2" by ALPN)`, ClientOptions{HTTPClient: &http.Client{Transport: roundTripper(dialler.RoundTrip)}}},
		"that answers nothing":      {"wss://" + serveSilence(t, own), `chose HTTP/2 ("h2" by ALPN)`, ClientOptions{Timeout: time.Second, HTTPClient: &http.Client{Transport: roundTripper(dialler.RoundTrip)}}},
		"without being asked":       {secure, "the server speaks HTTP/2 alone", ClientOptions{TLSConfig: &tls.Config{RootCAs: trusted}}},
		"in plain text":             {badServer(t, say(settings)).url("/"), "the server speaks HTTP/2 alone", ClientOptions{}},
		"in the options":            {secure, `TLSConfig.NextProtos offers HTTP/2 ("h2") alone`, ClientOptions{TLSConfig: h2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.o.Timeout == 0 {
				tc.o.Timeout = atOnce
			}
			_, err := Dial(t.Context(), tc.url, tc.o)
			require.ErrorContains(t, err, tc.text)
			require.ErrorContains(t, err, "HTTP/1.1")
			require.NotContains(t, err.Error(), "malformed")
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	own, trusted := certificate(t)
	serve := func(config *tls.Config, answer func(net.Conn, *http.Request)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return badServerOn(t, tls.NewListener(l, config), answer).Addr().String()
	}
	ordinary := serve(&tls.Config{Certificates: own}, echo101)
	trust := &tls.Config{RootCAs: trusted}
	viaClient := ClientOptions{HTTPClient: &http.Client{Transport: &http.Transport{}}}
	for name, tc := range map[string]struct {
		url  string
		o    ClientOptions
		text []string
		cert bool // it is about the server's certificate
		is   error
	}{
		"self-signed certificate":                {"wss://" + ordinary, ClientOptions{}, []string{"unknown authority", " to TLSConfig.RootCAs"}, true, nil},
		"self-signed certificate, by HTTPClient": {"wss://" + ordinary, viaClient, []string{"HTTPClient.Transport.TLSClientConfig.RootCAs"}, true, nil},
		"a certificate is asked for": {"wss://" + serve(&tls.Config{Certificates: own, ClientAuth: tls.RequireAnyClientCert}, echo101),
			ClientOptions{TLSConfig: trust}, []string{"certificate required", "set TLSConfig.Certificates"}, false, nil},
		"another ALPN protocol": {"wss://" + serve(&tls.Config{Certificates: own, NextProtos: []string{"acme"}}, echo101),
			ClientOptions{TLSConfig: trust}, []string{"no application protocol", "TLSConfig.NextProtos"}, false, nil},
		"wss to a server without TLS": {"wss://" + badServer(t, nil).Addr().String(), ClientOptions{}, []string{"dial ws://"}, false, nil},
		"wss to an HTTP server": {"wss://" + httpServer(t, http.NotFound).Listener.Addr().String(), ClientOptions{},
			[]string{"HTTP response to HTTPS client", "dial ws://"}, false, http.ErrSchemeMismatch},
		"ws to a server with TLS": {badServer(t, say("\x15\x03\x01\x00\x02\x02\n")).url("/"), ClientOptions{}, []string{"speaks TLS at this port: dial wss://"}, false, nil},
		"no HTTP":                 {badServer(t, say("220 mail.example.com ESMTP\r\n\r\n")).url("/"), ClientOptions{}, []string{"does not speak HTTP", "mail.example.com"}, false, nil},
		"nothing":                 {badServer(t, func(c net.Conn, _ *http.Request) { c.Close() }).url("/"), ClientOptions{}, []string{"closed the connection without a complete HTTP response"}, false, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.o.Timeout = atOnce
			if name == "wss to a server without TLS" { // whose first octets are those of no TLS record
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				defer l.Close()
				go func() {
					if c, err := l.Accept(); err == nil {
						_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
						_, _ = io.Copy(io.Discard, c)
						c.Close()
					}
				}()
				tc.url = "wss://" + l.Addr().String()
			}
			_, err := Dial(t.Context(), tc.url, tc.o)
			require.Error(t, err)
			for _, text := range tc.text {
				require.ErrorContains(t, err, text)
			}
			if tc.cert {
				require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			}
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
		})
	}
}
