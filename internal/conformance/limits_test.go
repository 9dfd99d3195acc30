package conformance

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// Section 10.4: limits, to the octet, and refused by the header that tells of more.
func TestLimits(t *testing.T) {
	var table []exchange
	for _, limit := range []int{1, 125, 126, 1000, 65535, 65536, 100_000} {
		message, frame := chanws.Options{MaxMessageSize: int64(limit)}, chanws.Options{MaxFrameSize: int64(limit)}
		tooBig := fmt.Sprintf("message of %d bytes, more than Options.MaxMessageSize %d", limit+1, limit)
		tooBigAlready := fmt.Sprintf("message of at least %d bytes, more than Options.MaxMessageSize %d", limit+1, limit)
		tooLong := fmt.Sprintf("frame of %d bytes, more than Options.MaxFrameSize %d", limit+1, limit)
		s := content(limit)
		add := func(name string, options chanws.Options, reason string, says []wire, sees ...chanws.Event) {
			x := exchange{name: fmt.Sprintf(name, limit), section: "10.4", options: options, says: says, sees: sees}
			if reason == "" {
				table = append(table, x.wellEnded())
			} else {
				table = append(table, x.violates(1009, reason))
			}
		}
		add("a message of %d octets, as many as may be", message, "", []wire{blob(s), textPart(s[:limit/2]), last(s[limit/2:])}, binaryOf(s), chanws.Text(s))
		add("a message of one octet more than %d", message, tooBig, []wire{blob(s + "x").headerOnly()})
		add("a message whose last fragment is one octet more than %d", message, tooBig, []wire{blobPart(s), last("x").headerOnly()})
		add("a message whose fragments are together more than %d", message, tooBigAlready, []wire{textPart(""), part(s[:limit/2]), ping("p"), part(s[limit/2:] + "x").headerOnly()}, pingOf("p"))
		add("empty fragments behind %d octets, as many as may be", message, "", []wire{blobPart(s), part(""), last("")}, binaryOf(s))
		add("a frame of %d octets, as many as may be", frame, "", []wire{blob(s), textPart(s), part(s), last(s)}, binaryOf(s), chanws.Text(s+s+s))
		add("a frame of one octet more than %d", frame, tooLong, []wire{text(s + "x").headerOnly()})
		add("a fragment of one octet more than %d", frame, tooLong, []wire{textPart("a"), part(s + "x").headerOnly()})
	}
	for i := range table {
		if len(table[i].sees) == 1 && table[i].sees[0] != nil {
			if _, pinged := table[i].sees[0].(chanws.Ping); pinged {
				table[i].hears = append([]wire{pong("p")}, table[i].hears...)
			}
		}
	}
	table = append(table, exchange{
		name: "control frames have no part in a limit", section: "10.4", options: chanws.Options{MaxMessageSize: 1, MaxFrameSize: 1},
		says: []wire{ping(content(125)), pong(content(125))}, sees: []chanws.Event{pingOf(content(125)), pongOf(content(125))}, hears: []wire{pong(content(125))},
	}.wellEnded(), exchange{
		name: "messages without a limit", section: "10.4", options: chanws.Options{MaxMessageSize: -1, MaxFrameSize: -1},
		says: []wire{blob(content(1<<20 + 1))}, sees: []chanws.Event{binaryOf(content(1<<20 + 1))},
	}.wellEnded(), exchange{
		name: "one message more than the rate allows", section: "10.4", options: chanws.Options{MessageRate: chanws.Rate{PerSecond: 1, Burst: 3}},
		says: []wire{text("1"), textPart("2"), ping("p"), last(""), blob("3"), text("4")}, hears: []wire{pong("p")},
		sees: []chanws.Event{chanws.Text("1"), pingOf("p"), chanws.Text("2"), binaryOf("3")},
	}.violates(1008, "more messages than Options.MessageRate 1 a second, burst 3"))
	play(t, table)
}

// Large messages there and back, in frames and in pieces of all sizes.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ size, fragment, piece int }{
		{64 << 10, 64, 64}, {256 << 10, 256, 64}, {1 << 20, 1 << 20, 64}, {1 << 20, 1 << 10, 1 << 10}, {1 << 20, 64, 4 << 10},
		{1 << 20, 64 << 10, 256}, {2 << 20, 4 << 10, 64 << 10}, {4 << 20, 4 << 20, 1 << 10}, {16 << 20, 16 << 20, 64 << 10},
	} {
		for _, server := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%d octets in fragments of %d in pieces of %d", role(server), c.size, c.fragment, c.piece), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { largeMessage(t, server, c.size, c.fragment, c.piece) })
			})
		}
	}
}

func largeMessage(t *testing.T, server bool, size, fragment, piece int) {
	conn, bare := open(t, server, chanws.Options{MaxMessageSize: 16 << 20, FragmentSize: fragment})
	peer := listen(bare)
	s := content(size)
	frames := fragments(text(""), s, fragment)
	echoed := make(chan error, 1)
	go func() {
		got := <-conn.Events()
		if got != chanws.Event(chanws.Text(s)) {
			echoed <- fmt.Errorf("another message: %.100v", got)
			return
		}
		echoed <- conn.Write(t.Context(), chanws.Text(s))
	}()
	for octets := encode(frames, server); len(octets) > 0; {
		n := min(piece, len(octets))
		_, err := bare.Write(octets[:n])
		require.NoError(t, err)
		octets = octets[n:]
	}
	require.NoError(t, <-echoed)
	require.NoError(t, conn.Write(t.Context(), chanws.Close{Code: 1000}))
	bare.Write(encode([]wire{closing(1000, "")}, server))
	require.Equal(t, chanws.Event(chanws.Close{Code: 1000}), <-conn.Events())
	<-peer.ended
	requireHeard(t, peer.all(), append(frames, closing(1000, "")), !server)
	stats := conn.Stats()
	require.EqualValues(t, 1, stats.MessagesReceived)
	require.EqualValues(t, len(frames)+1, stats.FramesReceived)
	require.EqualValues(t, len(frames)+1, stats.FramesSent)

}
