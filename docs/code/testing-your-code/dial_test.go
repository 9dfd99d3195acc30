package testingyourcode

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestTheRouteHangsUpAfterAMinuteOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wstest.Dial(t, routes(), &chanws.DialOptions{
			Authorize: func(_ context.Context, r *http.Request) error {
				r.URL.Path = "/shout"
				return nil
			},
		})
		began := time.Now()
		_, err := c.Receive(t.Context())
		require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err))
		require.Equal(t, time.Minute, time.Since(began))
	})
}
