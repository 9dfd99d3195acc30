package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chanws/chanws"
)

// lengths are those at which the form of the length changes, and their neighbours,
// RFC 6455 section 5.2.
var lengths = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 124, 125, 126, 127, 128, 255, 256, 257,
	4095, 4096, 16383, 16384, 32753, 32754, 32767, 32768, 65521, 65534, 65535, 65536, 65537, 131072}

// content gives n octets of ASCII that differ from place to place.
func content(n int) string { return allContent()[:n] }

var allContent = sync.OnceValue(func() string {
	const letters = "The quick brown fox jumps over the lazy dog 0123456789. "
	b := make([]byte, 0, 16<<20+100)
	for i := int64(0); len(b) < 16<<20; i++ {
		b = strconv.AppendInt(append(b, letters...), i, 10)
	}
	return string(b)
})

func TestLengths(t *testing.T) {
	var table []exchange
	for _, n := range lengths {
		s := content(n)
		table = append(table, exchange{
			name: fmt.Sprintf("text of %d octets is received", n), section: "5.2",
			says: []wire{text(s)}, sees: []chanws.Event{chanws.Text(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("binary of %d octets is received", n), section: "5.2",
			says: []wire{blob(s)}, sees: []chanws.Event{binaryOf(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("text of %d octets is sent", n), section: "5.2",
			writes: []chanws.Message{chanws.Text(s)}, hears: []wire{text(s)},
		}.wellEnded(), exchange{
			name: fmt.Sprintf("binary of %d octets is sent", n), section: "5.2",
			writes: []chanws.Message{chanws.Binary(s)}, hears: []wire{blob(s)},
		}.wellEnded())
	}
	// The largest message that is allowed by default.
	most := content(1 << 20)
	table = append(table, exchange{
		name: "1 MiB there and back", section: "5.2",
		writes: []chanws.Message{chanws.Binary(most)}, hears: []wire{blob(most)},
		says: []wire{text(most)}, sees: []chanws.Event{chanws.Text(most)},
	}.wellEnded(), exchange{
		name: "messages of all lengths up to 300 in a row", section: "5.2",
		options: chanws.Options{EventBuffer: 400},
	}.wellEnded())
	all := &table[len(table)-1]
	goodbye := all.says
	all.says = nil
	for n := range 300 {
		all.says = append(all.says, blob(content(n)))
		all.sees = append(all.sees, binaryOf(content(n)))
	}
	all.says = append(all.says, goodbye...)
	play(t, table)
}

// binaryOf is a Binary event, which for an empty message is empty and not nil.
func binaryOf(s string) chanws.Event { return chanws.Binary(append([]byte{}, s...)) }

func TestLengthsThatAreNotInTheirShortestForm(t *testing.T) {
	var table []exchange
	refused := func(name string, w wire, octets int, reason string) {
		x := exchange{name: name, section: "5.2", says: []wire{text("before"), w.cutAfter(octets)}, sees: []chanws.Event{chanws.Text("before")}}
		if w.first&0xf == opContinuation {
			x.says = []wire{text("before"), textPart("part"), w.cutAfter(octets)}
		}
		table = append(table, x.violates(1002, reason))
	}
	for _, op := range []byte{opText, opBinary, opContinuation} {
		for _, n := range []int{0, 1, 124, 125} {
			refused(fmt.Sprintf("%s of %d octets, told in 16 bits", opcodeNames[op], n),
				opcode(op).in(16).holding(content(n)), 4, fmt.Sprintf("length %d not in its shortest form (16 bits)", n))
		}
		for _, n := range []int{0, 1, 125, 126, 127, 65534, 65535} {
			refused(fmt.Sprintf("%s of %d octets, told in 64 bits", opcodeNames[op], n),
				opcode(op).in(64).holding(content(n)), 8, "length below 65536 not in its shortest form (64 bits)")
		}
	}
	for _, op := range []byte{opPing, opPong, opClose} {
		for _, n := range []int{0, 1, 2, 125} {
			for _, bits := range []int{16, 64} {
				refused(fmt.Sprintf("%s of %d octets, told in %d bits", opcodeNames[op], n, bits),
					opcode(op).in(bits).holding(content(n)), 2, fmt.Sprintf("%s frame of more than 125 bytes (%d-bit length)", opcodeNames[op], bits))
			}
		}
	}
	play(t, table)
}

func TestLengthsThatNobodyCanMean(t *testing.T) {
	var table []exchange
	for _, op := range []byte{opText, opBinary, opContinuation} {
		says := []wire{text("before")}
		if op == opContinuation {
			says = append(says, blobPart(""))
		}
		for _, n := range []uint64{1 << 63, 1<<63 | 1, 1<<63 | 125, 1<<63 | 65536, 1<<64 - 1} {
			table = append(table, exchange{
				name: fmt.Sprintf("%s of %#x octets, the top bit set", opcodeNames[op], n), section: "5.2",
				says: append(says[:len(says):len(says)], opcode(op).claiming(n).cutAfter(3)), sees: []chanws.Event{chanws.Text("before")},
			}.violates(1002, "64-bit length with its top bit set"))
		}
		for _, n := range []uint64{1<<20 + 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 5, 1 << 62, 1<<63 - 1} {
			table = append(table, exchange{
				name: fmt.Sprintf("%s of %#x octets, more than is allowed", opcodeNames[op], n), section: "10.4",
				says: append(says[:len(says):len(says)], opcode(op).claiming(n)), sees: []chanws.Event{chanws.Text("before")},
			}.violates(1009, fmt.Sprintf("message of %d bytes, more than Options.MaxMessageSize 1048576", n)))
		}
	}
	play(t, table)
}

// The examples of section 5.7, as they stand there.
func TestTheExamplesOfTheRFC(t *testing.T) {
	b256, b64k := strings.Repeat("\x00\xff", 128), strings.Repeat("\x00\xff", 32768)
	play(t, []exchange{
		exchange{
			name: "Hello in one frame", section: "5.7",
			writes: []chanws.Message{chanws.Text("Hello")}, hears: []wire{text("Hello")},
			says: []wire{text("Hello")}, sees: []chanws.Event{chanws.Text("Hello")},
		}.wellEnded(),
		exchange{
			name: "Hello in two fragments", section: "5.7", options: chanws.Options{FragmentSize: 3},
			writes: []chanws.Message{chanws.Text("Hello")}, hears: []wire{textPart("Hel"), last("lo")},
			says: []wire{textPart("Hel"), last("lo")}, sees: []chanws.Event{chanws.Text("Hello")},
		}.wellEnded(),
		exchange{
			name: "ping and pong", section: "5.7",
			says: []wire{ping("Hello")}, sees: []chanws.Event{chanws.Ping("Hello")}, hears: []wire{pong("Hello")},
		}.wellEnded(),
		exchange{
			name: "256 octets", section: "5.7",
			writes: []chanws.Message{chanws.Binary(b256)}, hears: []wire{blob(b256)},
			says: []wire{blob(b256)}, sees: []chanws.Event{binaryOf(b256)},
		}.wellEnded(),
		exchange{
			name: "64 KiB", section: "5.7",
			writes: []chanws.Message{chanws.Binary(b64k)}, hears: []wire{blob(b64k)},
			says: []wire{blob(b64k)}, sees: []chanws.Event{binaryOf(b64k)},
		}.wellEnded(),
	})
}
