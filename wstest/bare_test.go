package wstest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
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

func TestBare_handshakes_leave_the_first_frames_to_the_test(t *testing.T) {
	t.Parallel()
	const frames = "\x81\x05hello\x89\x00"
	first := func(c *conn) string {
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
	t.Run("behind the answer", func(t *testing.T) {
		near, far := newPipe(t)
		go func() {
			r, err := http.ReadRequest(bufio.NewReader(far))
			if err == nil {
				fmt.Fprintf(far, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %s\r\n\r\n%s", accept(r.Header.Get("Sec-WebSocket-Key")), frames)
			}
		}()
		require.NoError(t, request(near, nil))
		require.Equal(t, frames, first(near))
	})
	t.Run("behind the request", func(t *testing.T) {
		near, far := newPipe(t)
		io.WriteString(near, "GET / HTTP/1.1\r\nHost: server.test\r\nSec-WebSocket-Key: x\r\n\r\n"+frames)
		require.NoError(t, answer(far))
		require.Equal(t, frames, first(far))
	})
}

func TestBare_handshakes_that_break_the_protocol_fail(t *testing.T) {
	t.Parallel()
	for behaviour, text := range map[string]string{
		"wrong accept": "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n",
		"no HTTP":      "\r\n\r\n",
		"no answer":    "",
	} {
		t.Run(behaviour, func(t *testing.T) {
			near, far := newPipe(t)
			io.WriteString(far, text)
			far.CloseWrite()
			require.Error(t, request(near, nil))
		})
	}
	for behaviour, text := range map[string]string{
		"no key":  "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n",
		"no HTTP": "\r\n\r\n",
	} {
		t.Run(behaviour, func(t *testing.T) {
			near, far := newPipe(t)
			io.WriteString(near, text)
			require.Error(t, answer(far))
			_, err := io.ReadAll(near)
			require.NoError(t, err) // closed
		})
	}
}
