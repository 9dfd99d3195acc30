package testingyourcode

import (
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestShoutAnswersInCapitals(t *testing.T) {
	client, server := wstest.Pipe(t, nil, nil)
	go shout(server)
	client.Send <- chanws.Text("hello")
	ev, err := client.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Text("HELLO"), ev)
}

func TestShoutHangsUpAfterAMinuteOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, nil, minute)
		go shout(server)
		began := time.Now()
		_, err := client.Receive(t.Context())
		require.Equal(t, chanws.Close{Code: chanws.StatusNormalClosure, Reason: "silence"}, err)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestShoutReportsADroppedConnection(t *testing.T) {
	server, client := wstest.Raw(t, nil)
	client.(interface{ Drop() }).Drop() // a TCP reset
	require.ErrorIs(t, shout(server), io.ErrUnexpectedEOF)
}

func TestShoutRefusesBadFrames(t *testing.T) {
	server, client := wstest.Raw(t, nil)
	client.Write([]byte{0x81, 0x02, 'h', 'i'}) // a client must mask
	var wrong *chanws.ProtocolError
	require.ErrorAs(t, shout(server), &wrong)
	require.Equal(t, chanws.StatusProtocolError, wrong.Code)
}

func TestTheRouteShouts(t *testing.T) {
	server := httptest.NewServer(routes())
	defer server.Close()
	c, err := chanws.Dial(t.Context(), server.URL+"/shout", nil)
	require.NoError(t, err)
	defer c.CloseNow()
	c.Send <- chanws.Text("hello")
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Text("HELLO"), ev)
}
