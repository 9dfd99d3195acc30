package interop

import (
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws/internal/deflate/deflatetest"
)

// materialMessages returns binary messages of every kind of data, among them those that
// text is not: samples, pictures, runs. They are different ones in every run.
func materialMessages(t *testing.T) []dataMessage {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	// Enough that compression shows, whatever the others are.
	messages := []dataMessage{{data: payload(50_000)}}
	for _, most := range []int{300, 5000, 100_000} {
		for _, m := range deflatetest.Materials {
			messages = append(messages, dataMessage{binary: true, data: m.Make(r, deflatetest.Size(r, most))})
		}
	}
	r.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	return messages
}

func TestDataOfEveryKindArrivesUnchangedFromAndToGo(t *testing.T) {
	t.Parallel()
	eachGoCompression(t, func(t *testing.T, a arrangement) {
		a.options.CompressionThreshold = -1
		exchangeCompressed(t, a, materialMessages(t), 1)
	})
}

func TestDataOfEveryKindArrivesUnchangedBothWays(t *testing.T) {
	t.Parallel()
	eachCompression(t, func(t *testing.T, a arrangement) {
		exchangeCompressed(t, a, materialMessages(t), 1)
	})
}
