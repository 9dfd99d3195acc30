package conformance

import (
	"fmt"
	"testing"

	"github.com/chanws/chanws"
)

// The messages of RFC 7692 section 7.2.3, as the peer says them.
const (
	hello      = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	helloAgain = "\xf2\x00\x11\x00\x00" // an H, and four octets from five before
)

// Compressed frames that break no rule.

func packedText(s string) wire { return text(s).with(rsv1) }
func packedBlob(s string) wire { return blob(s).with(rsv1) }

// Section 7.2.3: the RFC's examples, and what else a receiver must take. Each is said
// three times: whatever it leaves behind, the next message is read as the first.
func TestTheExamplesOfCompression(t *testing.T) {
	playCompressed(t, func(m mode) []exchange {
		var table []exchange
		for _, x := range []struct{ name, section, packed, text string }{
			{"one block", "7.2.3.1", hello, "Hello"},
			{"a block that is not compressed", "7.2.3.3", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},
			{"a block with BFINAL", "7.2.3.4", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
			{"two blocks", "7.2.3.5", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
			{"an empty message", "7.2.3.6", "\x00", ""},
			{"an empty message as a compressed block", "7.2.3", new(packer).fixed().end().message(), ""},
			{"an empty message with BFINAL", "7.2.3.4", "\x03\x00\x00", ""},
			{"a block with BFINAL that is not compressed", "7.2.3.4", "\x01\x05\x00\xfa\xffHello\x00", "Hello"},
			{"a block behind one with BFINAL", "7.2.3.4", new(packer).last().literals("Hel").end().align().fixed().literals("lo").end().message(), "Hello"},
			{"many blocks of every kind", "7.2.3.5", new(packer).stored("He").stored("").fixed().literals("l").end().fixed().end().stored("lo").last().end().align().message(), "Hello"},
			{"the last four octets left on it", "7.2.2", hello + "\x00\x00\xff\xff", "Hello"},
			{"BFINAL and no octet behind it", "7.2.3.4", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},
			{"no octet at all", "7.2.2", "", ""},
			{"a match over itself", "7.2.3", new(packer).fixed().literals("a").match(9, 1).end().message(), "aaaaaaaaaa"},
		} {
			table = append(table, exchange{
				name: x.name, section: x.section,
				says: []wire{packedText(x.packed), packedBlob(x.packed), packedText(x.packed)},
				sees: []chanws.Event{chanws.Text(x.text), binaryOf(x.text), chanws.Text(x.text)},
			}.wellEnded())
			// In fragments at every octet, some of them empty, with control frames in between.
			frames := []wire{packedText("").unfinished()}
			for _, w := range fragments(part(""), x.packed, 1) {
				frames = append(frames, w.unfinished(), ping("p"), part(""))
			}
			table = append(table, exchange{
				name: x.name + ", in fragments", section: "6.2", says: append(frames, last("")),
				hears: pongsFor(frames), sees: append(pingsIn(frames), chanws.Text(x.text)),
			}.wellEnded())
		}
		return append(table, exchange{
			name: "the fragments of the RFC", section: "7.2.3.1", says: []wire{{first: 0x41, payload: "\xf2\x48\xcd"}, {first: 0x80, payload: "\xc9\xc9\x07\x00"}},
			sees: []chanws.Event{chanws.Text("Hello")},
		}.wellEnded())
	})
}

func pongsFor(says []wire) (all []wire) {
	for _, w := range says {
		if w.first == fin|opPing {
			all = append(all, pong(w.payload))
		}
	}
	return all
}

func pingsIn(says []wire) (all []chanws.Event) {
	for _, w := range says {
		if w.first == fin|opPing {
			all = append(all, pingOf(w.payload))
		}
	}
	return all
}

// Section 7.2.3.2 and 7.1.1: the window stays from message to message, if it was not
// agreed otherwise. Whatever is not compressed is not in it.
func TestTheWindowBetweenMessages(t *testing.T) {
	playCompressed(t, func(m mode) []exchange {
		var table []exchange
		// again is said after what, and is Hello where the window is kept.
		again := func(name, section string, saw []chanws.Event, says ...wire) {
			x := exchange{name: name, section: section, says: append(says, packedText(helloAgain)), sees: saw, hears: pongsFor(says)}
			if m.terms.peer.fresh {
				table = append(table, x.violates(1007, "corrupt compressed data: invalid block, code or distance"))
				return
			}
			x.says = append(x.says, packedBlob(helloAgain), packedText(helloAgain))
			x.sees = append(x.sees, chanws.Text("Hello"), binaryOf("Hello"), chanws.Text("Hello"))
			table = append(table, x.wellEnded())
		}
		helloSeen := chanws.Text("Hello")
		again("one behind the other", "7.2.3.2", []chanws.Event{helloSeen}, packedText(hello))
		again("a text that is not compressed between", "7.2.3.2", []chanws.Event{helloSeen, chanws.Text("world")}, packedText(hello), text("world"))
		again("a binary message in fragments that is not compressed between", "6", []chanws.Event{helloSeen, pingOf("p"), binaryOf("world")},
			packedText(hello), blobPart("wor"), ping("p"), last("ld"))
		again("an empty message between", "7.2.3.6", []chanws.Event{helloSeen, chanws.Text(""), chanws.Text("")}, packedText(hello), packedText("\x00"), packedText(""))
		again("control frames between", "6", []chanws.Event{helloSeen, pingOf("world"), pongOf("world")}, packedText(hello), ping("world"), pong("world"))
		again("BFINAL before", "7.2.3.4", []chanws.Event{helloSeen}, packedText("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))
		again("a block that is not compressed before", "7.2.3.3", []chanws.Event{helloSeen}, packedText("\x00\x05\x00\xfa\xffHello\x00"))
		again("in fragments before", "7.2.3.1", []chanws.Event{pingOf("p"), helloSeen}, packedText(hello[:2]).unfinished(), ping("p"), last(hello[2:]))
		return append(table, exchange{
			name: "compressed and not compressed in turn", section: "6",
			says: []wire{text("a"), packedText(hello), blob("b"), textPart("c"), last(""), packedBlob(hello).unfinished(), last(""), text("d")},
			sees: []chanws.Event{chanws.Text("a"), helloSeen, binaryOf("b"), chanws.Text("c"), binaryOf("Hello"), chanws.Text("d")},
		}.wellEnded())
	})
}

// Section 6: RSV1 is for the first frame of a message, and for data.
func TestRSV1(t *testing.T) {
	playCompressed(t, func(mode) []exchange {
		var table []exchange
		add := func(name, reason string, says ...wire) {
			table = append(table, exchange{name: name, section: "6", says: append([]wire{text("before")}, says...), sees: before}.violates(1002, reason))
		}
		for _, op := range []byte{opPing, opPong, opClose} {
			reason := fmt.Sprintf("RSV1 set on a %s frame", opcodeNames[op])
			add("on a "+opcodeNames[op]+" frame", reason, opcode(op).with(rsv1))
			add("on a "+opcodeNames[op]+" frame with a payload", reason, opcode(op).with(rsv1).holding(hello).headerOnly())
			add("on a "+opcodeNames[op]+" frame in a compressed message", reason, packedText(hello[:3]).unfinished(), opcode(op).with(rsv1))
		}
		const reason = "RSV1 set on a continuation frame"
		add("on the last fragment of a compressed message", reason, packedText(hello[:3]).unfinished(), last(hello[3:]).with(rsv1).headerOnly())
		add("on a fragment in the middle of a compressed message", reason, packedText(hello[:3]).unfinished(), part(hello[3:]).with(rsv1).headerOnly())
		add("on a fragment of a message that is not compressed", reason, textPart("a"), last(hello).with(rsv1).headerOnly())
		add("on a continuation of nothing", "continuation frame outside a message", last("").with(rsv1))
		add("on a message inside a compressed one", "text frame inside a fragmented binary message", packedBlob(hello[:3]).unfinished(), packedText(hello).headerOnly())
		add("missing on a message inside a compressed one", "binary frame inside a fragmented text message", packedText(hello[:3]).unfinished(), blob("b").headerOnly())
		add("with RSV2", "RSV2 set without an extension", packedText(hello).with(rsv2).cutAfter(1))
		add("with RSV3", "RSV3 set without an extension", packedText(hello).with(rsv3).cutAfter(1))
		return append(table, exchange{
			name: "the stream ends in a compressed message", section: "6", says: []wire{packedText(hello).unfinished()},
			leaves: true, ends: failed(errDropped),
		}, exchange{
			name: "a goodbye in a compressed message", section: "6", says: []wire{packedText(hello).unfinished()},
		}.wellEnded())
	})
	var table []exchange
	for _, compression := range []chanws.Compression{takeover, noTakeover} {
		m := mode{fmt.Sprint("no word of compression from the peer ", compression), compression, terms{silent: true}}
		for _, w := range []wire{packedText(hello), packedBlob(hello), packedText("").unfinished()} {
			table = append(table, m.exchanges([]exchange{exchange{
				name: fmt.Sprintf("%02x", w.first), section: "6", says: []wire{text("before"), w.headerOnly()}, sees: before,
			}.violates(1002, "RSV1 set without an extension")})...)
		}
	}
	t.Run("without an agreement", func(t *testing.T) { play(t, table) })
}
