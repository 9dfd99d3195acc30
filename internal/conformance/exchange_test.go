package conformance

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// An exchange is one test: all that is said on a connection, and what must come of it.
type exchange struct {
	name    string
	section string // of RFC 6455, or of RFC 7692 if deflate is set
	options chanws.Options
	// deflate is what the peer negotiates about compression by hand; nil leaves it to
	// wstest, where the options have any.
	deflate *terms

	// writes is what the user writes before the peer says anything.
	writes []chanws.Message
	// says is what the peer says. If leaves is set, the end of its stream follows; if
	// silent is set, nothing does.
	says           []wire
	leaves, silent bool
	// octets are said instead, if they are set.
	octets []byte
	// unheard is what it goes on to say when the connection has ended.
	unheard []wire

	// sees are the user's events before the terminal one.
	sees []chanws.Event
	// hears are the frames that the peer hears, all of them, to the octet.
	hears []wire
	// lastCode is that of one close frame more, whose reason may be any.
	lastCode int
	// ends is the terminal event.
	ends ending
}

// An ending holds the terminal event against what it must be.
type ending func(t *testing.T, err error)

// closed is the end by the peer's close frame.
func closed(code chanws.StatusCode, reason string) ending {
	return func(t *testing.T, err error) {
		t.Helper()
		require.Equal(t, chanws.Close{Code: code, Reason: reason}, err)
	}
}

// broken is the end by a breach of the protocol.
func broken(code chanws.StatusCode, reason string) ending {
	return func(t *testing.T, err error) {
		t.Helper()
		require.IsType(t, chanws.Error{}, err)
		var breach *chanws.ProtocolError
		require.ErrorAs(t, err, &breach)
		require.Equal(t, chanws.ProtocolError{Code: code, Reason: reason}, *breach)
		require.EqualValues(t, -1, chanws.CloseStatus(err))
	}
}

// errDropped is what the end of the peer's stream without a close frame matches.
var errDropped = io.ErrUnexpectedEOF

// failed is the end by an error that matches target.
func failed(target error) ending {
	return func(t *testing.T, err error) {
		t.Helper()
		require.IsType(t, chanws.Error{}, err)
		require.ErrorIs(t, err, target)
		require.EqualValues(t, -1, chanws.CloseStatus(err))
	}
}

// wellEnded adds to an exchange that breaks no rule a goodbye of the peer's.
func (x exchange) wellEnded() exchange {
	x.says = append(x.says[:len(x.says):len(x.says)], closing(1000, "done"))
	x.hears = append(x.hears[:len(x.hears):len(x.hears)], closing(1000, ""))
	x.ends = closed(1000, "done")
	return x
}

// violates makes the last frame of an exchange its end.
func (x exchange) violates(code int, reason string) exchange {
	x.hears = append(x.hears[:len(x.hears):len(x.hears)], closing(code, reason))
	x.ends = broken(chanws.StatusCode(code), reason)
	return x
}

// A chopping is how the peer's words are cut into pieces.
type chopping struct {
	name   string
	octets int // in a piece; 0 for as many as can be
	// before is whether what is heard before the last octet is looked at: the close
	// frame must not be there yet.
	before bool
	// most is the length of exchanges that are not too long for it.
	most int
}

var choppings = []chopping{
	{name: "whole", most: 1 << 30},
	{name: "by octets", octets: 1, before: true, most: 300},
	{name: "by 1021 octets", octets: 1021, most: 1 << 30},
}

// play runs exchanges against a server and against a client.
func play(t *testing.T, exchanges []exchange) {
	t.Helper()
	playAs(t, exchanges, true, false)
}

// playAs runs exchanges against the sides given.
func playAs(t *testing.T, exchanges []exchange, sides ...bool) {
	t.Helper()
	t.Parallel()
	names := map[string]bool{}
	for _, x := range exchanges {
		require.False(t, names[x.name], "two exchanges are called %q", x.name)
		names[x.name] = true
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s section %s", x.rfc(), x.section)
			for _, server := range sides {
				size := len(encode(x.says, server)) + len(encode(x.hears, server))
				for i, c := range choppings {
					if size > c.most || i == 2 && size <= choppings[1].most || i > 0 && testing.Short() {
						continue
					}
					if !t.Run(role(server)+" "+c.name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { x.run(t, server, c) })
					}) {
						return
					}
				}
			}
		})
	}
}

func (x *exchange) rfc() string {
	if x.deflate != nil {
		return "RFC 7692"
	}
	return "RFC 6455"
}

func role(server bool) string {
	if server {
		return "server"
	}
	return "client"
}

// open gives a connection whose peer is bare.
func open(t *testing.T, server bool, options chanws.Options) (*chanws.Conn, net.Conn) {
	t.Helper()
	if server {
		return wstest.Raw(t, &chanws.UpgradeOptions{Options: options})
	}
	return wstest.RawServer(t, &chanws.DialOptions{Options: options})
}

// open gives a connection whose peer has negotiated what the exchange asks for.
func (x *exchange) open(t *testing.T, server bool) (*chanws.Conn, net.Conn) {
	t.Helper()
	if x.deflate == nil {
		return open(t, server, x.options)
	}
	o := openBy(t, server, x.options, x.deflate.header(server))
	require.NoError(t, o.err)
	return o.conn, o.bare
}

// ears take down what the peer hears, to the end of the stream.
type ears struct {
	mu    sync.Mutex
	heard []byte
	ended chan error
}

func listen(bare net.Conn) *ears {
	e := &ears{ended: make(chan error, 1)}
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := bare.Read(b)
			e.mu.Lock()
			e.heard = append(e.heard, b[:n]...)
			e.mu.Unlock()
			if err != nil {
				bare.Close() // as a peer does that has heard all
				e.ended <- err
				return
			}
		}
	}()
	return e
}

func (e *ears) all() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.heard)
}

func (x *exchange) run(t *testing.T, server bool, c chopping) {
	conn, bare := x.open(t, server)
	peer := listen(bare)
	events := make(chan []chanws.Event, 1)
	go func() {
		var got []chanws.Event
		for ev := range conn.Events() {
			got = append(got, ev)
		}
		events <- got
	}()
	for _, m := range x.writes {
		require.NoError(t, conn.Write(t.Context(), m))
	}
	x.speak(t, bare, peer, server, c)
	got := await(t, events, "the end of the events")

	require.NotEmpty(t, got, "no terminal event")
	end, ok := got[len(got)-1].(error)
	require.True(t, ok, "the last event is %#v", got[len(got)-1])
	x.ends(t, end)
	require.Equal(t, len(x.sees), len(got)-1, "events: %#v", got)
	for i, want := range x.sees {
		require.Equal(t, want, got[i], "event %d", i)
	}
	require.ErrorIs(t, await(t, peer.ended, "the end of the stream"), io.EOF)
	if x.lastCode != 0 {
		var breach *chanws.ProtocolError
		require.ErrorAs(t, end, &breach)
		x.hears = append(x.hears, closing(x.lastCode, breach.Reason))
	}
	requireHeard(t, peer.all(), x.hears, !server)
	require.Equal(t, end, conn.Err())
	require.Equal(t, end, context.Cause(conn.Context()))
	require.NoError(t, conn.CloseNow())
}

// await waits for what must come, in the time of a bubble.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(24 * time.Hour):
		require.Fail(t, "nothing comes any more", "waiting for %s", what)
		panic("unreachable")
	}
}

// speak says what the peer says. What comes after the end of the connection finds
// nobody, which is no error here.
func (x *exchange) speak(t *testing.T, bare net.Conn, peer *ears, server bool, c chopping) {
	t.Helper()
	octets, piece := x.octets, c.octets
	if octets == nil {
		octets = encode(x.says, server)
	}
	if piece == 0 {
		octets = append(octets, x.afterwards(server)...)
		piece = len(octets)
	}
	for said := 0; said < len(octets); {
		n := min(piece, len(octets)-said)
		if c.before && !x.closes() {
			synctest.Wait()
			requireStillOpen(t, peer.all(), x.hears, !server, said)
		}
		bare.Write(octets[said : said+n])
		said += n
	}
	if x.leaves {
		synctest.Wait() // what is owed for these words is said before
		bare.(interface{ CloseWrite() error }).CloseWrite()
	}
	if c.before {
		// Whatever the peer is answered, it need not leave nor wait for.
		synctest.Wait()
		requireHeard(t, peer.all(), x.hears, !server)
	}
}

// closes tells whether the user closes before the peer does.
func (x *exchange) closes() bool {
	for _, m := range x.writes {
		if _, ok := m.(chanws.Close); ok {
			return true
		}
	}
	return false
}

// afterwards gives what the peer says after its last words, where it may: nothing must
// come of it, RFC 6455 section 5.5.1 and 7.1.7.
func (x *exchange) afterwards(server bool) []byte {
	if n := len(x.says); x.leaves || x.silent || n == 0 || x.says[n-1].incomplete() {
		return nil
	}
	return encode(append(x.unheard, text("unheard"), ping("unheard"), closing(4999, "unheard")), server)
}

// requireHeard requires that the peer has heard frames, and nothing else.
func requireHeard(t *testing.T, got []byte, frames []wire, fromClient bool) {
	t.Helper()
	rest := got
	for i, w := range frames {
		want := w.asHeard(rest, fromClient)
		if !bytes.HasPrefix(rest, want) {
			require.Failf(t, "another answer", "as frame %d the peer should hear %s\nbut hears %s", i, describe(want), describe(rest))
		}
		rest = rest[len(want):]
	}
	require.Empty(t, describe(rest), "more than what should be heard")
}

// requireStillOpen requires that the peer has not heard its goodbye after so many
// octets, nor anything that it should not.
func requireStillOpen(t *testing.T, got []byte, frames []wire, fromClient bool, said int) {
	t.Helper()
	rest := got
	for _, w := range frames {
		if len(rest) == 0 {
			return
		}
		require.NotEqual(t, byte(fin|opClose), rest[0], "an answer too early, after %d octets: %s", said, describe(rest))
		want := w.asHeard(rest, fromClient)
		require.True(t, bytes.HasPrefix(rest, want), "after %d octets the peer hears %s", said, describe(rest))
		rest = rest[len(want):]
	}
	require.Empty(t, describe(rest))
}
