package main

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
)

// jsonPayload is a JSON text as applications send them, of exactly size bytes.
func jsonPayload(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"type":"trades","channel":"book.eur-usd","items":[`)
	seed := uint32(1)
	next := func(n uint32) uint32 {
		seed = seed*1664525 + 1013904223
		return seed >> 8 % n
	}
	for b.Len() < size-160 {
		fmt.Fprintf(&b, `{"id":%d,"side":"%s","price":"%d.%04d","amount":%d,"user":"u%05x"},`,
			100000+next(900000), []string{"buy", "sell"}[next(2)], 1+next(2), next(10000), next(5000), next(1<<20))
	}
	text := strings.TrimSuffix(b.String(), ",") + `],"pad":"`
	return []byte(text + strings.Repeat("x", max(0, size-len(text)-2)) + `"}`)
}

// deflateTail is what RFC 7692 section 7.2.1 takes off the end.
const deflateTail = "\x00\x00\xff\xff"

func deflate(p []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte(deflateTail))
}

func inflate(p []byte) ([]byte, error) {
	const final = "\x01\x00\x00\xff\xff" // an empty last block, so that the reader ends
	r := flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader(deflateTail+final)))
	return io.ReadAll(r)
}
