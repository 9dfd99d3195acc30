package pump

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

type testConfig = Config[any, any]

// inBubble runs a test of a server's pump under a clock of its own. Its stream buffers
// nothing: what the peer does not read, the pump has not written.
func inBubble(t *testing.T, opts Options, test func(t *testing.T, p *Pump[any, any], peer *peer)) {
	t.Helper()
	bubbleOf(t, testConfig{Options: &opts}, test)
}

// bubbleOf does so with a configuration, whose Conn may wrap that of the pump.
func bubbleOf(t *testing.T, cfg testConfig, test func(t *testing.T, p *Pump[any, any], peer *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		cfg := cfg
		cfg.Context, cfg.Types = context.Background(), &testTypes
		switch c := cfg.Conn.(type) {
		case nil:
			cfg.Conn = near
		case *wrapped:
			cfg.Conn = &wrapped{Conn: near, noDeadlines: c.noDeadlines, read: c.read}
		}
		p := Start(cfg)
		t.Cleanup(func() {
			far.Close()
			p.CloseNow()
		})
		test(t, p, &peer{t: t, conn: far, mask: !cfg.Client})
	})
}

// wrapped is a stream that misbehaves.
type wrapped struct {
	net.Conn
	noDeadlines bool
	read        func() (int, error)
}

func (w *wrapped) SetReadDeadline(at time.Time) error {
	if w.noDeadlines {
		return net.ErrClosed
	}
	return w.Conn.SetReadDeadline(at)
}

func (w *wrapped) Read(b []byte) (int, error) {
	if w.read != nil {
		return w.read()
	}
	return w.Conn.Read(b)
}

// sendClose sends a close frame.
func (p *peer) sendClose(code int, reason string) {
	p.t.Helper()
	p.send(frame.Close, string(frame.AppendClose(nil, code, reason)))
}

// later gives what a call that blocks has returned, when it has.
func later(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func requireBlocked(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("returned early: %v", err)
	default:
	}
}

// requireEnd takes all events that are left, of which the last one is the end, and gives it.
func requireEnd(t *testing.T, p *Pump[any, any]) any {
	t.Helper()
	var last any
	for ev := range p.Events() {
		last = ev
	}
	require.NotNil(t, last)
	require.Equal(t, last, p.Err())
	require.Equal(t, last, context.Cause(p.Context()))
	return last
}

// withTimeout gives a context that ends with os.ErrDeadlineExceeded after d.
func withTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), d, os.ErrDeadlineExceeded)
}
