package frame_test

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/frame"
)

var headers = []struct {
	name   string
	header frame.Header
}{
	{"small", frame.Header{Fin: true, Opcode: frame.Text, Length: 100}},
	{"small,masked", frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Key: 0x12345678, Length: 100}},
	{"16bit,masked", frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: 0x12345678, Length: 1000}},
	{"64bit,masked", frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: 0x12345678, Length: 1 << 20}},
}

func BenchmarkParse(b *testing.B) {
	for _, bm := range headers {
		b.Run(bm.name, func(b *testing.B) {
			wire := append(bm.header.Append(nil), make([]byte, 100)...)
			b.SetBytes(int64(bm.header.Size()))
			b.ReportAllocs()
			for b.Loop() {
				if _, n, err := frame.Parse(wire); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, bm := range headers {
		b.Run(bm.name, func(b *testing.B) {
			buf := make([]byte, 0, frame.MaxHeaderSize)
			b.SetBytes(int64(bm.header.Size()))
			b.ReportAllocs()
			for b.Loop() {
				buf = bm.header.Append(buf[:0])
			}
		})
	}
}

// BenchmarkDecode is all that a received frame costs without the socket: header,
// rules, unmasking and a copy for the user.
func BenchmarkDecode(b *testing.B) {
	for _, size := range payloadSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: 0x12345678, Length: int64(size)}
			wire := append(h.Append(nil), make([]byte, size)...)
			s := frame.Sequence{FromClient: true}
			var sink []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				h, n, err := frame.Parse(wire)
				if err != nil || s.Next(h) != nil {
					b.Fatal(err)
				}
				sink = make([]byte, h.Length)
				frame.MaskTo(sink, wire[n:], h.Key)
			}
			_ = sink
		})
	}
}

// BenchmarkEncode is all that a frame of a server costs without the socket.
func BenchmarkEncode(b *testing.B) {
	for _, size := range payloadSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			buf := make([]byte, 0, frame.MaxHeaderSize+size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				h := frame.Header{Fin: true, Opcode: frame.Binary, Length: int64(size)}
				buf = append(h.Append(buf[:0]), payload...)
			}
		})
	}
}

func BenchmarkSequence(b *testing.B) {
	s := frame.Sequence{FromClient: true}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Next(frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Length: 100}); err != nil {
			b.Fatal(err)
		}
	}
}

var payloadSizes = []int{16, 128, 256, 512, 1 << 10, 4 << 10, 64 << 10}

func BenchmarkMask(b *testing.B) {
	for _, size := range payloadSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			key := uint32(0x12345678)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				key = frame.Mask(payload, key)
			}
		})
	}
}

func BenchmarkMaskTo(b *testing.B) {
	for _, size := range payloadSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			src, dst := make([]byte, size), make([]byte, size)
			key := uint32(0x12345678)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				key = frame.MaskTo(dst, src, key)
			}
		})
	}
}

// texts are what people send: the first is what most programs send.
var texts = []struct{ name, sample string }{
	{"ascii", `{"id":4711,"method":"subscribe","params":["trades"]}`},
	{"german", "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. "},
	{"json,cjk", `{"user":"山田太郎","text":"こんにちは、世界","ts":1700000000}`},
	{"cjk", "我能吞下玻璃而不伤身体。天地玄黄宇宙洪荒"},
	{"emoji", "so good 😀🎉 really 👩‍🚀 — yes "},
}

func benchmarkTexts(b *testing.B, valid func([]byte) bool) {
	for _, text := range texts {
		for _, size := range []int{24, 64, 1 << 10, 16 << 10} {
			b.Run(fmt.Sprintf("%s/%d", text.name, size), func(b *testing.B) {
				payload := []byte(strings.ToValidUTF8(strings.Repeat(text.sample, size/len(text.sample)+1)[:size], "."))
				b.SetBytes(int64(len(payload)))
				b.ReportAllocs()
				for b.Loop() {
					if !valid(payload) {
						b.Fatal("not valid")
					}
				}
			})
		}
	}
}

func BenchmarkUTF8(b *testing.B) {
	benchmarkTexts(b, func(p []byte) bool {
		var u frame.UTF8
		return u.Valid(p) && u.Complete()
	})
}

// BenchmarkUTF8Std is the way not taken, for comparison with BenchmarkUTF8.
func BenchmarkUTF8Std(b *testing.B) { benchmarkTexts(b, utf8.Valid) }

// BenchmarkUTF8Pieces cuts a message inside characters, as fragments and read
// buffers do.
func BenchmarkUTF8Pieces(b *testing.B) {
	payload := []byte(strings.Repeat(texts[2].sample, 100))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		var u frame.UTF8
		for rest := payload; len(rest) > 0; {
			piece := rest[:min(len(rest), 100)]
			if !u.Valid(piece) {
				b.Fatal("not valid")
			}
			rest = rest[len(piece):]
		}
	}
}

// BenchmarkMaskXORBytes is the way not taken, for comparison with BenchmarkMask.
func BenchmarkMaskXORBytes(b *testing.B) {
	for _, size := range payloadSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var block [2048]byte
				for i := 0; i < len(block); i += 8 {
					binary.LittleEndian.PutUint64(block[i:], 0x1234567812345678)
				}
				for rest := payload; len(rest) > 0; {
					rest = rest[subtle.XORBytes(rest, rest, block[:]):]
				}
			}
		})
	}
}
