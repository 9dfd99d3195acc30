package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// withHub runs test with a hub alone. visit connects to it in memory.
func withHub(t *testing.T, test func(t *testing.T, h *hub, visit func() visitor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		ctx, stop := context.WithCancel(t.Context())
		go h.run(ctx)
		test(t, h, func() visitor {
			client, server := wstest.Pipe(t, nil, nil)
			h.arrivals <- &person{conn: server}
			return visitor{t, client}
		})
		stop()
		<-h.done
	})
}

// texts are what messages say.
func texts(messages []message) (all []string) {
	for _, m := range messages {
		all = append(all, m.Text)
	}
	return all
}

func TestTwoPeopleInARoomNeverShareAColour(t *testing.T) {
	t.Parallel()
	r := &room{people: make(map[*person]bool)}
	join := func(name string) *person {
		p := &person{name: name, hue: r.freeHue(name, 0)}
		r.people[p] = true
		return p
	}
	// The worst case: the history's authors have all left, then the room fills up.
	used := make(map[int]bool)
	for n := range maxHistory {
		p := join(fmt.Sprint("author ", n))
		require.False(t, used[p.hue], p.name)
		used[p.hue] = true
		r.keep(message{Name: p.name, Hue: p.hue})
		delete(r.people, p)
	}
	for n := range maxPeople {
		p := join(fmt.Sprint("reader ", n))
		require.False(t, used[p.hue], p.name)
		used[p.hue] = true
	}
}

func TestTheFirstColoursAreFarApart(t *testing.T) {
	t.Parallel()
	r := &room{people: make(map[*person]bool)}
	for n := range 8 {
		p := &person{name: fmt.Sprint(n), hue: r.freeHue(fmt.Sprint(n), 0)}
		for q := range r.people {
			apart := (p.hue - q.hue + 360) % 360
			require.GreaterOrEqual(t, min(apart, 360-apart), 35)
		}
		r.people[p] = true
	}
}

func TestAColourIsFreeWhenItsOwnerAndItsMessagesAreGone(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		ada, bob := visit(), visit()
		ada.join("tea", "Ada")
		ada.hearType("notice")
		bob.join("tea", "Bob")
		bob.hearType("notice")
		ada.say(message{Type: "say", Text: "I was here"})
		bob.hearType("message")
		ada.CloseNow()
		bob.await(message{Type: "notice", Text: "Ada left"})

		cyd := visit()
		cyd.join("tea", "Cyd") // Ada's message is still there
		require.Equal(t, []member{{"Bob", 137}, {"Cyd", 274}}, cyd.hearType("people").People)
		ada = visit()
		ada.join("tea", "Ada")
		require.Equal(t, []member{{"Ada", 0}, {"Bob", 137}, {"Cyd", 274}}, ada.hearType("people").People)
		ada.CloseNow()
		cyd.await(message{Type: "notice", Text: "Ada left"})

		for range maxHistory {
			cyd.say(message{Type: "say", Text: "more"})
			cyd.hearType("message")
		}
		dee := visit()
		dee.join("tea", "Dee")
		require.Equal(t, []member{{"Bob", 137}, {"Cyd", 274}, {"Dee", 0}}, dee.hearType("people").People)
	})
}

func TestANewcomerIsToldTheLastMessagesInOrder(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		ada := visit()
		ada.join("tea", "Ada")
		ada.hearType("notice")
		var said []string
		for n := range maxHistory + 3 {
			said = append(said, fmt.Sprint("cup ", n))
			ada.say(message{Type: "say", Text: said[n]})
			ada.hearType("message")
		}
		bob := visit()
		bob.join("tea", "Bob")
		require.Equal(t, "joined", bob.hear().Type)
		past := bob.hear()
		require.Equal(t, "history", past.Type)
		require.Equal(t, said[3:], texts(past.Messages))
		require.Equal(t, "Ada", past.Messages[0].Name)
		// The clock of this test stands still, but the times tell the messages apart.
		require.True(t, slices.IsSortedFunc(past.Messages, func(a, b message) int { return int(a.At - b.At) }))
		require.Len(t, slices.CompactFunc(past.Messages, func(a, b message) bool { return a.At == b.At }), maxHistory)
		require.Equal(t, "people", bob.hear().Type)

		elsewhere := visit()
		elsewhere.join("coffee", "Cyd")
		require.Equal(t, "joined", elsewhere.hear().Type)
		require.Equal(t, "people", elsewhere.hear().Type, "another room has another history")
	})
}

func TestAnEmptyRoomKeepsItsHistoryUntilManyOthersAreEmpty(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		v := visit()
		for n := range maxEmpty + 2 {
			v.join(fmt.Sprint("room ", n), "Ada")
			require.Equal(t, "joined", v.hear().Type)
			require.Equal(t, "people", v.hear().Type)
			require.Equal(t, "notice", v.hear().Type)
			v.say(message{Type: "say", Text: fmt.Sprint("in ", n)})
			require.Equal(t, "message", v.hear().Type)
		}
		// v is in the last room. Of the others, room 0 is one too many.
		w := visit()
		w.join("room 1", "Bob")
		require.Equal(t, []string{"in 1"}, texts(w.hearType("history").Messages))
		w.hearType("notice")
		w.join("room 0", "Bob")
		require.Equal(t, "joined", w.hear().Type)
		require.Equal(t, "people", w.hear().Type)
		w.hearType("notice")

		for n := range 2 * maxEmpty { // nobody says anything there
			w.join(fmt.Sprint("silent ", n), "Bob")
			w.hearType("notice")
		}
		w.join("room 1", "Bob")
		require.Equal(t, []string{"in 1"}, texts(w.hearType("history").Messages))
		w.hearType("notice")
		v.CloseNow()
		w.CloseNow()
		synctest.Wait() // the hub has nothing more to do
		require.Len(t, h.rooms, maxEmpty)
		require.Len(t, h.empty, maxEmpty)
	})
}

func TestAColourIsKeptAcrossARestartIfItIsFree(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		for _, test := range []struct{ wanted, want int }{{274, 274}, {274, 51}, {-1, 359}, {720, 0}} {
			v := visit()
			v.say(message{Type: "join", Room: "tea", Name: "Ada", Hue: test.wanted})
			require.Equal(t, test.want, v.hearType("joined").Hue)
		}
	})
}

func TestAPageThatComesBackReplacesItsOldConnection(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		before, after := visit(), visit()
		before.say(message{Type: "join", Room: "tea", Name: "Ada", Page: "1234"})
		before.hearType("notice")
		before.say(message{Type: "say", Text: "is anybody here?"})
		before.hearType("message")

		after.say(message{Type: "join", Room: "tea", Name: "Ada", Page: "1234"})
		require.Equal(t, message{Type: "joined", Room: "tea", Name: "Ada"}, after.hear())
		require.Equal(t, []string{"is anybody here?"}, texts(after.hear().Messages))
		require.Equal(t, named("Ada"), after.hear().People)
		require.Equal(t, chanws.StatusPolicyViolation, chanws.CloseStatus(before.end()))
	})
}

func TestJoiningAgainUnderTheSameNameIsAnsweredAndTellsNobody(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		ada := visit()
		ada.join("tea", "Ada")
		ada.hearType("notice")
		ada.join("tea", " Ada ")
		require.Equal(t, message{Type: "joined", Room: "tea", Name: "Ada"}, ada.hear())
		ada.say(message{Type: "say", Text: "next"})
		require.Equal(t, "message", ada.hear().Type)
	})
}
