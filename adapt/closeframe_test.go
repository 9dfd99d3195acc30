package adapt_test

import (
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestCloseFramesHaveTheModulesReasons(t *testing.T) {
	for code, reason := range map[chanws.StatusCode]string{
		1000: "", 1001: "",
		1002: "Connection closed due to protocol error",
		1003: "Endpoint received unsupported frame",
		1007: "Payload does not match the expected format or encoding",
		1008: "Received message violates its policy",
		1009: "The received message exceeds the allowed size limit",
		1011: "Internal server error occurred",
		3555: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, &adapt.Service{OnOpen: func(*adapt.Caller) error { return adapt.CloseFrame(code) }}, chanws.Options{})
			expect(t, s.Conn, chanws.Close{Code: code, Reason: reason})
			require.NoError(t, <-s.served)
		})
	}
}
