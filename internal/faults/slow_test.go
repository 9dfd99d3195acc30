package faults

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// through gives the two ends of a connection through a proxy.
func through(t *testing.T, toServer, toPeer plan, client, server chanws.Options) (c, s *chanws.Conn, p *proxy) {
	t.Helper()
	l, err := chanws.Listen("127.0.0.1:0", &chanws.ListenOptions{Options: server})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	p = newProxy(t, l.Addr().String(), toServer, toPeer)
	c, err = chanws.Dial(t.Context(), p.url(), &chanws.DialOptions{Options: client})
	require.NoError(t, err)
	s = <-l.Conns()
	t.Cleanup(func() {
		c.CloseNow()
		s.CloseNow()
	})
	return c, s, p
}

// What is written arrives, whole and in order in both directions, however little of it
// is passed on at once and however slowly.
func TestNothingIsLostOnASlowNetwork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		plan     plan
		messages int
		largest  int
		options  chanws.Options
	}{
		{"an octet at a time", plan{piece: 1}, 60, 200, chanws.Options{}},
		{"in pieces of 7 octets", plan{piece: 7}, 200, 1000, chanws.Options{FragmentSize: 100}},
		{"in pieces of 1000 octets", plan{piece: 1000}, 200, 100_000, chanws.Options{EventBuffer: 1, SendBuffer: 1}},
		{"with a latency of 5 ms", plan{latency: 5 * time.Millisecond}, 200, 20_000, chanws.Options{PingInterval: 20 * time.Millisecond, PongTimeout: patience}},
		{"at 1 MB/s", plan{rate: 1_000_000, piece: 4000}, 200, 5_000, chanws.Options{WriteTimeout: patience}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := through(t, tc.plan, tc.plan, tc.options, tc.options)
			var said []chanws.Message
			for i := range tc.messages {
				m := strings.Repeat(fmt.Sprint(i, " "), 1+i*7919%tc.largest/4)
				if i%2 == 0 {
					said = append(said, chanws.Text(m))
				} else {
					said = append(said, chanws.Binary(m))
				}
			}
			heard := make(chan error, 2)
			for _, conn := range []*chanws.Conn{c, s} {
				go func() { heard <- hear(conn, said) }()
			}
			wrote := make(chan error, 2)
			for i, conn := range []*chanws.Conn{c, s} {
				go func() {
					for j, m := range said {
						if (i+j)%3 == 0 {
							conn.Send <- m
						} else if err := conn.Write(t.Context(), m); err != nil {
							wrote <- err
							return
						}
					}
					wrote <- nil
				}()
			}
			require.NoError(t, <-wrote)
			require.NoError(t, <-wrote)
			require.NoError(t, <-heard)
			require.NoError(t, <-heard)
			require.NoError(t, c.Close(1000, ""))
			<-s.Done() // a little later than ours
			require.Equal(t, chanws.Close{Code: 1000}, s.Err())
		})
	}
}

// hear receives what was said, and nothing else.
func hear(c *chanws.Conn, said []chanws.Message) error {
	for i, want := range said {
		ev := <-c.Events()
		for isPing(ev) {
			ev = <-c.Events() // the peer's keepalive
		}
		var same bool
		switch want := want.(type) {
		case chanws.Text:
			same = ev == chanws.Event(want)
		case chanws.Binary:
			got, ok := ev.(chanws.Binary)
			same = ok && string(got) == string(want)
		}
		if !same {
			return fmt.Errorf("message %d of %d is %.100v, not %.100v", i, len(said), ev, want)
		}
	}
	return nil
}

func isPing(ev chanws.Event) bool { _, ok := ev.(chanws.Ping); return ok }

// A half open connection: the sockets live, and nothing comes through any more.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	const short = 100 * time.Millisecond
	t.Run("keepalive ends it on both sides", func(t *testing.T) {
		t.Parallel()
		o := chanws.Options{PingInterval: short, PongTimeout: 20 * short, CloseTimeout: short}
		c, s, p := through(t, plan{}, plan{}, o, o)
		p.spoilAll(silence)
		for _, conn := range []*chanws.Conn{c, s} {
			_, end := collect(conn)
			require.IsType(t, chanws.Error{}, end)
			require.ErrorIs(t, end, os.ErrDeadlineExceeded)
			require.ErrorContains(t, end, "keepalive: no pong")
		}
	})
	t.Run("Close is bounded by CloseTimeout", func(t *testing.T) {
		t.Parallel()
		c, s, p := through(t, plan{}, plan{}, chanws.Options{CloseTimeout: short}, chanws.Options{})
		p.spoilAll(silence)
		require.NoError(t, c.Write(t.Context(), chanws.Text("accepted, and lost: nobody is told")))
		err := c.Close(1000, "")
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, err, c.Err())
		require.NoError(t, s.Err(), "it knows nothing yet")
	})
	t.Run("a Write that does not fit is bounded by WriteTimeout", func(t *testing.T) {
		t.Parallel()
		c, _, p := through(t, plan{}, plan{}, chanws.Options{WriteTimeout: short, CloseTimeout: short}, chanws.Options{})
		p.spoilAll(deaf)
		err := c.Write(t.Context(), chanws.Binary(make([]byte, 64<<20)))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, end := collect(c)
		require.ErrorIs(t, end, os.ErrDeadlineExceeded)
	})
	t.Run("a handshake is bounded by HandshakeTimeout", func(t *testing.T) {
		t.Parallel()
		l := listen(t, nil)
		for _, n := range []int{0, 10, 100} {
			p := newProxy(t, l.Addr().String(), plan{}, plan{fault: silence, after: n})
			_, err := chanws.Dial(t.Context(), p.url(), &chanws.DialOptions{HandshakeTimeout: short})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// collect receives all events of a connection.
func collect(c *chanws.Conn) (got []chanws.Event, end error) {
	for ev := range c.Events() {
		got = append(got, ev)
	}
	return got[:len(got)-1], got[len(got)-1].(error)
}

// listen gives a listener that ends with the test.
func listen(t testing.TB, opts *chanws.ListenOptions) *chanws.Listener {
	t.Helper()
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A socket that reads and writes an octet at a time is a stream like any other.
func TestAStreamOfSingleOctets(t *testing.T) {
	t.Parallel()
	l := listen(t, nil)
	c, err := chanws.Dial(t.Context(), l.URL(), &chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return trickle{c}, err
		},
	}}})
	require.NoError(t, err)
	s := <-l.Conns()
	said := []chanws.Message{chanws.Text("grüße"), chanws.Binary(strings.Repeat("b", 70_000)), chanws.Text(strings.Repeat("€", 300))}
	for _, m := range said {
		require.NoError(t, c.Write(t.Context(), m))
		require.NoError(t, s.Write(t.Context(), m))
	}
	require.NoError(t, hear(s, said))
	require.NoError(t, hear(c, said))
	go collect(s)
	require.NoError(t, c.Close(1000, ""))
	s.CloseNow()
}

// A trickle reads and writes an octet at a time.
type trickle struct{ net.Conn }

func (c trickle) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(len(p), 1)]) }

func (c trickle) Write(p []byte) (n int, err error) {
	for i := range p {
		k, err := c.Conn.Write(p[i : i+1])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}
