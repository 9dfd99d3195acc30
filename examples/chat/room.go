package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	maxPeople  = 200 // in a room
	maxHistory = 50  // messages that a room keeps for newcomers
	maxEmpty   = 100 // rooms without people that keep their history
)

// A room is the people in it and its last messages. Like everything else here it
// belongs to the hub's goroutine.
type room struct {
	name    string
	people  map[*person]bool
	history []message // oldest first
}

// keep remembers m, and forgets the oldest message when there are more than maxHistory.
func (r *room) keep(m message) {
	r.history = append(r.history, m)
	if len(r.history) > maxHistory {
		r.history = slices.Delete(r.history, 0, 1)
	}
}

// members returns who is in the room, in the order of names.
func (r *room) members() []member {
	var all []member
	for p := range r.people {
		all = append(all, member{p.name, p.hue})
	}
	slices.SortFunc(all, func(a, b member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// ghost returns the person of an earlier connection of the same page, or nil. A phone
// that changes its network is back before its old connection is known to be dead.
func (r *room) ghost(page string) *person {
	for p := range r.people {
		if page != "" && p.page == page {
			return p
		}
	}
	return nil
}

// freeName makes name unique in the room: Ada, Ada 2, Ada 3.
func (r *room) freeName(name string) string {
	taken := func(name string) bool {
		for p := range r.people {
			if strings.EqualFold(p.name, name) {
				return true
			}
		}
		return false
	}
	free := name
	for n := 2; taken(free); n++ {
		suffix := fmt.Sprintf(" %d", n)
		runes := []rune(name)
		free = string(runes[:min(len(runes), maxName-len(suffix))]) + suffix
	}
	return free
}

// freeHue returns a colour for name, in degrees. If the history has messages under
// that name, it is theirs: people who come back keep their colour. Otherwise it is
// wanted, or the next colour of no person in the room and of no message in the history.
//
// Steps of 137 degrees, the golden angle, put the first few colours far apart. They
// come to all 360 degrees before any comes again, and maxPeople + maxHistory are fewer.
func (r *room) freeHue(name string, wanted int) int {
	taken := make(map[int]bool)
	for p := range r.people {
		taken[p.hue] = true
	}
	for _, m := range r.history {
		if m.Name == name {
			return m.Hue
		}
		taken[m.Hue] = true
	}
	hue := (wanted%360 + 360) % 360
	for taken[hue] {
		hue = (hue + 137) % 360
	}
	return hue
}
