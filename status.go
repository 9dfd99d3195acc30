package chanws

import "strconv"

// StatusCode is a close status code, RFC 6455 section 7.4, with the names of the
// IANA registry "WebSocket Close Code Number".
//
// Those that may be sent and received in a close frame are 1000 to 1003, 1007 to
// 1014 and 3000 to 4999. A close frame may also have no code: [StatusNoStatusRcvd].
type StatusCode int

const (
	StatusNormalClosure   StatusCode = 1000
	StatusGoingAway       StatusCode = 1001
	StatusProtocolError   StatusCode = 1002
	StatusUnsupportedData StatusCode = 1003

	// StatusNoStatusRcvd stands for a close frame without a code, received or to be
	// sent; it is never on the wire. In a [Close] to send, 0 means the same.
	StatusNoStatusRcvd StatusCode = 1005
	// StatusAbnormalClosure stands for a connection that ended without a close
	// frame. It is never on the wire.
	StatusAbnormalClosure StatusCode = 1006

	StatusInvalidFramePayloadData StatusCode = 1007
	StatusPolicyViolation         StatusCode = 1008
	StatusMessageTooBig           StatusCode = 1009
	StatusMandatoryExtension      StatusCode = 1010
	StatusInternalError           StatusCode = 1011
	StatusServiceRestart          StatusCode = 1012
	StatusTryAgainLater           StatusCode = 1013
	StatusBadGateway              StatusCode = 1014

	// StatusTLSHandshake stands for a failed TLS handshake. It is never on the
	// wire.
	StatusTLSHandshake StatusCode = 1015
)

var statusNames = map[StatusCode]string{
	0:                             "no status",
	StatusNormalClosure:           "normal closure",
	StatusGoingAway:               "going away",
	StatusProtocolError:           "protocol error",
	StatusUnsupportedData:         "unsupported data",
	StatusNoStatusRcvd:            "no status received",
	StatusAbnormalClosure:         "abnormal closure",
	StatusInvalidFramePayloadData: "invalid frame payload data",
	StatusPolicyViolation:         "policy violation",
	StatusMessageTooBig:           "message too big",
	StatusMandatoryExtension:      "mandatory extension",
	StatusInternalError:           "internal error",
	StatusServiceRestart:          "service restart",
	StatusTryAgainLater:           "try again later",
	StatusBadGateway:              "bad gateway",
	StatusTLSHandshake:            "TLS handshake",
}

// String gives the number and, for a registered code, its name.
func (c StatusCode) String() string {
	s := strconv.Itoa(int(c))
	if name, ok := statusNames[c]; ok {
		return s + " (" + name + ")"
	}
	return s
}
