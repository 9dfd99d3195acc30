package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chanws/chanws"
)

// edges are the characters at the edges of the forms of RFC 3629 section 3, and of
// every plane.
func edges() []rune {
	runes := []rune{0, 1, 0x1f, ' ', 'z', 0x7f, 0x80, 0xbf, 0xc0, 0xff, 0x7fe, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff,
		0xd000, 0xd7fe, 0xd7ff, 0xe000, 0xe001, 0xfdd0, 0xfeff, 0xfffd, 0xfffe, 0xffff}
	for plane := rune(1); plane <= 16; plane++ {
		runes = append(runes, plane<<16, plane<<16|0xfffe, plane<<16|0xffff)
	}
	return runes
}

// Section 8.1, text that is right: each edge as a message, as one whose frames cut it at
// every octet, and amid other characters.
func TestTextThatIsUTF8(t *testing.T) {
	var table []exchange
	right := func(name string, texts ...string) {
		x := exchange{name: name, section: "8.1"}
		for _, s := range texts {
			x.says = append(append(x.says, text(s)), fragments(text(""), s, 1)...)
			x.sees = append(x.sees, chanws.Text(s), chanws.Text(s))
		}
		table = append(table, x.wellEnded())
	}
	for _, r := range edges() {
		right(fmt.Sprintf("U+%04X", r), string(r), "κ"+string(r)+"€")
	}
	right("an example of every length", "zß水𝄞", "𝄞水ßz")
	right("a byte order mark, which stays", "\ufeffmark")
	right("long text of every length", strings.Repeat("zß水𝄞", 20))
	for at := range 17 {
		right(fmt.Sprintf("a character of four octets behind %d octets", at), strings.Repeat("x", at)+"𝄞"+strings.Repeat("y", 20))
	}
	table = append(table, exchange{
		name: "what is no text need not be UTF-8", section: "8.1",
		says: []wire{blob("\xff\xfe\xed\xa0\x80"), blobPart("\xe2"), last("\x28"), ping("\xff"), text("ok")},
		sees: []chanws.Event{binaryOf("\xff\xfe\xed\xa0\x80"), binaryOf("\xe2\x28"), pingOf("\xff"), chanws.Text("ok")}, hears: []wire{pong("\xff")},
	}.wellEnded())
	for _, n := range []int{16384, 32768, 65536} {
		for back := range 4 {
			s := strings.Repeat("a", n-back) + "𝄞" + strings.Repeat("b", 40_000)
			table = append(table, exchange{
				name: fmt.Sprintf("a character that begins %d octets before octet %d", back, n), section: "8.1",
				says: []wire{text(s)}, sees: []chanws.Event{chanws.Text(s)},
			}.wellEnded())
		}
	}
	play(t, table)
}

// wrongTexts are octets of which the last makes UTF-8 impossible, whatever follows.
var wrongTexts = []struct{ name, octets string }{
	{"continuation octet 80", "\x80"},
	{"continuation octet BF", "\xbf"},
	{"a continuation octet too many, after two", "\xc3\xa9\x80"},
	{"a continuation octet too many, after three", "\xe2\x82\xac\xbf"},
	{"a continuation octet too many, after four", "\xf0\x9d\x84\x9e\x80"},
	{"overlong U+0000 in two octets", "\xc0"},
	{"overlong U+007F in two octets", "\xc1"},
	{"overlong U+0000 in three octets", "\xe0\x80"},
	{"overlong U+07FF in three octets", "\xe0\x9f"},
	{"overlong U+0000 in four octets", "\xf0\x80"},
	{"overlong U+FFFF in four octets", "\xf0\x8f"},
	{"five octets", "\xf8"},
	{"the highest of five octets", "\xfb"},
	{"six octets", "\xfc"},
	{"the highest of six octets", "\xfd"},
	{"octet FE", "\xfe"},
	{"octet FF", "\xff"},
	{"surrogate D800", "\xed\xa0"},
	{"surrogate DB7F", "\xed\xad"},
	{"surrogate DB80", "\xed\xae"},
	{"surrogate DC00", "\xed\xb0"},
	{"surrogate DFFF", "\xed\xbf"},
	{"U+110000", "\xf4\x90"},
	{"U+13FFFF", "\xf4\xbf"},
	{"U+140000", "\xf5"},
	{"U+1FFFFF", "\xf7"},
	{"two octets, the second is ASCII", "\xc2\x20"},
	{"two octets, the second is DEL", "\xdf\x7f"},
	{"two octets, the second begins a character", "\xdf\xc2"},
	{"three octets, the second is ASCII", "\xe1\x41"},
	{"three octets, the second begins a character", "\xe1\xe1"},
	{"three octets, the third is ASCII", "\xe2\x82\x28"},
	{"three octets, the third begins a character", "\xef\xbf\xc2"},
	{"four octets, the second is ASCII", "\xf1\x00"},
	{"four octets, the third is ASCII", "\xf0\x90\x7f"},
	{"four octets, the third begins a character", "\xf3\x80\xf3"},
	{"four octets, the fourth is ASCII", "\xf0\x9d\x84\x40"},
	{"four octets, the fourth begins a character", "\xf4\x8f\xbf\xc0"},
}

const notUTF8 = "text message is not valid UTF-8"

// Section 8.1, text that is wrong: the answer comes with the octet that makes it so,
// though neither the frame nor the message is complete.
func TestTextThatIsNotUTF8(t *testing.T) {
	var table []exchange
	wrong := func(name string, says ...wire) {
		table = append(table, exchange{
			name: name, section: "8.1", says: append([]wire{text("before")}, says...), sees: before,
		}.violates(1007, notUTF8))
	}
	for _, w := range wrongTexts {
		wrong(w.name+", in a frame that never ends", text(w.octets).claiming(1000))
		wrong(w.name+", amid a frame that never ends", text("κόσμε, κόσμε: "+w.octets).claiming(1<<20))
		wrong(w.name+", cut by frames at every octet", fragmentsWithoutEnd("κ"+w.octets)...)
		wrong(w.name+", in a whole message", text("𝄞"+w.octets))
	}
	for at := range 40 {
		wrong(fmt.Sprintf("an octet that is wrong behind %d that are right", at), text(content(at)+"\xff").claiming(100))
		wrong(fmt.Sprintf("an octet that is wrong behind %d that are right, in a continuation", at), textPart("€"), part(content(at)+"\xff").claiming(100))
	}
	for _, n := range []int{16384, 32750, 32768, 65535, 65536, 100_000} {
		wrong(fmt.Sprintf("an octet that is wrong behind %d that are right, of 1 MiB", n), text(content(n)+"\xff").claiming(1<<20))
	}
	play(t, table)
}

// fragmentsWithoutEnd cuts text into fragments of an octet, of which none is the last.
func fragmentsWithoutEnd(s string) []wire {
	frames := fragments(text(""), s, 1)
	frames[len(frames)-1] = frames[len(frames)-1].unfinished()
	return frames
}

// Text that ends inside a character is wrong when it ends, and not before.
func TestTextThatEndsInsideACharacter(t *testing.T) {
	var table []exchange
	wrong := func(name string, says ...wire) {
		table = append(table, exchange{
			name: name, section: "8.1", says: append([]wire{text("before")}, says...), sees: before,
		}.violates(1007, notUTF8))
	}
	for _, char := range []string{"\u0080", "é", "\u0800", "€", "\ud7ff", "\uffff", "\U00010000", "𝄞", "\U0010ffff"} {
		for n := 1; n < len(char); n++ {
			cut := char[:n]
			wrong(fmt.Sprintf("%d octets of U+%04X alone", n, []rune(char)[0]), text(cut))
			wrong(fmt.Sprintf("%d octets of U+%04X behind others", n, []rune(char)[0]), text("€uro "+cut))
			wrong(fmt.Sprintf("%d octets of U+%04X in fragments", n, []rune(char)[0]), fragments(text(""), "x"+cut, 1)...)
			wrong(fmt.Sprintf("%d octets of U+%04X and an empty fragment", n, []rune(char)[0]), textPart(cut), part(""), last(""))
			wrong(fmt.Sprintf("%d octets of U+%04X, which the next message goes on with", n, []rune(char)[0]), textPart("a"), last(cut))
		}
	}
	play(t, table)
}
