package adapt_test

import (
	"io"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestScenario121_AnIllegalCloseCodeIsSeenAs1006(t *testing.T) {
	t.Parallel()
	url := bListen(t, &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error {
		return chanws.Close{Code: 5555, Reason: "illegal"}
	}}, nil)
	c := bDial(t, url, nil)
	bSend(t, c, chanws.Text("close"))
	_, err := c.ReadMessage(bContext(t))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "what 1006 is for a read")
	require.False(t, c.IsOpen())

	codes := make(chan chanws.StatusCode, 1)
	a, err := adapt.NewAsyncClient(bContext(t), url, &adapt.Service{
		OnOpen:  func(c *adapt.Caller) error { return c.WriteTextMessage("close") },
		OnClose: func(_ *adapt.Caller, code chanws.StatusCode, _ string) error { codes <- code; return nil },
	}, nil)
	require.NoError(t, err)
	require.Equal(t, chanws.StatusAbnormalClosure, receive(t, codes))
	receive(t, a.Done())
}
