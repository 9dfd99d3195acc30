package interop

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/chanws/chanws/internal/deflate"
	klauspost "github.com/klauspost/compress/flate"
)

// These benchmarks are why internal/deflate is built on klauspost/compress, and how;
// docs/dependencies.md has their figures. Each message is 1 KiB of JSON, another one
// every time. "takeover" is a codec for each connection, "dictionary" one that all share
// and that is given as much of the earlier messages with each.

const benchSize = 1 << 10

func benchMessages() (messages [64][]byte) {
	for i := range messages {
		r := rand.New(rand.NewPCG(uint64(i), 0))
		var orders []map[string]any
		for range benchSize / 80 {
			orders = append(orders, map[string]any{
				"id": r.IntN(1e8), "symbol": string([]byte{'A' + byte(r.IntN(26)), 'A' + byte(r.IntN(26))}),
				"price": float64(r.IntN(1e6)) / 100, "quantity": r.IntN(1000), "side": []string{"buy", "sell"}[r.IntN(2)],
				"time": fmt.Sprintf("2025-03-%02dT%02d:%02d:%02dZ", 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)),
			})
		}
		b, _ := json.Marshal(orders)
		messages[i] = b[:benchSize]
	}
	return messages
}

// window is what a connection has seen before the message after it.
func window(messages *[64][]byte) []byte { return bytes.Join(messages[:32], nil) }

// sink is a writer that keeps what it has room for.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

type flushWriter interface {
	io.Writer
	Flush() error
	Reset(io.Writer)
}

func BenchmarkCompress(b *testing.B) {
	messages := benchMessages()
	before := window(&messages)
	measureThese := func(name string, these [][]byte, compress func(out *sink, message []byte)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			out := sink{make([]byte, 0, 4*benchSize)}
			var i, written int
			for b.Loop() {
				out.b = out.b[:0]
				compress(&out, these[i%len(these)])
				written += len(out.b)
				i++
			}
			b.ReportMetric(float64(i*benchSize)/float64(written), "ratio")
		})
	}
	measure := func(name string, compress func(out *sink, message []byte)) {
		measureThese(name, messages[:], compress)
	}
	given := func(name string, compress func(out *sink, message []byte)) {
		measureThese(name, messages[32:], compress) // those that are not in the window
	}
	streams := func(name string, w flushWriter) {
		measure(name, func(out *sink, message []byte) {
			w.Reset(out)
			w.Write(message)
			w.Flush()
		})
	}
	for _, level := range []int{1, 6} {
		standard, _ := flate.NewWriter(nil, level)
		streams(fmt.Sprintf("codec=standard/level=%d", level), standard)
		theirs, _ := klauspost.NewWriter(nil, level)
		streams(fmt.Sprintf("codec=klauspost/level=%d", level), theirs)
		e := deflate.NewEncoder(15, false, level)
		measure(fmt.Sprintf("codec=chanws/level=%d", level), func(out *sink, message []byte) { out.b, _ = e.Encode(out.b, message) })

		var wire sink
		kept, _ := klauspost.NewWriter(&wire, level)
		measure(fmt.Sprintf("codec=klauspost/takeover/level=%d", level), func(out *sink, message []byte) {
			wire.b = out.b
			kept.Write(message)
			kept.Flush()
			out.b = wire.b
		})
		for _, size := range []int{2, 4, 8, 32} {
			taught, _ := klauspost.NewWriter(nil, level)
			given(fmt.Sprintf("codec=klauspost/dictionary of %d KiB/level=%d", size, level), func(out *sink, message []byte) {
				taught.ResetDict(out, before[len(before)-size<<10:])
				taught.Write(message)
				taught.Flush()
			})
		}
		over := deflate.NewEncoder(15, true, level)
		measure(fmt.Sprintf("codec=chanws/takeover/level=%d", level), func(out *sink, message []byte) { out.b, _ = over.Encode(out.b, message) })
	}
	given("codec=klauspost/stateless with 8 KiB", func(out *sink, message []byte) {
		_ = klauspost.StatelessDeflate(out, message, false, before)
	})
}

func BenchmarkDecompress(b *testing.B) {
	messages := benchMessages()
	const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	for _, takeover := range []bool{false, true} {
		var wire [len(messages)][]byte
		e := deflate.NewEncoder(15, takeover, 1)
		for i, m := range messages {
			wire[i], _ = e.Encode(make([]byte, 0, 2*benchSize), m)
		}
		first, mode := 0, "alone"
		var before []byte
		if takeover {
			first, mode, before = 32, "dictionary", window(&messages)
		}
		payload := make([]byte, 2*benchSize)
		streams := func(name string, reader io.ReadCloser, reset func(io.Reader, []byte) error) {
			b.Run(fmt.Sprintf("codec=%s/%s", name, mode), func(b *testing.B) {
				b.SetBytes(benchSize)
				b.ReportAllocs()
				var in, end bytes.Reader
				for i := 0; b.Loop(); i++ {
					in.Reset(wire[first+i%32])
					end.Reset([]byte(tail))
					reset(&joined{&in, &end}, before)
					if n, err := io.ReadFull(reader, payload[:benchSize]); n != benchSize {
						b.Fatal(err)
					}
				}
			})
		}
		standard := flate.NewReader(nil)
		streams("standard", standard, standard.(flate.Resetter).Reset)
		theirs := klauspost.NewReader(nil)
		streams("klauspost", theirs, theirs.(klauspost.Resetter).Reset)
		b.Run("codec=chanws/"+mode, func(b *testing.B) {
			b.SetBytes(benchSize)
			b.ReportAllocs()
			allocate := func(int) []byte { return payload[:0] }
			d := deflate.NewDecoder(15, takeover)
			for i := 0; b.Loop(); i++ {
				if i%len(wire) == 0 {
					d = deflate.NewDecoder(15, takeover)
				}
				if _, err := d.Decode(wire[i%len(wire)], 1<<20, allocate); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// joined is both readers, one after the other, also a byte at a time.
type joined struct{ first, second *bytes.Reader }

func (j *joined) Read(p []byte) (int, error) {
	if j.first.Len() > 0 {
		return j.first.Read(p)
	}
	return j.second.Read(p)
}

func (j *joined) ReadByte() (byte, error) {
	if j.first.Len() > 0 {
		return j.first.ReadByte()
	}
	return j.second.ReadByte()
}
