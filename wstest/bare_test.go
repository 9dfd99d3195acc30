package wstest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAgree_accepts_permessage_deflate_as_it_is_offered(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ behaviour, offer, want string }{
		{"no offer", "", ""},
		{"another extension", "x-other", ""},
		{"another extension first", "x-other, permessage-deflate", ""},
		{"plain", "permessage-deflate", "permessage-deflate"},
		{"parameters come back", "permessage-deflate; server_no_context_takeover;server_max_window_bits=10",
			"permessage-deflate; server_no_context_takeover; server_max_window_bits=10"},
		{"a hint does not", "permessage-deflate; client_max_window_bits", "permessage-deflate"},
		{"the first of several offers", "permessage-deflate; client_max_window_bits=9, permessage-deflate",
			"permessage-deflate; client_max_window_bits=9"},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			require.Equal(t, tc.want, agree(tc.offer))
		})
	}
}

func TestAccept_is_that_of_the_RFC(t *testing.T) {
	t.Parallel()
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept("dGhlIHNhbXBsZSBub25jZQ=="))
}
