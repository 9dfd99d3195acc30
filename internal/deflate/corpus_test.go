package deflate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// none is an allocator without pools.
func none(size int) []byte { return make([]byte, 0, size) }

// encode gives a message compressed, and whether it got smaller.
func encode(e *Encoder, message []byte) ([]byte, bool) {
	return e.Encode(make([]byte, 0, Bound(len(message))), message)
}

// order is what a trading system tells: the kind of JSON that goes through WebSockets.
type order struct {
	ID       int     `json:"id"`
	Symbol   string  `json:"symbol"`
	Price    float64 `json:"price"`
	Quantity int     `json:"quantity"`
	Side     string  `json:"side"`
	Time     string  `json:"time"`
}

// jsonOf gives about size bytes of JSON, other ones for each seed.
func jsonOf(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	var orders []order
	for length := 0; length < size; length += 100 {
		orders = append(orders, order{
			ID:       r.IntN(1e8),
			Symbol:   string([]byte{'A' + byte(r.IntN(26)), 'A' + byte(r.IntN(26)), 'A' + byte(r.IntN(26))}),
			Price:    float64(r.IntN(1e6)) / 100,
			Quantity: r.IntN(1000),
			Side:     []string{"buy", "sell"}[r.IntN(2)],
			Time:     fmt.Sprintf("2025-03-%02dT%02d:%02d:%02d.%03dZ", 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000)),
		})
	}
	b, _ := json.Marshal(orders)
	return b[:min(size, len(b))]
}

// randomOf gives bytes that nothing can compress.
func randomOf(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// textOf gives words in random order.
func textOf(seed uint64, size int) []byte {
	words := strings.Fields("the window of a connection is what both ends remember of the messages before, and größer ist nicht immer besser 日本語 at all")
	r := rand.New(rand.NewPCG(seed, 2))
	var b bytes.Buffer
	for b.Len() < size {
		b.WriteString(words[r.IntN(len(words))] + " ")
	}
	return b.Bytes()[:size]
}

// conversation is what goes through one direction: messages that can be compressed and
// others, small and large ones, in turns.
func conversation() [][]byte {
	random := randomOf(1, 100_000)
	return [][]byte{
		{}, []byte("a"), []byte("Hello"), []byte("Hello"),
		bytes.Repeat([]byte("a"), 41), jsonOf(1, 1024), jsonOf(2, 1024),
		random[:1000], random[:1000], jsonOf(3, 1024),
		random[:9000], jsonOf(4, 1024), random, jsonOf(5, 1024),
		append(jsonOf(6, 20_000), random...),
		append(random[:9000:9000], jsonOf(7, 20_000)...),
		bytes.Repeat(random[:40_000], 2), bytes.Repeat(random[:300], 300),
		textOf(1, 100_000), make([]byte, 300_000), random[:1], textOf(2, 500), textOf(2, 500),
	}
}
