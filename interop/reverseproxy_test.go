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

// A reverseProxy is a program that stands between clients and a server. It gets its
// sockets as file descriptors 3, plain, and 4, for TLS, so that the kernel picks the
// ports and no client comes too early.
type reverseProxy struct {
	name    string
	program string
	// configure writes the configuration to dir and gives the command.
	configure func(dir, backend, plain, secure string, idle time.Duration) (config string, command []string)
	// unreachable is how it answers when there is no server.
	unreachable int
}

var reverseProxies = []reverseProxy{
	{"nginx", "nginx", configureNginx, http.StatusBadGateway},
	{"HAProxy", "haproxy", configureHAProxy, http.StatusServiceUnavailable},
}

func configureNginx(dir, backend, plain, secure string, idle time.Duration) (string, []string) {
	cert, key := certificateFiles()
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	// Also HTTP/2, which clients of WebSocket must not choose.
	return fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
	access_log off;
	%[2]s
	server {
		listen %[3]s;
		listen %[4]s ssl http2;
		ssl_certificate %[5]s;
		ssl_certificate_key %[6]s;
		location / {
			proxy_pass http://%[7]s;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection upgrade;
			proxy_set_header Host $http_host;
			proxy_read_timeout %[8]ds;
			proxy_send_timeout %[8]ds;
		}
	}
}
`, dir, &temporary, plain, secure, cert, key, backend, idle/time.Second), []string{"nginx", "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "config")}
}

func configureHAProxy(dir, backend, _, _ string, idle time.Duration) (string, []string) {
	cert, key := certificateFiles()
	certPEM, _ := os.ReadFile(cert)
	keyPEM, _ := os.ReadFile(key)
	both := filepath.Join(dir, "both.pem")
	os.WriteFile(both, append(certPEM, keyPEM...), 0o600)
	return fmt.Sprintf(`
defaults
	mode http
	retries 0
	timeout connect 10s
	timeout http-request 30s
	timeout client %[1]dms
	timeout server 30s
	timeout tunnel %[1]dms
frontend clients
	bind fd@3
	bind fd@4 ssl crt %[2]s alpn h2,http/1.1
	default_backend servers
backend servers
	server one %[3]s
`, idle/time.Millisecond, both, backend), []string{"haproxy", "-db", "-f", filepath.Join(dir, "config")}
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
	config, command := r.configure(dir, l.Addr().String(), addresses[0], addresses[1], idle)
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
