package adapt_test

import (
	"errors"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

var (
	errBLength = errors.New("validation failed for '$:length' constraint(s)")
	errBMin    = errors.New("validation failed for '$.y:minValue' constraint(s)")
)

// bConstrained wants texts and bytes of length 2, and no small Y.
func bConstrained(v any) error {
	switch v := v.(type) {
	case string:
		if len(v) != 2 {
			return errBLength
		}
	case []byte:
		if len(v) != 2 {
			return errBLength
		}
	case bPoint:
		if v.Y < 10 {
			return errBMin
		}
	}
	return nil
}

// bValidating is a client of a mirror, which has been sent m.
func bValidating(t *testing.T, validate func(any) error, m chanws.Message) *chanws.Client {
	c := bDial(t, bListen(t, bMirror(), nil), &chanws.ClientOptions{Validate: validate})
	bSend(t, c, m)
	return c
}

// bRequireRefused tells that a read failed by cause, and nothing else.
func bRequireRefused(t *testing.T, c *chanws.Client, err, cause error, m chanws.Message) {
	t.Helper()
	var refused *chanws.ValidationError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, cause)
	require.Equal(t, m, refused.Message)
	require.True(t, c.IsOpen())
}

// bValidated serves an echo of T with a Validate.
func bValidated[T any](t *testing.T, validate func(any) error, m chanws.Message) *chanws.Client {
	s := bEchoing[T]()
	s.OnError = bTelling
	c := bDial(t, bListen(t, s, &adapt.ServiceConfig{Validate: validate}), nil)
	bSend(t, c, m)
	return c
}

// bRequireTold reads what OnError was told.
func bRequireTold(t *testing.T, c *chanws.Client, part string) {
	t.Helper()
	text, err := c.ReadTextMessage(bContext(t))
	require.NoError(t, err)
	require.Contains(t, text, "told: ")
	require.Contains(t, text, part)
}

func TestScenario178_AClientReadsAStringThatIsValid(t *testing.T) {
	t.Parallel()
	text, err := bValidating(t, bConstrained, chanws.Text("Hi")).ReadTextMessage(bContext(t))
	require.NoError(t, err)
	require.Equal(t, "Hi", text)
}

func TestScenario179_AClientReadsAStringThatIsTooLong(t *testing.T) {
	t.Parallel()
	c := bValidating(t, bConstrained, chanws.Text("Hello"))
	_, err := c.ReadTextMessage(bContext(t))
	bRequireRefused(t, c, err, errBLength, chanws.Text("Hello"))
}

func TestScenario180_AClientReadsARecordThatIsValid(t *testing.T) {
	t.Parallel()
	c := bValidating(t, bConstrained, chanws.Text(`{"x":"a","y":10}`))
	require.Equal(t, bPoint{"a", 10}, bRead[bPoint](t, c))
}

func TestScenario181_AClientReadsARecordWithAFieldThatIsNotValid(t *testing.T) {
	t.Parallel()
	c := bValidating(t, bConstrained, chanws.Text(`{"x":"a","y":1}`))
	_, err := chanws.ReadJSON[bPoint](bContext(t), c)
	bRequireRefused(t, c, err, errBMin, chanws.Text(`{"x":"a","y":1}`))
	require.ErrorContains(t, err, "$.y:minValue")
}

func TestScenario182_AClientWithoutValidateChecksNothing(t *testing.T) {
	t.Parallel()
	c := bValidating(t, nil, chanws.Text(`{"x":"a","y":1}`))
	require.Equal(t, bPoint{"a", 1}, bRead[bPoint](t, c))
}

func TestScenario183_OnErrorIsToldOfATextThatIsNotValid(t *testing.T) {
	t.Parallel()
	c := bValidated[string](t, bConstrained, chanws.Text("Hello"))
	bRequireTold(t, c, errBLength.Error())
	bSend(t, c, chanws.Text("Hi"))
	bExpect(t, c, chanws.Text("Hi"))
}

func TestScenario184_AServiceWithoutValidateEchoesText(t *testing.T) {
	t.Parallel()
	bExpect(t, bValidated[string](t, nil, chanws.Text("Hello")), chanws.Text("Hello"))
}

func TestScenario185_OnErrorIsToldOfBytesThatAreNotValid(t *testing.T) {
	t.Parallel()
	c := bValidated[[]byte](t, bConstrained, chanws.Binary("Hello"))
	bRequireTold(t, c, errBLength.Error())
	require.True(t, c.IsOpen())
}

func TestScenario186_AServiceEchoesBytesThatAreValid(t *testing.T) {
	t.Parallel()
	bExpect(t, bValidated[[]byte](t, bConstrained, chanws.Binary("Hi")), chanws.Binary("Hi"))
}

func TestScenario187_AServiceWithoutValidateEchoesBytes(t *testing.T) {
	t.Parallel()
	bExpect(t, bValidated[[]byte](t, nil, chanws.Binary("Hello")), chanws.Binary("Hello"))
}

func TestScenario188_AClientWithoutValidateReadsBytes(t *testing.T) {
	t.Parallel()
	b, err := bValidating(t, nil, chanws.Binary("Hello")).ReadBinaryMessage(bContext(t))
	require.NoError(t, err)
	require.Equal(t, []byte("Hello"), b)
}

func TestScenario189_AClientReadsBytesThatAreValid(t *testing.T) {
	t.Parallel()
	b, err := bValidating(t, bConstrained, chanws.Binary("Hi")).ReadBinaryMessage(bContext(t))
	require.NoError(t, err)
	require.Equal(t, []byte("Hi"), b)
}

func TestScenario190_AClientReadsBytesThatAreNotValid(t *testing.T) {
	t.Parallel()
	c := bValidating(t, bConstrained, chanws.Binary("Hello"))
	_, err := c.ReadBinaryMessage(bContext(t))
	bRequireRefused(t, c, err, errBLength, chanws.Binary("Hello"))
}
