package handshake

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// everything is an agreement without restrictions.
var everything = Deflate{ServerTakeover: true, ClientTakeover: true, ServerBits: 15, ClientBits: 15}

// less is everything, changed.
func less(change func(*Deflate)) *Deflate {
	d := everything
	change(&d)
	return &d
}

func TestAServerAnswersAnOffer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy DeflatePolicy
		offers []string
		answer string
		agreed *Deflate
	}{
		{"plain", DeflatePolicy{}, []string{"permessage-deflate"}, "permessage-deflate", &everything},
		{"client_max_window_bits without a value", DeflatePolicy{}, []string{"permessage-deflate; client_max_window_bits"}, "permessage-deflate", &everything},
		{"client_max_window_bits with a value", DeflatePolicy{}, []string{"permessage-deflate; client_max_window_bits=10"},
			"permessage-deflate; client_max_window_bits=10", less(func(d *Deflate) { d.ClientBits = 10 })},
		{"server_max_window_bits is honoured", DeflatePolicy{}, []string{"permessage-deflate; server_max_window_bits=8"},
			"permessage-deflate; server_max_window_bits=8", less(func(d *Deflate) { d.ServerBits = 8 })},
		{"a quoted value", DeflatePolicy{}, []string{`permessage-deflate; server_max_window_bits="10"`},
			"permessage-deflate; server_max_window_bits=10", less(func(d *Deflate) { d.ServerBits = 10 })},
		{"server_max_window_bits of 15 is confirmed", DeflatePolicy{}, []string{"permessage-deflate; server_max_window_bits=15"},
			"permessage-deflate; server_max_window_bits=15", &everything},
		{"server_no_context_takeover", DeflatePolicy{}, []string{"permessage-deflate; server_no_context_takeover"},
			"permessage-deflate; server_no_context_takeover", less(func(d *Deflate) { d.ServerTakeover = false })},
		{"client_no_context_takeover is granted", DeflatePolicy{}, []string{"permessage-deflate; client_no_context_takeover"},
			"permessage-deflate; client_no_context_takeover", less(func(d *Deflate) { d.ClientTakeover = false })},
		{"all of them, in another order", DeflatePolicy{},
			[]string{"permessage-deflate; client_max_window_bits=9; server_max_window_bits=11; client_no_context_takeover; server_no_context_takeover"},
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=9",
			&Deflate{ServerBits: 11, ClientBits: 9}},

		{"a server that takes nothing over", DeflatePolicy{ServerNoTakeover: true, ClientNoTakeover: true}, []string{"permessage-deflate"},
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover", &Deflate{ServerBits: 15, ClientBits: 15}},
		{"a server with a small window", DeflatePolicy{ServerBits: 9}, []string{"permessage-deflate"},
			"permessage-deflate; server_max_window_bits=9", less(func(d *Deflate) { d.ServerBits = 9 })},
		{"a client that wants a smaller one", DeflatePolicy{ServerBits: 10}, []string{"permessage-deflate; server_max_window_bits=9"},
			"permessage-deflate; server_max_window_bits=9", less(func(d *Deflate) { d.ServerBits = 9 })},
		{"a client that allows a larger one", DeflatePolicy{ServerBits: 10}, []string{"permessage-deflate; server_max_window_bits=12"},
			"permessage-deflate; server_max_window_bits=10", less(func(d *Deflate) { d.ServerBits = 10 })},
		{"a server that limits the client", DeflatePolicy{ClientBits: 9}, []string{"permessage-deflate; client_max_window_bits"},
			"permessage-deflate; client_max_window_bits=9", less(func(d *Deflate) { d.ClientBits = 9 })},
		{"a client with a smaller limit", DeflatePolicy{ClientBits: 10}, []string{"permessage-deflate; client_max_window_bits=9"},
			"permessage-deflate; client_max_window_bits=9", less(func(d *Deflate) { d.ClientBits = 9 })},
		{"a client that cannot be limited", DeflatePolicy{ClientBits: 9}, []string{"permessage-deflate"}, "permessage-deflate", &everything},

		{"no offer", DeflatePolicy{}, nil, "", nil},
		{"another extension", DeflatePolicy{}, []string{"permessage-bzip2; x"}, "", nil},
		{"another case", DeflatePolicy{}, []string{"Permessage-Deflate"}, "", nil},
		{"another extension before", DeflatePolicy{}, []string{"x, permessage-deflate"}, "permessage-deflate", &everything},
		{"the first of several", DeflatePolicy{}, []string{"permessage-deflate; server_max_window_bits=10, permessage-deflate"},
			"permessage-deflate; server_max_window_bits=10", less(func(d *Deflate) { d.ServerBits = 10 })},
		{"the first that is acceptable", DeflatePolicy{}, []string{"permessage-deflate; x, permessage-deflate; server_no_context_takeover, permessage-deflate"},
			"permessage-deflate; server_no_context_takeover", less(func(d *Deflate) { d.ServerTakeover = false })},
		{"in several lines", DeflatePolicy{}, []string{"permessage-deflate; x", "y", "permessage-deflate"}, "permessage-deflate", &everything},
	} {
		t.Run(tc.name, func(t *testing.T) {
			offers, err := parseExtensions(extensionHeader(tc.offers...))
			require.NoError(t, err)
			agreed, answer := tc.policy.choose(offers)
			require.Equal(t, tc.answer, answer)
			require.Equal(t, tc.agreed, agreed)
		})
	}
}

// wrongParams are parameters that neither an offer nor an answer may have.
var wrongParams = []string{
	"x", "x=1", "server_no_context_takeover=1", "client_no_context_takeover=true", `server_no_context_takeover="1"`,
	"server_no_context_takeover; server_no_context_takeover", "client_no_context_takeover; client_no_context_takeover",
	"server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08",
	"server_max_window_bits=+9", "server_max_window_bits=ten", "server_max_window_bits=99999999999999999999",
	"server_max_window_bits=10; server_max_window_bits=10",
	"client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=010", "client_max_window_bits=1O",
	"client_max_window_bits=9; client_max_window_bits=9",
	"Server_no_context_takeover",
}

func TestAServerDeclinesWhatIsNotValid(t *testing.T) {
	for _, params := range append(wrongParams, "client_max_window_bits; client_max_window_bits=9") {
		offers, err := parseExtensions(extensionHeader("permessage-deflate; " + params))
		require.NoError(t, err, params)
		agreed, answer := DeflatePolicy{}.choose(offers)
		require.Nil(t, agreed, params)
		require.Empty(t, answer, params)
	}
}

func TestAClientHoldsTheAnswerAgainstItsOffer(t *testing.T) {
	whole := &DeflateOffer{ClientBits: AnyBits}
	for _, tc := range []struct {
		name   string
		offer  *DeflateOffer
		answer []string
		agreed *Deflate
		wrong  string
	}{
		{"no answer", whole, nil, nil, ""},
		{"an empty answer", whole, []string{"", ","}, nil, ""},
		{"plain", whole, []string{"permessage-deflate"}, &everything, ""},
		{"parameters that need no offer", whole, []string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"},
			&Deflate{ServerBits: 9, ClientBits: 15}, ""},
		{"the client's bits", whole, []string{`permessage-deflate; client_max_window_bits="8"`}, less(func(d *Deflate) { d.ClientBits = 8 }), ""},
		{"the client's bits within the offer", &DeflateOffer{ClientBits: 10}, []string{"permessage-deflate; client_max_window_bits=9"}, less(func(d *Deflate) { d.ClientBits = 9 }), ""},
		{"the client's bits left as they were offered", &DeflateOffer{ClientBits: 10}, []string{"permessage-deflate"}, less(func(d *Deflate) { d.ClientBits = 10 }), ""},
		{"the server's bits within the offer", &DeflateOffer{ServerBits: 10}, []string{"permessage-deflate; server_max_window_bits=10"}, less(func(d *Deflate) { d.ServerBits = 10 }), ""},
		{"a client that takes nothing over, whatever the answer", &DeflateOffer{ClientNoTakeover: true}, []string{"permessage-deflate"}, less(func(d *Deflate) { d.ClientTakeover = false }), ""},
		{"server_no_context_takeover as offered", &DeflateOffer{ServerNoTakeover: true}, []string{"permessage-deflate; server_no_context_takeover"}, less(func(d *Deflate) { d.ServerTakeover = false }), ""},
		{"a server that keeps its context against the offer", &DeflateOffer{ServerNoTakeover: true}, []string{"permessage-deflate"}, &everything, ""},
		{"a server that keeps its context, in a small window", &DeflateOffer{ServerNoTakeover: true}, []string{"permessage-deflate; server_max_window_bits=9"}, less(func(d *Deflate) { d.ServerBits = 9 }), ""},

		{"without an offer", nil, []string{"permessage-deflate"}, nil, "not offered"},
		{"another extension", whole, []string{"x"}, nil, `"x", which was not offered`},
		{"another one besides", whole, []string{"permessage-deflate, x"}, nil, "another extension"},
		{"the same twice", whole, []string{"permessage-deflate", "permessage-deflate"}, nil, "another extension"},
		{"malformed", whole, []string{"permessage-deflate;"}, nil, "not of the form"},
		{"client_max_window_bits without a value", whole, []string{"permessage-deflate; client_max_window_bits"}, nil, "invalid value"},
		{"client_max_window_bits without an offer", &DeflateOffer{}, []string{"permessage-deflate; client_max_window_bits=15"}, nil, "not offered"},
		{"client_max_window_bits above the offer", &DeflateOffer{ClientBits: 9}, []string{"permessage-deflate; client_max_window_bits=10"}, nil, "more than the 9"},
		{"server_max_window_bits above the offer", &DeflateOffer{ServerBits: 9}, []string{"permessage-deflate; server_max_window_bits=10"}, nil, "more than the 9"},
		{"server_max_window_bits missing", &DeflateOffer{ServerBits: 9}, []string{"permessage-deflate"}, nil, "server_max_window_bits is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agreed, err := tc.offer.accept(extensionHeader(tc.answer...))
			require.Equal(t, tc.agreed, agreed)
			if tc.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.wrong)
		})
	}
	for _, params := range wrongParams {
		_, err := whole.accept(extensionHeader("permessage-deflate; " + params))
		require.ErrorContains(t, err, "the server's answer", params)
	}
}

// TestEveryOfferAndEveryPolicyAgree lets both sides negotiate in all combinations, and
// holds the results against each other and against what each side wants.
func TestEveryOfferAndEveryPolicyAgree(t *testing.T) {
	bits := []int{0, 8, 9, 14, 15}
	both := []bool{false, true}
	for _, serverNo := range both {
		for _, clientNo := range both {
			for _, serverBits := range bits {
				for _, clientBits := range append(bits, AnyBits) {
					offer := DeflateOffer{serverNo, clientNo, serverBits, clientBits}
					negotiate(t, offer, DeflatePolicy{})
					negotiate(t, offer, DeflatePolicy{true, false, 10, 12})
					negotiate(t, offer, DeflatePolicy{false, true, 12, 9})
				}
			}
		}
	}
}

func negotiate(t *testing.T, o DeflateOffer, p DeflatePolicy) {
	name := fmt.Sprintf("%v with %+v", o, p)
	offers, err := parseExtensions(extensionHeader(o.String()))
	require.NoError(t, err, name)
	server, answer := p.choose(offers)
	require.NotNil(t, server, name)
	client, err := o.accept(extensionHeader(answer))
	require.NoError(t, err, name)
	require.Equal(t, server, client, name)
	require.Equal(t, !o.ServerNoTakeover && !p.ServerNoTakeover, client.ServerTakeover, name)
	require.Equal(t, !o.ClientNoTakeover && !p.ClientNoTakeover, client.ClientTakeover, name)
	require.LessOrEqual(t, client.ServerBits, lessBits(o.ServerBits, lessBits(p.ServerBits, 15)), name)
	require.LessOrEqual(t, client.ClientBits, lessBits(o.ClientBits, 15), name)
}

func TestAcceptAnswersTheOfferInThe101(t *testing.T) {
	t.Parallel()
	handler, results := acceptor(t, ServerOptions{Deflate: &DeflatePolicy{}}, nil)
	server := httpServer(t, handler)
	answer, _, _ := exchange(t, server, goodRequest+
		"Sec-WebSocket-Extensions: x, permessage-deflate; y\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.Equal(t, []string{"permessage-deflate; server_max_window_bits=9"}, answer.Header[extensionsHeader])
	result := <-results
	require.NoError(t, result.err)
	require.Equal(t, less(func(d *Deflate) { d.ServerBits = 9 }), result.stream.Deflate)

	answer, _, _ = exchange(t, server, goodRequest+"\r\n")
	require.Equal(t, 101, answer.StatusCode)
	require.NotContains(t, answer.Header, extensionsHeader)
	require.Nil(t, (<-results).stream.Deflate)
}

func TestAcceptRefusesExtensionsThatAreNoneWithAndWithoutCompression(t *testing.T) {
	t.Parallel()
	for _, policy := range []*DeflatePolicy{nil, {}} {
		handler, results := acceptor(t, ServerOptions{Deflate: policy}, nil)
		answer, body, _ := exchange(t, httpServer(t, handler), goodRequest+"Sec-WebSocket-Extensions: permessage-deflate; =\r\n\r\n")
		require.Equal(t, http.StatusBadRequest, answer.StatusCode)
		require.Contains(t, body, "RFC 6455 section 9.1")
		require.Error(t, (<-results).err)
	}
}

func TestDialOffersAndTakesTheAnswer(t *testing.T) {
	t.Parallel()
	offers := make(chan []string, 1)
	server := badServer(t, func(c net.Conn, req *http.Request) {
		offers <- req.Header[extensionsHeader]
		_, _ = io.WriteString(c, header101(req, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9"))
	})
	offer := &DeflateOffer{ClientNoTakeover: true, ClientBits: AnyBits}
	s, err := Dial(t.Context(), server.url("/"), ClientOptions{Deflate: offer})
	require.NoError(t, err)
	closeLater(t, s)
	const offered = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
	require.Equal(t, []string{offered}, <-offers)
	require.Equal(t, offered, s.Request.Header.Get(extensionsHeader))
	require.Equal(t, "permessage-deflate; client_max_window_bits=9", s.Response.Header.Get(extensionsHeader))
	require.Equal(t, &Deflate{ServerTakeover: true, ServerBits: 15, ClientBits: 9}, s.Deflate)
}

func TestDialFailsOnAnAnswerThatWasNotOffered(t *testing.T) {
	t.Parallel()
	server := badServer(t, answer101("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9"))
	s, err := Dial(t.Context(), server.url("/"), ClientOptions{Deflate: &DeflateOffer{}})
	require.Nil(t, s)
	var answer *ResponseError
	require.ErrorAs(t, err, &answer)
	require.ErrorContains(t, err, "client_max_window_bits was not offered")
	server.gone(t)
}

func TestAuthorizeCannotChangeTheOffer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header){
		"replaced":              func(h http.Header) { h.Set("Sec-WebSocket-Extensions", "permessage-deflate") },
		"taken away":            func(h http.Header) { h.Del("Sec-WebSocket-Extensions") },
		"added to":              func(h http.Header) { h.Add("Sec-WebSocket-Extensions", "x") },
		"added in another case": func(h http.Header) { h["sec-websocket-extensions"] = []string{"x"} },
		"changed in its place":  func(h http.Header) { h[extensionsHeader][0] = "x" },
	} {
		for _, offer := range []*DeflateOffer{nil, {ClientBits: AnyBits}} {
			if offer == nil && (name == "taken away" || name == "changed in its place") {
				continue
			}
			server := badServer(t, answer101())
			_, err := Dial(t.Context(), server.url("/"), ClientOptions{Deflate: offer, Authorize: func(_ context.Context, req *http.Request) error {
				change(req.Header)
				return nil
			}})
			require.ErrorContains(t, err, "belongs to the handshake", name)
		}
	}
}
