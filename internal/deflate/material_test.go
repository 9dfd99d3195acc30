package deflate

import (
	"bytes"
	"compress/flate"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
	"github.com/stretchr/testify/require"
)

var messagesOfEveryKind = flag.Int("messages", 10_000, "how many messages of every kind of data to compress and decompress")

// A conversation of messages is one direction of a connection with parameters of its own.
const conversationLength = 20

// TestMessagesOfEveryKindComeBack sends data of many distributions and sizes, with every
// window, mode and level, and reads it with this package, with the standard library,
// and, one connection in sixteen, with a reader that checks the distances.
func TestMessagesOfEveryKindComeBack(t *testing.T) {
	const workers = 8
	messages := *messagesOfEveryKind
	if testing.Short() {
		messages = min(messages, 1000)
	}
	for worker := range workers {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			for n := worker; n*conversationLength < messages; n += workers {
				require.NoError(t, converse(uint64(n)), "connection %d", n)
				require.NoError(t, listen(uint64(n)), "connection %d", n)
			}
		})
	}
}

// someMessages returns the messages of a connection. Few are large.
func someMessages(r *rand.Rand) func() (kind string, message []byte) {
	return func() (string, []byte) {
		most := 2 << 10
		switch n := r.IntN(2000); {
		case n == 0:
			most = 4 << 20
		case n < 10:
			most = 256 << 10
		case n < 100:
			most = 32 << 10
		}
		of := deflatetest.Materials[r.IntN(len(deflatetest.Materials))]
		return of.Name, of.Make(r, deflatetest.Size(r, most))
	}
}

// converse is a connection on which this package compresses.
func converse(n uint64) error {
	r := rand.New(rand.NewPCG(n, 4))
	bits, level, takeover := MinWindowBits+r.IntN(8), MinLevel+r.IntN(9), r.IntN(2) == 0
	if r.IntN(2) == 0 { // as almost everywhere
		bits = MaxWindowBits
	}
	if r.IntN(2) == 0 {
		level = MinLevel
	}
	name := fmt.Sprintf("%d bits, takeover %v, level %d", bits, takeover, level)
	e, d := NewEncoder(bits, takeover, level), NewDecoder(bits, takeover)
	var checking *deflatetest.Reader
	if n%16 == 0 {
		checking = &deflatetest.Reader{Window: 1 << bits, NoTakeover: !takeover}
	}
	var wire bytes.Buffer
	standard := flate.NewReader(&wire)
	next := someMessages(r)
	for i := range conversationLength {
		kind, message := next()
		fail := func(what string, err error) error {
			return fmt.Errorf("%s, message %d, %s of %d bytes: %s: %w", name, i, kind, len(message), what, err)
		}
		compressed, smaller := encode(e, message)
		if !smaller {
			continue
		}
		if len(compressed) >= len(message) {
			return fail("encoder", fmt.Errorf("%d bytes", len(compressed)))
		}
		got, err := d.Decode(compressed, int64(len(message)), none)
		if err != nil || !bytes.Equal(message, got) {
			return fail("decoder", fmt.Errorf("different: %w", err))
		}
		if checking != nil {
			if got, ok := checking.Message(string(compressed)); !ok || !bytes.Equal(message, got) {
				return fail("checking decoder", fmt.Errorf("different: valid %v", ok))
			}
		}
		wire.Write(compressed)
		wire.WriteString(tail)
		got = make([]byte, len(message))
		if _, err := io.ReadFull(standard, got); err != nil || !bytes.Equal(message, got) {
			return fail("compress/flate", fmt.Errorf("different: %w", err))
		}
		if !takeover {
			wire.Reset()
			if err := standard.(flate.Resetter).Reset(&wire, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// listen is a connection on which the standard library compresses.
func listen(n uint64) error {
	r := rand.New(rand.NewPCG(n, 5))
	level, takeover := []int{flate.HuffmanOnly, 0, 1, 2, 6, 9}[r.IntN(6)], r.IntN(2) == 0
	d := NewDecoder(MaxWindowBits, takeover)
	var wire bytes.Buffer
	w, err := flate.NewWriter(&wire, level)
	if err != nil {
		return err
	}
	next := someMessages(r)
	for i := range conversationLength {
		kind, message := next()
		wire.Reset()
		if !takeover {
			w.Reset(&wire)
		}
		cut := r.IntN(len(message) + 1)
		w.Write(message[:cut])
		if r.IntN(2) == 0 {
			w.Flush()
		}
		w.Write(message[cut:])
		w.Flush()
		compressed := wire.Bytes()
		if r.IntN(4) > 0 { // else the tail is left on it
			compressed = bytes.TrimSuffix(compressed, []byte(tail))
		}
		got, err := d.Decode(compressed, int64(len(message)), none)
		if err != nil || !bytes.Equal(message, got) {
			return fmt.Errorf("takeover %v, level %d, message %d, %s of %d bytes: %w", takeover, level, i, kind, len(message), err)
		}
	}
	return nil
}

// TestDataWithoutRepetitionsIsCompressed is about bytes of which some are more frequent
// than others.
func TestDataWithoutRepetitionsIsCompressed(t *testing.T) {
	for _, deviation := range []float64{3, 8, 30} {
		for _, size := range []int{1 << 10, 64 << 10, 256 << 10} {
			r := rand.New(rand.NewPCG(1, 6))
			message := make([]byte, size)
			for i := range message {
				message[i] = byte(128 + r.NormFloat64()*deviation)
			}
			huffman := len(byStandard(t, flate.HuffmanOnly, message))
			for level := MinLevel; level <= MaxLevel; level++ {
				compressed, smaller := encode(NewEncoder(15, true, level), message)
				require.True(t, smaller)
				require.Less(t, float64(len(compressed)), 1.2*float64(huffman), "deviation %v, %d bytes, level %d", deviation, size, level)
			}
		}
	}
}
