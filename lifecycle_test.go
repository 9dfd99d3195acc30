package chanws_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// The lifecycle table: every way in which a connection ends, crossed with what is
// going on at that time, on both sides of the connection, over each transport. For
// each cell it holds the wire, the events, Err, and what Send, Write and Close do
// afterwards against the contract, and counts the goroutines.

// A situation is what goes on when the end comes.
type situation int

const (
	nothingGoingOn  situation = iota
	consumerWaiting           // in a receive on Events
	channelFull               // and nobody receives
	senderBlocked             // in a send on Send, because the peer does not read
	writeInFlight             // likewise
)

var situations = map[situation]string{
	nothingGoingOn:  "nothing going on",
	consumerWaiting: "consumer waiting",
	channelFull:     "consumer gone and channel full",
	senderBlocked:   "sender blocked",
	writeInFlight:   "Write in flight",
}

// An ending is a way in which a connection ends.
type ending struct {
	name    string
	options func(*chanws.Options)
	// fullOptions are for a channel that is full.
	fullOptions func(*chanws.Options)
	// provoke makes the connection end, and may leave the rest to others.
	provoke func(*cell)
	// byUser tells that provoke calls the user's own Close or CloseNow.
	byUser bool
	// wire lists the close codes of which the peer must see exactly one; 0 is none.
	wire []int
	// lateWire adds to them what a machine under load may make of it.
	lateWire []int
	terminal func(*testing.T, error)
	// fullWire and fullTerminal are for a channel that is full, where the end comes
	// only with the user's Close: nil is as without.
	fullWire     []int
	fullTerminal func(*testing.T, error)
	// mute is a peer that does not answer, and does not read when it has stopped to.
	mute bool
	// clean is what Close must return nil for.
	clean, fullClean bool
}

// short is a time that is to elapse; arranged one that does so only when the situation
// has been arranged.
const (
	short    = 50 * time.Millisecond
	arranged = time.Second
)

func isClose(codes ...chanws.StatusCode) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		require.IsType(t, chanws.Close{}, err)
		require.Contains(t, codes, chanws.CloseStatus(err))
	}
}

func isError(target error) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		require.IsType(t, chanws.Error{}, err)
		require.ErrorIs(t, err, target)
		require.EqualValues(t, -1, chanws.CloseStatus(err))
	}
}

func isProtocolError(code chanws.StatusCode) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		require.IsType(t, chanws.Error{}, err)
		var p *chanws.ProtocolError
		require.ErrorAs(t, err, &p)
		require.Equal(t, code, p.Code)
	}
}

var endings = []ending{
	{
		name: "local Close", byUser: true,
		provoke:  func(c *cell) { c.closed <- c.conn.Close(1000, "bye") },
		wire:     []int{1000},
		terminal: isClose(1000), clean: true, fullClean: true,
	},
	{
		name: "CloseNow", byUser: true,
		provoke:  func(c *cell) { c.closed <- c.conn.CloseNow() },
		wire:     []int{0},
		terminal: isError(net.ErrClosed), clean: true, fullClean: true,
	},
	{
		name:     "peer close",
		provoke:  func(c *cell) { c.peer.sendClose(4000, "bye") },
		wire:     []int{4000},
		terminal: isClose(4000), clean: true,
		fullWire: []int{1000, 4000}, fullClean: true,
	},
	{
		name: "both close at once", byUser: true,
		provoke: func(c *cell) {
			c.peer.sendClose(4000, "bye")
			c.closed <- c.conn.Close(1000, "")
		},
		wire:     []int{1000, 4000},
		terminal: isClose(4000), clean: true, fullClean: true,
	},
	{
		name:     "peer drops TCP",
		provoke:  func(c *cell) { c.peer.drop() },
		wire:     []int{0},
		terminal: isError(io.ErrUnexpectedEOF),
	},
	{
		name: "peer goes silent", byUser: true, mute: true,
		options:  func(o *chanws.Options) { o.CloseTimeout = short },
		provoke:  func(c *cell) { c.closed <- c.conn.Close(1000, "") },
		wire:     []int{0, 1000},
		terminal: isError(os.ErrDeadlineExceeded),
	},
	{
		name: "close(Send)",
		// With a full channel the peer's answer is not read, and this time elapses. Then
		// the socket is closed, and a peer that is late has lost the close frame.
		fullOptions: func(o *chanws.Options) { o.CloseTimeout = 3 * arranged },
		provoke: func(c *cell) {
			if c.situation != senderBlocked {
				close(c.conn.Send)
			} // else the sender does, as soon as it can
		},
		wire:     []int{1000},
		terminal: isClose(1000), clean: true,
		fullTerminal: isError(os.ErrDeadlineExceeded),
	},
	{
		name:     "protocol error",
		provoke:  func(c *cell) { c.peer.write(c.peer.encode(true, 3, nil)) },
		wire:     []int{1002},
		terminal: isProtocolError(1002),
		fullWire: []int{1000, 1002},
	},
	{
		name:     "message too big",
		options:  func(o *chanws.Options) { o.MaxMessageSize = 1024 },
		provoke:  func(c *cell) { c.peer.write(c.peer.encode(true, frame.Binary, make([]byte, 1025))) },
		wire:     []int{1009},
		terminal: isProtocolError(1009),
		fullWire: []int{1000, 1009},
	},
	{
		name: "write timeout", mute: true,
		options: func(o *chanws.Options) {
			o.WriteTimeout = arranged
			o.CloseTimeout = short
		},
		provoke: func(c *cell) {
			for range 100 {
				select {
				case c.conn.Send <- chanws.Binary(make([]byte, 64<<10)):
				case <-c.conn.Done():
					return // what is sent now could take the room of others
				case <-c.released:
					return
				}
			}
		},
		wire: []int{0},
		// The time was over before the first byte of a flush: the stream is whole.
		lateWire: []int{1011},
		terminal: isError(os.ErrDeadlineExceeded),
	},
	{
		name: "pong timeout", mute: true,
		options: func(o *chanws.Options) {
			o.PingInterval = arranged
			o.PongTimeout = arranged
			o.CloseTimeout = short
		},
		// A full channel stops the countdown, but one that fills late may find it over.
		fullOptions: func(o *chanws.Options) { o.PongTimeout = time.Minute },
		provoke:     func(c *cell) {},
		wire:        []int{0, 1011},
		terminal:    isError(os.ErrDeadlineExceeded),
		fullWire:    []int{0, 1000},
	},
}

// A cell is one test of the table.
type cell struct {
	*testing.T
	ending    *ending
	situation situation
	exact     bool
	conn      *chanws.Conn
	peer      *rawPeer
	events    chan []chanws.Event // what the consumer has received, at its end
	closed    chan error          // what the user's first Close has returned
	released  chan struct{}       // the user is about to Close
	pause     func()              // lets others run first, or not
	wg        sync.WaitGroup      // the cell's own goroutines
}

// transport opens a connection of one side and gives the bare peer's end.
type transport func(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, net.Conn)

func testLifecycle(t *testing.T, run func(t *testing.T, cell func(*testing.T)), open transport, exact bool) {
	for i := range endings {
		for _, server := range []bool{true, false} {
			for s := nothingGoingOn; s <= writeInFlight; s++ {
				side := map[bool]string{true: "server", false: "client"}[server]
				t.Run(fmt.Sprintf("%s/%s/%s", endings[i].name, side, situations[s]), func(t *testing.T) {
					run(t, func(t *testing.T) { testCell(t, &endings[i], s, server, open, exact, func() {}) })
				})
			}
		}
	}
}

func TestLifecycleInMemory(t *testing.T) {
	t.Parallel()
	testLifecycle(t, synctest.Test, openMemory, true)
}

func TestLifecycleOverTCP(t *testing.T) {
	skipIfShort(t, "takes real time")
	t.Parallel()
	testLifecycle(t, parallel, openTCP(false), false)
}

func TestLifecycleOverTLS(t *testing.T) {
	skipIfShort(t, "takes real time")
	t.Parallel()
	testLifecycle(t, parallel, openTCP(true), false)
}

// skipIfShort leaves a test out of ./test.sh --quick.
func skipIfShort(t *testing.T, why string) {
	if testing.Short() {
		t.Skip("-short: ", why)
	}
}

func parallel(t *testing.T, f func(*testing.T)) {
	t.Parallel()
	f(t)
}

// testCell tests one cell. It is exact where time passes only when everybody waits.
func testCell(t *testing.T, end *ending, s situation, server bool, open transport, exact bool, pause func()) {
	opts := chanws.Options{EventBuffer: 2, SendBuffer: 2, CloseTimeout: 20 * time.Second}
	if end.options != nil {
		end.options(&opts)
	}
	if end.fullOptions != nil && s == channelFull {
		end.fullOptions(&opts)
	}
	conn, bare := open(t, server, opts)
	c := &cell{
		T: t, ending: end, situation: s, exact: exact, conn: conn,
		peer:     newRawPeer(t, bare, server),
		events:   make(chan []chanws.Event, 1),
		closed:   make(chan error, 1),
		released: make(chan struct{}),
		pause:    pause,
	}
	c.peer.answers = !end.mute
	stalled := s == senderBlocked || s == writeInFlight || end.name == "write timeout"
	c.arrange()
	c.pause()
	if !exact && end.mute && !end.byUser && conn.Err() != nil {
		// Possible only in real time, on a machine under heavy load.
		t.Logf("the timeout came before the situation was arranged: %v", conn.Err())
		close(c.released)
		conn.CloseNow()
		bare.Close()
		if s != consumerWaiting {
			c.consume()
		}
		c.wg.Wait()
		return
	}
	if !stalled {
		c.peer.read()
	}
	if s == channelFull && !end.byUser && end.name != "write timeout" {
		end.provoke(c) // before the user's Close
	} else {
		c.Go(func() { end.provoke(c) })
	}
	if stalled && !end.mute && end.name != "CloseNow" && end.name != "peer drops TCP" {
		c.peer.read()
	}

	c.pause()
	if s != channelFull && s != consumerWaiting {
		c.consume()
	}
	if !end.byUser && s == channelFull {
		if end.name == "close(Send)" {
			<-conn.Done() // CloseTimeout counts although nobody receives
		}
		if end.name == "write timeout" {
			// It is known to a Write at once, but decides nothing while nobody receives.
			require.ErrorIs(t, conn.Write(t.Context(), chanws.Binary(make([]byte, 512<<10))), os.ErrDeadlineExceeded)
			require.NoError(t, conn.Err())
		}
		close(c.released)
		c.closed <- conn.Close(1000, "")
		c.consume()
	} else if s == channelFull {
		c.closeResult()
		c.consume()
	}
	c.checkEnd()
	bare.Close()
	c.wg.Wait()
}

func (c *cell) Go(f func()) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.pause()
		f()
	}()
}

// arrange brings the situation about.
func (c *cell) arrange() {
	switch c.situation {
	case consumerWaiting:
		c.Go(c.consume)
	case channelFull:
		for range 4 {
			c.peer.write(c.peer.encode(true, frame.Text, []byte("unread")))
		}
		until(c, func() bool { return c.conn.Stats().MessagesReceived >= 3 || c.conn.Err() != nil })
	case senderBlocked:
		c.Go(func() {
			m := chanws.Text(strings.Repeat("s", 64<<10))
			if c.ending.name == "close(Send)" {
				for range 20 {
					c.conn.Send <- m
				}
				close(c.conn.Send)
				return
			}
			for range 100 {
				if c.conn.Err() == nil {
					c.conn.Send <- m
				}
			}
		})
		until(c, func() bool { return len(c.conn.Send) == cap(c.conn.Send) || c.conn.Err() != nil })
	case writeInFlight:
		begun := make(chan struct{})
		c.Go(func() {
			close(begun)
			err := c.conn.Write(context.Background(), chanws.Binary(make([]byte, 512<<10)))
			if err != nil && c.conn.Err() != nil && c.ending.name != "write timeout" && c.ending.name != "peer drops TCP" {
				require.Equal(c, c.conn.Err(), err)
			}
		})
		<-begun
		if err := c.peer.awaitHeader(); err != nil {
			require.True(c, c.ending.mute && !c.exact, "%v", err)
			until(c, func() bool { return c.conn.Err() != nil }) // the timeout came before
		}
	}
}

// until waits for a condition that holds soon.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what should happen soon does not")
		}
	}
}

// consume receives all events.
func (c *cell) consume() {
	var got []chanws.Event
	for ev := range c.conn.Events() {
		c.pause()
		got = append(got, ev)
	}
	c.events <- got
}

func (c *cell) closeResult() error { return <-c.closed }

// checkEnd holds what is left of the connection against the contract.
func (c *cell) checkEnd() {
	t, conn, end := c.T, c.conn, c.ending
	full := c.situation == channelFull
	wire, terminal, clean := end.wire, end.terminal, end.clean
	if full {
		if end.fullWire != nil {
			wire = end.fullWire
		}
		if end.fullTerminal != nil {
			terminal = end.fullTerminal
		}
		clean = end.fullClean
	}

	if !c.exact {
		wire = slices.Concat(wire, end.lateWire)
	}

	got := <-c.events
	requireGrammar(t, got)
	err := got[len(got)-1].(error)
	terminal(t, err)
	if full {
		require.Len(t, got, 1, "no data event after the call of Close")
	}
	require.Equal(t, err, conn.Err())
	require.Equal(t, err, context.Cause(conn.Context()))
	<-conn.Done()
	_, received := conn.Receive(context.Background())
	require.Equal(t, err, received)

	// What is sent now is discarded, and never blocks: until the user's Close has
	// returned, in any number, and after that as much as SendBuffer says.
	require.Equal(t, err, conn.Write(context.Background(), chanws.Text("late")))
	if end.name != "close(Send)" {
		late := 2
		if !end.byUser && !full {
			late = 100
		}
		for range late {
			conn.Send <- chanws.Text("late")
		}
	}

	var closed error
	switch {
	case end.byUser && !full:
		closed = c.closeResult()
	case full && !end.byUser:
		closed = c.closeResult()
	case !full:
		closed = conn.Close(1000, "again")
	}
	if !(full && end.byUser) {
		if clean {
			require.NoError(t, closed)
		} else {
			require.Equal(t, err, closed)
		}
	}
	require.ErrorIs(t, conn.CloseNow(), net.ErrClosed)
	require.ErrorIs(t, conn.Close(1000, ""), net.ErrClosed)

	c.peer.finish()
	require.Contains(t, wire, c.peer.closeCode())
}

// requireGrammar holds received events against the event grammar.
func requireGrammar(t *testing.T, got []chanws.Event) {
	t.Helper()
	require.NotEmpty(t, got, "the channel was closed without a terminal event")
	for i, ev := range got {
		_, terminal := ev.(error)
		require.Equal(t, i == len(got)-1, terminal, "event %d of %d: %#v", i+1, len(got), ev)
	}
}
