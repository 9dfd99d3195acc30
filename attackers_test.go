package chanws_test

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// Floods of every kind of frame, against a user that receives nothing and with a peer
// that reads nothing: what they hold in memory is bounded. Docs/security.md names the
// bounds; those of handshakes, connections and lengths have tests beside them.
func TestFloodsHoldLittleMemory(t *testing.T) {
	for _, tc := range []struct {
		name string
		// begins and goes on with these.
		begin, flood func(p *rawPeer) []byte
		options      chanws.Options
		most         uint64 // octets more on the heap
		// stops tells that the library stops to read, so that TCP stops the peer.
		stops bool
		check func(t *testing.T, s chanws.Stats)
	}{
		{
			name: "pings whose pongs are not read", flood: whole(frame.Ping, "0123456789"), most: 256 << 10, stops: true,
			check: func(t *testing.T, s chanws.Stats) { require.Less(t, s.PingsReceived, uint64(20_000)) },
		},
		{
			name: "pongs", flood: whole(frame.Pong, "0123456789"), most: 256 << 10,
			check: func(t *testing.T, s chanws.Stats) { require.Equal(t, s.PongsReceived-64, s.DroppedEvents) },
		},
		{name: "messages", flood: whole(frame.Text, "0123456789"), most: 256 << 10, stops: true},
		{name: "empty messages", flood: whole(frame.Binary, ""), most: 256 << 10, stops: true},
		{
			name: "messages, of which the oldest are dropped", flood: whole(frame.Text, "0123456789"), most: 256 << 10,
			options: chanws.Options{Overflow: chanws.DropOldest},
		},
		{name: "empty fragments", begin: unfinished(frame.Text, ""), flood: unfinished(frame.Continuation, ""), most: 256 << 10},
		{
			name: "fragments of an octet", begin: unfinished(frame.Text, ""), flood: unfinished(frame.Continuation, "x"),
			options: chanws.Options{MaxMessageSize: 1 << 20}, most: 5 << 20,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := rawPair(t, tc.options)
				if !tc.stops {
					peer.read()
				}
				if tc.begin != nil {
					peer.write(tc.begin(peer))
				}
				flood := bytes.Repeat(tc.flood(peer), 4000)
				synctest.Wait()
				before := heap()
				flooded := false
				go func() {
					for range 60 {
						peer.write(flood)
					}
					flooded = true
				}()
				synctest.Wait()
				require.NoError(t, conn.Err())
				require.Equal(t, tc.stops, !flooded)
				require.Less(t, heap(), before+tc.most)
				if tc.check != nil {
					tc.check(t, conn.Stats())
				}
				conn.CloseNow()
				peer.conn.Close()
			})
		})
	}
}

func unfinished(op frame.Opcode, payload string) func(*rawPeer) []byte {
	return func(p *rawPeer) []byte { return p.encode(false, op, []byte(payload)) }
}

// heap gives the octets that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
