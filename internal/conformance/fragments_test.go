package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chanws/chanws"
)

// fragments cuts s into fragments of so many octets.
func fragments(first wire, s string, size int) []wire {
	var frames []wire
	for w := first.unfinished(); ; w = part("") {
		n := min(size, len(s))
		w.payload, s = s[:n], s[n:]
		if s == "" {
			return append(frames, w.with(fin))
		}
		frames = append(frames, w)
	}
}

// Section 5.4, orders that are right.
func TestFragments(t *testing.T) {
	var table []exchange
	right := func(name string, says []wire, sees ...chanws.Event) {
		table = append(table, exchange{
			name: name, section: "5.4", says: says, sees: sees, options: chanws.Options{EventBuffer: len(sees) + 1},
		}.wellEnded())
	}
	for _, kind := range []struct {
		first wire
		event func(string) chanws.Event
	}{
		{text(""), func(s string) chanws.Event { return chanws.Text(s) }},
		{blob(""), binaryOf},
	} {
		name := opcodeNames[kind.first.first&0xf]
		open := kind.first.unfinished()
		for _, size := range []int{1, 2, 3, 125, 126} {
			right(fmt.Sprintf("%s in fragments of %d octets", name, size), fragments(kind.first, content(400), size), kind.event(content(400)))
		}
		for _, size := range []int{65535, 65536, 65537} {
			right(fmt.Sprintf("%s in fragments of %d octets", name, size), fragments(kind.first, content(200_000), size), kind.event(content(200_000)))
		}
		for _, many := range []int{1000, 5000} {
			right(fmt.Sprintf("%s in %d fragments", name, many), fragments(kind.first, content(many), 1), kind.event(content(many)))
		}
		right(name+", empty, in two fragments", []wire{open, last("")}, kind.event(""))
		right(name+", empty, in five fragments", []wire{open, part(""), part(""), part(""), last("")}, kind.event(""))
		right(name+" whose first fragment is empty", []wire{open, part("a"), last("b")}, kind.event("ab"))
		right(name+" whose middle fragment is empty", []wire{open.holding("a"), part(""), last("b")}, kind.event("ab"))
		right(name+" whose last fragment is empty", []wire{open.holding("a"), part("b"), last("")}, kind.event("ab"))
		right(name+" of which only a middle fragment is not empty", []wire{open, part(""), part("ab"), part(""), last("")}, kind.event("ab"))
		right(name+" of a thousand empty fragments", append(append([]wire{open}, repeat(part(""), 1000)...), last("end")), kind.event("end"))
		right(name+" after fragments of the other kind", []wire{textPart("a"), last("b"), open.holding("c"), last("d"), blobPart("e"), last("f"), kind.first.holding("g")},
			chanws.Text("ab"), kind.event("cd"), binaryOf("ef"), kind.event("g"))
		right(name+" of a fragment that is read at once and one that is not", []wire{open.holding("small"), last(content(90_000))}, kind.event("small"+content(90_000)))
		right(name+" of a fragment that is not read at once and one that is", []wire{open.holding(content(90_000)), last("small")}, kind.event(content(90_000)+"small"))
	}
	play(t, table)
}

func repeat(w wire, n int) []wire {
	frames := make([]wire, n)
	for i := range frames {
		frames[i] = w
	}
	return frames
}

// Section 5.4, orders that are wrong.
func TestFragmentsOutOfOrder(t *testing.T) {
	var table []exchange
	wrong := func(name, reason string, sees []chanws.Event, says ...wire) {
		table = append(table, exchange{
			name: name, section: "5.4", says: append([]wire{text("before")}, says...), sees: append(before[:1:1], sees...),
		}.violates(1002, reason))
	}
	const nothing = "continuation frame outside a message"
	for _, payload := range []string{"", "payload"} {
		with := fmt.Sprintf(" of %d octets", len(payload))
		// What is wrong is in the header: the payload is not waited for.
		more, end := part(payload).headerOnly(), last(payload).headerOnly()
		wrong("a last fragment that continues nothing,"+with, nothing, nil, end)
		wrong("a fragment that continues nothing,"+with, nothing, nil, more)
		wrong("a fragment after a whole binary message,"+with, nothing, []chanws.Event{binaryOf("b")}, blob("b"), end)
		wrong("a fragment after the last one,"+with, nothing, []chanws.Event{chanws.Text("ab")}, textPart("a"), last("b"), more)
		wrong("a second last fragment,"+with, nothing, []chanws.Event{binaryOf("ab")}, blobPart("a"), last("b"), end)
		wrong("a fragment after a ping,"+with, nothing, []chanws.Event{pingOf("")}, ping(""), more)
		for _, under := range []wire{textPart("a"), blobPart("a")} {
			for _, next := range []wire{text(payload), blob(payload), textPart(payload), blobPart(payload)} {
				name := fmt.Sprintf("%s%s inside %s", opcodeNames[next.first&0xf], with, opcodeNames[under.first&0xf])
				if next.first&fin == 0 {
					name += ", not the last"
				}
				reason := fmt.Sprintf("%s frame inside a fragmented %s message", opcodeNames[next.first&0xf], opcodeNames[under.first&0xf])
				wrong(name, reason, nil, under, next.headerOnly())
				wrong(name+", after more fragments", reason, nil, under, part("b"), part(""), next.headerOnly())
			}
		}
	}
	for i := range table {
		for _, w := range table[i].says {
			if w.first == ping("").first {
				table[i].hears = append([]wire{pong("")}, table[i].hears...)
			}
		}
	}
	play(t, table)
}

func TestFragmentSizeOfWhatIsSent(t *testing.T) {
	var table []exchange
	for _, size := range []int{1, 2, 125, 126, 127, 1000, 65535, 65536, 65537} {
		for _, n := range []int{0, 1, 2, 125, 126, 127, 128, 254, 1000, 65535, 65536, 65537, 140_000} {
			if n/size > 300 {
				continue
			}
			s := content(n)
			table = append(table, exchange{
				name: fmt.Sprintf("%d octets in fragments of %d", n, size), section: "5.4", options: chanws.Options{FragmentSize: size},
				writes: []chanws.Message{chanws.Text(s), chanws.Binary(s), chanws.Ping(strings.Repeat("p", 125))},
				hears:  append(append(fragments(text(""), s, size), fragments(blob(""), s, size)...), ping(strings.Repeat("p", 125))),
			}.wellEnded())
		}
	}
	play(t, table)
}
