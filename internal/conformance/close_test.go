package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
)

// Section 7.4: the codes that may be on the wire, and their neighbours.
func TestCloseCodes(t *testing.T) {
	var table []exchange
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4001, 4998, 4999} {
		for _, reason := range []string{"", "reason"} {
			table = append(table, exchange{
				name: fmt.Sprintf("%d with %d octets of reason", code, len(reason)), section: "7.4",
				says: []wire{text("before"), closing(code, reason)}, sees: before,
				hears: []wire{closing(code, "")}, ends: closed(chanws.StatusCode(code), reason),
			})
		}
		table = append(table, exchange{
			name: fmt.Sprintf("%d is said first by us", code), section: "7.1.2",
			writes: []chanws.Message{chanws.Text("last words"), chanws.Close{Code: chanws.StatusCode(code), Reason: "bye"}},
			hears:  []wire{text("last words"), closing(code, "bye")},
			says:   []wire{text("before"), closing(code, "bye too")}, sees: before,
			ends: closed(chanws.StatusCode(code), "bye too"),
		})
	}
	for _, code := range []int{0, 1, 125, 126, 255, 256, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 1999, 2000, 2001, 2998, 2999, 5000, 5001, 9999, 32767, 32768, 65534, 65535} {
		for _, reason := range []string{"", "reason"} {
			table = append(table, exchange{
				name: fmt.Sprintf("%d, which must not be there, with %d octets of reason", code, len(reason)), section: "7.4.2",
				says: []wire{text("before"), closing(code, reason)}, sees: before,
			}.violates(1002, fmt.Sprintf("close code %d must not be on the wire", code)))
		}
	}
	play(t, table)
}

// Section 5.5.1.
func TestClosePayloads(t *testing.T) {
	table := []exchange{
		{
			name: "no payload", section: "5.5.1", says: []wire{text("before"), goodbye("")}, sees: before,
			hears: []wire{goodbye("")}, ends: closed(1005, ""),
		},
		exchange{
			name: "one octet", section: "5.5.1", says: []wire{text("before"), goodbye("\x03")}, sees: before,
		}.violates(1002, "close frame of 1 byte, half a close code"),
	}
	for _, code := range []chanws.StatusCode{0, chanws.StatusNoStatusRcvd} {
		table = append(table, exchange{
			name: fmt.Sprintf("no payload of ours, by code %d, answered without one", int(code)), section: "5.5.1",
			writes: []chanws.Message{chanws.Text("last words"), chanws.Close{Code: code}},
			hears:  []wire{text("last words"), goodbye("")},
			says:   []wire{text("before"), goodbye("")}, sees: before,
			ends: closed(1005, ""),
		}, exchange{
			name: fmt.Sprintf("no payload of ours, by code %d, answered with a code", int(code)), section: "5.5.1",
			writes: []chanws.Message{chanws.Close{Code: code}}, hears: []wire{goodbye("")},
			says: []wire{closing(1001, "leaving")}, ends: closed(1001, "leaving"),
		})
	}
	for _, reason := range []string{"r", "\x00", strings.Repeat("r", 122), strings.Repeat("r", 123), "zß水𝄞", strings.Repeat("水", 41), "\U0010ffff\ud7ff"} {
		table = append(table, exchange{
			name: fmt.Sprintf("a reason of %d octets, %.10q", len(reason), reason), section: "5.5.1",
			says: []wire{text("before"), closing(3000, reason)}, sees: before,
			hears: []wire{closing(3000, "")}, ends: closed(3000, reason),
		}, exchange{
			name: fmt.Sprintf("we give a reason of %d octets, %.10q", len(reason), reason), section: "5.5.1",
			writes: []chanws.Message{chanws.Close{Code: 4999, Reason: reason}}, hears: []wire{closing(4999, reason)},
			says: []wire{closing(3000, "")}, ends: closed(3000, ""),
		})
	}
	wrong := func(name, reason string) {
		table = append(table, exchange{
			name: "a reason with " + name, section: "5.5.1", says: []wire{text("before"), closing(1000, reason)}, sees: before,
		}.violates(1007, "close reason is not UTF-8"))
	}
	for _, w := range wrongTexts {
		wrong(w.name, "bye "+w.octets)
	}
	for _, cut := range []string{"\xc2", "\xe2\x82", "\xe2", "\xf0\x9d\x84", "\xf0"} {
		wrong(fmt.Sprintf("%x at its end", cut), cut)
	}
	play(t, table)
}

// Sections 5.5.1, 7.1.2 to 7.1.5 and 7.1.7.
func TestCloseHandshakes(t *testing.T) {
	forEver := chanws.Options{CloseTimeout: -1}
	table := []exchange{
		{
			name: "what the peer says after its close is not heard", section: "5.5.1",
			says: []wire{closing(1000, "")}, hears: []wire{closing(1000, "")}, ends: closed(1000, ""),
			unheard: []wire{text("data"), ping("ping"), textPart("part"), opcode(7), closing(1001, "again")},
		},
		{
			name: "a second close of the peer is not answered", section: "5.5.1",
			says: []wire{closing(4000, "first")}, hears: []wire{closing(4000, "")}, ends: closed(4000, "first"),
			unheard: []wire{closing(4001, "second"), closing(4002, "third")},
		},
		{
			name: "what the peer says after our close is heard", section: "7.1.3", options: forEver,
			writes: []chanws.Message{chanws.Close{Code: 4001, Reason: "bye"}}, hears: []wire{closing(4001, "bye")},
			says: []wire{text("one"), blobPart("t"), pong("pong"), last("wo"), closing(4002, "too")},
			sees: []chanws.Event{chanws.Text("one"), pongOf("pong"), binaryOf("two")}, ends: closed(4002, "too"),
		},
		{
			name: "the peer answers our close without a code", section: "7.1.5", options: forEver,
			writes: []chanws.Message{chanws.Close{Code: 1000}}, hears: []wire{closing(1000, "")},
			says: []wire{goodbye("")}, ends: closed(1005, ""),
		},
		{
			name: "the peer never answers our close", section: "7.1.1", options: chanws.Options{CloseTimeout: time.Minute},
			writes: []chanws.Message{chanws.Close{Code: 1000}}, hears: []wire{closing(1000, "")},
			says: []wire{text("still there")}, silent: true, sees: []chanws.Event{chanws.Text("still there")}, ends: failed(os.ErrDeadlineExceeded),
		},
		{
			name: "the peer leaves instead of an answer to our close", section: "7.1.5",
			writes: []chanws.Message{chanws.Close{Code: 1000}}, hears: []wire{closing(1000, "")},
			leaves: true, ends: failed(errDropped),
		},
	}
	// Our close frame is out: a breach ends the connection, but no second one follows.
	for _, breach := range []struct {
		name string
		wire
		code   chanws.StatusCode
		reason string
	}{
		{"a reserved opcode", opcode(3), 1002, "reserved opcode 0x3"},
		{"text that is not UTF-8", text("\xff"), 1007, notUTF8},
		{"a close with a code that must not be there", closing(1005, ""), 1002, "close code 1005 must not be on the wire"},
		{"a message that is too big", blob("").claiming(1 << 30), 1009, "message of 1073741824 bytes, more than Options.MaxMessageSize 1048576"},
	} {
		table = append(table, exchange{
			name: "the peer answers our close with " + breach.name, section: "7.1.7", options: forEver,
			writes: []chanws.Message{chanws.Close{Code: 1000}}, hears: []wire{closing(1000, "")},
			says: []wire{breach.wire}, ends: broken(breach.code, breach.reason),
		})
	}
	play(t, table)
}

// Section 7.1.5: a stream that ends at any octet but behind a close frame is a
// connection that was dropped, and nothing is made of what is not complete.
func TestStreamsThatEnd(t *testing.T) {
	var table []exchange
	says := []wire{text("one"), blobPart("t"), ping("p"), last("wo"), text(content(126)), closing(1000, "bye")}
	sees := []chanws.Event{chanws.Text("one"), nil, pingOf("p"), binaryOf("two"), chanws.Text(content(126))}
	for i, w := range says {
		size := len(w.append(nil, false))
		for n := range size {
			if n > 12 && n < size-2 {
				continue // deep inside a payload
			}
			x := exchange{
				name: fmt.Sprintf("after %d octets of frame %d", n, i+1), section: "7.1.5",
				says: says[:i:i], leaves: true, ends: failed(errDropped),
			}
			if n > 0 {
				x.says = append(x.says, w.cutAfter(n))
			}
			for _, ev := range sees[:i] {
				if ev != nil {
					x.sees = append(x.sees, ev)
				}
			}
			if i > 2 {
				x.hears = []wire{pong("p")}
			}
			table = append(table, x)
		}
	}
	play(t, table)
}
