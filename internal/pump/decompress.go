package pump

import (
	"errors"
	"unicode/utf8"

	"github.com/chanws/chanws/internal/deflate"
	"github.com/chanws/chanws/internal/frame"
)

// compressedLimit is the most that the payload of a compressed message may have, all
// frames together, for one of up to limit bytes. What cannot be compressed grows by
// less than an eighth, in any sensible pieces.
func compressedLimit(limit int64) int64 {
	if limit > None-limit/8-1024 {
		return None
	}
	return limit + limit/8 + 1024
}

// readCompressed delivers a compressed message, of which all has come and been
// unmasked. Limit and UTF-8 are about what it is when decompressed.
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
	if skip, err := p.admitMessage(); skip {
		return err
	}
	return p.deliverOwned(opcode, payload)
}

// deliverOwned delivers a message whose payload nobody else has. One with much unused
// room behind it is moved: the receiver may keep it for long.
func (p *pump) deliverOwned(opcode frame.Opcode, payload []byte) error {
	if waste := cap(payload) - len(payload); waste > len(payload)/4 {
		own := append(make([]byte, 0, len(payload)), payload...)
		Recycle(payload)
		payload = own
	}
	return p.delivery.deliver(opcode, payload)
}
