// Package rawpeer speaks single frames, for tests whose peer must do what no
// implementation would.
package rawpeer

import (
	"io"

	"github.com/chanws/chanws/internal/frame"
)

// Encode gives a whole frame, masked as a client's if client is set.
func Encode(client, fin bool, op frame.Opcode, payload []byte) []byte {
	h := frame.Header{Fin: fin, Opcode: op, Length: int64(len(payload)), Masked: client}
	if client {
		h.Key = 0x7a6b5c4d
	}
	b := h.Append(nil)
	n := len(b)
	b = append(b, payload...)
	if client {
		frame.Mask(b[n:], h.Key)
	}
	return b
}

// Next reads one frame. ahead holds what was read behind it, for the next call.
func Next(r io.Reader, ahead *[]byte) (frame.Header, []byte, error) {
	var b []byte
	for {
		h, n, err := frame.Parse(*ahead)
		if err != nil {
			return h, nil, err
		}
		if n > 0 && int64(len(*ahead)-n) >= h.Length {
			payload := (*ahead)[n : n+int(h.Length)]
			*ahead = (*ahead)[n+int(h.Length):]
			if h.Masked {
				frame.Mask(payload, h.Key)
			}
			return h, payload, nil
		}
		if b == nil {
			b = make([]byte, 64<<10)
		}
		k, err := r.Read(b)
		*ahead = append(*ahead, b[:k]...)
		if err != nil && k == 0 {
			return h, nil, err
		}
	}
}
