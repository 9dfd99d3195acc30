package adapt

import (
	"context"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/pump"
)

// An AsyncClient is a client's connection with callbacks. It has all methods of
// [Caller], which are also those that callbacks are given.
//
// It must be closed with Close or CloseNow, or by a callback that returns a
// [chanws.Close], unless it ends by itself.
type AsyncClient struct {
	*Caller
	done chan struct{}
}

// NewAsyncClient connects to url, as [chanws.Dial] does, and runs the callbacks of s in
// a goroutine of its own: OnOpen first. It fails as Dial does, or with an error that
// matches [ErrInvalidService], and then no callback is called. ctx bounds no more than
// the call. s may be nil, which is a service without callbacks; nil cfg are all
// defaults.
//
// With [ClientConfig.Retry] NewAsyncClient tries by the policy until it has a
// connection. Later, if the connection ends and [chanws.RedialPolicy.Retry] says so, by
// default when it was lost or when the server restarts, it connects again by the policy,
// as [chanws.Redial] does. The callbacks go on with the same Caller and its attributes:
// OnOpen first, for each connection, which is the place to subscribe again. OnClose and
// OnError are not called for an end that is followed by another connection. Meanwhile
// writes fail with what ended the connection; no message is kept or sent again.
//
// A connection that this side has closed is not replaced, nor one whose end Retry takes
// for final, which is then the last callback's. When the policy gives up, OnError gets an
// error that matches both the end of the connection and the last attempt's error, and
// that was the last callback.
func NewAsyncClient(ctx context.Context, url string, s *Service, cfg *ClientConfig) (*AsyncClient, error) {
	if ctx == nil {
		return nil, pump.ErrNilContext
	}
	if s == nil {
		s = &Service{}
	}
	p, err := compile(s)
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		cfg = &ClientConfig{}
	}
	opts := cfg.dialOptions()
	set := &settings{validate: cfg.Validate, manualPong: cfg.ManualPong, logger: cfg.Logger}
	a := &AsyncClient{done: make(chan struct{})}
	if cfg.Retry != nil {
		if err := a.connect(ctx, newBridge(p, set, nil), reconnection{url, &opts, *cfg.Retry}); err != nil {
			return nil, err
		}
		return a, nil
	}
	conn, err := chanws.Dial(ctx, url, &opts)
	if err != nil {
		return nil, err
	}
	b := newBridge(p, set, conn)
	a.Caller = b.caller
	go func() {
		defer close(a.done)
		_ = b.serve()
	}()
	return a, nil
}

// Done is closed when the client has ended: the last callback has returned, and nothing
// of it is left.
func (a *AsyncClient) Done() <-chan struct{} { return a.done }

// Response is the server's answer to the upgrade request of the current connection.
func (a *AsyncClient) Response() *http.Response { return a.Conn().Response() }
