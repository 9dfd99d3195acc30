package faq

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// serve upgrades requests until the end of the test and returns the URL.
func serve(t *testing.T, opts *chanws.UpgradeOptions, use func(*chanws.Conn)) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := chanws.Upgrade(w, r, opts); err == nil {
			defer c.CloseNow()
			use(c)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestMovesAreExchangedAsJSON(t *testing.T) {
	t.Parallel()
	c, err := chanws.NewClient(t.Context(), serve(t, nil, func(c *chanws.Conn) { serveMoves(c) }), nil)
	require.NoError(t, err)
	defer c.CloseNow()
	m, err := askForAMove(t.Context(), c, move{1, 2})
	require.NoError(t, err)
	require.Equal(t, move{2, 1}, m)
	require.NoError(t, c.WriteTextMessage(t.Context(), "no JSON"))
	_, err = c.ReadMessage(t.Context())
	require.Equal(t, chanws.StatusInvalidFramePayloadData, chanws.CloseStatus(err))
}

func TestASessionCookieAuthorizes(t *testing.T) {
	t.Parallel()
	url := serve(t, withCookie, func(c *chanws.Conn) {
		c.Send <- chanws.Text(userOf(c))
		c.Receive(context.Background())
	})
	for value, status := range map[string]int{"": http.StatusUnauthorized, "bob's": http.StatusForbidden, "ann's": 0} {
		opts := &chanws.DialOptions{}
		if value != "" {
			opts.Header = http.Header{"Cookie": {"session=" + value}}
		}
		c, err := chanws.Dial(t.Context(), url, opts)
		if status != 0 {
			var refused *chanws.HandshakeError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, status, refused.StatusCode)
			require.NotContains(t, string(refused.Body), "no such session")
			continue
		}
		require.NoError(t, err)
		defer c.CloseNow()
		ev, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("ann"), ev)
	}
}

func TestTheFirstMessageAuthenticates(t *testing.T) {
	t.Parallel()
	for token, name := range map[string]string{"ann's": "ann", "bob's": "", "": ""} {
		synctest.Test(t, func(t *testing.T) {
			c, s := wstest.Pipe(t, nil, nil)
			if token != "" {
				c.Send <- chanws.Text(token)
			}
			began := time.Now()
			user, err := authenticate(t.Context(), s)
			require.Equal(t, name, user)
			if token == "" {
				require.Equal(t, 5*time.Second, time.Since(began))
			}
			if name == "" {
				require.Error(t, err)
				_, err = c.Receive(t.Context())
				require.Equal(t, chanws.StatusPolicyViolation, chanws.CloseStatus(err))
			}
		})
	}
}

func TestASenderStopsWhenTheConnectionHasEnded(t *testing.T) {
	t.Parallel()
	c, s := wstest.Pipe(t, nil, nil)
	require.True(t, send(c, chanws.Text("hello")))
	ev, err := s.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Text("hello"), ev)
	require.NoError(t, s.Close(chanws.StatusNormalClosure, ""))
	<-c.Done()
	for send(c, chanws.Text("too late")) { // until it chooses Done
	}
}

func TestAPageOnAnotherPortIsAdmittedByItsOrigin(t *testing.T) {
	t.Parallel()
	url := serve(t, origins, func(*chanws.Conn) {})
	for origin, admitted := range map[string]bool{
		"http://localhost:3000":   true,
		"https://app.example.com": true,
		"http://localhost:3001":   false,
		"https://localhost:3000":  false,
	} {
		c, err := chanws.Dial(t.Context(), url, &chanws.DialOptions{Header: http.Header{"Origin": {origin}}})
		require.Equal(t, admitted, err == nil, origin)
		if err == nil {
			c.CloseNow()
		}
	}
}
