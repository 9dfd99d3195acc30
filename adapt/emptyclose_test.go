package adapt_test

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/internal/frame"
	"github.com/chanws/chanws/internal/rawpeer"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// answerClose answers a close frame with its own code, as the peer of a server, and
// returns the frame's payload.
func answerClose(bare net.Conn) (string, error) {
	var buf []byte
	for {
		h, payload, err := rawpeer.Next(bare, &buf)
		if err != nil {
			return "", err
		}
		if h.Opcode == frame.Close {
			_, err := bare.Write(rawpeer.Encode(true, true, frame.Close, payload))
			return string(payload), err
		}
	}
}

func TestEveryWayToCloseCanDoSoWithoutACode(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*adapt.Caller, chanws.Close) error{
		"Close":        func(c *adapt.Caller, end chanws.Close) error { return c.Close(end.Code, end.Reason) },
		"CloseTimeout": func(c *adapt.Caller, end chanws.Close) error { return c.CloseTimeout(end.Code, "", time.Second) },
		"CloseTimeout that does not wait": func(c *adapt.Caller, end chanws.Close) error {
			return c.CloseTimeout(end.Code, "", 0)
		},
		"WriteMessage":     func(c *adapt.Caller, end chanws.Close) error { return c.WriteMessage(end) },
		"a returned Close": func(_ *adapt.Caller, end chanws.Close) error { return end },
		"a wrapped Close":  func(_ *adapt.Caller, end chanws.Close) error { return fmt.Errorf("handed on: %w", end) },
		"the result of JSON": func(c *adapt.Caller, end chanws.Close) error {
			return adapt.JSON(func(*adapt.Caller, string) (chanws.Close, error) { return end, nil })(c, "")
		},
		"an element of a stream": func(c *adapt.Caller, end chanws.Close) error {
			return adapt.Stream(c, func(yield func(chanws.Close, error) bool) { yield(end, nil) })
		},
	} {
		for _, code := range []chanws.StatusCode{0, chanws.StatusNoStatusRcvd} {
			t.Run(fmt.Sprintf("%s %d", name, int(code)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var r record
					service := r.service()
					service.OnOpen = func(c *adapt.Caller) error { return end(c, chanws.Close{Code: code}) }
					server, bare := wstest.Raw(t, nil)
					served := start(server, service)
					payload, err := answerClose(bare)
					require.NoError(t, err)
					require.Empty(t, payload)
					require.NoError(t, <-served)
					require.Equal(t, []string{"close 1005 "}, r.all())
				})
			})
		}
	}
}
