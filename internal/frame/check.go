package frame

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxReason is the longest reason of a close frame in bytes (RFC 6455, section
// 5.5.1).
const MaxReason = MaxControlPayload - 2

// CheckClose returns an error that says why a close frame with code and reason
// cannot be sent, or nil (RFC 6455, sections 5.5.1 and 7.4). The codes 0 and
// [NoStatus] both stand for a close frame without a code, which has no reason.
func CheckClose(code int, reason string) error {
	switch none := code == 0 || code == NoStatus; {
	case none && reason != "":
		return fmt.Errorf("close reason %.40q without a close code: want 1000 for a normal closure", reason)
	case !none && !ValidCode(code):
		return fmt.Errorf("close code %d must not be sent: want 1000 to 1003, 1007 to 1014, 3000 to 4999, or 0 for none", code)
	case len(reason) > MaxReason:
		return fmt.Errorf("close reason of %d bytes: want at most %d", len(reason), MaxReason)
	case !utf8.ValidString(reason):
		return errors.New("close reason is not valid UTF-8: " + firstInvalid([]byte(reason)))
	}
	return nil
}

// CheckControl returns an error that says why a ping or a pong with a payload of n
// bytes cannot be sent, or nil (RFC 6455, section 5.5).
func CheckControl(o Opcode, n int) error {
	if n <= MaxControlPayload {
		return nil
	}
	return fmt.Errorf("%v of %d bytes: want at most %d", o, n, MaxControlPayload)
}

// CheckText returns an error that says why a text message cannot be sent, or nil
// (RFC 6455, section 5.6).
func CheckText(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	return errors.New("text is not valid UTF-8: " + firstInvalid(text) + "; want a binary message for other bytes")
}

// firstInvalid names the first byte of text that is not part of valid UTF-8.
func firstInvalid(text []byte) string {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Sprintf("0x%02x at byte %d", text[at], at)
		}
		at += size
	}
	return ""
}
