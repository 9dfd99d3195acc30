package handshake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// bodyTime is how long the body of a response that is not 101 may take. It is only
// there to explain the error.
const bodyTime = 3 * time.Second

// errNoResult is for a RoundTripper that ends its goroutine, as a test that has failed
// does.
var errNoResult = errors.New("HTTPClient's Transport has returned nothing")

// A roundTrip is a RoundTripper at work in a goroutine, so that one that does not
// mind its request's context can be left alone.
type roundTrip struct {
	answered chan struct{} // closed when RoundTrip has returned
	done     chan struct{} // closed when the goroutine has nothing more to do
	body     excerpt       // of a response that is not 101

	mu       sync.Mutex
	resp     *http.Response
	err      error
	panicked any
	left     bool // nobody wants the result any more
}

// startRoundTrip makes a request.
func startRoundTrip(base http.RoundTripper, req *http.Request) *roundTrip {
	t := &roundTrip{answered: make(chan struct{}), done: make(chan struct{})}
	go t.run(base, req)
	return t
}

func (t *roundTrip) run(base http.RoundTripper, req *http.Request) {
	defer close(t.done)
	resp, wanted := t.ask(base, req)
	switch {
	case resp == nil:
	case !wanted:
		resp.Body.Close()
	case resp.StatusCode != http.StatusSwitchingProtocols:
		t.body.readFrom(resp.Body)
		resp.Body.Close()
	}
}

// ask calls RoundTrip, and reports whether its result is still wanted.
func (t *roundTrip) ask(base http.RoundTripper, req *http.Request) (resp *http.Response, wanted bool) {
	err := errNoResult
	defer func() {
		panicked := recover()
		t.mu.Lock()
		t.resp, t.err, t.panicked = resp, err, panicked
		wanted = !t.left
		t.mu.Unlock()
		close(t.answered)
	}()
	resp, err = base.RoundTrip(req)
	if err == nil && resp == nil {
		err = errNoResult
	}
	if resp != nil && resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, false
}

// result waits until RoundTrip has returned, or ctx has ended. Then it reports false,
// and the result, if it still comes, is thrown away, a panic too. It panics if
// RoundTrip did.
func (t *roundTrip) result(ctx context.Context) (resp *http.Response, err error, ok bool) {
	select {
	case <-t.answered:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resp == nil && t.err == nil && t.panicked == nil {
		t.left = true
		return nil, nil, false
	}
	if t.panicked != nil {
		panic(t.panicked)
	}
	return t.resp, t.err, true
}

// excerpt waits for the body of a response that is not 101, and returns the beginning
// of it, or what has come when ctx ends or the body takes too long.
func (t *roundTrip) excerpt(ctx context.Context, resp *http.Response) []byte {
	limit := time.NewTimer(bodyTime)
	defer limit.Stop()
	select {
	case <-t.done:
	case <-ctx.Done():
		go resp.Body.Close() // whose RoundTripper may not mind anything
	case <-limit.C:
		go resp.Body.Close()
	}
	return t.body.bytes()
}

// An excerpt is the first KiB of a body, which may be looked at while it is read.
type excerpt struct {
	mu   sync.Mutex
	read []byte
}

func (e *excerpt) readFrom(r io.Reader) {
	const most = 1 << 10
	buf := make([]byte, most)
	for n := 0; n < most; {
		more, err := r.Read(buf[n:])
		e.mu.Lock()
		e.read = append(e.read, buf[n:n+more]...)
		e.mu.Unlock()
		if n += more; err != nil {
			return
		}
	}
}

func (e *excerpt) bytes() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.read)
}

// before calls f in a goroutine, and reports whether it has returned before ctx ended.
func before(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
