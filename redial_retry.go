package chanws

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
)

// DefaultRetry is the default of [RedialPolicy.Retry]. It reports whether err, of a
// failed attempt or of the end of a connection, is likely to pass by itself. A Retry
// function can call it to extend it:
//
//	Retry: func(err error) bool {
//		return chanws.CloseStatus(err) == 4000 || chanws.DefaultRetry(err)
//	}
//
// It returns true for a dropped connection, for timeouts, for a [Close] with code 1001,
// 1005, 1006, 1011, 1012, 1013 or 1014, and for a *[HandshakeError] with status 408,
// 425, 429, 500, 502, 503, 504, 520 to 524 or 530.
//
// It returns false for a Close with any other code, for any other HandshakeError, for a
// connection that ended with a *[ProtocolError], [ErrOverflow] or CloseNow, and for a
// certificate that was refused: a *tls.CertificateVerificationError, an error of
// crypto/x509, or an alert with which the server refuses the client's certificate.
//
// It returns true for every other error.
func DefaultRetry(err error) bool {
	var (
		refused *HandshakeError
		closed  Close
		broken  *ProtocolError
		ended   Error
	)
	switch {
	case errors.As(err, &refused):
		return passingStatus(refused.StatusCode)
	case errors.As(err, &closed):
		return passingClose(closed.Code)
	case aboutCertificate(err):
		return false
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		return true
	case errors.As(err, &broken), errors.Is(err, ErrOverflow):
		return false
	case errors.As(err, &ended):
		return !errors.Is(err, net.ErrClosed)
	}
	return true
}

// passingStatus reports whether a server that answers with an HTTP status may answer
// otherwise later. 520 to 524 and 530 are Cloudflare's, for an origin that it cannot
// reach.
func passingStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		520, 521, 522, 523, 524, 530:
		return true
	}
	return false
}

// passingClose reports whether a peer that closes with code may be back later.
func passingClose(code StatusCode) bool {
	switch code {
	case StatusGoingAway, StatusNoStatusRcvd, StatusAbnormalClosure, StatusInternalError,
		StatusServiceRestart, StatusTryAgainLater, StatusBadGateway:
		return true
	}
	return false
}

// aboutCertificate tells whether err is the refusal of a certificate: by us, in
// whatever way HTTPClient or TLSConfig verify it, or of ours by the server.
func aboutCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		host         x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
		remote       *net.OpError
	)
	switch {
	case errors.As(err, &verification), errors.As(err, &host), errors.As(err, &authority), errors.As(err, &invalid):
		return true
	case errors.As(err, &remote) && remote.Op == "remote error":
		// The alert's type is crypto/tls's own, its text is not.
		return slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return remote.Err.Error() == a.Error() })
	}
	return false
}

// certificateAlerts are those of RFC 8446 section 6.2 from bad_certificate to
// certificate_unknown, unknown_ca, and certificate_required.
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 116}
