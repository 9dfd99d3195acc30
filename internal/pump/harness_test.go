package pump

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/rawpeer"
	"github.com/stretchr/testify/require"
)

// The tests' own vocabulary: events and messages are plain values.
type (
	text   string
	bin    []byte
	ping   []byte
	pong   []byte
	idle   time.Duration
	closed struct {
		code   int
		reason string
	}
	failed struct{ err error }
)

func (c closed) Error() string { return fmt.Sprintf("closed %d %q", c.code, c.reason) }
func (f failed) Error() string { return f.err.Error() }
func (f failed) Unwrap() error { return f.err }

var testTypes = Types[any, any]{
	Text:    func(s string) any { return text(s) },
	Binary:  func(b []byte) any { return bin(b) },
	Ping:    func(b []byte) any { return ping(b) },
	Pong:    func(b []byte) any { return pong(b) },
	Idle:    func(d time.Duration) any { return idle(d) },
	Closed:  func(code int, reason string) any { return closed{code, reason} },
	Failed:  func(err error) any { return failed{err} },
	Message: func(ev any) (any, bool) { return ev, true },
	Outgoing: func(m any) Outgoing {
		switch m := m.(type) {
		case text:
			return Outgoing{Opcode: frame.Text, Payload: []byte(m)}
		case bin:
			return Outgoing{Opcode: frame.Binary, Payload: m}
		case ping:
			return Outgoing{Opcode: frame.Ping, Payload: m}
		case pong:
			return Outgoing{Opcode: frame.Pong, Payload: m}
		case closed:
			return Outgoing{Opcode: frame.Close, Code: m.code, Reason: m.reason}
		}
		return Outgoing{Invalid: "no message"}
	},
}

func testOptions() Options {
	return Options{
		EventBuffer: 64, SendBuffer: 64,
		MaxMessageSize: 1 << 20, MaxFrameSize: None, FragmentSize: None,
		CloseTimeout: 5 * time.Second,
	}
}

// tcpPair gives two ends of a loopback connection.
func tcpPair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// serverPump starts a server's pump over TCP; the test is the client.
func serverPump(t testing.TB, opts Options) (*Pump[any, any], *peer) {
	a, b := tcpPair(t)
	p := Start(Config[any, any]{Context: context.Background(), Conn: b, Options: &opts, Types: &testTypes})
	t.Cleanup(func() { p.CloseNow() })
	return p, &peer{t: t, conn: a, mask: true}
}

// peer speaks raw frames.
type peer struct {
	t    testing.TB
	conn net.Conn
	mask bool
	buf  []byte
}

func (p *peer) frame(fin bool, op frame.Opcode, payload []byte) []byte {
	return rawpeer.Encode(p.mask, fin, op, payload)
}

func (p *peer) send(op frame.Opcode, payload string) {
	_, err := p.conn.Write(p.frame(true, op, []byte(payload)))
	require.NoError(p.t, err)
}

// receive gives the next frame, or io errors.
func (p *peer) receive() (frame.Header, []byte, error) { return rawpeer.Next(p.conn, &p.buf) }

func (p *peer) expect(op frame.Opcode, payload string) {
	p.t.Helper()
	h, got, err := p.receive()
	require.NoError(p.t, err)
	require.Equal(p.t, op, h.Opcode)
	require.Equal(p.t, payload, string(got))
}

func (p *peer) expectClose(code int, reason string) {
	p.t.Helper()
	p.expect(frame.Close, string(frame.AppendClose(nil, code, reason)))
}

func asFailed(t testing.TB, ev any) error {
	t.Helper()
	var f failed
	require.True(t, errors.As(ev.(error), &f), "%v", ev)
	return f.err
}
