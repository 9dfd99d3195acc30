package deflatetest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
)

// A Material is a kind of data that messages are made of. Text is one among many: the
// code of a message follows its distribution, and a mistake in it shows only with some.
type Material struct {
	Name string
	Make func(r *rand.Rand, size int) []byte
}

// Materials are all kinds, the last one being made of the others.
var Materials = append(simple, Material{"mixed", mixed})

var simple = []Material{
	{"JSON", json},
	{"uniform", filled(func(r *rand.Rand) func() byte {
		return func() byte { return byte(r.Uint32()) }
	})},
	{"normal", filled(func(r *rand.Rand) func() byte {
		deviation := math.Exp(r.Float64() * math.Log(60)) // from 1 to 60
		return func() byte { return byte(128 + r.NormFloat64()*deviation) }
	})},
	{"exponential", filled(func(r *rand.Rand) func() byte {
		mean := math.Exp(r.Float64() * math.Log(60))
		return func() byte { return byte(min(r.ExpFloat64()*mean, 255)) }
	})},
	{"Zipf", filled(func(r *rand.Rand) func() byte {
		z := rand.NewZipf(r, 1.01+2*r.Float64(), 1+5*r.Float64(), 255)
		return func() byte { return byte(z.Uint64()) }
	})},
	{"random walk", filled(func(r *rand.Rand) func() byte {
		at, step := r.Float64()*256, 0.3+3*r.Float64()
		return func() byte { at += r.NormFloat64() * step; return byte(int(at)) }
	})},
	{"samples of 16 bits", samples},
	{"runs", runs},
	{"rows of a PNG", rows},
	{"halving", filled(func(r *rand.Rand) func() byte { // each value half as often as the one before
		return func() byte { return byte(bitsUntilOne(r)) }
	})},
	{"repeats from afar", repeats},
}

// filled makes data byte by byte.
func filled(start func(r *rand.Rand) func() byte) func(*rand.Rand, int) []byte {
	return func(r *rand.Rand, size int) []byte {
		next := start(r)
		b := make([]byte, size)
		for i := range b {
			b[i] = next()
		}
		return b
	}
}

func bitsUntilOne(r *rand.Rand) (n int) {
	for n < 40 && r.Uint32()&1 == 0 {
		n++
	}
	return n
}

func json(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size+100)
	for len(b) < size {
		b = fmt.Appendf(b, `{"id":%d,"price":%d.%02d,"side":"%s","name":"größer %x"},`+"\n",
			r.IntN(1e8), r.IntN(1e4), r.IntN(100), []string{"buy", "sell"}[r.IntN(2)], r.IntN(1<<12))
	}
	return b[:size]
}

// samples are those of sound, two bytes each, the lower one first.
func samples(r *rand.Rand, size int) []byte {
	frequency, volume := 0.001+0.2*r.Float64(), math.Exp(r.Float64()*math.Log(30000))
	b := make([]byte, 0, size+1)
	for i := 0; len(b) < size; i++ {
		v := int16(volume * (math.Sin(float64(i)*frequency) + 0.05*r.NormFloat64()))
		b = append(b, byte(v), byte(v>>8))
	}
	return b[:size]
}

// runs are one byte repeated, for lengths of every magnitude.
func runs(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size)
	for len(b) < size {
		n := 1 + int(math.Exp(r.Float64()*math.Log(2000)))
		b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, min(n, size-len(b)))...)
	}
	return b
}

// rows are those of a picture, each behind the number of its filter: the differences of a
// pixel and the one to its left, or the one above.
func rows(r *rand.Rand, size int) []byte {
	width := 1 + r.IntN(600)
	pixel := func(x, y int) byte {
		return byte(128 + 60*math.Sin(float64(x)/37) + 50*math.Cos(float64(y)/23) + 3*r.NormFloat64())
	}
	b := make([]byte, 0, size+width)
	before, row := make([]byte, width), make([]byte, width)
	for y := 0; len(b) < size; y++ {
		filter := byte(1 + r.IntN(2))
		b = append(b, filter)
		for x := range row {
			row[x] = pixel(x, y)
			switch {
			case filter == 2:
				b = append(b, row[x]-before[x])
			case x > 0:
				b = append(b, row[x]-row[x-1])
			default:
				b = append(b, row[x])
			}
		}
		before, row = row, before
	}
	return b[:size]
}

// repeats are noise, and pieces of it from any distance, those at the edges of windows too.
func repeats(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size)
	for len(b) < size {
		n := min(1+r.IntN(300), size-len(b))
		distance := 1 << r.IntN(17)
		distance += r.IntN(7) - 3
		if distance < 1 || distance > len(b) || r.IntN(4) == 0 {
			for range n {
				b = append(b, byte(r.Uint32()))
			}
			continue
		}
		for range n {
			b = append(b, b[len(b)-distance])
		}
	}
	return b
}

// mixed is pieces of the others.
func mixed(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size)
	for len(b) < size {
		of := simple[r.IntN(len(simple))]
		b = append(b, of.Make(r, min(1+r.IntN(20_000), size-len(b)))...)
	}
	return b
}

// Size returns a size from 1 to most, small ones far more often: as many from each power
// of two.
func Size(r *rand.Rand, most int) int {
	return min(most, int(math.Exp(r.Float64()*math.Log(float64(most+1)))))
}
