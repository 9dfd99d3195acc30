package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	for _, size := range []int{0, 1, 7, 125, 126, 128, 65535, 65536, 1 << 20} {
		payload := []byte(strings.Repeat("payload ", size/8+1)[:size])
		frame := appendMasked(nil, finBit|opBinary, payload)
		for cut := range min(len(frame), 14) {
			h, ok := parseHeader(frame[:cut])
			require.Equal(t, ok, cut >= len(frame)-size, "a header is complete as soon as its last byte is there")
			if ok {
				require.Equal(t, len(frame)-size, h.start)
			}
		}
		h, ok := parseHeader(frame)
		require.True(t, ok)
		require.Equal(t, len(frame), h.end)
		require.NotNil(t, h.key)
		got := frame[h.start:]
		key := *h.key
		unmask(got, key)
		require.Equal(t, payload, got)
	}
}

func TestUnmaskGoesByteByByte(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	for size := range 100 {
		p, want := make([]byte, size), make([]byte, size)
		for i := range want {
			want[i] = key[i%4]
		}
		unmask(p, key)
		require.Equal(t, want, p)
	}
}

func TestJSONPayloadIsJSONOfTheSize(t *testing.T) {
	for _, size := range []int{300, 1 << 10, 64 << 10} {
		p := jsonPayload(size)
		require.Len(t, p, size)
		require.True(t, json.Valid(p), "%s", p)
		small := deflate(p)
		require.Less(t, len(small), size*3/4)
		got, err := inflate(small)
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
}
