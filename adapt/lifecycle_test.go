package adapt_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// The lifecycle table: every way in which a connection ends, crossed with what its
// callbacks are doing at that time. In each cell the last callback comes exactly once,
// and nothing after it; Serve returns; and no goroutine is left, or the bubble would
// not end.

var lifeEndings = []struct {
	name string
	// end may be called while a callback runs.
	end  func(c *adapt.Caller, bare net.Conn)
	opts chanws.Options
	// full are outcomes that are right as well when nobody receives, or nobody reads.
	last, full []string
}{
	{name: "the peer closes", end: func(_ *adapt.Caller, bare net.Conn) { go bare.Write(masked(8, "\x0f\xa0")) }, last: []string{"close 4000"}, full: []string{"error timeout"}},
	{name: "the peer drops", end: func(_ *adapt.Caller, bare net.Conn) { bare.Close() }, last: []string{"close 1006"}},
	{name: "the peer resets", end: func(_ *adapt.Caller, bare net.Conn) { bare.(interface{ Drop() }).Drop() }, last: []string{"close 1006"}},
	{name: "the peer breaks the protocol", end: func(_ *adapt.Caller, bare net.Conn) { go bare.Write([]byte{0xff, 0xff}) }, last: []string{"error protocol"}, full: []string{"error timeout", "close 1006"}},
	{name: "this side closes without an answer", end: func(c *adapt.Caller, _ net.Conn) { go c.CloseTimeout(1000, "", time.Second) }, last: []string{"error timeout"}},
	{name: "this side closes and does not wait", end: func(c *adapt.Caller, _ net.Conn) { c.CloseTimeout(1000, "", 0) }, last: []string{"error timeout"}},
	{name: "this side cuts", end: func(c *adapt.Caller, _ net.Conn) { go c.CloseNow() }, last: []string{"error closed"}},
	{name: "both sides close", end: func(c *adapt.Caller, bare net.Conn) {
		go bare.Write(masked(8, "\x0f\xa0"))
		go c.CloseTimeout(1000, "", time.Second)
	}, last: []string{"close 4000"}, full: []string{"error timeout"}},
	{name: "keepalive gives up", opts: chanws.Options{PingInterval: time.Second}, end: func(*adapt.Caller, net.Conn) {}, last: []string{"error timeout"}, full: []string{"close 1006"}},
	{name: "a write takes too long", opts: chanws.Options{WriteTimeout: time.Second, CloseTimeout: time.Second}, end: func(c *adapt.Caller, _ net.Conn) { go c.WriteBinaryMessage(make([]byte, 1<<20)) }, last: []string{"error timeout"}},
}

// lifeSituations say what goes on. Each callback lasts until the connection is at its
// end, or longer.
var lifeSituations = []struct {
	name    string
	service func(*record) *adapt.Service
	sent    int // text messages of the peer
	full    bool
}{
	{name: "nothing goes on", service: (*record).service},
	{name: "a callback runs", service: busy(func(c *adapt.Caller) { <-c.Context().Done() }), sent: 1},
	{name: "a callback takes its time", service: busy(func(*adapt.Caller) { time.Sleep(time.Minute) }), sent: 1},
	{name: "a callback takes its time and messages wait", service: busy(func(*adapt.Caller) { time.Sleep(time.Minute) }), sent: 5, full: true},
	{name: "a callback writes to a peer that does not read", service: busy(func(c *adapt.Caller) {
		for c.WriteBinaryMessage(make([]byte, 10_000)) == nil {
			time.Sleep(time.Millisecond) // a clock in a bubble stands still while somebody is busy
		}
	}), sent: 1, full: true},
	{name: "a stream runs", service: busy(func(c *adapt.Caller) { adapt.Stream(c, counting(1000, time.Second)) }), sent: 1},
	{name: "a stream writes to a peer that does not read", service: busy(func(c *adapt.Caller) {
		adapt.Stream(c, func(yield func([]byte, error) bool) {
			for yield(make([]byte, 10_000), nil) {
				time.Sleep(time.Millisecond)
			}
		})
	}), sent: 1, full: true},
}

// busy gives a service whose OnTextMessage does something.
func busy(do func(*adapt.Caller)) func(*record) *adapt.Service {
	return func(r *record) *adapt.Service {
		s := r.service()
		s.OnTextMessage = func(c *adapt.Caller, _ string) error {
			do(c)
			return nil
		}
		return s
	}
}

func TestTheLastCallbackComesOnceWhateverGoesOn(t *testing.T) {
	for _, e := range lifeEndings {
		for _, s := range lifeSituations {
			t.Run(e.name+" while "+s.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := e.opts
					opts.EventBuffer, opts.SendBuffer = 2, 2
					server, bare := wstest.Raw(t, &chanws.UpgradeOptions{Options: opts})
					var r record
					svc := s.service(&r)
					callers := make(chan *adapt.Caller, 1)
					svc.OnOpen = func(c *adapt.Caller) error { callers <- c; return nil }
					svc.OnClose = func(_ *adapt.Caller, code chanws.StatusCode, _ string) error {
						r.note("close %d", int(code))
						return nil
					}
					svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %s", kind(err)); return nil }
					served := start(server, svc)
					c := <-callers
					for range s.sent {
						bare.Write(masked(1, "x"))
					}
					synctest.Wait()
					e.end(c, bare)
					began := time.Now()
					<-served
					require.Less(t, time.Since(began), 10*time.Minute)
					got := r.all()
					require.Len(t, got, 1)
					want := e.last
					if s.full {
						want = append(want, e.full...)
					}
					require.Contains(t, want, got[0])
					bare.Close()
				})
			})
		}
	}
}

func kind(err error) string {
	switch {
	case errors.As(err, new(*chanws.ProtocolError)):
		return "protocol"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "dropped"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return err.Error()
}
