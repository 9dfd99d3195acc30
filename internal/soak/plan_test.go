package soak

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/chanws/chanws"
)

// A side is one end of a connection.
type side int

const (
	client side = iota
	server
)

// An ending is who ends a connection, and how.
type ending string

const (
	clientCloses    ending = "client closes"
	serverCloses    ending = "server closes"
	bothClose       ending = "both close"
	clientHasSpoken ending = "client closes Send"
	clientCuts      ending = "client cuts"
	serverCuts      ending = "server cuts"
	peerDrops       ending = "bare client drops TCP"
	peerVanishes    ending = "bare client vanishes"
)

// talking are the endings of connections with this library on both sides.
var talking = []ending{clientCloses, clientCloses, serverCloses, serverCloses, bothClose, clientHasSpoken, clientCuts, serverCuts}

// clean tells whether both close frames are exchanged.
func (e ending) clean() bool {
	switch e {
	case clientCloses, serverCloses, bothClose, clientHasSpoken:
		return true
	}
	return false
}

// by tells whether a side ends the connection.
func (e ending) by(s side) bool {
	switch e {
	case bothClose:
		return true
	case serverCloses, serverCuts:
		return s == server
	}
	return s == client
}

// A plan is what happens on one connection. Both processes make it of the
// connection's number, which the client tells in its request.
type plan struct {
	id       uint64
	ending   ending
	messages [2]int  // that each side sends
	writes   [2]bool // with Write, not Send
	slow     [2]bool // takes its time to receive
	floods   bool    // the server sends without end
	fragment [2]int  // the size of frames sent; 0 is any
	viaAdapt bool    // the client has callbacks, where it might
}

const mostMessages = 30 // of one side

func newPlan(id uint64, endings ...ending) plan {
	r := rand.New(rand.NewPCG(id, 0))
	p := plan{id: id, ending: endings[r.IntN(len(endings))], floods: r.IntN(2) == 0, viaAdapt: r.IntN(2) == 0}
	for s := range p.messages {
		p.messages[s] = 1 + r.IntN(mostMessages)
		p.writes[s] = r.IntN(2) == 0
		p.slow[s] = r.IntN(8) == 0
		p.fragment[s] = []int{0, 0, 100, 5000}[r.IntN(4)]
	}
	return p
}

// path tells the plan in a request.
func (p plan) path() string {
	return "/?id=" + strconv.FormatUint(p.id, 10) + "&ending=" + strings.ReplaceAll(string(p.ending), " ", "+")
}

func planOf(r *http.Request) plan {
	query := r.URL.Query()
	id, _ := strconv.ParseUint(query.Get("id"), 10, 64)
	return newPlan(id, ending(query.Get("ending")))
}

// pools hold all bytes that are ever sent. The library only reads them.
var (
	textPool   = numbers()
	binaryPool = []byte(textPool)
)

// numbers is text that differs everywhere.
func numbers() string {
	var b strings.Builder
	for i := 0; b.Len() < 2<<20; i++ {
		b.WriteString(strconv.Itoa(i*7919) + " ")
	}
	return b.String()
}

// A stream is the messages that one side of a connection sends, in order: the sender
// and the receiver each make it for themselves.
type stream struct {
	r *rand.Rand
	n int
}

func (p plan) stream(s side) *stream {
	return &stream{r: rand.New(rand.NewPCG(p.id, 1+uint64(s)))}
}

// next is the next message. Its place in the pools and its size are its number: a
// message too many, too few or too early is another one.
func (s *stream) next() chanws.Message {
	s.n++
	size := messageSize(s.r)
	start := s.r.IntN(len(binaryPool) - size)
	if s.r.IntN(2) == 0 {
		return chanws.Text(textPool[start : start+size])
	}
	return chanws.Binary(binaryPool[start : start+size])
}

// messageSize is mostly small, sometimes where the encoding of lengths changes, and
// rarely as large as it may be.
func messageSize(r *rand.Rand) int {
	switch n := r.IntN(1000); {
	case n < 500:
		return r.IntN(126)
	case n < 600:
		return []int{0, 1, 125, 126, 127, 65535, 65536}[r.IntN(7)]
	case n < 900:
		return r.IntN(4 << 10)
	case n < 996:
		return r.IntN(48 << 10)
	case n < 998:
		return 1 << 20
	default:
		return r.IntN(1 << 20)
	}
}

// vanishedReads reports whether a bare client reads what the server sends, without
// answering it. One in two does.
func (p plan) vanishedReads() bool { return p.viaAdapt }
