package chanws

import (
	"context"
	"iter"

	"github.com/chanws/chanws/internal/server"
)

// A Group is a set of connections that end together: those made by [Upgrade], by a
// [Listener] or by package adapt with the Group in their options. It shuts down the
// connections of one's own http.Server, whose Shutdown leaves connections alone that
// have been upgraded:
//
//	var group chanws.Group
//	// In the handler: chanws.Upgrade(w, r, &chanws.UpgradeOptions{Group: &group})
//	srv.RegisterOnShutdown(func() { group.Shutdown(ctx) })
//	...
//	err := srv.Shutdown(ctx)
//	err = errors.Join(err, group.Shutdown(ctx)) // waits: srv.Shutdown does not
//
// The zero value is ready. One Group may serve any number of handlers and Listeners. It
// must not be copied. All methods are safe for concurrent use. A connection leaves the
// Group when it ends; until then the Group keeps it reachable.
type Group struct{ server server.Group }

// Shutdown ends the group in good order. New upgrades and those in progress are
// answered with 503 and a Retry-After header, and a close frame 1001 is sent on all
// connections concurrently, [RFC 6455 section 7.4.1]. It returns nil when all
// connections have ended.
//
// When ctx ends first, the connections that are left are closed without a close
// handshake: they end with an [Error] that matches net.ErrClosed, and Shutdown returns
// an error that matches ctx.Err() as well as ctx's cause. [Group.Close] cuts it short
// likewise; then the error matches net.ErrClosed. A second Shutdown waits for the first, at
// most until its own ctx ends, and returns nil.
//
// The connections must still be closed by their users, as always. Those that have
// callbacks of package adapt are first served the messages received so far, and
// Shutdown also waits until their last callback has returned; do not call it in a
// callback. Connections that nobody has received from [Listener.Conns] are closed by the
// Listener, as [Listener.Shutdown] does.
//
// [RFC 6455 section 7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
func (g *Group) Shutdown(ctx context.Context) error { return g.server.Shutdown(ctx) }

// Close ends all connections without a close handshake; their terminal [Error] matches
// net.ErrClosed. New upgrades and those in progress are answered with 503; one whose
// 101 is being written ends as soon as it is complete. Close does not wait for
// callbacks of package adapt. It may be called any number of times, also during
// Shutdown, and returns nil.
func (g *Group) Close() error {
	g.server.Close()
	return nil
}

// Conns returns the connections that were in the group when the iteration began, in
// no particular order, and skips those that have ended since. The body may take
// any time and call any method of the Group, except [Group.Shutdown] if it holds up a
// connection's user.
func (g *Group) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, m := range g.server.Members() {
			c := m.(interface{ Conn() *Conn }).Conn()
			if c.Err() == nil && !yield(c) {
				return
			}
		}
	}
}

// Len returns the number of connections in the group. A connection with callbacks of
// package adapt counts until its last callback has returned.
func (g *Group) Len() int { return g.server.Len() }

// A member is a Conn as its groups see it.
type member Conn

func (m *member) Conn() *Conn { return (*Conn)(m) }
func (m *member) GoAway()     { m.pump.Shutdown(int(StatusGoingAway), server.GoingAwayReason) }
func (m *member) Kill()       { m.pump.Abort() }

// join makes m, which stands for c, a member of the seat's groups until c has ended.
func (c *Conn) join(seat *server.Seat, m server.Member) {
	seat.Join(m)
	c.pump.AfterEnd(func() { seat.Leave(m) })
}
