package frame

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// NoStatus is the close code that stands for a close frame without one. It is
// never on the wire (RFC 6455, section 7.4.1).
const NoStatus = 1005

// ParseClose reads a close frame's payload (RFC 6455, section 5.5.1). An empty
// one gives [NoStatus]. The error is an [*Error]: with code 1002 for half a code
// or one that [ValidCode] refuses, with 1007 for a reason that is not UTF-8; code
// and reason are zero then. The reason is a copy of the payload's bytes.
func ParseClose(payload []byte) (code int, reason string, err error) {
	switch len(payload) {
	case 0:
		return NoStatus, "", nil
	case 1:
		return 0, "", violation("close frame of 1 byte, half a close code")
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !ValidCode(code) {
		return 0, "", violation("close code " + strconv.Itoa(code) + " must not be on the wire")
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", &Error{Code: invalidPayload, Reason: "close reason is not UTF-8"}
	}
	return code, string(payload[2:]), nil
}

// AppendClose appends a close frame's payload to dst and returns the extended
// buffer: the code and the reason, or nothing at all for 0 and [NoStatus]. It does
// not check them: see [CheckClose].
func AppendClose(dst []byte, code int, reason string) []byte {
	if code == 0 || code == NoStatus {
		return dst
	}
	dst = append(dst, byte(code>>8), byte(code))
	return append(dst, reason...)
}

// ValidCode reports whether a close frame may hold code, in either direction:
// the codes that the IANA registry defines for that, and those for libraries and
// applications (RFC 6455, section 7.4.2).
func ValidCode(code int) bool {
	return 1000 <= code && code <= 1003 ||
		1007 <= code && code <= 1014 ||
		3000 <= code && code <= 4999
}
