package pump

import (
	"errors"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
)

// compressedLimit returns how many bytes the compressed payload of a message of up to limit
// bytes may have, in all its frames. Incompressible data grows by less than an eighth.
func compressedLimit(limit int64) int64 {
	if limit > None-limit/8-1024 {
		return None
	}
	return limit + limit/8 + 1024
}

// readCompressed delivers a compressed message that is complete and unmasked. The size
// limit and the UTF-8 check apply to the decompressed payload.
func (p *pump) readCompressed(opcode frame.Opcode, compressed []byte) error {
	payload, err := p.compression.Decoder.Decode(compressed, p.opts.MaxMessageSize, newPayload)
	switch {
	case errors.Is(err, deflate.ErrTooLarge):
		return p.inflatedTooLarge()
	case err != nil:
		return &frame.Error{Code: 1007, Reason: err.Error()}
	case opcode == frame.Text && !utf8.Valid(payload):
		return errInvalidUTF8
	}
	if skip, err := p.countMessage(); skip {
		return err
	}
	return p.deliverOwned(opcode, payload)
}

// deliverOwned delivers a message whose payload nobody else uses. A payload with much unused
// capacity is copied first, because the receiver may keep it for long.
func (p *pump) deliverOwned(opcode frame.Opcode, payload []byte) error {
	if waste := cap(payload) - len(payload); waste > len(payload)/4 {
		own := append(make([]byte, 0, len(payload)), payload...)
		Recycle(payload)
		payload = own
	}
	return p.delivery.deliver(opcode, payload)
}
