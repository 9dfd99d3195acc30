package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/chanws/chanws"
)

// A hub is one goroutine that owns all of the state. Everybody else talks to it
// through channels, so nothing here needs a lock, and what happens in a room happens
// in the same order for everybody in it.
type hub struct {
	arrivals chan *person  // new connections
	heard    chan heard    // what they say
	gone     chan *person  // those that have ended
	done     chan struct{} // closed when the hub has

	// Only run and what it calls touch these.
	people map[*person]bool
	rooms  map[string]*room
	empty  []*room // the rooms without people, the longest empty first
	last   int64   // the At of the last message
}

// A person is a connection, and who it is; without a room until it has joined one.
type person struct {
	conn      *chanws.Conn
	roundTrip atomic.Int64 // of the last keepalive ping; the one field that the connection sets

	name, page string
	hue        int
	room       *room
	closing    bool // nothing is heard from it or told to it any more
}

type heard struct {
	from *person
	text chanws.Text
}

func newHub() *hub {
	return &hub{
		arrivals: make(chan *person),
		heard:    make(chan heard),
		gone:     make(chan *person),
		done:     make(chan struct{}),
		people:   make(map[*person]bool),
		rooms:    make(map[string]*room),
	}
}

// run is the hub. Nothing in it ever waits for a single connection. It returns when
// ctx has ended and everybody has gone.
func (h *hub) run(ctx context.Context) {
	defer close(h.done)
	stopping := ctx.Done()
	for stopping != nil || len(h.people) > 0 {
		select {
		case p := <-h.arrivals:
			h.people[p] = true
			go h.forward(p)
			if stopping == nil {
				h.close(p, chanws.StatusServiceRestart, "the server restarts")
			}
		case m := <-h.heard:
			h.handle(m.from, m.text)
		case p := <-h.gone:
			h.leave(p, "left")
			delete(h.people, p)
		case <-stopping:
			stopping = nil // a nil channel is never ready: this happens once
			for p := range h.people {
				h.close(p, chanws.StatusServiceRestart, "the server restarts")
			}
		}
	}
}

// forward is the one goroutine of a connection. While the hub is busy it waits; then
// the connection's event channel fills up, the library stops reading from the
// network, and the sender has to wait, too. That is back-pressure: a crowd that
// talks too fast slows itself down and takes no memory here.
func (h *hub) forward(p *person) {
	for ev := range p.conn.Events() { // ends with the connection, however that ends
		if text, ok := ev.(chanws.Text); ok {
			h.heard <- heard{p, text}
		}
	}
	p.conn.CloseNow() // a connection is closed by its user, also one that has ended
	h.gone <- p
}

// handle does what p asks for.
func (h *hub) handle(p *person, text chanws.Text) {
	if p.closing {
		return
	}
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		h.close(p, chanws.StatusInvalidFramePayloadData, "not the JSON of this chat")
		return
	}
	switch m.Type {
	case "join":
		p.page = m.Page
		h.join(p, clean(m.Name), strings.ToLower(clean(m.Room)), m.Hue)
	case "say":
		h.say(p, strings.TrimSpace(m.Text))
	case "stats":
		h.tell(p, message{Type: "stats", Stats: h.stats(p)})
	}
}

// say sends a message of p to everybody in the room, and keeps it for those who come later.
func (h *hub) say(p *person, text string) {
	switch {
	case p.room == nil:
		h.refuse(p, "Join a room first.")
	case text == "":
	case utf8.RuneCountInString(text) > maxText:
		h.refuse(p, fmt.Sprintf("A message has at most %d characters.", maxText))
	default:
		h.last = max(h.last+1, time.Now().UnixMicro())
		m := message{Type: "message", Name: p.name, Hue: p.hue, At: h.last, Text: text}
		p.room.keep(m)
		h.broadcast(p.room, m)
	}
}

// join takes p out of its room and into another, under a name and with a colour that
// are free there. Then p is told what was said in that room before.
func (h *hub) join(p *person, name, roomName string, hue int) {
	r := h.rooms[roomName]
	switch {
	case !valid(name, maxName):
		h.refuse(p, fmt.Sprintf("A name has 1 to %d printable characters.", maxName))
		return
	case !valid(roomName, maxRoom):
		h.refuse(p, fmt.Sprintf("A room has 1 to %d printable characters.", maxRoom))
		return
	case p.room != nil && p.room == r && p.name == name:
		h.tell(p, message{Type: "joined", Room: r.name, Name: p.name, Hue: p.hue})
		return
	}
	if r != nil && p.room != r {
		if ghost := r.ghost(p.page); ghost != nil {
			h.leave(ghost, "left")
			h.close(ghost, chanws.StatusPolicyViolation, "this page has connected again")
		}
		if len(r.people) >= maxPeople {
			h.refuse(p, "That room is full.")
			return
		}
	}
	h.leave(p, "left")
	r = h.enter(roomName) // only now: a room that became empty may have been forgotten
	p.name = r.freeName(name)
	p.hue = r.freeHue(p.name, hue)
	p.room = r
	r.people[p] = true
	h.tell(p, message{Type: "joined", Room: r.name, Name: p.name, Hue: p.hue})
	if len(r.history) > 0 {
		h.tell(p, message{Type: "history", Messages: r.history})
	}
	h.announce(r, p.name+" joined")
}

// enter returns the room of that name, for somebody who is about to be in it.
func (h *hub) enter(name string) *room {
	r := h.rooms[name]
	if r == nil {
		r = &room{name: name, people: make(map[*person]bool)}
		h.rooms[name] = r
	}
	h.empty = slices.DeleteFunc(h.empty, func(e *room) bool { return e == r })
	return r
}

// leave takes p out of its room, if it is in one, and tells the others. An empty room
// keeps its history until maxEmpty others have become empty after it.
func (h *hub) leave(p *person, how string) {
	r := p.room
	if r == nil {
		return
	}
	p.room = nil
	delete(r.people, p)
	if len(r.people) > 0 {
		h.announce(r, p.name+" "+how)
		return
	}
	if len(r.history) == 0 {
		delete(h.rooms, r.name)
		return
	}
	h.empty = append(h.empty, r)
	if len(h.empty) > maxEmpty {
		delete(h.rooms, h.empty[0].name)
		h.empty = slices.Delete(h.empty, 0, 1)
	}
}

// announce tells a room what has changed, and who is there now.
func (h *hub) announce(r *room, notice string) {
	h.broadcast(r, message{Type: "people", People: r.members()})
	h.broadcast(r, message{Type: "notice", Text: notice})
}

// broadcast tells everybody in a room. The text is made once: nobody changes a
// message that has been sent, so all connections can share it.
func (h *hub) broadcast(r *room, m message) {
	text := encode(m)
	var slow []*person
	for p := range r.people {
		if !h.send(p, text) {
			slow = append(slow, p)
		}
	}
	for _, p := range slow {
		h.leave(p, "was too slow, and left")
	}
}

// tell tells p alone.
func (h *hub) tell(p *person, m message) {
	if !h.send(p, encode(m)) {
		h.leave(p, "was too slow, and left")
	}
}

func (h *hub) refuse(p *person, why string) {
	h.tell(p, message{Type: "error", Text: why})
}

// send puts a message into p's Send without ever waiting, and reports whether there
// was room for it.
//
// Send is full when p's network does not keep up. To wait for it here would be
// back-pressure on the whole chat, so that one phone in a tunnel silences everybody.
// To drop the message would leave a hole in p's log that p does not know of. To put
// it aside would take memory without end. So p is let go with 1013, try again later:
// its page comes back by itself when its network does.
func (h *hub) send(p *person, text chanws.Text) bool {
	if p.closing {
		return true
	}
	select {
	case p.conn.Send <- text:
		return true
	default:
		h.close(p, chanws.StatusTryAgainLater, "too slow")
		return false
	}
}

// close begins to close p's connection. Close waits for the other side, which the
// hub must not do. When the connection has ended, forward tells.
func (h *hub) close(p *person, code chanws.StatusCode, reason string) {
	if !p.closing {
		p.closing = true
		go p.conn.Close(code, reason)
	}
}
