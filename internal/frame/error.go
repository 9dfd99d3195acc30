package frame

import "strconv"

// The close codes of the violations this package finds (RFC 6455, section
// 7.4.1).
const (
	protocolError  = 1002
	invalidPayload = 1007
)

// Error is a violation of RFC 6455 by the peer.
type Error struct {
	Code   int    // the close code that it deserves
	Reason string // what precisely was wrong; short enough for a close frame
}

// Error gives the reason and the close code.
func (e *Error) Error() string {
	return "frame: " + e.Reason + " (close code " + strconv.Itoa(e.Code) + ")"
}

// violation returns the error for what the protocol itself forbids.
func violation(reason string) error {
	return &Error{Code: protocolError, Reason: reason}
}
