package frame

// Sequence holds one direction of a connection to the rules that a header on
// its own can't break: who masks, when RSV1 may be set, and how the frames of a
// message follow each other (RFC 6455, sections 5.1, 5.2 and 5.4). The zero
// value is ready for the frames of a server without extensions.
//
// It does not know that a close frame is the last one: who has read it stops
// reading (section 5.5.1).
type Sequence struct {
	FromClient bool // the frames come from a client, so all of them are masked; else none is
	RSV1       bool // permessage-deflate was negotiated (RFC 7692, section 6)

	opcode Opcode // of the message under way, Continuation between messages
}

// Next takes the next frame's header, as [Parse] returns it. It returns nil or
// an [*Error] with code 1002, which changes nothing in s. Control frames may
// come between the fragments of a message and leave it as it is.
func (s *Sequence) Next(h Header) error {
	if h.Masked != s.FromClient {
		return maskError(h)
	}
	switch {
	case h.Opcode.Control():
		if h.RSV1 {
			return violation("RSV1 set on a " + h.Opcode.String() + " frame")
		}
		return nil
	case h.Opcode == Continuation:
		if s.opcode == Continuation {
			return violation("continuation frame outside a message")
		}
		if h.RSV1 {
			return violation("RSV1 set on a continuation frame")
		}
		if h.Fin {
			s.opcode = Continuation
		}
		return nil
	}
	if s.opcode != Continuation {
		return violation(h.Opcode.String() + " frame inside a fragmented " + s.opcode.String() + " message")
	}
	if h.RSV1 && !s.RSV1 {
		return violation("RSV1 set without an extension")
	}
	if !h.Fin {
		s.opcode = h.Opcode
	}
	return nil
}

// Opcode returns the opcode of the message that is under way, that is begun and
// not finished, or Continuation if there is none.
func (s *Sequence) Opcode() Opcode { return s.opcode }

// maskError names a frame whose mask does not fit its sender's role (RFC 6455,
// section 5.1).
func maskError(h Header) error {
	if h.Masked {
		return violation("masked " + h.Opcode.String() + " frame from a server")
	}
	return violation("unmasked " + h.Opcode.String() + " frame from a client")
}
