package conformance

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

const (
	offered   = "Sec-WebSocket-Extensions: "
	pmd       = "permessage-deflate"
	bothFresh = "; server_no_context_takeover; client_no_context_takeover"
)

// Section 7.1: what a server answers to an offer, octet by octet, in the mode that the user
// has chosen; nil is no line at all. internal/handshake has the other policies.
func TestTheAnswerToAnOffer(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, section, line string
		takeover, fresh     []string // the answer in each mode
	}{
		{"nothing", "5", "", nil, nil},
		{"as it is", "7.1", offered + pmd + "\r\n", []string{" " + pmd}, []string{" " + pmd + bothFresh}},
		{"with no space", "9.1 of RFC 6455", offered + pmd + ";server_max_window_bits=8\r\n", []string{" " + pmd + "; server_max_window_bits=8"}, []string{" " + pmd + bothFresh + "; server_max_window_bits=8"}},
		{"all that the RFC has", "7.1", offered + pmd + "; client_max_window_bits=9; server_max_window_bits=10" + bothFresh + "\r\n",
			[]string{" " + pmd + bothFresh + "; server_max_window_bits=10; client_max_window_bits=9"}, []string{" " + pmd + bothFresh + "; server_max_window_bits=10; client_max_window_bits=9"}},
		{"server_no_context_takeover", "7.1.1.1", offered + pmd + "; server_no_context_takeover\r\n", []string{" " + pmd + "; server_no_context_takeover"}, []string{" " + pmd + bothFresh}},
		{"client_max_window_bits as a hint", "7.1.2.2", offered + pmd + "; client_max_window_bits\r\n", []string{" " + pmd}, []string{" " + pmd + bothFresh}},
		{"the example with a second choice", "7.1.3", offered + pmd + "; client_max_window_bits; server_max_window_bits=10, " + pmd + "; client_max_window_bits\r\n",
			[]string{" " + pmd + "; server_max_window_bits=10"}, []string{" " + pmd + bothFresh + "; server_max_window_bits=10"}},
		{"an invalid one and a second choice on its own line", "7.1", offered + pmd + "; server_max_window_bits=7\r\n" + offered + pmd + "\r\n", []string{" " + pmd}, []string{" " + pmd + bothFresh}},
		{"an invalid one", "7", offered + pmd + "; client_max_window_bits=16\r\n", nil, nil},
		{"another extension", "9.1 of RFC 6455", offered + "x-webkit-deflate-frame\r\n", nil, nil},
	} {
		for _, m := range []struct {
			compression chanws.Compression
			want        []string
		}{{takeover, x.takeover}, {noTakeover, x.fresh}, {chanws.CompressionDisabled, nil}} {
			t.Run(x.name, func(t *testing.T) {
				t.Logf("RFC 7692 section %s, mode %d", x.section, m.compression)
				synctest.Test(t, func(t *testing.T) {
					o := openServer(t, chanws.Options{Compression: m.compression}, x.line)
					require.NoError(t, o.err)
					require.Equal(t, m.want, extensionsIn(o.said))
				})
			})
		}
	}
}

// Section 7.1 and 5.1: what a client offers, octet by octet, and which answers it takes. It
// fails the connection on the others, and closes it.
func TestTheAnswersThatAClientTakes(t *testing.T) {
	t.Parallel()
	offers := map[chanws.Compression][]string{
		chanws.CompressionDisabled: nil,
		takeover:                   {" " + pmd + "; client_max_window_bits"},
		noTakeover:                 {" " + pmd + bothFresh + "; client_max_window_bits"},
	}
	const no, yes = "was not offered", ""
	for _, x := range []struct {
		name, line string
		// Of the modes: how the error ends; "" is none.
		disabled, takeover, fresh string
	}{
		{"none", "", yes, yes, yes},
		{"an empty one", offered + "\r\n", yes, yes, yes},
		{"as it is", offered + pmd + "\r\n", no, yes, yes},
		{"no context on either side", offered + pmd + bothFresh + "\r\n", no, yes, yes},
		{"no context of the server", offered + pmd + "; server_no_context_takeover\r\n", no, yes, yes},
		{"no context of the client", offered + pmd + "; client_no_context_takeover\r\n", no, yes, yes},
		{"the smallest windows", offered + pmd + "; server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=8\r\n", no, yes, yes},
		{"windows too small", offered + pmd + "; server_max_window_bits=7\r\n", no, "invalid value of server_max_window_bits", "invalid value of server_max_window_bits"},
		{"windows too large", offered + pmd + "; client_max_window_bits=16\r\n", no, "invalid value of client_max_window_bits", "invalid value of client_max_window_bits"},
		{"a hint, which only a client has", offered + pmd + "; client_max_window_bits\r\n", no, "invalid value of client_max_window_bits", "invalid value of client_max_window_bits"},
		{"a parameter twice", offered + pmd + "; server_no_context_takeover; server_no_context_takeover\r\n", no, "is there twice", "is there twice"},
		{"an unknown parameter", offered + pmd + "; x\r\n", no, `unknown parameter "x"`, `unknown parameter "x"`},
		{"two of the same", offered + pmd + bothFresh + ", " + pmd + bothFresh + "\r\n", no, "than the one that was offered", "than the one that was offered"},
		{"another extension", offered + "x\r\n", no, no, no},
	} {
		for compression, want := range map[chanws.Compression]string{chanws.CompressionDisabled: x.disabled, takeover: x.takeover, noTakeover: x.fresh} {
			t.Run(x.name, func(t *testing.T) {
				t.Logf("RFC 7692 section 7.1, mode %d", compression)
				synctest.Test(t, func(t *testing.T) {
					o := openClient(t, chanws.Options{Compression: compression}, x.line)
					require.Equal(t, offers[compression], extensionsIn(o.said))
					if want == "" {
						require.NoError(t, o.err)
						return
					}
					require.Nil(t, o.conn)
					require.ErrorContains(t, o.err, want)
					_, err := o.bare.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF, "the connection is still open")
				})
			})
		}
	}
}
