package interop

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// corpus is what is sent compressed: small JSON of one kind, text, and what nothing can
// compress, in turns.
func corpus(t *testing.T) []dataMessage {
	r := rand.New(rand.NewPCG(1, 1))
	noise := func(size int) dataMessage {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return dataMessage{binary: true, data: b}
	}
	prices := func(n int) dataMessage {
		var all []map[string]any
		for range n {
			all = append(all, map[string]any{"symbol": fmt.Sprint("S", r.IntN(50)), "price": r.IntN(100_000), "time": r.Int64N(1 << 40), "side": "buy"})
		}
		b, err := json.Marshal(all)
		require.NoError(t, err)
		return dataMessage{data: b}
	}
	return []dataMessage{
		{}, {data: []byte("a")}, prices(1), prices(2), prices(10), noise(100), prices(12), noise(3000),
		prices(15), prices(600), noise(70_000), prices(17), {data: payload(20_000)}, prices(20_000),
		{binary: true, data: make([]byte, 1<<20)}, prices(11), {binary: true}, noise(1), prices(16), prices(16),
	}
}

// eachGoCompression runs a test for every mode of every library of Go that has
// compression, in both roles, and for every window of gws too.
func eachGoCompression(t *testing.T, test func(t *testing.T, a arrangement)) {
	for _, lib := range []library{gorillaLibrary, coderLibrary, gwsLibrary} {
		for _, set := range []goDeflate{
			{}, {takeover: true},
			{bits: 8}, {bits: 9}, {bits: 12}, {bits: 15},
			{takeover: true, bits: 8}, {takeover: true, bits: 9}, {takeover: true, bits: 12}, {takeover: true, bits: 15},
		} {
			if set.bits > 0 && lib.name != gwsLibrary.name || set.takeover && lib.name == gorillaLibrary.name {
				continue // it has no such thing
			}
			for _, mode := range []chanws.Compression{chanws.CompressionNoContextTakeover, chanws.CompressionContextTakeover} {
				for _, server := range []bool{false, true} {
					name := fmt.Sprintf("%s, takeover %v, %d bits, our mode %d, chanws is the server: %v", lib.name, set.takeover, set.bits, mode, server)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						test(t, arrangement{
							library: lib, server: server, goDeflate: &set,
							options: chanws.Options{Compression: mode, MaxMessageSize: 4 << 20},
						})
					})
				}
			}
		}
	}
}

func TestCompressedMessagesOfGoArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	messages := corpus(t)
	eachGoCompression(t, func(t *testing.T, a arrangement) {
		exchangeCompressed(t, a, messages, 1.0/3)
	})
}

func TestLargeCompressedMessagesOfGoArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	messages := largeMessages()
	eachGoCompression(t, func(t *testing.T, a arrangement) {
		if *everyCombination || a.options.Compression == chanws.CompressionContextTakeover && (a.goDeflate.bits == 0 || a.goDeflate.bits == 8) {
			exchangeCompressed(t, a, messages, 0.9)
		}
	})
}

// TestALibraryWithoutCompressionIsSpokenToWithout is about a peer that declines.
func TestALibraryWithoutCompressionIsSpokenToWithout(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		a.options = chanws.Options{Compression: chanws.CompressionContextTakeover}
		exchange(t, a, []dataMessage{{data: payload(5000)}, {binary: true, data: payload(5000)}})
	})
}
