package server

import (
	"context"
	"slices"
	"sync/atomic"
)

// A Seat is the place of one connection in the groups that it belongs to, from before
// its 101 until it leaves them. Its methods are called in the order Add, Reserve,
// then Cancel or else Join and Leave.
type Seat struct {
	groups   []*Group
	attempt  *attempt // of a Server's connection; else nil
	reserved atomic.Bool
}

type seatKey struct{}

// WithSeat returns a context for the request of an upgrade. Whoever calls it joins
// and leaves the seat's groups instead of the upgrade.
func WithSeat(ctx context.Context, s *Seat) context.Context {
	return context.WithValue(ctx, seatKey{}, s)
}

// SeatOf returns the seat that ctx holds for an upgrade, or nil. A seat that another
// upgrade has used does not count: a connection's context keeps its request's values,
// and may be the parent of further requests.
func SeatOf(ctx context.Context) *Seat {
	s, _ := ctx.Value(seatKey{}).(*Seat)
	if s == nil || s.reserved.Load() {
		return nil
	}
	return s
}

// Add makes g one of the groups.
func (s *Seat) Add(g *Group) { s.groups = append(s.groups, g) }

// Closing reports whether one of the groups has begun to end.
func (s *Seat) Closing() bool { return slices.ContainsFunc(s.groups, (*Group).Closing) }

// Reserve reports whether the connection may join all groups.
func (s *Seat) Reserve() bool {
	s.reserved.Store(true)
	for i, g := range s.groups {
		if !g.reserve() {
			for _, g := range s.groups[:i] {
				g.cancel()
			}
			return false
		}
	}
	return true
}

// Cancel ends the reservation of a handshake that has failed after Reserve.
func (s *Seat) Cancel() {
	for _, g := range s.groups {
		g.cancel()
	}
}

// Join makes m a member of all groups.
func (s *Seat) Join(m Member) {
	for _, g := range s.groups {
		var joined func()
		if a := s.attempt; a != nil && g == &a.server.Group {
			joined = a.release // the place is the member's now
		}
		g.join(m, joined)
	}
}

// Leave ends the membership of m in all groups, in a Server's last: when its Shutdown
// returns, m has left the users' groups too.
func (s *Seat) Leave(m Member) {
	for _, g := range slices.Backward(s.groups) {
		g.leave(m)
	}
}
