package chanws_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/rawpeer"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// rawPeer plays the peer of a Conn with frames of its own making.
type rawPeer struct {
	t       testing.TB
	conn    net.Conn
	client  bool // the peer is a client, which masks
	answers bool // a close frame
	reading sync.Once
	done    chan struct{} // reading has ended

	mu     sync.Mutex
	wmu    sync.Mutex
	buf    []byte
	frames []rawFrame
	sent   bool // our close frame
}

type rawFrame struct {
	frame.Header
	payload []byte
}

func newRawPeer(t testing.TB, conn net.Conn, client bool) *rawPeer {
	return &rawPeer{t: t, conn: conn, client: client, answers: true, done: make(chan struct{})}
}

// encode gives a whole frame.
func (p *rawPeer) encode(fin bool, op frame.Opcode, payload []byte) []byte {
	return rawpeer.Encode(p.client, fin, op, payload)
}

// write writes raw bytes. It may fail when the connection has ended meanwhile.
func (p *rawPeer) write(b []byte) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.conn.Write(b)
}

func (p *rawPeer) sendClose(code int, reason string) {
	p.mu.Lock()
	first := !p.sent
	p.sent = true
	p.mu.Unlock()
	if first {
		p.write(p.encode(true, frame.Close, frame.AppendClose(nil, code, reason)))
	}
}

// awaitHeader reads until the first bytes of a frame have come, and no further.
func (p *rawPeer) awaitHeader() error {
	b := make([]byte, 1)
	n, err := p.conn.Read(b)
	p.buf = append(p.buf, b[:n]...)
	return err
}

// read starts to read all frames, and to answer a close frame.
func (p *rawPeer) read() {
	p.reading.Do(func() { go p.readLoop() })
}

func (p *rawPeer) readLoop() {
	defer close(p.done)
	for {
		f, err := p.tryNext()
		if err != nil {
			// A client waits for the server to close, and then closes too.
			p.conn.Close()
			return
		}
		p.mu.Lock()
		p.frames = append(p.frames, f)
		p.mu.Unlock()
		if f.Opcode == frame.Close && p.answers {
			code, _, _ := frame.ParseClose(f.payload)
			p.sendClose(code, "")
		}
	}
}

// finish reads to the end of what has come.
func (p *rawPeer) finish() {
	p.read()
	<-p.done
}

// closeCode gives the code of the close frame that has come, 0 for none, and fails
// for two, or for data after it.
func (p *rawPeer) closeCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.frames {
		if f.Opcode == frame.Close {
			require.Len(p.t, p.frames, i+1, "frames after the close frame")
			code, _, err := frame.ParseClose(f.payload)
			require.NoError(p.t, err)
			return code
		}
	}
	return 0
}

// drop resets the connection.
func (p *rawPeer) drop() { reset(p.conn) }

func reset(conn net.Conn) {
	switch c := conn.(type) {
	case interface{ Drop() }:
		c.Drop()
	case *tls.Conn:
		reset(c.NetConn())
	case *net.TCPConn:
		c.SetLinger(0)
		c.Close()
	}
}

func openMemory(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, net.Conn) {
	if server {
		return wstest.Raw(t, &chanws.UpgradeOptions{Options: opts})
	}
	return wstest.RawServer(t, &chanws.DialOptions{Options: opts})
}

// openTCP opens connections over loopback, with small socket buffers, so that a peer
// that does not read is soon noticed.
func openTCP(encrypted bool) transport {
	return func(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, net.Conn) {
		if server {
			return openServer(t, encrypted, opts)
		}
		return openClient(t, encrypted, opts)
	}
}

const smallBuffer = 64 << 10

// smallListener makes connections with small buffers.
type smallListener struct{ net.Listener }

func (l smallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		c.(*net.TCPConn).SetWriteBuffer(smallBuffer)
		c.(*net.TCPConn).SetReadBuffer(smallBuffer)
	}
	return c, err
}

func dialSmall(t testing.TB, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c.(*net.TCPConn).SetWriteBuffer(smallBuffer)
	c.(*net.TCPConn).SetReadBuffer(smallBuffer)
	return c
}

// testTLS gives TLS settings of a server and of a client that trusts it.
var testTLS = sync.OnceValues(func() (server, client *tls.Config) {
	// P-256 throughout: its assembly is fast under the race detector too.
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"example.com"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), // bubbles live in 2000
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, private.Public(), private)
	if err != nil {
		panic(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	client = &tls.Config{RootCAs: roots, CurvePreferences: []tls.CurveID{tls.CurveP256}}
	return server, client
})

// requestUpgrade does a bare client's side of the handshake.
func requestUpgrade(t testing.TB, bare net.Conn) {
	_, err := bare.Write([]byte("GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + rawKey + "\r\n\r\n"))
	require.NoError(t, err)
	readHead(t, bare)
}

// answerUpgrade does a bare server's side of the handshake.
func answerUpgrade(t testing.TB, bare net.Conn) {
	request, err := http.ReadRequest(bufio.NewReader(bare))
	if err != nil {
		t.Error(err)
		return
	}
	bare.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptOf(request.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
}

// dialVia does a client's handshake over the connection that connect makes.
func dialVia(t testing.TB, connect func() net.Conn, encrypted bool, opts chanws.Options) *chanws.Conn {
	_, clientTLS := testTLS()
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return connect(), nil },
	}
	url := "ws://example.com"
	if encrypted {
		url = "wss://example.com"
		transport.TLSClientConfig = clientTLS.Clone()
	}
	d := &chanws.DialOptions{Options: opts, HTTPClient: &http.Client{Transport: transport}}
	conn, err := chanws.Dial(t.Context(), url, d)
	require.NoError(t, err)
	return conn
}

const rawKey = "dGhlIHNhbXBsZSBub25jZQ=="

// openServer gives the server's Conn of a connection whose client is bare.
func openServer(t *testing.T, encrypted bool, opts chanws.Options) (*chanws.Conn, net.Conn) {
	conns := make(chan *chanws.Conn, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: opts})
		if err != nil {
			t.Error(err)
		}
		conns <- c
	}))
	s.Listener = smallListener{s.Listener}
	serverTLS, clientTLS := testTLS()
	if encrypted {
		s.TLS = serverTLS.Clone()
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	bare := dialSmall(t, s.Listener.Addr().String())
	if encrypted {
		cfg := clientTLS.Clone()
		cfg.ServerName = "example.com"
		bare = tls.Client(bare, cfg)
	}
	requestUpgrade(t, bare)
	return <-conns, bare
}

// openClient gives the client's Conn of a connection whose server is bare.
func openClient(t *testing.T, encrypted bool, opts chanws.Options) (*chanws.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	serverTLS, _ := testTLS()
	bares := make(chan net.Conn, 1)
	go func() {
		bare, err := smallListener{l}.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		if encrypted {
			bare = tls.Server(bare, serverTLS)
		}
		answerUpgrade(t, bare)
		bares <- bare
	}()
	conn := dialVia(t, func() net.Conn { return dialSmall(t, l.Addr().String()) }, encrypted, opts)
	return conn, <-bares
}

// readHead reads a response's head byte by byte, so that no frame is read with it.
func readHead(t testing.TB, conn net.Conn) *http.Response {
	var head []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		_, err := conn.Read(b)
		require.NoError(t, err)
		head = append(head, b[0])
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	require.NoError(t, err)
	return r
}

// acceptOf gives the Sec-WebSocket-Accept for a key, RFC 6455 section 4.2.2.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// rawPair gives a server's Conn in memory and its bare client, which is not read yet.
func rawPair(t *testing.T, opts chanws.Options) (*chanws.Conn, *rawPeer) {
	conn, bare := wstest.Raw(t, &chanws.UpgradeOptions{Options: opts})
	return conn, newRawPeer(t, bare, true)
}

// send writes a whole frame.
func (p *rawPeer) send(op frame.Opcode, payload string) { p.write(p.encode(true, op, []byte(payload))) }

// next reads one frame, for tests that do not call read.
func (p *rawPeer) next() rawFrame {
	p.t.Helper()
	f, err := p.tryNext()
	require.NoError(p.t, err)
	return f
}

func (p *rawPeer) tryNext() (rawFrame, error) {
	h, payload, err := rawpeer.Next(p.conn, &p.buf)
	return rawFrame{h, payload}, err
}

// expect reads one frame and holds it against what it should be.
func (p *rawPeer) expect(op frame.Opcode, payload string) {
	p.t.Helper()
	f := p.next()
	require.Equal(p.t, op, f.Opcode)
	require.Equal(p.t, payload, string(f.payload))
	require.True(p.t, f.Fin)
	require.Equal(p.t, !p.client, f.Masked, "a client masks, a server does not")
}

func (p *rawPeer) expectClose(code int, reason string) {
	p.t.Helper()
	p.expect(frame.Close, string(frame.AppendClose(nil, code, reason)))
}

// expectEOF reads the end of the stream.
func (p *rawPeer) expectEOF() {
	p.t.Helper()
	_, err := p.tryNext()
	require.ErrorIs(p.t, err, io.EOF)
}

// pipe gives a client and a server in memory, with the same options.
func pipe(t *testing.T, opts chanws.Options) (client, server *chanws.Conn) {
	return wstest.Pipe(t, &chanws.DialOptions{Options: opts}, &chanws.UpgradeOptions{Options: opts})
}

// wsPipe gives a client and a server in memory, each with its options.
func wsPipe(t *testing.T, client, server chanws.Options) (c, s *chanws.Conn) {
	return wstest.Pipe(t, &chanws.DialOptions{Options: client}, &chanws.UpgradeOptions{Options: server})
}
