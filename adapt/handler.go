package adapt

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/server"
)

// Handler answers handshakes for the services that up returns, inside any net/http
// server and any router. It returns when the handshake is done, and the callbacks run
// in a goroutine of their own. nil cfg are all defaults; one that cannot work answers
// every request with 500, whose text says what is wrong with it.
//
// The Shutdown of that server does not close the connections: set
// [ServiceConfig].Group and shut that down too, or use a [Listener].
func Handler(up UpgradeFunc, cfg *ServiceConfig) http.Handler {
	e, err := newEndpoint(up, cfg)
	if err != nil {
		err = fmt.Errorf("adapt: handler: %w", err)
		e.settings.log().Error("websocket handler cannot work", "err", err)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		})
	}
	return e
}

// An endpoint is where clients connect to a service.
type endpoint struct {
	up        UpgradeFunc
	opts      chanws.UpgradeOptions
	authorize func(*http.Request) error
	settings  settings
}

// newEndpoint checks cfg. It gives an endpoint in any case, for its log.
func newEndpoint(up UpgradeFunc, cfg *ServiceConfig) (*endpoint, error) {
	if cfg == nil {
		cfg = &ServiceConfig{}
	}
	e := &endpoint{
		up:        up,
		opts:      cfg.upgradeOptions(),
		authorize: cfg.Authorize,
		settings:  settings{validate: cfg.Validate, manualPong: cfg.ManualPong, logger: cfg.Logger},
	}
	if up == nil {
		return e, errors.New("the UpgradeFunc is nil: want a function that returns the service")
	}
	return e, checkOptions(e.opts)
}

// ServeHTTP does a handshake. A Listener's requests have a seat already.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seat := server.SeatOf(r.Context())
	if seat == nil {
		seat = new(server.Seat)
		r = r.WithContext(server.WithSeat(r.Context(), seat))
	}
	var p *plan
	opts := e.opts
	opts.Authorize = func(r *http.Request) (err error) {
		if p, err = e.decide(r); err != nil {
			return err
		}
		for name, values := range p.Header {
			for _, v := range values {
				w.Header().Add(name, v)
			}
		}
		return nil
	}
	if opts.SelectSubprotocol != nil {
		opts.SelectSubprotocol = e.selectSubprotocol
	}
	conn, err := chanws.Upgrade(w, r, &opts)
	if err != nil {
		e.settings.log().Debug("websocket handshake refused", "remote", r.RemoteAddr, "err", err)
		return
	}
	b := newBridge(p, &e.settings, conn)
	b.stop = make(chan struct{})
	seat.Join(b)
	go b.serveAs(seat)
}

// serveAs runs the callbacks of a connection that has a seat.
func (b *bridge) serveAs(seat *server.Seat) {
	defer seat.Leave(b)
	_ = b.serve()
}

// Conn, GoAway and Kill make a bridge a member of groups.
func (b *bridge) Conn() *chanws.Conn { return b.caller.Conn() }

// GoAway closes the connection with 1001 when the callbacks have had the messages that
// have come by then.
func (b *bridge) GoAway() {
	if !b.stopping.Swap(true) {
		close(b.stop)
	}
}

// Kill ends the connection. It does not wait for callbacks.
func (b *bridge) Kill() { _ = b.caller.CloseNow() }

// decide asks the user for the service. An error is an *UpgradeError.
func (e *endpoint) decide(r *http.Request) (*plan, error) {
	var s *Service
	err := guard("UpgradeFunc", func() (err error) {
		if e.authorize != nil {
			if err = e.authorize(r); err != nil {
				return refusal(err, UpgradeError{StatusCode: http.StatusForbidden})
			}
		}
		if s, err = e.up(r); err != nil {
			return refusal(err, UpgradeError{StatusCode: http.StatusBadRequest, Message: err.Error()})
		}
		return nil
	})
	if p, panicked := err.(*PanicError); panicked {
		err = e.panicked(r, p)
	}
	if err != nil {
		return nil, err
	}
	p, err := compile(s)
	if err != nil {
		e.settings.log().Error("websocket upgrade without a service that works", "path", r.URL.Path, "err", err)
		return nil, &UpgradeError{StatusCode: http.StatusInternalServerError, Message: err.Error()}
	}
	return p, nil
}

// selectSubprotocol asks the user for the subprotocol. An error is an *UpgradeError.
func (e *endpoint) selectSubprotocol(r *http.Request, offered []string) (chosen string, err error) {
	err = guard("SelectSubprotocol", func() (err error) {
		if chosen, err = e.opts.SelectSubprotocol(r, offered); err != nil {
			return refusal(err, UpgradeError{StatusCode: http.StatusForbidden})
		}
		return nil
	})
	if p, panicked := err.(*PanicError); panicked {
		err = e.panicked(r, p)
	}
	return chosen, err
}

// refusal makes the answer of an error: what it chooses, or else otherwise.
func refusal(err error, otherwise UpgradeError) *UpgradeError {
	var chosen *UpgradeError
	var authn *AuthnError
	var authz *AuthzError
	switch {
	case errors.As(err, &chosen) && chosen != nil:
		answer := *chosen
		if answer.StatusCode == 0 {
			answer.StatusCode = otherwise.StatusCode
		}
		return &answer
	case errors.As(err, &authn) && authn != nil:
		return &UpgradeError{StatusCode: http.StatusUnauthorized, Message: authn.Message}
	case errors.As(err, &authz) && authz != nil:
		return &UpgradeError{StatusCode: http.StatusForbidden, Message: authz.Message}
	}
	return &otherwise
}

// panicked makes the answer of a panic.
func (e *endpoint) panicked(r *http.Request, p *PanicError) *UpgradeError {
	internal := UpgradeError{StatusCode: http.StatusInternalServerError}
	answer := refusal(p, internal)
	if answer.StatusCode == http.StatusInternalServerError {
		e.settings.log().Error("websocket upgrade panicked", "path", r.URL.Path, "panic", p.Value, "stack", string(p.Stack))
	}
	return answer
}

// checkOptions gives what is wrong with opts. A handshake without a request tells:
// its refusal has an answer in it, unless the options were found wanting before.
func checkOptions(opts chanws.UpgradeOptions) error {
	_, err := chanws.Upgrade(nowhere{}, &http.Request{}, &opts)
	if err != nil && !errors.As(err, new(*chanws.HTTPError)) {
		return err
	}
	return nil
}

// nowhere is a ResponseWriter for nobody.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
