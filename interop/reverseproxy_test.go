//go:build unix

package interop

import (
	"fmt"
	"io"
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

// proxyIdle is after how much silence a proxy cuts a connection in the tests of that.
// nginx counts in whole seconds.
const proxyIdle = 2 * time.Second

// A reverseProxy is a program that stands between clients and a server. It inherits its
// sockets as file descriptors 3, plain, and 4, for TLS, so that the kernel picks the
// ports and no client comes too early.
type reverseProxy struct {
	name    string
	program string
	// configure returns the configuration and the command. It may write files to dir.
	configure func(t *testing.T, dir string, way route) (config string, command []string)
	// unreachable is how it answers when there is no server.
	unreachable int
}

// A route is what differs between the configuration in docs/deploying.md and a test.
type route struct {
	backend, plain, secure string // addresses
	idle                   time.Duration
}

var reverseProxies = []reverseProxy{
	{"nginx", "nginx", configureNginx, http.StatusBadGateway},
	{"HAProxy", "haproxy", configureHAProxy, http.StatusServiceUnavailable},
}

// documented returns a configuration that docs/deploying.md shows, with the settings of
// the test: pairs of what the page has and what replaces it.
func documented(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join("testdata", "proxies", name))
	require.NoError(t, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, string(config), pairs[i], name)
	}
	return strings.NewReplacer(pairs...).Replace(string(config))
}

func configureNginx(t *testing.T, dir string, r route) (string, []string) {
	cert, key := certificateFiles()
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	// Also HTTP/2, which clients of WebSocket must not choose.
	servers := documented(t, "nginx.conf",
		"listen 80;", "listen "+r.plain+";",
		"listen 443 ", "listen "+r.secure+" ",
		"/etc/ssl/example.pem", cert,
		"/etc/ssl/example.key", key,
		"127.0.0.1:8080", r.backend,
		"_timeout 60s;", fmt.Sprintf("_timeout %ds;", r.idle/time.Second))
	return fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %s/pid;
error_log stderr warn;
events {}
http {
access_log off;
%s
%s
}
`, dir, &temporary, servers), []string{"nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "config")}
}

func configureHAProxy(t *testing.T, dir string, r route) (string, []string) {
	cert, key := certificateFiles()
	certPEM, err := os.ReadFile(cert)
	require.NoError(t, err)
	keyPEM, err := os.ReadFile(key)
	require.NoError(t, err)
	both := filepath.Join(dir, "both.pem")
	require.NoError(t, os.WriteFile(both, append(certPEM, keyPEM...), 0o600))
	idle := fmt.Sprintf("%dms", r.idle/time.Millisecond)
	return documented(t, "haproxy.cfg",
		"bind :80\n", "bind fd@3\n",
		"bind :443 ", "bind fd@4 ",
		"/etc/ssl/example.pem", both,
		"127.0.0.1:8080", r.backend,
		"timeout connect 5s", "timeout connect 10s\n\tretries 0",
		"timeout client 60s", "timeout client "+idle,
		"timeout server 60s", "timeout server 30s",
		"timeout tunnel 60s", "timeout tunnel "+idle), []string{"haproxy", "-db", "-f", filepath.Join(dir, "config")}
}

// A path is the way from clients through a proxy to a server of chanws.
type path struct {
	listener      *chanws.Listener
	proxy         *process
	plain, secure string // URLs at the proxy
}

// stand puts the proxy between, until the end of the test.
func (r reverseProxy) stand(t *testing.T, idle time.Duration, opts *chanws.ListenOptions) *path {
	t.Helper()
	needs(t, r.program)
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })

	dir, err := os.MkdirTemp("", "chanws-proxy-")
	require.NoError(t, err)
	var sockets []*os.File
	var addresses []string
	for range 2 {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer socket.Close()
		file, err := socket.(*net.TCPListener).File()
		require.NoError(t, err)
		defer file.Close()
		sockets, addresses = append(sockets, file), append(addresses, socket.Addr().String())
	}
	config, command := r.configure(t, dir, route{l.Addr().String(), addresses[0], addresses[1], idle})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	cmd, err := guarded(command, sockets...)
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), "NGINX=3;4;") // nginx: the sockets that it has already
	p, err := startProcess(cmd)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.kill()
		os.RemoveAll(dir)
	})
	p.showAfterFailure(t)
	return &path{l, p, "ws://" + addresses[0], "wss://" + addresses[1]}
}

// connect gives both ends of a connection through the proxy. The server's end comes
// with the first message, as that of several connections.
func (p *path) connect(t *testing.T, secure bool, opts chanws.DialOptions) (client, server *chanws.Conn) {
	t.Helper()
	url := p.plain
	if secure {
		url = p.secure
		_, opts.TLSConfig = certified()
	}
	opts.HandshakeTimeout = patience
	client, err := chanws.Dial(t.Context(), url, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { client.CloseNow() })
	server = receive(t, p.listener.Conns())
	t.Cleanup(func() { server.CloseNow() })
	return client, server
}

// eachProxy runs a test for every proxy, plain and with TLS up to the proxy.
func eachProxy(t *testing.T, test func(t *testing.T, proxy reverseProxy, secure bool)) {
	for _, proxy := range reverseProxies {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS up to it %v", proxy.name, secure), func(t *testing.T) {
				t.Parallel()
				test(t, proxy, secure)
			})
		}
	}
}

func TestMessagesPassAReverseProxyUnchanged(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		for _, fragment := range []int{0, 1023} {
			options := chanws.Options{FragmentSize: fragment, MaxMessageSize: -1}
			p := proxy.stand(t, patience, &chanws.ListenOptions{Options: options, Subprotocols: []string{"chat.v1"}})
			client, server := p.connect(t, secure, chanws.DialOptions{Options: options, Subprotocols: []string{"chat.v2", "chat.v1"}})
			require.Equal(t, "chat.v1", client.Subprotocol())
			require.Equal(t, "chat.v1", server.Subprotocol())
			for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
				data := payload(size)
				for _, ends := range [][2]*chanws.Conn{{client, server}, {server, client}} {
					ends[0].Send <- chanws.Text(data)
					ends[0].Send <- chanws.Binary(data)
					requireMessage(t, dataMessage{false, data}, receive(t, ends[1].Events()))
					requireMessage(t, dataMessage{true, data}, receive(t, ends[1].Events()))
				}
			}
			require.NoError(t, client.Write(t.Context(), chanws.Ping("?")))
			require.Equal(t, chanws.Ping("?"), receive(t, server.Events()))
			require.Equal(t, chanws.Pong("?"), receive(t, client.Events()))
		}
	})
}

func TestAReverseProxyForwardsHostAddressAndScheme(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		p := proxy.stand(t, patience, nil)
		client, server := p.connect(t, secure, chanws.DialOptions{})
		require.Equal(t, client.Request().URL.Host, server.Request().Host, "the host that a browser's Origin is compared with")
		require.Equal(t, "127.0.0.1", server.Request().Header.Get("X-Forwarded-For"))
		scheme := "http"
		if secure {
			scheme = "https"
		}
		require.Equal(t, scheme, server.Request().Header.Get("X-Forwarded-Proto"))
	})
}

func TestClosesPassAReverseProxyBothWays(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		p := proxy.stand(t, patience, nil)
		for _, sent := range closes {
			for _, byServer := range []bool{false, true} {
				a, b := p.connect(t, secure, chanws.DialOptions{})
				if byServer {
					a, b = b, a
				}
				require.NoError(t, a.Close(sent.Code, sent.Reason))
				require.Equal(t, sent, receive(t, b.Events()))
				require.Equal(t, sent.Code, chanws.CloseStatus(a.Err()))
				require.NoError(t, b.Close(chanws.StatusNormalClosure, ""))
			}
		}
	})
}

// TestKeepaliveHoldsAConnectionThroughAReverseProxy takes the proxy's cuts of other
// connections, which are silent, as its clock.
func TestKeepaliveHoldsAConnectionThroughAReverseProxy(t *testing.T) {
	t.Parallel()
	keepalive := chanws.Options{PingInterval: proxyIdle / 10, PongTimeout: patience}
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		silent := proxy.stand(t, proxyIdle, nil)
		keptByServer := proxy.stand(t, proxyIdle, &chanws.ListenOptions{Options: keepalive})
		client1, server1 := silent.connect(t, secure, chanws.DialOptions{Options: keepalive})
		client2, server2 := keptByServer.connect(t, secure, chanws.DialOptions{})
		for range 2 {
			client, server := silent.connect(t, secure, chanws.DialOptions{})
			began := time.Now()
			for _, end := range []*chanws.Conn{client, server} {
				_, err := end.Receive(t.Context())
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the end that the documentation tells of a connection that is dropped")
				require.Equal(t, err, end.Err())
			}
			require.Greater(t, time.Since(began), proxyIdle/2, "the cut is for the silence")
		}
		for _, ends := range [][2]*chanws.Conn{{client1, server1}, {client2, server2}} {
			require.NoError(t, ends[0].Write(t.Context(), chanws.Text("still there?")))
			requireMessage(t, dataMessage{data: []byte("still there?")}, afterPings(t, ends[1]))
			require.NoError(t, ends[1].Write(t.Context(), chanws.Text("yes")))
			requireMessage(t, dataMessage{data: []byte("yes")}, afterPings(t, ends[0]))
		}
	})
}

// afterPings receives the first event that is no ping.
func afterPings(t *testing.T, c *chanws.Conn) chanws.Event {
	for {
		ev := receive(t, c.Events())
		if _, ping := ev.(chanws.Ping); !ping {
			return ev
		}
	}
}

func TestAReverseProxyThatDiesIsAnUnexpectedEOF(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		p := proxy.stand(t, patience, nil)
		client, server := p.connect(t, secure, chanws.DialOptions{})
		p.proxy.kill()
		for _, end := range []*chanws.Conn{client, server} {
			_, err := end.Receive(t.Context())
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	})
}

func TestAReverseProxyWithoutAServerIsAHandshakeError(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, proxy reverseProxy, secure bool) {
		p := proxy.stand(t, patience, nil)
		require.NoError(t, p.listener.Close())
		url, opts := p.plain, &chanws.DialOptions{HandshakeTimeout: patience}
		if secure {
			url = p.secure
			_, opts.TLSConfig = certified()
		}
		_, err := chanws.Dial(t.Context(), url, opts)
		var refused *chanws.HandshakeError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, proxy.unreachable, refused.StatusCode)
		require.NotEmpty(t, refused.Body)
	})
}
