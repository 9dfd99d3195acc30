package pump

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// socketPair returns the two ends of a connection whose buffers are small.
func socketPair(t *testing.T, network string, mss int) (near, far net.Conn) {
	addr := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "") // that of the test may be too long for a socket's name
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		addr = filepath.Join(dir, "socket")
	}
	small := func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
			if err == nil && mss > 0 {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, mss)
			}
		})
		return err
	}
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	defer l.Close()
	far, err = (&net.Dialer{Control: small}).Dial(network, l.Addr().String())
	require.NoError(t, err)
	near, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, near.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(128<<10))
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

var sockets = []struct {
	name, network string
	mss           int
}{{"tcp", "tcp", 0}, {"tcp with an MSS of 1460", "tcp", 1460}, {"unix", "unix", 0}}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), what)
	}
}

// A writer that waits is woken only when much of the buffer is free. Until then no byte
// is accepted, but the queue falls.
func TestTheGaugeOfASocketShowsWhatThePeerTakesWhileAWriterWaits(t *testing.T) {
	t.Parallel()
	for _, s := range sockets {
		for _, encrypted := range []bool{false, true} {
			name := s.name
			if encrypted {
				name += " below TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				near, far := socketPair(t, s.network, s.mss)
				stream := near
				if encrypted {
					stream, far = overTLS(t, near, far)
				}
				g := gaugeOf(stream)
				require.NotNil(t, g)
				queued, _, ok := g.read()
				require.True(t, ok)
				eventually(t, "the handshake is not acknowledged", func() bool { queued, _, _ = g.read(); return queued == 0 })

				accepted := make(chan error, 1)
				go func() {
					_, err := stream.Write(make([]byte, 1<<20))
					accepted <- err
				}()
				var full, level int64
				eventually(t, "the buffer is not full", func() bool {
					was := level
					full, level, _ = g.read()
					time.Sleep(20 * time.Millisecond)
					return full > 0 && was == level
				})
				fell, read := false, int64(0)
				for b := make([]byte, 1000); read < 1<<20; {
					n, err := far.Read(b)
					require.NoError(t, err)
					read += int64(n)
					queued, now, ok := g.read()
					require.True(t, ok)
					fell = fell || queued < full && now != level
				}
				require.True(t, fell)
				require.NoError(t, <-accepted)
				eventually(t, "the queue is not empty", func() bool { queued, _, _ = g.read(); return queued == 0 })
			})
		}
	}
}

func overTLS(t *testing.T, near, far net.Conn) (server, client net.Conn) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	outer := tls.Server(near, &tls.Config{Certificates: s.TLS.Certificates})
	inner := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- outer.Handshake() }()
	require.NoError(t, inner.Handshake())
	require.NoError(t, <-done)
	return outer, inner
}

func TestAGaugeOfAClosedSocketShowsNothing(t *testing.T) {
	t.Parallel()
	near, _ := socketPair(t, "tcp", 0)
	g := gaugeOf(near)
	near.Close()
	_, _, ok := g.read()
	require.False(t, ok)
}

func TestOtherStreamsHaveNoGauge(t *testing.T) {
	t.Parallel()
	near, _ := net.Pipe()
	require.Nil(t, gaugeOf(near))
	require.Nil(t, gaugeOf(tls.Server(near, nil)))
	require.Nil(t, gaugeOf(struct{ net.Conn }{near}))
}

// What lies in the kernel of a peer that does not read does not fall.
func TestASocketWhoseBuffersAreFullIsFoundByTheWriteTimeout(t *testing.T) {
	t.Parallel()
	for _, s := range sockets {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			near, _ := socketPair(t, s.network, s.mss)
			opts := testOptions()
			opts.WriteTimeout, opts.CloseTimeout = 500*time.Millisecond, time.Millisecond
			p := Start(testConfig{Context: t.Context(), Conn: near, Options: &opts, Types: &testTypes})
			defer p.CloseNow()
			began := time.Now()
			require.ErrorIs(t, p.Write(t.Context(), bin(make([]byte, 4<<20))), os.ErrDeadlineExceeded)
			require.GreaterOrEqual(t, time.Since(began), opts.WriteTimeout)
			require.Less(t, time.Since(began), 20*time.Second)
		})
	}
}
