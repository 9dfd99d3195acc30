package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
)

// allOctets gives n octets from at on, of every value there is.
func allOctets(at, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(at + i)
	}
	return string(b)
}

func pingOf(s string) chanws.Event { return chanws.Ping(octetsOf(s)) }
func pongOf(s string) chanws.Event { return chanws.Pong(octetsOf(s)) }

// octetsOf gives the payload of a control event, which for an empty one is nil.
func octetsOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// Sections 5.5.2 and 5.5.3.
func TestPings(t *testing.T) {
	var table []exchange
	for _, n := range []int{0, 1, 2, 7, 124, 125} {
		s := allOctets(n, n)
		table = append(table, exchange{
			name: fmt.Sprintf("ping of %d octets", n), section: "5.5.2",
			says: []wire{ping(s)}, sees: []chanws.Event{pingOf(s)}, hears: []wire{pong(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("ping of %d octets that the user answers", n), section: "5.5.2", options: chanws.Options{ManualPong: true},
			says: []wire{ping(s)}, sees: []chanws.Event{pingOf(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("pong of %d octets that nobody asked for", n), section: "5.5.3",
			says: []wire{pong(s)}, sees: []chanws.Event{pongOf(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("ping and pong of %d octets are sent", n), section: "5.5.2",
			writes: []chanws.Message{chanws.Ping(s), chanws.Pong(s)}, hears: []wire{ping(s), pong(s)},
			says: []wire{pong(s)}, sees: []chanws.Event{pongOf(s)},
		}.wellEnded())
	}
	for _, at := range []int{0, 125, 250} {
		s := allOctets(at, 125)
		table = append(table, exchange{
			name: fmt.Sprintf("ping of the octets from %d on", at), section: "5.5.2",
			says: []wire{ping(s)}, sees: []chanws.Event{pingOf(s)}, hears: []wire{pong(s)},
		}.wellEnded())
	}
	for _, many := range []int{2, 10, 1000} {
		x := exchange{name: fmt.Sprintf("%d pings in a row", many), section: "5.5.3", options: chanws.Options{EventBuffer: many + 1}}
		both := exchange{name: fmt.Sprintf("%d pings, each before a pong and data", many), section: "5.5.3", options: chanws.Options{EventBuffer: 4*many + 1}}
		for i := range many {
			s := fmt.Sprint("ping ", i)
			x.says = append(x.says, ping(s))
			x.sees = append(x.sees, pingOf(s))
			x.hears = append(x.hears, pong(s))
			both.says = append(both.says, ping(s), pong("unasked"), text(s), blob(s))
			both.sees = append(both.sees, pingOf(s), pongOf("unasked"), chanws.Text(s), binaryOf(s))
			both.hears = append(both.hears, pong(s))
		}
		table = append(table, x.wellEnded(), both.wellEnded())
	}
	play(t, table)
}

// A close amid pings: those before it are answered, those after it not.
func TestCloseAmidPings(t *testing.T) {
	var table []exchange
	for _, many := range []int{1, 30, 500} {
		x := exchange{name: fmt.Sprintf("%d pings, a close, %d pings", many, many), section: "5.5.1", options: chanws.Options{EventBuffer: many + 1}}
		for i := range many {
			x.says = append(x.says, ping(fmt.Sprint(i)))
			x.sees = append(x.sees, pingOf(fmt.Sprint(i)))
			x.hears = append(x.hears, pong(fmt.Sprint(i)))
		}
		x = x.wellEnded()
		for range many {
			x.unheard = append(x.unheard, ping("too late"))
		}
		table = append(table, x)
	}
	play(t, table)
}

// Section 5.5: at most 125 octets, and never fragmented.
func TestControlFramesThatAreTooLong(t *testing.T) {
	var table []exchange
	for _, op := range []byte{opPing, opPong, opClose} {
		for _, n := range []int{126, 127, 255, 65535, 65536} {
			bits := 16
			if n > 65535 {
				bits = 64
			}
			for _, inside := range []bool{false, true} {
				name := fmt.Sprintf("%s of %d octets", opcodeNames[op], n)
				says := []wire{text("before")}
				if inside {
					name, says = name+" inside a message", append(says, blobPart("part"))
				}
				table = append(table, exchange{
					name: name, section: "5.5",
					says: append(says, opcode(op).holding(strings.Repeat("x", n)).cutAfter(2)), sees: before,
				}.violates(1002, fmt.Sprintf("%s frame of more than 125 bytes (%d-bit length)", opcodeNames[op], bits)))
			}
		}
	}
	play(t, table)
}

func TestFragmentedControlFrames(t *testing.T) {
	var table []exchange
	for _, op := range []byte{opPing, opPong, opClose} {
		for _, payload := range []string{"", "\x03\xe8"} {
			for _, inside := range []bool{false, true} {
				name := fmt.Sprintf("%s of %d octets", opcodeNames[op], len(payload))
				says := []wire{text("before")}
				if inside {
					name, says = name+" inside a message", append(says, textPart("part"))
				}
				table = append(table, exchange{
					name: name, section: "5.5",
					says: append(says, opcode(op).unfinished().holding(payload).cutAfter(1)), sees: before,
				}.violates(1002, fmt.Sprintf("fragmented %s frame", opcodeNames[op])))
			}
		}
	}
	play(t, table)
}

// Section 5.4: control frames between fragments, which change nothing.
func TestControlFramesBetweenFragments(t *testing.T) {
	var table []exchange
	for _, kind := range []struct {
		name  string
		first func(string) wire
		event func(string) chanws.Event
	}{
		{"text", textPart, func(s string) chanws.Event { return chanws.Text(s) }},
		{"binary", blobPart, binaryOf},
	} {
		table = append(table, exchange{
			name: "ping inside " + kind.name, section: "5.4",
			says:  []wire{kind.first("one"), ping("now"), last("two")},
			sees:  []chanws.Event{pingOf("now"), kind.event("onetwo")},
			hears: []wire{pong("now")},
		}.wellEnded(), exchange{
			name: "pong inside " + kind.name, section: "5.4",
			says: []wire{kind.first("one"), pong("now"), last("two")},
			sees: []chanws.Event{pongOf("now"), kind.event("onetwo")},
		}.wellEnded(), exchange{
			name: "pings and pongs inside and around " + kind.name, section: "5.4",
			says:  []wire{ping("1"), kind.first("a"), ping("2"), ping(""), part("b"), pong("3"), part(""), ping("4"), last("c"), ping("5")},
			sees:  []chanws.Event{pingOf("1"), pingOf("2"), pingOf(""), pongOf("3"), pingOf("4"), kind.event("abc"), pingOf("5")},
			hears: []wire{pong("1"), pong("2"), pong(""), pong("4"), pong("5")},
		}.wellEnded(), exchange{
			name: "the pong does not wait for the end of " + kind.name, section: "5.5.2",
			says:  []wire{kind.first("one"), ping("now"), opcode(opContinuation).claiming(1000).holding("the rest never comes")},
			sees:  []chanws.Event{pingOf("now")},
			hears: []wire{pong("now")}, leaves: true, ends: failed(errDropped),
		}, exchange{
			name: "close inside " + kind.name, section: "5.4",
			says: []wire{text("before"), kind.first("one")}, sees: before,
		}.wellEnded(), exchange{
			name: "close inside " + kind.name + " after a ping", section: "5.4",
			says: []wire{text("before"), kind.first("one"), part("two"), ping("p")}, sees: seen(pingOf("p")), hears: []wire{pong("p")},
		}.wellEnded())
	}
	table = append(table, exchange{
		name: "ping inside a character", section: "5.4",
		says: []wire{textPart("\xe2\x82"), ping("\xff\xac"), last("\xac")}, hears: []wire{pong("\xff\xac")},
		sees: []chanws.Event{pingOf("\xff\xac"), chanws.Text("€")},
	}.wellEnded(), exchange{
		name: "no pong after our own close frame", section: "5.5.1",
		writes: []chanws.Message{chanws.Close{Code: 1000}}, hears: []wire{closing(1000, "")},
		says: []wire{ping("late"), text("late"), ping("later"), closing(1000, "")},
		sees: []chanws.Event{pingOf("late"), chanws.Text("late"), pingOf("later")},
		ends: closed(1000, ""), options: chanws.Options{CloseTimeout: time.Hour},
	})
	play(t, table)
}
