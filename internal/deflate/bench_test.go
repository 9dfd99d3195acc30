package deflate

import (
	"fmt"
	"testing"
)

// benchMessages are different ones, so that no run of the predictor gets used to them.
func benchMessages(size int) (messages [64][]byte) {
	for i := range messages {
		messages[i] = jsonOf(uint64(i), size)
	}
	return messages
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 64 << 10} {
		messages := benchMessages(size)
		for _, takeover := range []bool{false, true} {
			for level := MinLevel; level <= MaxLevel; level++ {
				b.Run(fmt.Sprintf("size=%d/takeover=%v/level=%d", size, takeover, level), func(b *testing.B) {
					e := NewEncoder(MaxWindowBits, takeover, level)
					dst := make([]byte, 0, Bound(size))
					b.SetBytes(int64(size))
					b.ReportAllocs()
					var written, i int
					for b.Loop() {
						compressed, _ := e.Encode(dst, messages[i%len(messages)])
						written += len(compressed)
						i++
					}
					b.ReportMetric(float64(i*size)/float64(written), "ratio")
				})
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 64 << 10} {
		messages := benchMessages(size)
		for _, takeover := range []bool{false, true} {
			b.Run(fmt.Sprintf("size=%d/takeover=%v", size, takeover), func(b *testing.B) {
				e := NewEncoder(MaxWindowBits, takeover, MinLevel)
				var wire [len(messages)][]byte
				for i, m := range messages {
					wire[i], _ = encode(e, m)
				}
				payload := make([]byte, 0, 2*size)
				allocate := func(int) []byte { return payload }
				d := NewDecoder(MaxWindowBits, takeover)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if i == len(wire) {
						i, d.window.b = 0, d.window.b[:0] // from the start: the window is that of the first message
					}
					if _, err := d.Decode(wire[i], 1<<20, allocate); err != nil {
						b.Fatal(err)
					}
					i++
				}
			})
		}
	}
}
