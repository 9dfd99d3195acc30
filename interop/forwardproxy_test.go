package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A forwardProxy is a proxy that clients choose: it connects them to where they ask
// for. With userinfo it lets in nobody else.
type forwardProxy struct {
	net.Listener
	userinfo *url.Userinfo
	refuses  bool         // to connect, to anywhere
	tunnels  atomic.Int32 // that it has made
	open     sync.WaitGroup
}

// startForwardProxy starts a proxy that speaks with each client by handle, until the
// end of the test. It is registered before the connections through it, and so ends
// after them.
func startForwardProxy(t *testing.T, p *forwardProxy, handle func(*forwardProxy, net.Conn) error) *forwardProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.Listener = l
	t.Cleanup(func() {
		l.Close()
		p.open.Wait()
	})
	p.open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.open.Go(func() {
				defer client.Close()
				handle(p, client)
			})
		}
	})
	return p
}

// tunnel passes bytes between the client and the server until one of them hangs up.
func (p *forwardProxy) tunnel(client net.Conn, fromClient io.Reader, server net.Conn) error {
	p.tunnels.Add(1)
	defer server.Close()
	p.open.Go(func() {
		io.Copy(server, fromClient)
		server.(*net.TCPConn).CloseWrite()
	})
	_, err := io.Copy(client, server)
	return err
}

// handleConnect speaks HTTP: CONNECT makes a tunnel (RFC 9110 section 9.3.6), and it
// does nothing else.
func handleConnect(p *forwardProxy, client net.Conn) error {
	r := bufio.NewReader(client)
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	answer := func(status int, header string) error {
		_, err := fmt.Fprintf(client, "HTTP/1.1 %d %s\r\n%s\r\n", status, http.StatusText(status), header)
		return err
	}
	if p.userinfo != nil {
		password, _ := p.userinfo.Password()
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.userinfo.Username()+":"+password))
		if req.Header.Get("Proxy-Authorization") != want {
			return answer(http.StatusProxyAuthRequired, "Proxy-Authenticate: Basic realm=\"interop\"\r\nContent-Length: 0\r\n")
		}
	}
	switch {
	case req.Method != http.MethodConnect:
		return answer(http.StatusMethodNotAllowed, "Content-Length: 0\r\n")
	case p.refuses:
		return answer(http.StatusForbidden, "Content-Length: 0\r\n")
	}
	server, err := net.Dial("tcp", req.Host)
	if err != nil {
		return answer(http.StatusBadGateway, "Content-Length: 0\r\n")
	}
	if err := answer(http.StatusOK, ""); err != nil {
		server.Close()
		return err
	}
	return p.tunnel(client, r, server)
}

// handleSocks speaks SOCKS5 (RFC 1928) with passwords (RFC 1929).
func handleSocks(p *forwardProxy, client net.Conn) error {
	// field reads what a byte gives the length of.
	field := func(fixed int) ([]byte, error) {
		head := make([]byte, fixed+1)
		if _, err := io.ReadFull(client, head); err != nil {
			return nil, err
		}
		value := make([]byte, head[fixed])
		_, err := io.ReadFull(client, value)
		return value, err
	}
	methods, err := field(1)
	if err != nil {
		return err
	}
	const none, password, unacceptable = 0, 2, 255
	method := byte(none)
	if p.userinfo != nil {
		method = password
	}
	if !slices.Contains(methods, method) {
		client.Write([]byte{5, unacceptable})
		return errors.New("no method of authentication in common")
	}
	client.Write([]byte{5, method})
	if p.userinfo != nil {
		user, err := field(1)
		if err != nil {
			return err
		}
		secret, err := field(0)
		if err != nil {
			return err
		}
		if url.UserPassword(string(user), string(secret)).String() != p.userinfo.String() {
			client.Write([]byte{1, 1})
			return errors.New("wrong password")
		}
		client.Write([]byte{1, 0})
	}
	// An IPv4 address is all that the tests ask for.
	request := make([]byte, 10)
	if _, err := io.ReadFull(client, request); err != nil {
		return err
	}
	answer := func(status byte) error {
		_, err := client.Write([]byte{5, status, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	const succeeded, notAllowed, unreachable = 0, 2, 5
	if p.refuses {
		return answer(notAllowed)
	}
	to := net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])}
	server, err := net.DialTCP("tcp", nil, &to)
	if err != nil {
		return answer(unreachable)
	}
	if err := answer(succeeded); err != nil {
		server.Close()
		return err
	}
	return p.tunnel(client, client, server)
}

// through gives a client that goes through the proxy and trusts the tests' certificate.
func (p *forwardProxy) through(t *testing.T, scheme string, user *url.Userinfo) *http.Client {
	_, trusting := certified()
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: scheme, User: user, Host: p.Addr().String()}),
		TLSClientConfig: trusting,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// listenBehind starts a server for clients of proxies, which has its own certificate
// if it is secure.
func listenBehind(t *testing.T, secure bool) *chanws.Listener {
	t.Helper()
	var config *tls.Config
	if secure {
		config, _ = certified()
	}
	l, err := chanws.Listen("127.0.0.1:0", &chanws.ListenOptions{TLSConfig: config})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

var someone = url.UserPassword("someone", "s3cret:with a colon")

// forwardings are the ways through a forward proxy.
var forwardings = []struct {
	name, scheme string
	secure       bool
	handle       func(*forwardProxy, net.Conn) error
}{
	{"wss by CONNECT", "http", true, handleConnect},
	{"ws by CONNECT", "http", false, handleConnect},
	{"wss by SOCKS5", "socks5", true, handleSocks},
	{"ws by SOCKS5", "socks5", false, handleSocks},
}

func TestMessagesAndClosesPassAForwardProxy(t *testing.T) {
	t.Parallel()
	for _, way := range forwardings {
		for _, user := range []*url.Userinfo{nil, someone} {
			t.Run(fmt.Sprintf("%s, password %v", way.name, user != nil), func(t *testing.T) {
				t.Parallel()
				p := startForwardProxy(t, &forwardProxy{userinfo: user}, way.handle)
				l := listenBehind(t, way.secure)
				for i, sent := range closes {
					opts := &chanws.DialOptions{HTTPClient: p.through(t, way.scheme, user), HandshakeTimeout: patience}
					client, err := chanws.Dial(t.Context(), l.URL(), opts)
					require.NoError(t, err)
					t.Cleanup(func() { client.CloseNow() })
					server := receive(t, l.Conns())
					t.Cleanup(func() { server.CloseNow() })
					data := payload(256 << 10)
					for _, ends := range [][2]*chanws.Conn{{client, server}, {server, client}} {
						ends[0].Send <- chanws.Binary(data)
						requireMessage(t, dataMessage{true, data}, receive(t, ends[1].Events()))
					}
					a, b := client, server
					if i%2 == 1 {
						a, b = b, a
					}
					require.NoError(t, a.Close(sent.Code, sent.Reason))
					require.Equal(t, sent, receive(t, b.Events()))
					require.NoError(t, b.Close(chanws.StatusNormalClosure, ""))
				}
				require.EqualValues(t, len(closes), p.tunnels.Load())
			})
		}
	}
}

func TestAForwardProxyThatRefusesIsAnErrorOfDial(t *testing.T) {
	t.Parallel()
	stranger := url.UserPassword("stranger", "wr0ng-passw0rd")
	for _, way := range forwardings {
		for _, tc := range []struct {
			name  string
			proxy *forwardProxy
			user  *url.Userinfo
			http  string // what the error tells of an HTTP proxy
		}{
			{"no password where one is needed", &forwardProxy{userinfo: someone}, nil, "Proxy Authentication Required"},
			{"a wrong password", &forwardProxy{userinfo: someone}, stranger, "Proxy Authentication Required"},
			{"it connects to nowhere", &forwardProxy{refuses: true}, stranger, "Forbidden"},
			{"nobody listens there", &forwardProxy{}, stranger, "Bad Gateway"},
		} {
			t.Run(way.name+", "+tc.name, func(t *testing.T) {
				t.Parallel()
				proxy := &forwardProxy{userinfo: tc.proxy.userinfo, refuses: tc.proxy.refuses}
				p := startForwardProxy(t, proxy, way.handle)
				l := listenBehind(t, way.secure)
				if tc.http == "Bad Gateway" {
					l.Close()
				}
				opts := &chanws.DialOptions{HTTPClient: p.through(t, way.scheme, tc.user), HandshakeTimeout: patience}
				_, err := chanws.Dial(t.Context(), l.URL(), opts)
				require.Error(t, err)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				if way.scheme == "http" {
					require.ErrorContains(t, err, tc.http)
					var refused *chanws.HandshakeError
					require.ErrorAs(t, err, &refused)
					require.Equal(t, tc.http, http.StatusText(refused.StatusCode))
				} else {
					require.ErrorContains(t, err, "socks")
				}
				require.NotContains(t, err.Error(), "wr0ng-passw0rd")
				require.Zero(t, p.tunnels.Load())
			})
		}
	}
}

// TestASilentForwardProxyEndsWithTheHandshakeTimeout is about a proxy that accepts
// and says nothing.
func TestASilentForwardProxyEndsWithTheHandshakeTimeout(t *testing.T) {
	t.Parallel()
	for _, way := range forwardings {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			p := startForwardProxy(t, &forwardProxy{}, func(_ *forwardProxy, client net.Conn) error {
				_, err := io.Copy(io.Discard, client)
				return err
			})
			l := listenBehind(t, way.secure)
			opts := &chanws.DialOptions{HTTPClient: p.through(t, way.scheme, nil), HandshakeTimeout: 50 * time.Millisecond}
			_, err := chanws.Dial(t.Context(), l.URL(), opts)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}
