package pump

import (
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// late is a stream whose writes succeed only when a deadline is set on them: at the very
// moment at which they are to be ended.
type late struct {
	net.Conn
	deadline chan time.Time
	armed    atomic.Bool
}

func (c *late) Write(b []byte) (int, error) {
	<-c.deadline
	return len(b), nil
}

func (c *late) SetWriteDeadline(at time.Time) error {
	c.armed.Store(!at.IsZero())
	if !at.IsZero() {
		c.deadline <- at
	}
	return nil
}

func TestAWriteThatSucceedsJustAsItIsEndedLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		conn := &late{Conn: near, deadline: make(chan time.Time, 1)}
		opts := timedOut()
		p := Start(testConfig{Context: t.Context(), Conn: conn, Options: &opts, Types: &testTypes})
		defer p.CloseNow()
		for range 3 {
			began := time.Now()
			require.NoError(t, p.Write(t.Context(), text("late")))
			require.Equal(t, time.Second, time.Since(began))
			require.False(t, conn.armed.Load())
		}
		time.Sleep(time.Minute)
		require.NoError(t, p.Err())
		require.False(t, conn.armed.Load())
	})
}

// unbounded is a stream on whose writes there are no deadlines.
type unbounded struct{ net.Conn }

func (c unbounded) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

func TestAStreamWithoutWriteDeadlinesIsClosedByTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		opts := timedOut()
		p := Start(testConfig{Context: t.Context(), Conn: unbounded{near}, Options: &opts, Types: &testTypes})
		defer p.CloseNow()
		began := time.Now()
		require.ErrorIs(t, p.Write(t.Context(), text("unread")), os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, asFailed(t, requireEnd(t, p)), os.ErrDeadlineExceeded)
	})
}
