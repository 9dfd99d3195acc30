package conformance

import (
	"fmt"
	"testing"

	"github.com/chanws/chanws"
)

// before is what was said before a breach: it comes through, whatever follows.
var before = []chanws.Event{chanws.Text("before")}

// seen gives events after the first.
func seen(more ...chanws.Event) []chanws.Event { return append(before[:1:1], more...) }

func TestReservedBits(t *testing.T) {
	var table []exchange
	for _, op := range []byte{opText, opBinary, opContinuation, opPing, opPong, opClose} {
		for bits := byte(rsv3); bits <= rsv1|rsv2|rsv3; bits += rsv3 {
			for _, whole := range []bool{true, false} {
				if !whole && op >= opClose {
					continue // breaks another rule as well, see TestFragmentedControlFrames
				}
				w := opcode(op).with(bits)
				name := fmt.Sprintf("%03b on a %s frame", bits>>4, opcodeNames[op])
				if !whole {
					w, name = w.unfinished(), name+" that is not the last"
				}
				says := []wire{text("before")}
				if op == opContinuation {
					says = append(says, textPart("part"))
				}
				reason := ""
				switch {
				case bits&rsv2 != 0:
					reason, w = "RSV2 set without an extension", w.cutAfter(1)
				case bits&rsv3 != 0:
					reason, w = "RSV3 set without an extension", w.cutAfter(1)
				case op == opText || op == opBinary:
					reason = "RSV1 set without an extension"
				default:
					reason = fmt.Sprintf("RSV1 set on a %s frame", opcodeNames[op])
				}
				table = append(table, exchange{
					name: name, section: "5.2", says: append(says, w), sees: before,
				}.violates(1002, reason))
			}
		}
	}
	play(t, table)
}

func TestReservedOpcodes(t *testing.T) {
	var table []exchange
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		for _, inside := range []bool{false, true} {
			for _, w := range []wire{opcode(op), opcode(op).unfinished(), opcode(op).holding("payload")} {
				name := fmt.Sprintf("opcode %#x", op)
				says := []wire{text("before")}
				if inside {
					says, name = append(says, textPart("part")), name+" inside a message"
				}
				if w.first&fin == 0 {
					name += ", not the last"
				}
				if w.payload != "" {
					name += ", with a payload"
				}
				table = append(table, exchange{
					name: name, section: "5.2", says: append(says, w.cutAfter(1)), sees: before,
				}.violates(1002, fmt.Sprintf("reserved opcode 0x%x", op)))
			}
		}
	}
	play(t, table)
}
