// Package server holds what a WebSocket server needs around its connections: groups
// that end together, a limit on connections, the answer 503 beyond it, and an orderly
// shutdown. It knows neither messages nor callbacks.
package server

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/pump"
)

const (
	// errCutShort is the error of a Shutdown during which Close was called.
	errCutShort pump.ClosedError = "shutdown cut short by a close, which ended connections without a close handshake"
	// ErrStopped is the error of an operation on a server that has begun to end, and
	// the cause of its requests' contexts.
	ErrStopped pump.ClosedError = "the listener has been stopped"
)

// A Member is a connection in a [Group], or what stands for one.
type Member interface {
	// GoAway begins to close the connection with 1001. It does not block.
	GoAway()
	// Kill ends the connection without a close handshake.
	Kill()
}

// A Group is a set of connections that end together. The zero value is ready.
type Group struct {
	onKill func() // called by kill; may be nil

	mu       sync.Mutex
	changed  chan struct{} // closed when one of the following changes; nil: nobody waits
	members  map[Member]struct{}
	reserved int           // handshakes that will be answered with 101 and are not members yet
	done     chan struct{} // made when Shutdown or Close begins, closed when it is complete
	leaving  bool          // members are told to go away, also those that join later
	killed   bool          // members are killed, also those that join later
	cut      bool          // kill has met members or reservations
}

// Shutdown tells all members to go away, refuses new ones, and waits until all have
// left. When ctx ends first it kills those that are left and returns an error that
// matches ctx.Err() and ctx's cause. After [Group.Close] has cut it short, it returns
// an error that matches net.ErrClosed. A second Shutdown waits for the first, at most until its ctx ends.
func (g *Group) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return pump.ErrNilContext
	}
	if !g.begin() {
		return g.awaitDone(ctx)
	}
	defer close(g.done)
	g.drain(ctx)
	return g.result(ctx)
}

// Close kills all members, and refuses new ones.
func (g *Group) Close() {
	g.kill()
	if g.begin() {
		close(g.done)
		return
	}
	<-g.done
}

// Members returns the members of this moment.
func (g *Group) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.members))
}

// Len returns the number of members.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// Closing reports whether Shutdown or Close has begun.
func (g *Group) Closing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.done != nil || g.killed
}

// begin reports whether the caller is the first to end the group. The first must
// close g.done.
func (g *Group) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done != nil {
		return false
	}
	g.done = make(chan struct{})
	return true
}

// awaitDone waits for the first Shutdown or Close, at most until ctx ends.
func (g *Group) awaitDone(ctx context.Context) error {
	select {
	case <-g.done:
		return nil
	default: // when both are true, the group's end counts
	}
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
		return handshake.Ended(ctx)
	}
}

// drain tells all members to go away and waits until they have left. It kills those
// that are left when ctx ends.
func (g *Group) drain(ctx context.Context) {
	if ctx.Err() == nil {
		g.mu.Lock()
		g.leaving = true
		g.mu.Unlock()
		for _, m := range g.Members() {
			m.GoAway()
		}
	}
	if !g.await(ctx, func() bool { return g.killed || g.empty() }) {
		g.kill()
	}
}

// result returns what Shutdown reports: an error if members had to be killed.
func (g *Group) result(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.cut && ctx.Err() != nil:
		return handshake.Ended(ctx)
	case g.cut:
		return errCutShort
	}
	return nil
}

// kill kills all members, and those that are still to join.
func (g *Group) kill() {
	g.mu.Lock()
	g.cut = g.cut || !g.empty()
	g.killed = true
	g.notify()
	g.mu.Unlock()
	if g.onKill != nil {
		g.onKill()
	}
	var killing sync.WaitGroup
	for _, m := range g.Members() {
		killing.Go(m.Kill)
	}
	killing.Wait()
}

// empty reports whether there are neither members nor reservations. g.mu is held.
func (g *Group) empty() bool { return len(g.members) == 0 && g.reserved == 0 }

// reserve reports whether a connection may join. If so, join or cancel must follow.
func (g *Group) reserve() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done != nil || g.killed {
		return false
	}
	g.reserved++
	return true
}

// cancel ends a reservation.
func (g *Group) cancel() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserved--
	g.notify()
}

// join turns a reservation into a member. A group that has begun to end since then
// treats the member as it treated the others. joined, which may be nil, is called
// with g.mu held.
func (g *Group) join(m Member, joined func()) {
	g.mu.Lock()
	g.reserved--
	if g.members == nil {
		g.members = make(map[Member]struct{})
	}
	g.members[m] = struct{}{}
	if joined != nil {
		joined()
	}
	leaving, killed := g.leaving, g.killed
	g.mu.Unlock()
	switch {
	case killed:
		m.Kill()
	case leaving:
		m.GoAway()
	}
}

// leave removes a member.
func (g *Group) leave(m Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, m)
	g.notify()
}

// notify wakes those who wait. g.mu is held.
func (g *Group) notify() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// await waits until ready, which is called with g.mu held, is true or ctx has ended,
// and reports whether ready was true.
func (g *Group) await(ctx context.Context, ready func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !ready() {
		if ctx.Err() != nil {
			return false
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		g.mu.Lock()
	}
	return true
}
