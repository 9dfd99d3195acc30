package conformance

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	"github.com/chanws/chanws"
)

// packedByFlate compresses parts one by one with the standard library, without its last
// four octets.
func packedByFlate(level int, parts ...string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, level)
	for _, s := range parts {
		w.Write([]byte(s))
		w.Flush()
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// RFC 7692 section 8 leaves the limits to RFC 6455 section 10.4: that of a message is
// about what it is when decompressed, that of a frame about the wire.
func TestLimitsOfCompressedMessages(t *testing.T) {
	bomb := packedByFlate(9, string(make([]byte, 4<<20)))
	tooBig := func(n int) string {
		return fmt.Sprintf("decompressed message of more than Options.MaxMessageSize %d bytes", n)
	}
	playCompressed(t, func(m mode) []exchange {
		var table []exchange
		add := func(name string, options chanws.Options, reason string, says []wire, sees ...chanws.Event) {
			x := exchange{name: name, section: "8", options: options, says: says, sees: sees}
			if reason == "" {
				table = append(table, x.wellEnded())
			} else {
				table = append(table, x.violates(1009, reason))
			}
		}
		for _, n := range []int{1, 5, 100, 10_000} {
			limit := chanws.Options{MaxMessageSize: int64(n)}
			s := content(n + 1)
			literals := func(s string) string { return new(packer).fixed().literals(s).end().message() }
			for name, pack := range map[string]func(string) string{
				"stored":     func(s string) string { return new(packer).stored(s).message() },
				"compressed": literals,
				"in two blocks": func(s string) string {
					return new(packer).stored(s[:len(s)/2]).fixed().literals(s[len(s)/2:]).end().message()
				},
			} {
				most, more := pack(s[:n]), pack(s)
				add(fmt.Sprintf("%d octets %s, as many as may be", n, name), limit, "", []wire{packedBlob(most), packedText(most)}, binaryOf(s[:n]), chanws.Text(s[:n]))
				add(fmt.Sprintf("one octet more than %d %s", n, name), limit, tooBig(n), []wire{packedBlob(more)})
				add(fmt.Sprintf("one octet more than %d %s, in fragments", n, name), limit, tooBig(n), []wire{packedText(more[:1]).unfinished(), part(more[1:]), last("")})
			}
			// By the header, where the octets on the wire alone are more than can be.
			most := n + n/8 + 1024
			add(fmt.Sprintf("more octets on the wire than a message of %d can have", n), limit, tooBig(n), []wire{packedBlob(content(most + 1)).headerOnly()})
		}
		frame := chanws.Options{MaxFrameSize: 20}
		flat := new(packer).fixed().literals("a").match(10, 1).match(10, 1).match(10, 1).end().message()
		add("a frame of few octets that is a message of many", frame, "", []wire{packedText(flat)}, chanws.Text(strings.Repeat("a", 31)))
		stored := new(packer).stored(content(20 - 6)).message()
		add("a frame of as many octets as may be", frame, "", []wire{packedBlob(stored)}, binaryOf(content(14)))
		add("a frame of more octets than its message has", frame, "frame of 21 bytes, more than Options.MaxFrameSize 20", []wire{packedBlob(new(packer).stored(content(15)).message()).headerOnly()})
		add("a fragment of one octet more", frame, "frame of 21 bytes, more than Options.MaxFrameSize 20", []wire{packedBlob("").unfinished(), part(content(21)).headerOnly()})

		add("a bomb of 4 MiB in 4 KiB", chanws.Options{}, tooBig(1<<20), []wire{packedBlob(bomb)})
		add("a bomb in fragments", chanws.Options{MaxMessageSize: 1000}, tooBig(1000), fragments(packedText(""), bomb, 100))
		return table
	})
}

// What the standard library's compressor makes of messages of all sizes comes back, in one
// frame and in fragments.
func TestWhatAnotherCompressorMakes(t *testing.T) {
	var table []exchange
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
		for _, n := range []int{1, 100, 1000, 40_000, 200_000} {
			s := content(n)
			packed := packedByFlate(level, s[:n/3], s[n/3:])
			for _, m := range modes[:2] {
				table = append(table, m.exchanges([]exchange{exchange{
					name: fmt.Sprintf("level %d, %d octets", level, n), section: "7.2.1",
					says: append(fragments(packedBlob(""), packed, 1+len(packed)/5), packedText(packed)), sees: []chanws.Event{binaryOf(s), chanws.Text(s)},
				}.wellEnded()})...)
			}
		}
	}
	play(t, table)
}
