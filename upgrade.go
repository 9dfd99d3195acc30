package chanws

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/chanws/chanws/internal/handshake"
	"github.com/chanws/chanws/internal/server"
)

// UpgradeOptions are the settings of [Upgrade]. A zero field is the default that
// its comment names.
type UpgradeOptions struct {
	Options

	// Subprotocols lists what the server supports. The first one in the client's list
	// that is also here is chosen; names are case-sensitive. If there is none, the
	// handshake goes on without a subprotocol.
	Subprotocols []string

	// SelectSubprotocol chooses the subprotocol of each request, for servers with an
	// order of their own, or with clients that send a token beside the real names. Set it
	// instead of Subprotocols: both are an error. It is called after Authorize and returns
	// one of the names in offered, or "" for none. offered is the client's list in its
	// order of preference, empty if there is none, and may be kept and changed.
	//
	// An error refuses the request as one of Authorize does. A name that was not offered
	// is answered with 500.
	SelectSubprotocol func(r *http.Request, offered []string) (string, error)

	// Origins lists the web pages from which browsers may connect, besides those of the
	// same origin: those whose host and port are the request's own, and whose scheme is
	// https or wss if the request came by TLS. A request without an Origin header comes
	// from no browser and is admitted. Without this check any web page could use the
	// cookies that its visitor has for this server (RFC 6455 section 10.2).
	//
	// An entry with "://" is a whole origin as browsers send it, RFC 6454 section 6.2:
	// "https://app.example:8443", "capacitor://localhost", "chrome-extension://abc",
	// "file://". It is compared exactly, except that case does not count and that the
	// default port of http, https, ws and wss may be named or left out. "null" is the
	// opaque origin of files and sandboxed pages.
	//
	// An entry without "://" is the host of a page of http or https, with an optional
	// port: "example.com" is its default port, "example.com:*" every port. "*" stands for
	// any run of characters in a host, a port, or a scheme: "*.example.com" is every
	// subdomain, "https://*.example.com" leaves out plain http. The entry "*" admits every
	// origin, including "null".
	Origins []string

	// Header is added to the 101 answer, as are the headers that a handler or
	// middleware has set on the ResponseWriter before, except those about a content,
	// such as Content-Type and Content-Encoding.
	Header http.Header

	// Authorize is called when nothing else is wrong with the request; an error
	// refuses it. An [*HTTPError] in the error's chain chooses the answer; any other
	// error is 403, and the client does not see its text. What it finds out it may
	// leave in the request, by *r = *r.WithContext(ctx): [Conn.Context] keeps the
	// values, and [Conn.Request] the request.
	Authorize func(*http.Request) error

	// Group is the group that the connection belongs to. Once the group's Shutdown or
	// Close has begun, the answer is 503. Default: none.
	Group *Group
}

// An HTTPError is an answer that refuses an upgrade: returned by
// [UpgradeOptions.Authorize] or SelectSubprotocol to choose it, and found in the chain of the errors of
// [Upgrade] to tell what was answered.
type HTTPError struct {
	StatusCode int         // 300 to 599; 0 is 403
	Message    string      // body, as plain text unless Header has a Content-Type; "" is the status's text
	Header     http.Header // added to the answer
}

// Error is the status and the message.
func (e *HTTPError) Error() string {
	code := orDefault(e.StatusCode, http.StatusForbidden)
	text := fmt.Sprintf("%d %s", code, http.StatusText(code))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Upgrade answers a WebSocket handshake, RFC 6455 section 4.2, and returns the
// connection. The handler may return then: the end of the request does not end the
// connection, and [Conn.Context] keeps only the values of the request's context.
//
// w may be wrapped by middleware that has nothing but an Unwrap method, as
// [http.ResponseController] asks for. The server must speak HTTP/1.1: HTTP/2 has no
// upgrade. The connection is taken over before the answer is written, so that what
// wraps w sees a hijack, not a 101; the headers that have been set on w go out with
// the answer.
//
// Nothing may be written to w before. If the server still has it in its buffer, Upgrade
// fails with 500. net/http has sent it by then, and Upgrade cannot see it: the client
// takes it for the answer, and its handshake fails.
//
// When Upgrade fails it has written the answer, and the handler should just return.
// The error says what was wrong: it has an [*HTTPError] in its chain for what the
// client was answered, and it names the field for invalid options, which are
// answered with 500. nil opts are all defaults.
func Upgrade(w http.ResponseWriter, r *http.Request, opts *UpgradeOptions) (*Conn, error) {
	if opts == nil {
		opts = &UpgradeOptions{}
	}
	u, err := newUpgrader(opts, "UpgradeOptions")
	if err != nil {
		handshake.Refuse(w, handshake.Refusal{StatusCode: http.StatusInternalServerError})
		return nil, err
	}
	if seat := server.SeatOf(r.Context()); seat != nil {
		return u.upgrade(w, r, seat, nil)
	}
	seat := new(server.Seat)
	c, err := u.upgrade(w, r, seat, nil)
	if err == nil && u.group != nil {
		c.join(seat, (*member)(c))
	}
	return c, err
}

// An upgrader is UpgradeOptions, checked.
type upgrader struct {
	server    *handshake.Server
	settings  *settings
	authorize func(*http.Request) error
	group     *Group // or nil
}

// newUpgrader checks o; its errors name the field of the struct owner.
func newUpgrader(o *UpgradeOptions, owner string) (*upgrader, error) {
	set, err := o.Options.normalize()
	if err != nil {
		return nil, err
	}
	server, err := handshake.NewServer(handshake.ServerOptions{
		Subprotocols:      o.Subprotocols,
		SelectSubprotocol: selectSubprotocol(o.SelectSubprotocol),
		Origins:           o.Origins,
		Header:            o.Header,
		Deflate:           set.compression.policy(),
	})
	if err != nil {
		return nil, fmt.Errorf("chanws: %s.%w", owner, err)
	}
	return &upgrader{server: server, settings: set, authorize: o.Authorize, group: o.Group}, nil
}

// upgrade does the handshake of r. admit, which may be nil, is called after Authorize.
// The groups of seat and u's own have the last word before the 101; the caller has to
// join them.
func (u *upgrader) upgrade(w http.ResponseWriter, r *http.Request, seat *server.Seat, admit func() error) (c *Conn, err error) {
	if u.group != nil {
		seat.Add(&u.group.server)
	}
	reserved := false
	defer func() {
		if reserved && c == nil {
			seat.Cancel()
		}
	}()
	stream, err := u.server.Accept(w, r, func(r *http.Request) error {
		if seat.Closing() {
			return server.ShuttingDown()
		}
		if u.authorize != nil {
			if err := u.authorize(r); err != nil {
				return refusalBy(err, "Authorize")
			}
		}
		return nil
	}, func() error {
		if admit != nil {
			if err := admit(); err != nil {
				return err
			}
		}
		if reserved = seat.Reserve(); !reserved {
			return server.ShuttingDown()
		}
		return nil
	})
	if err != nil {
		return nil, upgradeError(err)
	}
	return newConn(r.Context(), stream, false, u.settings), nil // as authorize has left it
}

// selectSubprotocol makes the errors of choose answers, as those of Authorize are.
func selectSubprotocol(choose func(*http.Request, []string) (string, error)) func(*http.Request, []string) (string, error) {
	if choose == nil {
		return nil
	}
	return func(r *http.Request, offered []string) (string, error) {
		chosen, err := choose(r, offered)
		if err != nil {
			return "", refusalBy(err, "SelectSubprotocol")
		}
		return chosen, nil
	}
}

// refusalBy is the answer for an error of the user's function hook.
func refusalBy(err error, hook string) *handshake.Refusal {
	refusal := &handshake.Refusal{Err: err}
	var chosen *HTTPError
	switch {
	case !errors.As(err, &chosen):
	case chosen == nil:
		refusal.Err = errors.New("nil *HTTPError returned by " + hook + ", which is no nil error")
	default:
		refusal.StatusCode, refusal.Message, refusal.Header = chosen.StatusCode, chosen.Message, chosen.Header
	}
	return refusal
}

// upgradeError gives an error of the handshake its public form.
func upgradeError(err error) error {
	var refusal *handshake.Refusal
	if !errors.As(err, &refusal) {
		return fmt.Errorf("upgrade: %w", err)
	}
	answer := &HTTPError{StatusCode: refusal.StatusCode, Message: refusal.Message, Header: refusal.Header}
	if _, same := refusal.Err.(*HTTPError); refusal.Err == nil || same {
		return fmt.Errorf("upgrade: %w", answer)
	}
	return fmt.Errorf("upgrade: %w: %w", answer, refusal.Err)
}
