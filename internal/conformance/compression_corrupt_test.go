package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chanws/chanws"
)

// The ways in which data is no DEFLATE, as the library tells them.
const (
	truncated = "corrupt compressed data: data ends within a block"
	invalid   = "corrupt compressed data: invalid block, code or distance"
)

// Section 7.2.2 and RFC 1951: what cannot be decompressed, by the name of what is wrong
// with it. Each is said in one frame, and in fragments at every octet with a ping
// before the last one.
func TestCorruptData(t *testing.T) {
	pre := func(counts ...uint32) *packer { // of a dynamic block: counts less their least, then lengths
		p := new(packer).put(0b100, 3).put(counts[0], 5).put(counts[1], 5).put(counts[2], 4)
		for _, n := range counts[3:] {
			p.put(n, 3)
		}
		return p
	}
	// dynamic begins a block whose words are 0 for no code and 10, 11 for lengths of 1 and 2.
	dynamic := func(lits, dists uint32) *packer {
		return pre(lits-257, dists-1, 14, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
	}
	playCompressed(t, func(mode) []exchange {
		var table []exchange
		for _, x := range []struct{ name, packed, reason string }{
			{"cut in the first code", hello[:1], truncated},
			{"cut after three octets", hello[:3], truncated},
			{"cut before the last octet", hello[:6], truncated},
			{"cut in a match", helloAgain[:2], truncated},
			{"a stored block cut in its length", "\x00\x05\x00\xfa", truncated},
			{"a stored block without its last octet", "\x00\x05\x00\xfa\xffHell", truncated},
			{"a stored block that would be the four octets left out", "\x00\x04\x00\xfb\xff", truncated},
			{"a stored block as long as can be, without its octets", "\x00\xff\xff\x00\x00", truncated},
			{"a reserved block type", "\x06", invalid},
			{"a reserved block type with BFINAL", "\x07\x00", invalid},
			{"a reserved block type behind a block", new(packer).fixed().literals("Hello").end().put(0b110, 3).message(), invalid},
			{"a reserved block type behind BFINAL", "\xf3\x48\xcd\xc9\xc9\x07\x00\x06", invalid},
			{"a stored block whose complement is wrong", "\x00\x05\x00\xfa\xfeHello\x00", invalid},
			{"a stored block without a complement", "\x00\x05\x00\x05\x00Hello\x00", invalid},
			{"the length symbol 286", new(packer).fixed().symbol(286).message(), invalid},
			{"the length symbol 287", new(packer).fixed().literals("abc").symbol(287).message(), invalid},
			{"the distance symbol 30", new(packer).fixed().literals("abc").symbol(257).word(30, 5).end().message(), invalid},
			{"the distance symbol 31", new(packer).fixed().literals("abc").symbol(257).word(31, 5).end().message(), invalid},
			{"287 literal codes", pre(30, 0, 0, 1, 1, 0, 0).message() + "\x00\x00\x00\x00", invalid},
			{"31 distance codes", pre(0, 30, 0, 1, 1, 0, 0).message() + "\x00\x00\x00\x00", invalid},
			{"too many words for the lengths", pre(0, 0, 0, 1, 1, 1, 1).message() + "\x00\x00\x00\x00", invalid},
			{"too few words for the lengths", pre(0, 0, 0, 2, 2, 0, 0).message() + "\x00\x00\x00\x00", invalid},
			{"a repetition of nothing", pre(0, 0, 0, 1, 0, 0, 1).put(1, 1).put(0, 2).message() + "\x00\x00\x00\x00", invalid},
			{"more lengths than there are codes", pre(0, 0, 0, 0, 0, 1, 1).put(1, 1).put(127, 7).put(1, 1).put(127, 7).message() + "\x00\x00\x00\x00", invalid},
			{"no code for the end of a block", dynamic(257, 1).word(2, 2).word(2, 2).word(3, 2).put(127, 7).word(3, 2).put(107, 7).message() + "\x00\x00\x00\x00", truncated},
			{"a distance where nothing was sent", new(packer).fixed().symbol(257).word(0, 5).end().message(), invalid},
			{"a distance beyond all that was sent", new(packer).fixed().literals("Hello").match(3, 6).end().message(), invalid},
			{"a distance beyond a stored block", new(packer).stored("Hello").fixed().match(10, 6).end().message(), invalid},
		} {
			table = append(table, exchange{
				name: x.name, section: "7.2.2", says: []wire{text("before"), packedBlob(x.packed)}, sees: before,
			}.violates(1007, x.reason))
			n := len(x.packed) - 1
			says := []wire{text("before"), packedText(x.packed[:n/2]).unfinished(), part(x.packed[n/2 : n]), ping("p"), last(x.packed[n:])}
			table = append(table, exchange{
				name: x.name + ", in fragments", section: "7.2.2", says: says, hears: []wire{pong("p")}, sees: seen(pingOf("p")),
			}.violates(1007, x.reason))
		}
		return table
	})
}

// Section 7.1.2: the window that was agreed on is the end of what may be referred to in
// earlier messages. Within a message distances up to the largest window are accepted.
func TestTheSizeOfTheWindow(t *testing.T) {
	playCompressed(t, func(m mode) []exchange {
		window := m.terms.peer.window()
		s := content(window + 300)
		var table []exchange
		add := func(name string, distance int, wrong bool, seen string, says ...wire) {
			x := exchange{name: fmt.Sprintf(name, distance), section: "7.1.2", says: says}
			if seen != "" {
				x.sees = append(x.sees, binaryOf(seen))
			}
			if wrong {
				table = append(table, x.violates(1007, invalid))
				return
			}
			x.sees = append(x.sees, binaryOf(strings.TrimPrefix(s+s[len(s)-distance:][:3], seen)))
			table = append(table, x.wellEnded())
		}
		farthest := []int{window - 1, window, window + 1, window + 200}
		if window == 1<<15 {
			farthest = farthest[:2] // more cannot be said
		}
		for _, d := range farthest {
			back := new(packer).fixed().match(3, d).end().message()
			add("%d octets back within a message", d, false, "", packedBlob(new(packer).stored(s).fixed().match(3, d).end().message()))
			add("%d octets back in literals", d, false, "", packedBlob(new(packer).fixed().literals(s).match(3, d).end().message()))
			add("%d octets back over messages", d, d > window || m.terms.peer.fresh, s, packedBlob(new(packer).stored(s).message()), packedBlob(back))
		}
		if !m.terms.peer.fresh {
			half := s[:window/2]
			table = append(table, exchange{
				name: "beyond the messages so far, within the window", section: "7.1.2",
				says: []wire{packedBlob(new(packer).stored(half).message()), blob(s), packedBlob(new(packer).fixed().match(3, window/2+1).end().message())},
				sees: []chanws.Event{binaryOf(half), binaryOf(s)},
			}.violates(1007, invalid))
		}
		return table
	})
}

// RFC 6455 section 8.1 is about the text, not about what it is compressed to.
func TestCompressedTextAndUTF8(t *testing.T) {
	literals := func(s string) string { return new(packer).fixed().literals(s).end().message() }
	playCompressed(t, func(mode) []exchange {
		var table []exchange
		for i := 0; i < len(wrongTexts); i += 3 {
			w := wrongTexts[i]
			for name, packed := range map[string]string{"literals": literals("a" + w.octets + "b"), "a stored block": new(packer).stored("a" + w.octets + "b").message()} {
				table = append(table, exchange{
					name: w.name + " in " + name, section: "6.2", says: []wire{text("before"), packedText(packed)}, sees: before,
				}.violates(1007, "text message is not valid UTF-8"))
			}
		}
		s := "zß水𝄞"
		table = append(table, exchange{
			name: "a message that ends in a character", section: "6.2", says: []wire{text("before"), packedText(literals("𝄞"[:3])).unfinished(), last("")}, sees: before,
		}.violates(1007, "text message is not valid UTF-8"), exchange{
			name: "text that is right, compressed to what is none", section: "6.2",
			says: append(fragments(packedText(""), literals(s), 1), packedText(new(packer).stored(s[:5]).stored(s[5:]).message())),
			sees: []chanws.Event{chanws.Text(s), chanws.Text(s)},
		}.wellEnded(), exchange{
			name: "octets that are no text", section: "6.2", says: []wire{packedBlob(literals("\xff\xfe")), packedBlob(new(packer).stored("\xc0").message())},
			sees: []chanws.Event{binaryOf("\xff\xfe"), binaryOf("\xc0")},
		}.wellEnded())
		return table
	})
}
