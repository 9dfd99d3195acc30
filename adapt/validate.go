package adapt

import (
	"fmt"
	"net/http"
	"strings"
)

// Validate tells what keeps a service from working, or nil: a callback that could
// never be called, a [Dispatch] without key, two routes for one type, a header that
// belongs to the handshake. Its errors match [ErrInvalidService]. Everything that
// takes a Service makes this check by itself; an [UpgradeFunc]'s services are known
// only at their upgrade, so a program that wants to know at its start asks here.
func (s *Service) Validate() error {
	_, err := compile(s)
	return err
}

// A plan is a service that has been checked.
type plan struct {
	*Service
	routes *routes // of Dispatch; nil without it
}

// compile checks s.
func compile(s *Service) (*plan, error) {
	switch {
	case s == nil:
		return nil, fmt.Errorf("adapt: %w: nil: want a *Service", ErrInvalidService)
	case s.OnMessage != nil && s.OnTextMessage != nil:
		return nil, fmt.Errorf("adapt: %w: OnMessage beside OnTextMessage: OnMessage is called for both kinds, so set one of them", ErrInvalidService)
	case s.OnMessage != nil && s.OnBinaryMessage != nil:
		return nil, fmt.Errorf("adapt: %w: OnMessage beside OnBinaryMessage: OnMessage is called for both kinds, so set one of them", ErrInvalidService)
	}
	for name := range s.Header {
		if ofHandshake(name) {
			return nil, fmt.Errorf("adapt: %w: Header %q belongs to the handshake", ErrInvalidService, name)
		}
	}
	p := &plan{Service: s}
	if s.Dispatch != nil {
		var err error
		if p.routes, err = newRoutes(s.Dispatch); err != nil {
			return nil, fmt.Errorf("adapt: %w: Dispatch: %w", ErrInvalidService, err)
		}
	}
	return p, nil
}

// ofHandshake tells whether a header of the 101 is not the user's to set.
func ofHandshake(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return strings.HasPrefix(name, "Sec-Websocket-")
}
