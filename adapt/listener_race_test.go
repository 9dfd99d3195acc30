package adapt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// storm dials a listener from several goroutines, each one again and again, until seen
// tells that it is enough. seen closes the connection.
func storm(t *testing.T, l *adapt.Listener, seen func(*chanws.Conn, error) (enough bool)) (wait func()) {
	var dialling sync.WaitGroup
	for range 6 {
		dialling.Go(func() {
			for {
				c, err := chanws.Dial(t.Context(), "ws://"+l.Addr().String()+"/a", nil)
				enough := seen(c, err)
				if c != nil {
					c.CloseNow()
				}
				if enough {
					return
				}
			}
		})
	}
	return dialling.Wait
}

// status gives that of a refused handshake, or 0.
func status(err error) int {
	var refused *chanws.HandshakeError
	if !errors.As(err, &refused) {
		return 0
	}
	return refused.StatusCode
}

func TestAGracefulStopInAStormOfUpgradesLosesNoConnection(t *testing.T) {
	t.Parallel()
	for range 10 {
		l, err := adapt.NewListener("127.0.0.1:0", nil)
		require.NoError(t, err)
		var opened, concluded, dialled atomic.Int64
		require.NoError(t, l.Attach("/a", shared(&adapt.Service{
			OnOpen:  func(*adapt.Caller) error { opened.Add(1); return nil },
			OnClose: func(*adapt.Caller, chanws.StatusCode, string) error { concluded.Add(1); return nil },
			OnError: func(*adapt.Caller, error) error { concluded.Add(1); return nil },
		}), nil))
		require.NoError(t, l.Start())
		storming := make(chan struct{}, 1)
		wait := storm(t, l, func(c *chanws.Conn, err error) bool {
			switch n := dialled.Add(1); {
			case err != nil:
				if s := status(err); s != 0 && s != http.StatusServiceUnavailable {
					t.Error(err)
				}
				return true
			case n == 20:
				storming <- struct{}{}
				fallthrough
			case n < 20 || n%2 == 0:
				return false // leaves at once
			}
			if end := ending(t, c); chanws.CloseStatus(end) != chanws.StatusGoingAway {
				t.Error(end)
			}
			return true
		})
		receive(t, storming)
		require.NoError(t, l.GracefulStop(t.Context()))
		require.Equal(t, opened.Load(), concluded.Load(), "the last callback of each has returned")
		wait()
		require.Equal(t, opened.Load(), concluded.Load(), "and nobody came afterwards")
	}
}

// A momentContext does something when somebody begins to wait for its end.
type momentContext struct {
	context.Context
	do func()
}

func (c momentContext) Done() <-chan struct{} {
	c.do()
	return c.Context.Done()
}

// serving tells whether a connection of any listener is there.
func serving() bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "adapt.(*bridge).serveAs")
}

// It runs alone: it looks for goroutines.
func TestAGracefulStopTellsOfAnImmediateOneThatWasThroughBeforeItWaited(t *testing.T) {
	for range 20 { // a select that has the choice would take either
		l := listen(t, "/", &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			<-c.Context().Done()
			return nil
		}})
		c := mustDial(t, l, "/")
		eventually(t, serving)
		stopped := make(chan error, 1)
		overtaken := momentContext{t.Context(), sync.OnceFunc(func() {
			go func() { stopped <- l.ImmediateStop() }()
			eventually(t, func() bool { return !serving() })
		})}
		require.ErrorIs(t, l.GracefulStop(overtaken), net.ErrClosed)
		require.NoError(t, receive(t, stopped))
		require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
	}
}

func TestAttachAndDetachInAStormOfUpgrades(t *testing.T) {
	t.Parallel()
	l, err := adapt.NewListener("127.0.0.1:0", nil)
	require.NoError(t, err)
	up := shared(&adapt.Service{OnOpen: func(*adapt.Caller) error { return chanws.Close{Code: 4000} }})
	require.NoError(t, l.Attach("/a", up, nil))
	require.NoError(t, l.Start())
	served, missed, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	wait := storm(t, l, func(c *chanws.Conn, err error) bool {
		outcome := missed
		if err == nil {
			outcome = served
			if end := ending(t, c); chanws.CloseStatus(end) != 4000 {
				t.Error(end)
			}
		} else if status(err) != http.StatusNotFound {
			t.Error(err)
		}
		select {
		case outcome <- struct{}{}:
			return false
		case <-over:
			return true
		}
	})
	// until receives outcomes up to the first of a kind.
	until := func(wanted, other <-chan struct{}) {
		for {
			select {
			case <-wanted:
				return
			case <-other:
			}
		}
	}
	for range 20 {
		until(served, missed)
		require.NoError(t, l.Detach("/a"))
		require.ErrorIs(t, l.Detach("/a"), adapt.ErrNotAttached)
		until(missed, served)
		require.NoError(t, l.Attach("/b", up, nil))
		require.NoError(t, l.Attach("/a", up, nil))
		require.NoError(t, l.Detach("/b"))
	}
	close(over)
	wait()
	require.NoError(t, l.GracefulStop(t.Context()))
}
