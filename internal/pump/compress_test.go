package pump

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// A flow is what is agreed on for one direction.
type flow struct {
	bits     int
	takeover bool
}

// compressed starts both ends of a connection, one flow each way.
func compressed(t *testing.T, opts Options, level int, toServer, toClient flow) (client, server *Pump[any, any]) {
	a, b := tcpPair(t)
	start := func(isClient bool, sent, received flow) *Pump[any, any] {
		cfg := Config[any, any]{
			Context: context.Background(), Conn: b, Client: isClient, Options: &opts, Types: &testTypes,
			Compression: &Compression{
				Encoder: deflate.NewEncoder(sent.bits, sent.takeover, level),
				Decoder: deflate.NewDecoder(received.bits, received.takeover),
			},
		}
		if isClient {
			cfg.Conn = a
		}
		p := Start(cfg)
		t.Cleanup(func() { p.CloseNow() })
		return p
	}
	return start(true, toServer, toClient), start(false, toClient, toServer)
}

// TestEveryWindowWorksBothWays gives each direction its own window. The decoders take
// no distance that is beyond it.
func TestEveryWindowWorksBothWays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var messages [][]byte
	for _, size := range []int{1, 100, 1000, 3000, 300, 40_000, 500, 200_000, 700} {
		message := make([]byte, 0, size)
		for len(message) < size { // words from afar, and noise between them
			if word := r.IntN(4); word > 0 {
				message = fmt.Appendf(message, "word number %d ", r.IntN(10_000/word))
			} else {
				message = append(message, byte(r.Uint32()), byte(r.Uint32()))
			}
		}
		messages = append(messages, message)
	}
	opts := testOptions()
	for bits := deflate.MinWindowBits; bits <= deflate.MaxWindowBits; bits++ {
		for _, takeover := range []bool{false, true} {
			for _, level := range []int{1, 6} {
				t.Run(fmt.Sprintf("%d bits, takeover %v, level %d", bits, takeover, level), func(t *testing.T) {
					t.Parallel()
					client, server := compressed(t, opts, level, flow{bits, takeover}, flow{8 + 15 - bits, !takeover})
					for i, m := range messages {
						client.Send() <- bin(m)
						server.Send() <- bin(m)
						for _, p := range []*Pump[any, any]{client, server} {
							got, ok := (<-p.Events()).(bin)
							require.True(t, ok && bytes.Equal(m, got), "message %d", i)
						}
					}
					require.NoError(t, client.Close(t.Context(), 1000, ""))
				})
			}
		}
	}
}

func TestAnEndedConnectionHoldsNoWindows(t *testing.T) {
	client, server := compressed(t, testOptions(), 1, flow{15, true}, flow{15, true})
	client.Send() <- text("hello")
	require.Equal(t, text("hello"), <-server.Events())
	require.NoError(t, client.Close(t.Context(), 1000, ""))
	<-server.Context().Done()
	server.CloseNow()
	for _, p := range []*Pump[any, any]{client, server} {
		require.Nil(t, p.compression.Encoder)
		require.Nil(t, p.compression.Decoder)
	}
}

func TestACompressedPayloadMayBeSomewhatLargerThanItsMessage(t *testing.T) {
	require.EqualValues(t, 1024, compressedLimit(0))
	require.EqualValues(t, 1<<20+1<<17+1024, compressedLimit(1<<20))
	require.Equal(t, int64(None), compressedLimit(None))
	require.Equal(t, int64(None), compressedLimit(None-1))
	require.Less(t, int64(deflate.Bound(1<<20)), compressedLimit(1<<20))
}

func TestAShortHeaderLeavesNoGapBeforeACompressedPayload(t *testing.T) {
	opts := testOptions()
	a, b := tcpPair(t)
	p := Start(Config[any, any]{Context: context.Background(), Conn: b, Options: &opts, Types: &testTypes, Compression: &Compression{
		Encoder: deflate.NewEncoder(15, false, 1), Decoder: deflate.NewDecoder(15, false),
	}})
	t.Cleanup(func() { p.CloseNow() })
	peer := &peer{t: t, conn: a, mask: true}
	d := deflate.NewDecoder(15, false)
	for _, size := range []int{100, 125, 126, 1000, 16_000, 17_000, 65_535, 65_536, 100_000} { // of headers that reserve 2, 4 or 10 bytes
		message := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		p.Send() <- bin(message)
		h, payload, err := peer.receive()
		require.NoError(t, err)
		require.True(t, h.RSV1 && h.Fin && h.Opcode == frame.Binary)
		got, err := d.Decode(payload, 1<<20, newPayload)
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, got), "%d", size)
	}
}
