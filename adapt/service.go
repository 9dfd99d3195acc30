package adapt

import (
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

// A Service is what is done on a connection: a callback for each kind of event. Every
// callback is optional. The callbacks of one connection run one at a time; a service
// that is shared by several connections has them run at the same time. A service must
// not be changed once it is in use.
//
// The package's documentation tells in which order callbacks come and what their
// results do.
type Service struct {
	// OnOpen is called first, before any event. Messages wait until it has returned.
	OnOpen func(*Caller) error

	// OnTextMessage and OnBinaryMessage are called for every message of their kind,
	// put together from its fragments. The bytes belong to the callback. Without
	// them, and without OnMessage, messages are ignored.
	OnTextMessage   func(*Caller, string) error
	OnBinaryMessage func(*Caller, []byte) error

	// OnMessage is called for messages of both kinds, with a [chanws.Text] or a
	// [chanws.Binary]. It excludes the two above.
	OnMessage func(*Caller, chanws.Message) error

	// OnPing and OnPong are called for control frames; pongs that answer PingInterval's
	// pings are not among them. A ping has been answered already, unless ManualPong
	// is set: then OnPing answers with [Caller.Pong]. Without OnPing a ping is
	// answered in any case.
	OnPing, OnPong func(*Caller, []byte) error

	// OnIdleTimeout is called after every whole period of Options.IdleTimeout without
	// a byte of any frame. The connection stays open, unless the callback closes it.
	OnIdleTimeout func(*Caller) error

	// OnClose is called last when the connection has ended with the peer's close
	// frame, which has been answered already: 1005 stands for one without a code.
	// 1006 is a connection that was dropped; that is no OnError.
	OnClose func(*Caller, chanws.StatusCode, string) error

	// OnError is called for everything else that goes wrong: what other callbacks
	// return, panics, messages that cannot be decoded, and, last of all, the error
	// that ended the connection. Without it errors are logged.
	OnError func(*Caller, error) error

	// Dispatch hands text messages to handlers by the type that they name. What it
	// has no route for goes to OnTextMessage, or else OnMessage.
	Dispatch *Dispatch

	// Header is added to the 101 response. A client has no use for it.
	Header http.Header
}

// An UpgradeFunc decides about a handshake: it sees the request and returns the
// service of the connection, a new one or one that is shared. It runs before the 101
// is sent, when nothing else is wrong with the request, its Origin neither. It may
// take its time; the client's handshake timeout is the limit.
//
// To refuse, it returns an error: a *[UpgradeError] chooses the answer, an
// *[AuthnError] is 401, an *[AuthzError] 403, and any other error is 400 with its
// text as body. A panic is 500 without a text, or what an error of those kinds says
// when that was the value. A nil service, and one that cannot work, is 500 with the
// text of [Service.Validate]'s error as body, because without a Logger nobody else
// reports the mistake.
type UpgradeFunc func(*http.Request) (*Service, error)

// ServiceConfig is the settings of a service. A nil pointer and zero fields are the
// defaults, which are the module's where they differ from those of package chanws:
//
//   - MaxFrameSize and FragmentSize: 65536;
//   - CloseTimeout: 60 s, which a peer that stopped reading gets too after WriteTimeout;
//   - Compression: on, [chanws.CompressionContextTakeover];
//   - MaxMessageSize: 1 MiB, where the module has no limit.
type ServiceConfig struct {
	chanws.Options

	// Subprotocols are those that the service speaks; see [chanws.UpgradeOptions].
	Subprotocols []string
	// SelectSubprotocol chooses instead of Subprotocols; see [chanws.UpgradeOptions]. It
	// is called after the UpgradeFunc. Its errors and panics are answered as those of
	// Authorize are.
	SelectSubprotocol func(r *http.Request, offered []string) (string, error)
	// Origins are the web pages from which browsers may connect besides those of the
	// same origin; see [chanws.UpgradeOptions].
	Origins []string
	// Authorize is called before the UpgradeFunc and may refuse the handshake as that
	// does, but an error of no special kind is 403 and stays hidden.
	Authorize func(*http.Request) error
	// Validate is called with every value that [JSON], [JSONMessage] or [JSONStream]
	// has decoded. Its error keeps the value from the handler and reaches OnError as
	// a *[chanws.ValidationError]; the connection stays open. Default none.
	Validate func(any) error
	// Group is a group that the connections belong to, besides that of their
	// [Listener]. Its Shutdown does for them what [Listener.GracefulStop] does.
	// Default: none.
	Group *chanws.Group
}

// ClientConfig is the settings of a client. A nil pointer and zero fields are the
// defaults, which are those of [ServiceConfig]. When Subprotocols are offered, the
// server must choose one, as in the module.
type ClientConfig struct {
	chanws.DialOptions

	// Retry makes the client connect again when its connection has ended, as far as the
	// policy says so; nil: it does not. See [NewAsyncClient].
	Retry *chanws.RedialPolicy
	// Validate is as in [ServiceConfig].
	Validate func(any) error
}

const (
	defaultFrameSize    = 65536
	defaultCloseTimeout = 60 * time.Second
)

// withDefaults fills in the module's defaults.
func withDefaults(o chanws.Options) chanws.Options {
	if o.MaxFrameSize == 0 {
		o.MaxFrameSize = defaultFrameSize
	}
	if o.FragmentSize == 0 {
		o.FragmentSize = defaultFrameSize
	}
	if o.CloseTimeout == 0 {
		o.CloseTimeout = defaultCloseTimeout
	}
	if o.Compression == chanws.CompressionDefault {
		o.Compression = chanws.CompressionContextTakeover
	}
	return o
}

// upgradeOptions are what a handshake is made with; Authorize is still to be set.
func (cfg *ServiceConfig) upgradeOptions() chanws.UpgradeOptions {
	return chanws.UpgradeOptions{
		Options:           withDefaults(cfg.Options),
		Subprotocols:      cfg.Subprotocols,
		SelectSubprotocol: cfg.SelectSubprotocol,
		Origins:           cfg.Origins,
		Group:             cfg.Group,
	}
}

// dialOptions are what a connection is made with.
func (cfg *ClientConfig) dialOptions() chanws.DialOptions {
	opts := cfg.DialOptions
	opts.Options = withDefaults(cfg.Options)
	if len(opts.Subprotocols) > 0 {
		opts.RequireSubprotocol = true
	}
	return opts
}
