package adapt_test

import (
	"sync/atomic"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// dataFrames counts the frames of data that a hook of Trace is told.
func dataFrames() (count *atomic.Int32, hook func(chanws.FrameInfo)) {
	count = new(atomic.Int32)
	return count, func(f chanws.FrameInfo) {
		if f.Opcode < 8 {
			count.Add(1)
		}
	}
}

// The module has one maxFrameSize for what is sent and what is received: here
// FragmentSize is for the former, MaxFrameSize for the latter.

func TestScenario076_BinaryIsSentInFragments(t *testing.T) {
	t.Parallel()
	s, got := messages()
	count, hook := dataFrames()
	c := scenarioDial(t, s, nil, &chanws.ClientOptions{DialOptions: chanws.DialOptions{Options: chanws.Options{
		FragmentSize: 1, Trace: &chanws.Trace{FrameSent: hook},
	}}})
	scenarioWrite(t, c, chanws.Binary{5, 24, 56})
	require.Equal(t, chanws.Binary{5, 24, 56}, receive(t, got))
	require.EqualValues(t, 3, count.Load())
}

func TestScenario077_TextIsSentInFragmentsAndCode20Refused(t *testing.T) {
	t.Parallel()
	s, got := messages()
	count, hook := dataFrames()
	c := scenarioDial(t, s, nil, &chanws.ClientOptions{DialOptions: chanws.DialOptions{Options: chanws.Options{
		FragmentSize: 1, Trace: &chanws.Trace{FrameSent: hook},
	}}})
	scenarioWrite(t, c, chanws.Text("text data"))
	require.Equal(t, chanws.Text("text data"), receive(t, got))
	require.EqualValues(t, 9, count.Load())
	require.ErrorIs(t, c.Close(20, "hello"), chanws.ErrInvalidMessage)
	require.True(t, c.IsOpen())
	// The module cuts a character of several bytes into pieces that are none.
	scenarioWrite(t, c, chanws.Text("größer"))
	require.Equal(t, chanws.Text("größer"), receive(t, got))
	require.NoError(t, c.Close(1000, ""))
}

func TestScenario078_FragmentsOfTextAreReadAsOne(t *testing.T) {
	t.Parallel()
	count, hook := dataFrames()
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(*adapt.Caller, string) (string, error) { return "chunked message", nil }),
	}, &adapt.ServiceConfig{Options: chanws.Options{FragmentSize: 4}}, &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{Options: chanws.Options{Trace: &chanws.Trace{FrameReceived: hook}}},
	})
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioRead(t, c, chanws.Text("chunked message"))
	require.EqualValues(t, 4, count.Load())
}

func TestScenario079_FragmentsOfBinaryAreReadAsOne(t *testing.T) {
	t.Parallel()
	count, hook := dataFrames()
	c := scenarioDial(t, &adapt.Service{
		OnTextMessage: adapt.JSON(func(*adapt.Caller, string) ([]byte, error) { return []byte{1, 2, 3, 4, 5, 6}, nil }),
	}, &adapt.ServiceConfig{Options: chanws.Options{FragmentSize: 4}}, &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{Options: chanws.Options{Trace: &chanws.Trace{FrameReceived: hook}}},
	})
	scenarioWrite(t, c, chanws.Text("Hi"))
	scenarioRead(t, c, chanws.Binary{1, 2, 3, 4, 5, 6})
	require.EqualValues(t, 2, count.Load())
}

func TestScenario080_TooLargeAFrameReachesOnErrorOfTheService(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	c := scenarioDial(t, &adapt.Service{OnError: func(_ *adapt.Caller, err error) error { errs <- err; return nil }},
		&adapt.ServiceConfig{Options: chanws.Options{MaxFrameSize: 1}}, nil)
	scenarioWrite(t, c, chanws.Text("Hi"))
	requireTooBig(t, receive(t, errs))
	require.Equal(t, chanws.StatusMessageTooBig, chanws.CloseStatus(scenarioReadError(t, c)))
}

func TestScenario081_TooLargeAFrameIsAnErrorOfTheClientsRead(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("Hi") }}, nil,
		&chanws.ClientOptions{DialOptions: chanws.DialOptions{Options: chanws.Options{MaxFrameSize: 1}}})
	requireTooBig(t, scenarioReadError(t, c))
}

func requireTooBig(t *testing.T, err error) {
	t.Helper()
	var broken *chanws.ProtocolError
	require.ErrorAs(t, err, &broken)
	require.Equal(t, chanws.StatusMessageTooBig, broken.Code)
}

func TestScenario082_TooLargeAPingIsRefused(t *testing.T) {
	t.Parallel()
	c := scenarioDial(t, echoing, nil, nil)
	require.ErrorIs(t, c.Ping(t.Context(), make([]byte, 148)), chanws.ErrInvalidMessage)
	scenarioWrite(t, c, chanws.Text("unharmed"))
	scenarioRead(t, c, chanws.Text("unharmed"))
}
