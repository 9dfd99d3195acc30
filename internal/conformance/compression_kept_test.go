package conformance

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/rawpeer"
	"github.com/stretchr/testify/require"
)

// A keeper compresses as Tornado 6 does, which answers "permessage-deflate" alone to
// an offer with server_no_context_takeover, and takes its context over.
type keeper struct {
	out bytes.Buffer
	w   *flate.Writer
}

func newKeeper(t *testing.T) *keeper {
	k := &keeper{}
	var err error
	k.w, err = flate.NewWriter(&k.out, flate.BestCompression)
	require.NoError(t, err)
	return k
}

func (k *keeper) frame(t *testing.T, text string) []byte {
	k.out.Reset()
	_, err := io.WriteString(k.w, text)
	require.NoError(t, err)
	require.NoError(t, k.w.Flush())
	packed := bytes.TrimSuffix(k.out.Bytes(), []byte("\x00\x00\xff\xff"))
	b := rawpeer.Encode(false, true, frame.Text, packed)
	b[0] |= rsv1
	return b
}

// RFC 7692 section 7.1.1.1 lets a server refuse to forget its context by saying
// nothing. Its messages refer to those before, and can be read.
func TestAServerThatKeepsItsContextIsRead(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "; client_no_context_takeover", "; client_max_window_bits=15"} {
		synctest.Test(t, func(t *testing.T) {
			o := openClient(t, chanws.Options{Compression: noTakeover}, offered+pmd+answer+"\r\n")
			require.NoError(t, o.err)
			require.Equal(t, []string{" " + pmd + bothFresh + "; client_max_window_bits"}, extensionsIn(o.said))
			server := newKeeper(t)
			message := strings.Repeat("a message that is like the others, ", 30)
			first := 0
			for i := range 5 {
				b := server.frame(t, message)
				if i == 0 {
					first = len(b)
				} else {
					require.Less(t, len(b), first/2, "it refers to the first")
				}
				go o.bare.Write(b)
				require.Equal(t, chanws.Text(message), <-o.conn.Events())
			}

			// The client forgets its own, as it has said.
			var ahead []byte
			for range 2 {
				go func() { o.conn.Send <- chanws.Text(message) }()
				_, payload, err := rawpeer.Next(o.bare, &ahead)
				require.NoError(t, err)
				got, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
				require.NoError(t, err)
				require.Equal(t, message, string(got))
			}
		})
	}
}

// Of a server that has said it forgets, a message that refers to others is an error.
func TestAServerThatSaysItForgetsAndDoesNotIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := openClient(t, chanws.Options{Compression: noTakeover}, offered+pmd+"; server_no_context_takeover\r\n")
		require.NoError(t, o.err)
		server := newKeeper(t)
		message := strings.Repeat("a message that is like the others, ", 30)
		go o.bare.Write(append(server.frame(t, message), server.frame(t, message)...))
		require.Equal(t, chanws.Text(message), <-o.conn.Events())
		var failed chanws.Error
		require.ErrorAs(t, (<-o.conn.Events()).(error), &failed)
		require.ErrorContains(t, failed, "1007")
	})
}
