package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take before a test fails.
const patience = time.Second * 10

// An outcome is all that a user has seen of a connection.
type outcome struct {
	events []chanws.Event // but for the terminal one
	end    error
	// taken are the messages for which Write has returned nil.
	taken int
}

// small is what both sides say in a small exchange; then the client closes.
var small = []chanws.Message{chanws.Text("one"), chanws.Binary("two"), chanws.Text("grüße")}

// smallSizes are the octets of the frames of small and of a close frame, without masks.
var smallSizes = []int{5, 5, 9, 4}

// converse says all of small, receives to the end, and closes when it has received
// enough.
func converse(t testing.TB, c *chanws.Conn, closes bool) (o outcome) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range small {
		if c.Write(ctx, m) != nil {
			break
		}
		o.taken++
	}
	for {
		if closes && len(o.events) == len(small) {
			c.Write(ctx, chanws.Close{Code: 1000})
			closes = false
		}
		ev, err := c.Receive(ctx)
		if err != nil {
			o.end = err
			c.CloseNow()
			return o
		}
		o.events = append(o.events, ev)
	}
}

// A smallExchange is what has become of it.
type smallExchange struct {
	dialErr        error
	client, server outcome
	// request and said are the octets of the client's request, and of all that the
	// server has said, as far as they were passed on.
	request, said int
}

// exchange has a client talk to a server through a proxy. served tells whether the
// server is sure to see a connection.
func exchange(t testing.TB, toServer, toPeer plan, served func(*smallExchange) bool) (x smallExchange) {
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	p := newProxy(t, l.Addr().String(), toServer, toPeer)
	servers := make(chan outcome, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c := range l.Conns() {
			servers <- converse(t, c, false)
		}
	}()
	c, err := chanws.Dial(t.Context(), p.url(), nil)
	if x.dialErr = err; err == nil {
		x.request = int(p.saidByPeer.Load())
		x.client = converse(t, c, true)
	}
	if served(&x) {
		select {
		case x.server = <-servers:
		case <-time.After(patience):
			require.Fail(t, "the server sees no end")
		}
	}
	p.close()
	l.Close()
	<-ended
	x.said = int(p.saidByServer.Load())
	return x
}

// wholeFrames tells how many of the frames of small, and of a close frame behind them,
// are whole in n octets.
func wholeFrames(n int, masked bool) (messages int, closed bool) {
	for i, size := range smallSizes {
		if masked {
			size += 4
		}
		if n -= size; n < 0 {
			return i, false
		}
	}
	return len(small), true
}

// requirePrefix requires that what came is the beginning of what was said.
func requirePrefix(t testing.TB, got []chanws.Event) {
	t.Helper()
	require.LessOrEqual(t, len(got), len(small))
	for i := range got {
		require.Equal(t, small[i], got[i].(chanws.Message))
	}
}

// requireDropped requires an end by a connection that was dropped.
func requireDropped(t testing.TB, end error) {
	t.Helper()
	require.IsType(t, chanws.Error{}, end)
	require.ErrorIs(t, end, io.ErrUnexpectedEOF)
}

// requireDialFailed requires an error that is no answer of the server's. Its kind is
// net/http's: a head that was cut may be malformed, as far as that can tell.
func requireDialFailed(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	var answered *chanws.HandshakeError
	require.False(t, errors.As(err, &answered), "%v", err)
}

// requireClosedOrDropped requires one of the two ends that there can be.
func requireClosedOrDropped(t testing.TB, o outcome) {
	t.Helper()
	if o.end != (chanws.Close{Code: 1000}) {
		requireDropped(t, o.end)
	}
}

func asMessages(events []chanws.Event) []chanws.Message {
	all := []chanws.Message{}
	for _, ev := range events {
		all = append(all, ev.(chanws.Message))
	}
	return all
}

func always(*smallExchange) bool    { return true }
func dialled(x *smallExchange) bool { return x.dialErr == nil }

// undisturbed gives the octets of the request, of the answer to it, and of the frames
// that each side says.
func undisturbed(t *testing.T) (request, response, clientFrames, serverFrames int) {
	x := exchange(t, plan{}, plan{}, always)
	require.NoError(t, x.dialErr)
	for _, o := range []outcome{x.client, x.server} {
		require.Equal(t, chanws.Close{Code: 1000}, o.end)
		require.Equal(t, small, asMessages(o.events))
		require.Equal(t, len(small), o.taken)
	}
	for _, size := range smallSizes {
		serverFrames += size
		clientFrames += size + 4
	}
	return x.request, x.said - serverFrames, clientFrames, serverFrames
}

// Whoever is cut off sees the messages that came as a whole, in order, and then that
// the connection was dropped; a Dial fails. This is tried at every octet that either
// side says, from the first of the handshake to the last of the close frames.
func TestConnectionsAreCutAtAnyOctet(t *testing.T) {
	t.Parallel()
	request, response, clientFrames, serverFrames := undisturbed(t)
	eachOctet(t, "the client's", request+clientFrames, func(t *testing.T, n int) {
		x := exchange(t, plan{fault: cut, after: n}, plan{}, func(*smallExchange) bool { return n > request })
		if n < request {
			requireDialFailed(t, x.dialErr)
			return
		}
		if n == request {
			return // the server may learn of the end before it has answered
		}
		messages, closed := wholeFrames(n-request, true)
		require.Equal(t, small[:messages], asMessages(x.server.events))
		if closed {
			require.Equal(t, chanws.Close{Code: 1000}, x.server.end)
		} else {
			requireDropped(t, x.server.end)
		}
		if x.dialErr == nil {
			requirePrefix(t, x.client.events)
			requireClosedOrDropped(t, x.client) // the answer to its close may get through
		}
	})
	eachOctet(t, "the server's", response+serverFrames-1, func(t *testing.T, n int) {
		x := exchange(t, plan{}, plan{fault: cut, after: n}, func(*smallExchange) bool { return n > 0 })
		requirePrefix(t, x.server.events)
		if n < response {
			requireDialFailed(t, x.dialErr)
			if n > 0 {
				requireDropped(t, x.server.end)
			}
			return
		}
		require.NoError(t, x.dialErr)
		messages, _ := wholeFrames(n-response, false)
		require.Equal(t, small[:messages], asMessages(x.client.events))
		requireDropped(t, x.client.end)
		switch {
		case messages < len(small):
			requireDropped(t, x.server.end)
		case n == response+serverFrames-smallSizes[len(small)]:
			requireClosedOrDropped(t, x.server) // the client's close may be on its way
		default:
			require.Equal(t, chanws.Close{Code: 1000}, x.server.end, "its answer to the close was cut")
		}
	})
}

// A reset may take with it what had come before. What is received is in order all the
// same, and nobody waits for ever or takes it for a good end.
func TestConnectionsAreResetAtAnyOctet(t *testing.T) {
	t.Parallel()
	request, response, clientFrames, serverFrames := undisturbed(t)
	check := func(t *testing.T, x smallExchange) {
		if x.dialErr != nil {
			requireDialFailed(t, x.dialErr)
			return
		}
		for _, o := range []outcome{x.client, x.server} {
			requirePrefix(t, o.events)
			requireClosedOrDropped(t, o)
		}
	}
	eachOctet(t, "the client's", request+clientFrames, func(t *testing.T, n int) {
		check(t, exchange(t, plan{fault: reset, after: n}, plan{}, dialled))
	})
	eachOctet(t, "the server's", response+serverFrames, func(t *testing.T, n int) {
		check(t, exchange(t, plan{}, plan{fault: reset, after: n}, dialled))
	})
}

func eachOctet(t *testing.T, of string, all int, test func(t *testing.T, n int)) {
	step := 1
	if testing.Short() {
		step = 5
	}
	for n := 0; n <= all; n += step {
		t.Run(fmt.Sprintf("after %d octets of %s", n, of), func(t *testing.T) {
			t.Parallel()
			test(t, n)
		})
	}
}
