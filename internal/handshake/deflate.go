package handshake

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const deflateName = "permessage-deflate"

// The parameters of permessage-deflate, RFC 7692 section 7.1.
const (
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverMaxBits    = "server_max_window_bits"
	clientMaxBits    = "client_max_window_bits"
)

const (
	minWindowBits = 8
	maxWindowBits = 15
)

// Deflate is what both sides have agreed on: for the messages of each side whether it
// may refer to earlier ones, and how far back. The bits are 8 to 15.
type Deflate struct {
	ServerTakeover, ClientTakeover bool
	ServerBits, ClientBits         int
}

// A DeflateOffer is what a client asks for. Bits of 0 say nothing about them.
type DeflateOffer struct {
	ServerNoTakeover bool // the server must not take its context over
	ClientNoTakeover bool // the client will not
	ServerBits       int  // at most these, 8 to 15
	// ClientBits lets the server choose the client's bits: at most these, 8 to 15, or
	// any with AnyBits.
	ClientBits int
}

// AnyBits as an offer's ClientBits leaves them all to the server.
const AnyBits = -1

// String gives the offer as an element of the header.
func (o DeflateOffer) String() string {
	e := extension{name: deflateName}
	e.flag(serverNoTakeover, o.ServerNoTakeover)
	e.flag(clientNoTakeover, o.ClientNoTakeover)
	e.bits(serverMaxBits, o.ServerBits)
	if o.ClientBits == AnyBits {
		e.flag(clientMaxBits, true)
	} else {
		e.bits(clientMaxBits, o.ClientBits)
	}
	return e.String()
}

func (e *extension) flag(name string, set bool) {
	if set {
		e.params = append(e.params, extensionParam{name: name})
	}
}

func (e *extension) bits(name string, bits int) {
	if bits > 0 {
		e.params = append(e.params, extensionParam{name: name, value: strconv.Itoa(bits), valued: true})
	}
}

// deflateParams are the parameters of an offer or an answer. Bits of 0 are not there,
// and AnyBits have no value.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
}

// parseDeflate reads the parameters of an offer, or of an answer: in that all bits
// must have a value. An unknown parameter, one that is there twice, and an invalid
// value are errors; RFC 7692 section 7.1.
func parseDeflate(e extension, answer bool) (p deflateParams, err error) {
	seen := map[string]bool{}
	for _, param := range e.params {
		if seen[param.name] {
			return p, fmt.Errorf("%s is there twice", param.name)
		}
		seen[param.name] = true
		bits, valid := windowBits(param)
		switch param.name {
		case serverNoTakeover:
			p.serverNoTakeover, valid = true, !param.valued
		case clientNoTakeover:
			p.clientNoTakeover, valid = true, !param.valued
		case serverMaxBits:
			p.serverBits = bits
		case clientMaxBits:
			p.clientBits = bits
			if !param.valued && !answer {
				p.clientBits, valid = AnyBits, true
			}
		default:
			return p, fmt.Errorf("unknown parameter %s", quote(param.name))
		}
		if !valid {
			return p, fmt.Errorf("invalid value of %s", param.name)
		}
	}
	return p, nil
}

// windowBits reads 8 to 15, as a decimal number without leading zeros.
func windowBits(p extensionParam) (bits int, ok bool) {
	for bits := minWindowBits; bits <= maxWindowBits; bits++ {
		if p.valued && p.value == strconv.Itoa(bits) {
			return bits, true
		}
	}
	return 0, false
}

// accept holds the server's answer against the offer, RFC 7692 section 7.1 and RFC
// 6455 section 9.1. nil without an error means that the server wants no extension. A
// nil offer accepts nothing else.
//
// A server that was asked for no context takeover and does not confirm it, as Tornado 6
// does, keeps its context. Its messages can be read all the same, at the price of
// memory, so the connection goes on.
func (o *DeflateOffer) accept(h http.Header) (*Deflate, error) {
	answers, err := parseExtensions(h)
	if err != nil || len(answers) == 0 {
		return nil, err
	}
	first := answers[0]
	if o == nil || first.name != deflateName {
		return nil, fmt.Errorf("the server chose the extension %s, which was not offered", quote(strings.Join(h[extensionsHeader], ", ")))
	}
	wrong := func(err error) (*Deflate, error) {
		return nil, fmt.Errorf("the server's answer %s: %w", quote(first.String()), err)
	}
	if len(answers) > 1 {
		return nil, fmt.Errorf("the server chose another extension, %s, than the one that was offered", quote(answers[1].String()))
	}
	p, err := parseDeflate(first, true)
	switch {
	case err != nil:
		return wrong(err)
	case o.ServerBits > 0 && p.serverBits == 0:
		return wrong(fmt.Errorf("%s is missing", serverMaxBits))
	case o.ServerBits > 0 && p.serverBits > o.ServerBits:
		return wrong(fmt.Errorf("%s is more than the %d that were offered", serverMaxBits, o.ServerBits))
	case o.ClientBits == 0 && p.clientBits > 0:
		return wrong(fmt.Errorf("%s was not offered", clientMaxBits))
	case o.ClientBits > 0 && p.clientBits > o.ClientBits:
		return wrong(fmt.Errorf("%s is more than the %d that were offered", clientMaxBits, o.ClientBits))
	}
	return &Deflate{
		ServerTakeover: !p.serverNoTakeover,
		ClientTakeover: !p.clientNoTakeover && !o.ClientNoTakeover,
		ServerBits:     lessBits(p.serverBits, maxWindowBits),
		ClientBits:     lessBits(p.clientBits, lessBits(o.ClientBits, maxWindowBits)),
	}, nil
}

// lessBits gives the smaller one; 0 and AnyBits are no limit.
func lessBits(bits, most int) int {
	if bits <= 0 {
		return most
	}
	return min(bits, most)
}

// A DeflatePolicy is what a server wants. The zero value takes everything over, with
// the largest windows.
type DeflatePolicy struct {
	ServerNoTakeover bool // the server will not take its context over
	ClientNoTakeover bool // the client must not
	// ServerBits is the most that the server uses, 0 being 15. ClientBits is the most
	// that the client may use, if it lets the server choose; 0: the client's own choice.
	ServerBits, ClientBits int
}

// choose takes the first offer of permessage-deflate that it can accept, RFC 7692
// section 5.1, and gives the answer's element of the header. nil means that there is
// none: the connection goes on without.
func (p DeflatePolicy) choose(offers []extension) (*Deflate, string) {
	for _, e := range offers {
		if e.name != deflateName {
			continue
		}
		offered, err := parseDeflate(e, false)
		if err != nil {
			continue
		}
		return p.answer(offered)
	}
	return nil, ""
}

// answer accepts an offer. What it asks of the server is granted, and that the client
// takes nothing over is too: some clients insist that they are told so.
func (p DeflatePolicy) answer(offered deflateParams) (*Deflate, string) {
	d := &Deflate{
		ServerTakeover: !offered.serverNoTakeover && !p.ServerNoTakeover,
		ClientTakeover: !offered.clientNoTakeover && !p.ClientNoTakeover,
		ServerBits:     lessBits(offered.serverBits, lessBits(p.ServerBits, maxWindowBits)),
		ClientBits:     maxWindowBits,
	}
	if offered.clientBits != 0 {
		d.ClientBits = lessBits(offered.clientBits, lessBits(p.ClientBits, maxWindowBits))
	}
	e := extension{name: deflateName}
	e.flag(serverNoTakeover, !d.ServerTakeover)
	e.flag(clientNoTakeover, !d.ClientTakeover)
	if offered.serverBits > 0 || d.ServerBits < maxWindowBits {
		e.bits(serverMaxBits, d.ServerBits)
	}
	if offered.clientBits > 0 || d.ClientBits < maxWindowBits {
		e.bits(clientMaxBits, d.ClientBits)
	}
	return d, e.String()
}
