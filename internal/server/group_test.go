package server

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A fakeMember notes what is asked of it.
type fakeMember struct{ goneAway, killed atomic.Int32 }

func (m *fakeMember) GoAway() { m.goneAway.Add(1) }
func (m *fakeMember) Kill()   { m.killed.Add(1) }

// joined returns a member of g.
func joined(t testing.TB, g *Group) (*fakeMember, *Seat) {
	m, seat := new(fakeMember), new(Seat)
	seat.Add(g)
	require.True(t, seat.Reserve())
	seat.Join(m)
	return m, seat
}

func TestShutdownWaitsForMembersAndReservations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		m, seat := joined(t, &g)
		reserved, failed := new(Seat), new(Seat)
		for _, s := range []*Seat{reserved, failed} {
			s.Add(&g)
			require.True(t, s.Reserve())
		}
		result := make(chan error, 1)
		go func() { result <- g.Shutdown(context.Background()) }()
		synctest.Wait()
		require.EqualValues(t, 1, m.goneAway.Load())
		require.True(t, g.Closing())
		late := new(Seat)
		late.Add(&g)
		require.True(t, late.Closing())
		require.False(t, late.Reserve())

		later := new(fakeMember)
		reserved.Join(later)
		require.EqualValues(t, 1, later.goneAway.Load(), "who joins late is told too")
		seat.Leave(m)
		failed.Cancel()
		synctest.Wait()
		require.Empty(t, result)
		reserved.Leave(later)
		require.NoError(t, <-result)
		require.Zero(t, m.killed.Load())
		require.Zero(t, g.Len())
	})
}

func TestShutdownKillsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		m, _ := joined(t, &g)
		reserved := new(Seat)
		reserved.Add(&g)
		require.True(t, reserved.Reserve())
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		began := time.Now()
		err := g.Shutdown(ctx)
		require.Equal(t, time.Second, time.Since(began), "a member that does not leave holds nobody up")
		require.ErrorIs(t, err, why)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 1, m.killed.Load())
		late := new(fakeMember)
		reserved.Join(late)
		require.EqualValues(t, 1, late.killed.Load(), "who joins late is killed too")
	})
}

func TestCloseCutsShutdownShortAndIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		m, _ := joined(t, &g)
		result := make(chan error, 1)
		go func() { result <- g.Shutdown(context.Background()) }()
		synctest.Wait()
		g.Close()
		require.ErrorIs(t, <-result, net.ErrClosed)
		require.EqualValues(t, 1, m.killed.Load())
		g.Close()
	})
}

func TestSeatReservesInAllGroupsOrNone(t *testing.T) {
	t.Parallel()
	var open, closed Group
	closed.Close()
	seat := new(Seat)
	seat.Add(&open)
	seat.Add(&closed)
	require.True(t, seat.Closing())
	require.False(t, seat.Reserve())
	require.NoError(t, open.Shutdown(t.Context()), "nothing is reserved")
}

func TestSeatLeavesTheFirstGroupLast(t *testing.T) {
	t.Parallel()
	var first, second Group
	m, seat := new(fakeMember), new(Seat)
	seat.Add(&first)
	seat.Add(&second)
	require.True(t, seat.Reserve())
	seat.Join(m)
	first.mu.Lock()
	left := make(chan struct{})
	go func() {
		seat.Leave(m)
		close(left)
	}()
	require.Eventually(t, func() bool { return second.Len() == 0 }, 10*time.Second, time.Millisecond, "before it can leave the first")
	first.mu.Unlock()
	<-left
	require.Zero(t, first.Len())
}

func TestSeatIsForOneUpgrade(t *testing.T) {
	t.Parallel()
	require.Nil(t, SeatOf(t.Context()))
	seat := new(Seat)
	ctx := WithSeat(t.Context(), seat)
	require.Same(t, seat, SeatOf(ctx))
	require.True(t, seat.Reserve())
	require.Nil(t, SeatOf(ctx), "a connection's context may be the parent of further requests")
}

func TestErrorsOfAcceptPass(t *testing.T) {
	t.Parallel()
	why := errors.New("no buffers")
	err := passingError{why}
	require.ErrorIs(t, err, why)
	require.True(t, err.Temporary())
	require.False(t, err.Timeout())
}
