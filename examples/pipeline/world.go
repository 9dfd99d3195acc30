package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chanws/chanws"
)

// A world is what the pipeline is connected to: a source that is as fast as it may
// be, and a sink that is slow. They would be other people's servers.
type world struct {
	messages, size int
	pause          time.Duration
	fail           int

	sent, taken atomic.Int64
}

// serve opens both. stop waits until they have ended, after the pipeline has.
func (w *world) serve() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var serving sync.WaitGroup
	handle := func(serve func(*chanws.Conn)) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			serving.Add(1)
			defer serving.Done()
			c, err := chanws.Upgrade(rw, r, &chanws.UpgradeOptions{Options: chanws.Options{
				EventBuffer: 4,
				SendBuffer:  4,
				// The source's close frame waits behind all that is in flight.
				CloseTimeout: time.Minute,
			}})
			if err != nil {
				return // Upgrade has answered
			}
			defer c.CloseNow()
			serve(c)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/source", handle(w.source))
	mux.Handle("/sink", handle(w.sink))
	server := &http.Server{Handler: mux}
	serving.Go(func() { server.Serve(narrowListener{l}) })
	stop = func() {
		server.Close()
		serving.Wait()
	}
	return "ws://" + l.Addr().String(), stop, nil
}

// narrow makes little fit into a TCP connection. Within one machine the system
// would buffer tens of megabytes for each, and it would take long to see that there
// is an end to it.
func narrow(c net.Conn, err error) (net.Conn, error) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetReadBuffer(256 << 10)
		tcp.SetWriteBuffer(256 << 10)
	}
	return c, err
}

type narrowListener struct{ net.Listener }

func (l narrowListener) Accept() (net.Conn, error) { return narrow(l.Listener.Accept()) }

func narrowClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return narrow(new(net.Dialer).DialContext(ctx, network, addr))
		},
	}}
}

// source sends as fast as it is allowed to.
func (w *world) source(c *chanws.Conn) {
	for range w.messages {
		select {
		case c.Send <- chanws.Binary(bytes.Repeat([]byte("x"), w.size)): // waits while there is no room
			w.sent.Add(1)
		case <-c.Done():
			return
		}
	}
	close(c.Send)
	for range c.Events() { // until the other side has answered the close frame
	}
}

// sink takes its time for every message.
func (w *world) sink(c *chanws.Conn) {
	for ev := range c.Events() {
		b, ok := ev.(chanws.Binary)
		if !ok {
			continue
		}
		time.Sleep(w.pause) // the work that this message makes
		end := len(b) - sha256.Size
		if end < 0 || sha256.Sum256(b[:end]) != [sha256.Size]byte(b[end:]) {
			c.Close(chanws.StatusInvalidFramePayloadData, "wrong checksum")
			return
		}
		b.Recycle() // the bytes may be used for the next message
		if w.taken.Add(1) == int64(w.fail) {
			c.Close(chanws.StatusInternalError, "disk full")
		}
	}
}

// report prints how many messages are on their way, until ctx ends.
func (w *world) report(ctx context.Context, stdout io.Writer) {
	began, most := time.Now(), int64(0)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		done := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
		taken := w.taken.Load() // before sent, so that the difference is never negative
		sent := w.sent.Load()
		if done && taken < int64(w.messages) {
			fmt.Fprintf(stdout, "%5d ms: broken off: source sent %3d, sink took %3d\n", time.Since(began).Milliseconds(), sent, taken)
			return
		}
		most = max(most, sent-taken)
		fmt.Fprintf(stdout, "%5d ms: source sent %3d, sink took %3d, in flight %3d (%.1f MiB)\n",
			time.Since(began).Milliseconds(), sent, taken, sent-taken, float64(sent-taken)*float64(w.size)/(1<<20))
		if done {
			fmt.Fprintf(stdout, "never more than %d of %d messages were in flight: the source waited for the sink\n", most, w.messages)
			return
		}
	}
}
