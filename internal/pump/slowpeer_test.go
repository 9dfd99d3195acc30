package pump_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/pump"
	"github.com/chanws/chanws/internal/rawpeer"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

type plainPump = pump.Pump[any, any]

// A kind is a stream under a connection, and the connection's role.
type kind struct {
	name              string
	client, encrypted bool
	hidden            bool // the stream does not show what the peer has taken
}

var kinds = []kind{
	{name: "server"},
	{name: "client", client: true},
	{name: "server over TLS", encrypted: true},
	{name: "client over TLS", client: true, encrypted: true},
}

// slowly runs a test in a bubble for each kind, with a pump and its peer.
func slowly(t *testing.T, kinds []kind, opts pump.Options, test func(t *testing.T, p *plainPump, peer *slowPeer)) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	certificates := s.TLS.Certificates
	s.Close()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := wstest.NetPipe(t)
				stream := &witnessed{Conn: near}
				peer := &slowPeer{t: t, client: !k.client, reads: &throttled{Conn: far}, stream: stream}
				peer.conn = peer.reads
				var conn net.Conn = &shown{stream, near.(meter)}
				if k.hidden {
					conn = stream
				}
				if k.encrypted {
					conn, peer.conn = encrypt(t, certificates, conn, peer.reads)
				}
				p := pump.Start(pump.Config[any, any]{
					Context: context.Background(), Conn: conn, Client: k.client,
					Options: &opts, Types: &pump.PlainVocabulary,
				})
				t.Cleanup(func() {
					far.Close()
					p.CloseNow()
					peer.reading.Wait()
				})
				test(t, p, peer)
			})
		})
	}
}

// encrypt does the TLS handshake over a stream.
func encrypt(t *testing.T, certificates []tls.Certificate, near, far net.Conn) (server, client *tls.Conn) {
	server = tls.Server(near, &tls.Config{Certificates: certificates})
	client = tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	require.NoError(t, client.Handshake())
	require.NoError(t, <-done)
	return server, client
}

// slowPeer reads slowly, and answers each ping as soon as it has read it.
type slowPeer struct {
	t      *testing.T
	client bool
	reads  *throttled // the stream, of which it reads
	conn   net.Conn   // or TLS over it
	stream *witnessed // the other end
	mute   bool       // it answers nothing

	reading sync.WaitGroup

	received, pings atomic.Int64 // bytes of messages, and pings
}

// read starts to read so many bytes at a time with a pause before each, after so many
// that are read at full speed.
func (p *slowPeer) read(fast, piece int, pause time.Duration) {
	p.reads.fast, p.reads.piece, p.reads.pause = fast, piece, pause
	p.reading.Go(func() {
		var ahead []byte
		for {
			h, payload, err := rawpeer.Next(p.conn, &ahead)
			if err != nil {
				return
			}
			if h.Opcode == frame.Ping {
				p.pings.Add(1)
				if !p.mute {
					p.conn.Write(rawpeer.Encode(p.client, true, frame.Pong, payload))
				}
				continue
			}
			p.received.Add(int64(len(payload)))
		}
	})
}

// stop makes the peer read nothing any more. It returns when it read the last byte.
func (p *slowPeer) stop() (lastRead time.Time) {
	p.reads.mu.Lock()
	defer p.reads.mu.Unlock()
	p.reads.stopped = true
	return p.reads.last
}

// throttled reads no more than a piece at a time.
type throttled struct {
	net.Conn
	fast, piece int // piece 0: no limit
	pause       time.Duration

	mu      sync.Mutex
	stopped bool
	last    time.Time // when bytes were read
}

func (c *throttled) Read(b []byte) (int, error) {
	if c.piece == 0 {
		return c.Conn.Read(b)
	}
	if c.fast > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.fast)])
		c.fast -= n
		return n, err
	}
	time.Sleep(c.pause)
	c.mu.Lock()
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b[:min(len(b), c.piece)])
	c.mu.Lock()
	c.last = time.Now()
	c.mu.Unlock()
	return n, err
}

// witnessed counts the deadlines that are armed for writing.
type witnessed struct {
	net.Conn
	deadlines atomic.Int64
}

func (c *witnessed) SetDeadline(at time.Time) error {
	c.note(at)
	return c.Conn.SetDeadline(at)
}

func (c *witnessed) SetWriteDeadline(at time.Time) error {
	c.note(at)
	return c.Conn.SetWriteDeadline(at)
}

func (c *witnessed) note(at time.Time) {
	if !at.IsZero() {
		c.deadlines.Add(1)
	}
}

type meter interface {
	Transferred() (written, read int64)
}

// shown shows what the peer has taken.
type shown struct {
	*witnessed
	meter
}

var hiddenKinds = []kind{
	{name: "hidden", hidden: true},
	{name: "hidden below TLS", hidden: true, encrypted: true},
}

func send(p *plainPump, size, n int) {
	go func() {
		for range n {
			p.Send() <- pump.Binary(make([]byte, size))
		}
	}()
}

// requireTimeout requires that the connection ends with a timeout, and returns when.
func requireTimeout(t *testing.T, p *plainPump, text string) time.Time {
	t.Helper()
	<-p.Context().Done()
	at := time.Now()
	require.ErrorIs(t, p.Err(), os.ErrDeadlineExceeded)
	require.ErrorContains(t, p.Err(), text)
	return at
}

func within(timeout time.Duration) pump.Options {
	opts := pump.PlainOptions()
	opts.PingInterval, opts.PongTimeout = timeout, timeout
	opts.CloseTimeout = time.Second
	return opts
}

func TestAPeerThatReadsSlowlyAndAnswersEveryPingIsAlive(t *testing.T) {
	opts := within(2 * time.Second)
	opts.WriteTimeout = 2 * time.Second
	for name, fast := range map[string]int{"slow": 0, "fast, then slow": 400_000} {
		t.Run(name, func(t *testing.T) {
			slowly(t, kinds, opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
				peer.read(fast, 1000, 100*time.Millisecond)
				send(p, 100_000, 8)
				time.Sleep(2 * time.Minute)
				require.NoError(t, p.Err())
				require.EqualValues(t, 800_000, peer.received.Load())
				require.GreaterOrEqual(t, p.Stats().PongsReceived, uint64(8))
				require.Zero(t, peer.stream.deadlines.Load(), "armed for a live peer")
			})
		})
	}
}

// Everything has been accepted, and the ping lies behind it.
func TestAQueueThatFallsRenewsThePatienceForAPong(t *testing.T) {
	slowly(t, kinds, within(2*time.Second), func(t *testing.T, p *plainPump, peer *slowPeer) {
		send(p, 60_000, 1)
		require.NoError(t, p.Flush(t.Context()))
		peer.read(0, 1000, time.Second)
		time.Sleep(90 * time.Second)
		require.NoError(t, p.Err())
		require.EqualValues(t, 60_000, peer.received.Load())
	})
}

func TestAPeerThatTakesAByteInTimeIsNotEndedByTheWriteTimeout(t *testing.T) {
	opts := pump.PlainOptions()
	opts.WriteTimeout, opts.CloseTimeout = 2*time.Second, time.Second
	slowly(t, kinds, opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		peer.read(0, 1, 1900*time.Millisecond)
		send(p, 200_000, 1)
		time.Sleep(10 * time.Minute)
		require.NoError(t, p.Err())
		require.Zero(t, peer.stream.deadlines.Load(), "armed for a live peer")
		lastRead := peer.stop()
		after := requireTimeout(t, p, "write: ").Sub(lastRead) - opts.CloseTimeout
		require.GreaterOrEqual(t, after, opts.WriteTimeout)
		require.LessOrEqual(t, after, opts.WriteTimeout*9/8)
	})
}

func TestNoDeadlineIsLeftAfterAFlush(t *testing.T) {
	opts := pump.PlainOptions()
	opts.WriteTimeout = time.Second
	slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		peer.read(0, 64<<10, 300*time.Millisecond)
		for range 10 {
			require.NoError(t, p.Write(t.Context(), pump.Binary(make([]byte, 20_000))))
			time.Sleep(time.Minute)
			require.Zero(t, peer.stream.deadlines.Load())
		}
		require.EqualValues(t, 200_000, peer.received.Load())
	})
}

func TestAPeerThatTakesNothingIsEndedByTheWriteTimeout(t *testing.T) {
	opts := pump.PlainOptions()
	opts.WriteTimeout, opts.CloseTimeout = 2*time.Second, time.Second
	slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		began := time.Now()
		send(p, 200_000, 1)
		require.Equal(t, 3*time.Second, requireTimeout(t, p, "write: ").Sub(began))
	})
}

func TestABlackHoleIsEndedByThePongTimeout(t *testing.T) {
	opts := within(2 * time.Second)
	for _, tc := range []struct {
		name string
		size int
		took time.Duration // until the end, without the time for a close frame
	}{
		{"nothing is sent", 0, 4 * time.Second},
		{"the buffer is full", 200_000, 4 * time.Second},
		{"there is room in the buffer", 20_000, 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
				began := time.Now()
				if tc.size > 0 {
					send(p, tc.size, 1)
				}
				require.Equal(t, tc.took, requireTimeout(t, p, "no pong").Sub(began).Truncate(2*time.Second))
			})
		})
	}
}

// That the buffer takes what is sent proves nothing.
func TestABlackHoleIsFoundAlthoughMessagesFitIntoTheBuffer(t *testing.T) {
	opts := within(2 * time.Second)
	slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		began := time.Now()
		var ticking sync.WaitGroup
		defer ticking.Wait()
		ticking.Go(func() {
			for p.Err() == nil {
				time.Sleep(270 * time.Millisecond)
				p.Send() <- pump.Binary("tick")
			}
		})
		require.LessOrEqual(t, requireTimeout(t, p, "no pong").Sub(began), 4*time.Second+opts.CloseTimeout)
	})
}

func TestAPeerThatFallsSilentInTheMiddleIsFound(t *testing.T) {
	opts := within(2 * time.Second)
	slowly(t, kinds, opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		peer.read(0, 1000, 100*time.Millisecond)
		send(p, 100_000, 8)
		time.Sleep(20 * time.Second)
		require.NoError(t, p.Err())
		lastRead := peer.stop()
		after := requireTimeout(t, p, "no pong").Sub(lastRead) - opts.CloseTimeout
		require.GreaterOrEqual(t, after, opts.PongTimeout)
		require.LessOrEqual(t, after, opts.PongTimeout*9/8)
	})
}

// Something between the peer and us takes the pings: that is no sign of life.
func TestPingsThatAreTakenButNotAnsweredDoNotKeepAlive(t *testing.T) {
	opts := within(8 * time.Second)
	opts.PingInterval = time.Second
	for name, delay := range map[string]time.Duration{"soon": time.Millisecond, "later": 700 * time.Millisecond, "with the next": time.Second} {
		t.Run("taken "+name, func(t *testing.T) {
			slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
				began := time.Now()
				peer.mute = true
				peer.read(0, 64<<10, delay)
				after := requireTimeout(t, p, "no pong").Sub(began)
				require.LessOrEqual(t, after, opts.PingInterval+opts.PongTimeout*9/8+opts.CloseTimeout)
			})
		})
	}
}

func TestANegativePongTimeoutRequiresNoPong(t *testing.T) {
	opts := within(2 * time.Second)
	opts.PongTimeout = -1
	slowly(t, append(kinds, hiddenKinds...), opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		peer.mute = true
		peer.read(0, 64<<10, time.Millisecond)
		time.Sleep(time.Hour)
		require.NoError(t, p.Err())
		require.InDelta(t, 1800, peer.pings.Load(), 1)
	})
}

func TestANegativePongTimeoutRequiresNoPongAfterOneThatCame(t *testing.T) {
	opts := within(2 * time.Second)
	opts.PongTimeout = -1
	slowly(t, kinds[:1], opts, func(t *testing.T, p *plainPump, peer *slowPeer) {
		peer.read(0, 64<<10, 5*time.Second) // so that there are pings since
		time.Sleep(time.Minute)
		require.NotZero(t, p.Stats().PongsReceived)
		peer.stop()
		time.Sleep(time.Minute)
		require.NoError(t, p.Err())
	})
}
