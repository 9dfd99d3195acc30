package adapt

import "github.com/chanws/chanws"

// CloseFrame is a close frame with the reason that the module gives to a code by
// default, for a callback to return. Codes for which it has none get none.
func CloseFrame(code chanws.StatusCode) chanws.Close {
	return chanws.Close{Code: code, Reason: defaultReason(code)}
}

func defaultReason(code chanws.StatusCode) string {
	switch code {
	case chanws.StatusProtocolError:
		return "Connection closed due to protocol error"
	case chanws.StatusUnsupportedData:
		return "Endpoint received unsupported frame"
	case chanws.StatusInvalidFramePayloadData:
		return "Payload does not match the expected format or encoding"
	case chanws.StatusPolicyViolation:
		return "Received message violates its policy"
	case chanws.StatusMessageTooBig:
		return "The received message exceeds the allowed size limit"
	case chanws.StatusInternalError:
		return "Internal server error occurred"
	}
	return ""
}
