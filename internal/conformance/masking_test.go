package conformance

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

func TestMasks(t *testing.T) {
	var table []exchange
	keys := [][4]byte{{}, {0, 0, 0, 1}, {1, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0x80}, {0xde, 0xad, 0xbe, 0xef}, {'T', 'h', 'e', ' '}}
	for _, key := range keys {
		x := exchange{name: fmt.Sprintf("payloads of up to 70 octets under the key %x", key), section: "5.3", options: chanws.Options{EventBuffer: 100}}
		for n := range 71 {
			x.says = append(x.says, text(content(n)).keyed(key))
			x.sees = append(x.sees, chanws.Text(content(n)))
		}
		table = append(table, x.wellEnded(), exchange{
			name: fmt.Sprintf("a message larger than what is read at once under the key %x", key), section: "5.3",
			says: []wire{blob(content(100_003)).keyed(key)}, sees: []chanws.Event{binaryOf(content(100_003))},
		}.wellEnded())
	}
	fragments := exchange{name: "a key of its own for each fragment and what comes between", section: "5.3"}
	for i, key := range keys {
		w := part(content(i + 3)).keyed(key)
		if i == 0 {
			w.first = opBinary
		}
		fragments.says = append(fragments.says, w, ping(content(i)).keyed(keys[(i+3)%len(keys)]))
		fragments.sees = append(fragments.sees, chanws.Ping(content(i)))
		fragments.hears = append(fragments.hears, pong(content(i)))
	}
	fragments.sees[0] = chanws.Ping(nil)
	fragments.says = append(fragments.says, last("").keyed(keys[2]))
	whole := ""
	for i := range keys {
		whole += content(i + 3)
	}
	fragments.sees = append(fragments.sees, binaryOf(whole))
	table = append(table, fragments.wellEnded())
	play(t, table)
}

// Section 5.1: a server refuses what is not masked, a client what is.
func TestMasksOfTheWrongSide(t *testing.T) {
	for _, server := range []bool{true, false} {
		var table []exchange
		for _, op := range []byte{opText, opBinary, opContinuation, opPing, opPong, opClose} {
			for _, n := range []int{0, 2, 125, 126, 65536} {
				if n > 125 && op >= opClose {
					continue
				}
				says := []wire{text("before")}
				if op == opContinuation {
					says = append(says, textPart("part"))
				}
				w := opcode(op).holding(content(n)).wronglyMasked()
				reason := fmt.Sprintf("unmasked %s frame from a client", opcodeNames[op])
				if !server {
					reason = fmt.Sprintf("masked %s frame from a server", opcodeNames[op])
				}
				table = append(table, exchange{
					name: fmt.Sprintf("%s of %d octets", opcodeNames[op], n), section: "5.1",
					says: append(says, w.headerOnly()), sees: before,
				}.violates(1002, reason))
			}
		}
		t.Run(role(server), func(t *testing.T) { playAs(t, table, server) })
	}
}

// Section 5.3: every frame has a key of its own, which nobody can guess.
func TestAClientChoosesItsKeysAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, bare := open(t, false, chanws.Options{FragmentSize: 1})
		peer := listen(bare)
		require.NoError(t, conn.Write(t.Context(), chanws.Text(content(1000))))
		require.NoError(t, conn.Write(t.Context(), chanws.Ping("")))
		synctest.Wait()
		keys := map[[4]byte]bool{}
		heard := peer.all()
		for len(heard) > 0 {
			require.Equal(t, byte(0x80), heard[1]&0x80)
			keys[[4]byte(heard[2:])] = true
			heard = heard[6+heard[1]&0x7f:]
		}
		require.Len(t, keys, 1001)
		conn.CloseNow()
	})
}
