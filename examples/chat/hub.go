package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chanws/chanws"
)

const (
	maxName   = 24 // characters
	maxRoom   = 24
	maxText   = 1000
	maxPeople = 200 // in a room
)

// A hub is one goroutine that owns all of the state. Everybody else talks to it
// through channels, so nothing here needs a lock, and what happens in a room happens
// in the same order for everybody in it.
type hub struct {
	arrivals chan *chanws.Conn // new connections
	heard    chan heard        // what they say
	gone     chan *chanws.Conn // those that have ended
	done     chan struct{}     // closed when the hub has

	// Only run and what it calls touch these.
	people map[*chanws.Conn]*person
	rooms  map[string]map[*person]bool
}

// A person is a connection, and who it is; without a room until it has joined one.
type person struct {
	conn       *chanws.Conn
	name, room string
	closing    bool // nothing is heard from it or told to it any more
}

type heard struct {
	conn *chanws.Conn
	text chanws.Text
}

// A message is the JSON that goes to and fro.
//
//	from the page  join(room, name)  say(text)
//	to the page    joined(room, name)  people(people)  message(name, text)  notice(text)  error(text)
type message struct {
	Type   string   `json:"type"`
	Room   string   `json:"room,omitempty"`
	Name   string   `json:"name,omitempty"`
	Text   string   `json:"text,omitempty"`
	People []string `json:"people,omitempty"`
}

func newHub() *hub {
	return &hub{
		arrivals: make(chan *chanws.Conn),
		heard:    make(chan heard),
		gone:     make(chan *chanws.Conn),
		done:     make(chan struct{}),
		people:   make(map[*chanws.Conn]*person),
		rooms:    make(map[string]map[*person]bool),
	}
}

// run is the hub. Nothing in it ever waits for a single connection. It returns when
// ctx has ended and everybody has gone.
func (h *hub) run(ctx context.Context) {
	defer close(h.done)
	stopping := ctx.Done()
	for stopping != nil || len(h.people) > 0 {
		select {
		case c := <-h.arrivals:
			h.people[c] = &person{conn: c}
			go h.forward(c)
			if stopping == nil {
				h.close(h.people[c], chanws.StatusServiceRestart, "the server restarts")
			}
		case m := <-h.heard:
			h.handle(h.people[m.conn], m.text)
		case c := <-h.gone:
			h.leave(h.people[c], "left")
			delete(h.people, c)
		case <-stopping:
			stopping = nil // a nil channel is never ready: this happens once
			for _, p := range h.people {
				h.close(p, chanws.StatusServiceRestart, "the server restarts")
			}
		}
	}
}

// forward is the one goroutine of a connection. While the hub is busy it waits; then
// the connection's event channel fills up, the library stops reading from the
// network, and the sender has to wait, too. That is back-pressure: a crowd that
// talks too fast slows itself down and takes no memory here.
func (h *hub) forward(c *chanws.Conn) {
	for ev := range c.Events() { // ends with the connection, however that ends
		if text, ok := ev.(chanws.Text); ok {
			h.heard <- heard{c, text}
		}
	}
	c.CloseNow() // a connection is closed by its user, also one that has ended
	h.gone <- c
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
		h.join(p, clean(m.Name), strings.ToLower(clean(m.Room)))
	case "say":
		m.Text = strings.TrimSpace(m.Text)
		switch {
		case p.room == "":
			h.refuse(p, "Join a room first.")
		case m.Text == "":
		case utf8.RuneCountInString(m.Text) > maxText:
			h.refuse(p, fmt.Sprintf("A message has at most %d characters.", maxText))
		default:
			h.broadcast(p.room, message{Type: "message", Name: p.name, Text: m.Text})
		}
	}
}

// join takes p out of its room and into another, under a name that is free there.
func (h *hub) join(p *person, name, room string) {
	switch {
	case !valid(name, maxName):
		h.refuse(p, fmt.Sprintf("A name has 1 to %d printable characters.", maxName))
		return
	case !valid(room, maxRoom):
		h.refuse(p, fmt.Sprintf("A room has 1 to %d printable characters.", maxRoom))
		return
	case p.room == room && p.name == name:
		return
	case p.room != room && len(h.rooms[room]) >= maxPeople:
		h.refuse(p, "That room is full.")
		return
	}
	h.leave(p, "left")
	p.name, p.room = h.freeName(room, name), room
	if h.rooms[room] == nil {
		h.rooms[room] = make(map[*person]bool)
	}
	h.rooms[room][p] = true
	h.tell(p, message{Type: "joined", Room: room, Name: p.name})
	h.announce(room, p.name+" joined")
}

// leave takes p out of its room, if it is in one, and tells the others.
func (h *hub) leave(p *person, how string) {
	room := p.room
	if room == "" {
		return
	}
	p.room = ""
	delete(h.rooms[room], p)
	if len(h.rooms[room]) == 0 {
		delete(h.rooms, room)
		return
	}
	h.announce(room, p.name+" "+how)
}

// announce tells a room what has changed, and who is there now.
func (h *hub) announce(room, notice string) {
	var names []string
	for p := range h.rooms[room] {
		names = append(names, p.name)
	}
	slices.Sort(names)
	h.broadcast(room, message{Type: "people", People: names})
	h.broadcast(room, message{Type: "notice", Text: notice})
}

// broadcast tells everybody in a room. The text is made once: nobody changes a
// message that has been sent, so all connections can share it.
func (h *hub) broadcast(room string, m message) {
	text := encode(m)
	var slow []*person
	for p := range h.rooms[room] {
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

// freeName makes name unique in a room: Ada, Ada 2, Ada 3.
func (h *hub) freeName(room, name string) string {
	taken := func(name string) bool {
		for p := range h.rooms[room] {
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

// clean makes single spaces of all white space.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// valid tells whether s is something to show as a name.
func valid(s string, most int) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return s != "" && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unprintable)
}

func encode(m message) chanws.Text {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return chanws.Text(text)
}
