package handshake

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate is one for 127.0.0.1 and example.com, and trusted is who trusts it.
func certificate(t *testing.T) (own []tls.Certificate, trusted *x509.CertPool) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	trusted = x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	return server.TLS.Certificates, trusted
}

// echo101 answers 101, and then echoes.
func echo101(c net.Conn, req *http.Request) {
	_, _ = io.WriteString(c, header101(req))
	_, _ = io.Copy(c, c)
}

// A connectProxy is an HTTP proxy that knows CONNECT alone.
type connectProxy struct {
	*rawServer
	requests chan *http.Request
}

func (p *connectProxy) url(scheme string) *url.URL {
	return &url.URL{Scheme: scheme, Host: p.Addr().String()}
}

// startProxy starts one, with TLS if config is not nil, that answers refusal unless
// that is "".
func startProxy(t *testing.T, config *tls.Config, refusal string) *connectProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	p := &connectProxy{requests: make(chan *http.Request, 8)}
	p.rawServer = badServerOn(t, l, func(c net.Conn, req *http.Request) {
		p.requests <- req
		if req.Method != http.MethodConnect {
			_, _ = io.WriteString(c, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if refusal != "" {
			_, _ = io.WriteString(c, refusal)
			return
		}
		to, err := net.Dial("tcp", req.Host)
		if err != nil {
			return
		}
		defer to.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(c, to)
			c.Close()
		}()
		_, _ = io.Copy(to, c)
	})
	return p
}

// requireEcho sends something and reads it again.
func requireEcho(t *testing.T, s *Stream) {
	t.Helper()
	_, err := io.WriteString(s.Conn, "hello")
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(s.Conn, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

func TestHTTPProxyIsAskedForATunnel(t *testing.T) {
	t.Parallel()
	own, trusted := certificate(t)
	plain := badServer(t, echo101)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	secure := badServerOn(t, tls.NewListener(l, &tls.Config{Certificates: own}), echo101)
	for _, target := range []string{plain.url("/"), "wss://" + secure.Addr().String()} {
		for _, proxyScheme := range []string{"http", "https"} {
			t.Run(target[:4]+proxyScheme, func(t *testing.T) {
				var config *tls.Config
				if proxyScheme == "https" {
					config = &tls.Config{Certificates: own, NextProtos: []string{"http/1.1"}}
				}
				p := startProxy(t, config, "")
				through := p.url(proxyScheme)
				through.User = url.UserPassword("me", "secret:1")
				header := http.Header{"X-Proxy": {"yes"}}
				var seen *http.Response
				transport := &http.Transport{
					Proxy:              http.ProxyURL(through),
					ProxyConnectHeader: header,
					TLSClientConfig:    &tls.Config{RootCAs: trusted},
					OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
						seen = resp
						return nil
					},
				}
				s, err := Dial(t.Context(), target, ClientOptions{HTTPClient: &http.Client{Transport: transport}, Timeout: atOnce})
				require.NoError(t, err)
				closeLater(t, s)
				requireEcho(t, s)
				req := <-p.requests
				require.Equal(t, http.MethodConnect, req.Method)
				u, err := url.Parse(target)
				require.NoError(t, err)
				require.Equal(t, u.Host, req.RequestURI)
				require.Equal(t, u.Host, req.Host)
				require.Equal(t, "yes", req.Header.Get("X-Proxy"))
				require.Equal(t, "Basic bWU6c2VjcmV0OjE=", req.Header.Get("Proxy-Authorization"))
				require.Equal(t, http.Header{"X-Proxy": {"yes"}}, header, "the user's is not changed")
				require.Equal(t, 200, seen.StatusCode)
				require.Empty(t, s.Request.Header.Get("Proxy-Authorization"))
			})
		}
	}
}

func TestHeaderForAProxyIsTheUsers(t *testing.T) {
	t.Parallel()
	target := badServer(t, echo101)
	p := startProxy(t, nil, "")
	transport := &http.Transport{
		Proxy: http.ProxyURL(p.url("http")),
		GetProxyConnectHeader: func(_ context.Context, proxy *url.URL, to string) (http.Header, error) {
			return http.Header{"X-Asked": {proxy.Host + " for " + to}}, nil
		},
	}
	client := &http.Client{Transport: transport}
	s, err := Dial(t.Context(), target.url("/"), ClientOptions{HTTPClient: client})
	require.NoError(t, err)
	closeLater(t, s)
	require.Equal(t, p.Addr().String()+" for "+target.Addr().String(), (<-p.requests).Header.Get("X-Asked"))

	mine := errors.New("mine")
	transport.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, mine }
	_, err = Dial(t.Context(), target.url("/"), ClientOptions{HTTPClient: client})
	require.ErrorIs(t, err, mine)

	transport.GetProxyConnectHeader = nil
	transport.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return mine }
	_, err = Dial(t.Context(), target.url("/"), ClientOptions{HTTPClient: client})
	require.ErrorIs(t, err, mine)

	transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, mine }
	_, err = Dial(t.Context(), target.url("/"), ClientOptions{HTTPClient: client})
	require.ErrorIs(t, err, mine)
}

func TestAnswerOfAProxyIsAResponseError(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ws", "wss"} {
		for _, tc := range []struct {
			answer string
			status int
			body   string
			text   string
		}{
			{"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 4\r\n\r\nwho?", 407, "who?", "answered 407 Proxy Authentication Required to CONNECT server.example:"},
			{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "", "answered 403 Forbidden to CONNECT"},
			{"HTTP/1.0 502 Bad Gateway\r\n\r\n", 502, "", "answered 502"},
			{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000), 503, strings.Repeat("x", 1024), "answered 503"},
			{"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n", 302, "", "answered 302"},
			{"HTTP/1.1 504 \x1b[2J\rForged\x07" + strings.Repeat("x", 5000) + "\r\nContent-Length: 0\r\n\r\n", 504, "", "answered 504 [2J Forged xxx"},
			{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 101, "", "answered 101"},
		} {
			t.Run(fmt.Sprintf("%s %d", scheme, tc.status), func(t *testing.T) {
				t.Parallel()
				p := badServer(t, func(c net.Conn, _ *http.Request) {
					_, _ = io.WriteString(c, tc.answer)
					if tc.status == 502 {
						c.Close() // which ends the body
					}
				})
				client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.Addr().String()})}}
				_, err := Dial(t.Context(), scheme+"://server.example", ClientOptions{HTTPClient: client, Timeout: atOnce})
				var refused *ResponseError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tc.status, refused.Response.StatusCode)
				require.Equal(t, tc.body, string(refused.Body))
				var proxy *ProxyError
				require.ErrorAs(t, err, &proxy)
				require.Equal(t, p.Addr().String(), proxy.Proxy)
				require.ErrorContains(t, err, "the proxy "+p.Addr().String())
				require.ErrorContains(t, err, tc.text)
				require.NotRegexp(t, `[[:cntrl:]]|x{201}`, err.Error())
				p.gone(t)
			})
		}
	}
}

func TestProxyThatIsNoneIsAnErrorOfTheNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	garbage := "http://" + badServer(t, say("220 mail.example\r\n\r\n")).Addr().String()
	closing := badServer(t, func(c net.Conn, _ *http.Request) { c.Close() }).Addr().String()
	alert := badServer(t, say("\x15\x03\x01\x00\x02\x02\n")).Addr().String()
	large := badServer(t, say("HTTP/1.1 200 OK\r\nX-Large: "+strings.Repeat("x", 65<<10)+"\r\n\r\n")).Addr().String()
	for proxy, text := range map[string]string{
		"http://" + l.Addr().String(): "refused",
		garbage:                       "the proxy does not speak HTTP at this port: ",
		"http://" + closing:           "the proxy closed the connection without a complete HTTP response: ",
		"https://" + closing:          "the proxy closed the connection without a complete HTTP response: ",
		"http://" + alert:             "the proxy speaks TLS at this port: its URL needs https://",
		"https://" + plainText(t):     "the proxy speaks no TLS at this port: its URL needs http://",
		"http://" + large:             "headers exceeded 65536 bytes",
		"http://" + badServer(t, say("HTTP/1.1 200 OK\r\n\r\nearly")).Addr().String(): "before the",
		"http://":             "no host",
		"ftp://" + closing:    `scheme "ftp"; want http, https, socks5 or socks5h`,
		"socks4://" + closing: `scheme "socks4"; want http`,
		"//" + closing:        `scheme ""; want http`,
	} {
		u, err := url.Parse(proxy)
		require.NoError(t, err)
		for _, scheme := range []string{"ws", "wss"} {
			_, err = Dial(t.Context(), scheme+"://server.example/", ClientOptions{Timeout: atOnce,
				HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}}})
			require.ErrorContains(t, err, text)
			require.NotRegexp(t, "the server (closed|speaks|does)", err.Error())
			require.NotErrorAs(t, err, new(*ResponseError))
		}
	}
}

// plainText greets every connection, before it has received anything.
func plainText(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestSilentProxyEndsWithTheHandshakesTime(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"says nothing":          "",
		"stops in its answer":   "HTTP/1.1 20",
		"stops behind its 200":  "HTTP/1.1 200 OK\r\n\r\n",
		"stops in its 407":      "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 500\r\n\r\nbecause",
		"endless interim heads": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		for _, scheme := range []string{"ws", "wss"} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, servers := pipes(t, say(answer))
					client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example"})
					began := time.Now()
					_, err := Dial(t.Context(), scheme+"://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Second})
					if name == "endless interim heads" { // it is no answer to CONNECT
						require.ErrorAs(t, err, new(*ProxyError))
						servers.Wait()
						return
					}
					require.Equal(t, time.Second, time.Since(began))
					var refused *ResponseError
					if errors.As(err, &refused) {
						require.Equal(t, "because", string(refused.Body))
						require.Equal(t, 407, refused.Response.StatusCode)
					} else {
						require.EqualError(t, err, "handshake timed out after 1s")
						require.NotContains(t, name, "407")
					}
					servers.Wait()
				})
			})
		}
	}
}

// TestProxiesOfTheEnvironmentAreUsed runs itself again: net/http reads the environment
// once.
func TestProxiesOfTheEnvironmentAreUsed(t *testing.T) {
	if url := os.Getenv("HANDSHAKE_TEST_DIAL"); url != "" {
		s, err := Dial(t.Context(), url, ClientOptions{Timeout: atOnce})
		if err == nil {
			s.Conn.Close()
		}
		fmt.Println("dialled:", err)
		return
	}
	t.Parallel()
	for scheme, variable := range map[string]string{"ws": "HTTP_PROXY", "http": "HTTP_PROXY", "wss": "HTTPS_PROXY", "https": "HTTPS_PROXY"} {
		p := startProxy(t, nil, "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
		cmd := exec.Command(os.Args[0], "-test.run=^TestProxiesOfTheEnvironmentAreUsed$")
		for _, kv := range os.Environ() {
			if !strings.Contains(strings.ToLower(kv), "_proxy=") {
				cmd.Env = append(cmd.Env, kv)
			}
		}
		cmd.Env = append(cmd.Env, "HANDSHAKE_TEST_DIAL="+scheme+"://server.example/", variable+"=http://"+p.Addr().String())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "dialled: the proxy "+p.Addr().String()+" answered 418", scheme)
		require.Equal(t, http.MethodConnect, (<-p.requests).Method)
	}
}

// startSOCKS5 is a SOCKS5 proxy without authentication, for IPv4 (RFC 1928).
func startSOCKS5(t *testing.T) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				head := make([]byte, 2)
				_, _ = io.ReadFull(in, head)
				_, _ = in.Discard(int(head[1]))
				_, _ = c.Write([]byte{5, 0})
				request := make([]byte, 10)
				if _, err := io.ReadFull(in, request); err != nil {
					return
				}
				to, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])})
				if err != nil {
					return
				}
				defer to.Close()
				_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				go func() {
					_, _ = io.Copy(c, to)
					c.Close()
				}()
				_, _ = io.Copy(to, in)
			}()
		}
	}()
	return &url.URL{Scheme: "socks5", Host: l.Addr().String()}
}
