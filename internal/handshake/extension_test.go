package handshake

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func extensionHeader(lines ...string) http.Header { return http.Header{extensionsHeader: lines} }

func TestExtensionsAreRead(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string // as String gives them
	}{
		{"no header", nil, nil},
		{"an empty header", []string{""}, nil},
		{"a name", []string{"a"}, []string{"a"}},
		{"parameters", []string{"a; b; c=d"}, []string{"a; b; c=d"}},
		{"space and none", []string{" a;b ; c = d\t,e"}, []string{"a; b; c=d", "e"}},
		{"a quoted value", []string{`a; b="10"`}, []string{"a; b=10"}},
		{"a quoted value with an escape", []string{`a; b="1\0"`}, []string{"a; b=10"}},
		{"several in one line", []string{"a, b;c,d"}, []string{"a", "b; c", "d"}},
		{"several lines", []string{"a", "b, c"}, []string{"a", "b", "c"}},
		{"empty elements", []string{", ,a,,b,", ""}, []string{"a", "b"}},
		{"the same name again", []string{"a; b, a"}, []string{"a; b", "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all, err := parseExtensions(extensionHeader(tc.lines...))
			require.NoError(t, err)
			var got []string
			for _, e := range all {
				got = append(got, e.String())
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestMalformedExtensionsAreTold(t *testing.T) {
	for _, line := range []string{
		";", "=", "a;", "a; ;b", "a b", "a; b c", "a; =1", "a; b=", "a; b= ;c", "a/b", "a; b=1 2", "a=1",
		`a; b="`, `a; b="1`, `a; b=""`, `a; b="1 2"`, `a; b="1,2"`, `a; b="1\`, `a; b="1"2`, `"a"`, "ä", "a, b;",
	} {
		_, err := parseExtensions(extensionHeader("ok", line))
		require.ErrorContains(t, err, "not of the form", "%s", line)
		require.ErrorContains(t, err, quote(line))
	}
}

func FuzzExtensions(f *testing.F) {
	f.Add(`permessage-deflate; client_max_window_bits; server_max_window_bits="10", x;y="\z"`)
	f.Add("a,,b;c=d;")
	f.Add("permessage-deflate; server_no_context_takeover; client_max_window_bits=8, permessage-deflate; client_no_context_takeover")
	f.Fuzz(func(t *testing.T, line string) {
		all, err := parseExtensions(extensionHeader(line))
		if err != nil {
			return
		}
		for _, e := range all {
			again, err := parseExtensions(extensionHeader(e.String()))
			require.NoError(t, err)
			require.Len(t, again, 1)
			require.Equal(t, e, again[0])
		}
		for _, policy := range []DeflatePolicy{{}, {true, true, 0, 0}, {false, true, 9, 10}} {
			requireAgreement(t, all, policy)
		}
	})
}

// requireAgreement requires that the client whose offer a server has chosen takes the answer,
// and that both understand the same by it.
func requireAgreement(t *testing.T, offers []extension, policy DeflatePolicy) {
	server, answer := policy.choose(offers)
	for _, e := range offers {
		p, err := parseDeflate(e, false)
		if e.name != deflateName || err != nil {
			continue
		}
		require.NotNil(t, server, "a valid offer is not chosen")
		offer := DeflateOffer{p.serverNoTakeover, p.clientNoTakeover, p.serverBits, p.clientBits}
		client, err := offer.accept(extensionHeader(answer))
		require.NoError(t, err)
		require.Equal(t, server, client)
		return
	}
	require.Nil(t, server)
	require.Empty(t, answer)
}
