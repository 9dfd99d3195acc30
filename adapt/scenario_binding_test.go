package adapt_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

func TestScenario122_JSONOverText(t *testing.T) {
	t.Parallel()
	bRequireEcho[any](t, chanws.Text(`{"id":1,"tags":["a",null]}`), map[string]any{"id": 1.0, "tags": []any{"a", nil}})
}

func TestScenario123_JSONInABinaryMessage(t *testing.T) {
	t.Parallel()
	bRequireEcho[any](t, chanws.Binary(`{"id":1}`), map[string]any{"id": 1.0})
}

func TestScenario126_AnInt(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text("55"), 55)
}

func TestScenario128_AFloat(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text("10.5"), 10.5)
}

// Go has no decimal; this is a type of the user's own.
func TestScenario129_ADecimalKeepsItsDigits(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text("1234567890.12345678901234567890"), bDecimal{"1234567890.12345678901234567890"})
}

func TestScenario130_ABooleanAsText(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text("true"), true)
}

// Go has no xml type; this is a text type of the user's own.
func TestScenario131_XMLOverText(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bEchoing[bXML](), chanws.Text("<book>Go</book>")), chanws.Text("<book>Go</book>"))
}

// Go has no xml type; this is a text type of the user's own.
func TestScenario132_XMLInABinaryMessage(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bEchoing[bXML](), chanws.Binary("<book>Go</book>")), chanws.Text("<book>Go</book>"))
}

func TestScenario134_ARecordInABinaryMessage(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Binary(`{"x":"a","y":2}`), bPoint{"a", 2})
}

func TestScenario136_ARecordArray(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text(`[{"x":"a","y":1},{"x":"b","y":2}]`), []bPoint{{"a", 1}, {"b", 2}})
}

func TestScenario137_AJSONArray(t *testing.T) {
	t.Parallel()
	bRequireEcho(t, chanws.Text(`[1,"a",{"b":true}]`), []any{1.0, "a", map[string]any{"b": true}})
}

func TestScenario138_AJSONArrayIsReadBackAsBytes(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bEchoing[[]any](), chanws.Text(`[1, "a"]`))
	require.Equal(t, json.RawMessage(`[1,"a"]`), bRead[json.RawMessage](t, c))
}

func TestScenario139_AJSONArrayIsReadBackAsAny(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bEchoing[[]any](), chanws.Text(`[1, "a"]`))
	require.Equal(t, []any{1.0, "a"}, bRead[any](t, c))
}

func TestScenario141_AString(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bEchoing[string](), chanws.Text("Hello"))
	text, err := c.ReadTextMessage(bContext(t))
	require.NoError(t, err)
	require.Equal(t, "Hello", text)
}

func TestScenario142_BytesAreEchoed(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bEchoing[[]byte](), chanws.Binary{0, 1, 255})
	b, err := c.ReadBinaryMessage(bContext(t))
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 255}, b)
}

func TestScenario143_TextThroughAServiceOfBothKinds(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bMirror(), chanws.Text("Hello")), chanws.Text("Hello"))
}

func TestScenario144_JSONThroughAServiceOfBothKinds(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bMirror(), chanws.Text(`{"x":"a","y":1}`))
	require.Equal(t, bPoint{"a", 1}, bRead[bPoint](t, c))
}

func TestScenario145_XMLThroughAServiceOfBothKinds(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bMirror(), chanws.Text("<book/>")), chanws.Text("<book/>"))
}

func TestScenario146_AnObjectIsNoRecordArray(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[[]bPoint](t, chanws.Text(`{"x":"a"}`))
}

func TestScenario147_XMLIsNoRecord(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[bPoint](t, chanws.Text(`<book/>`))
}

func TestScenario149_XMLIsNoJSON(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[any](t, chanws.Text(`<book/>`))
}

func TestScenario150_AnObjectIsNoInt(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[int](t, chanws.Text(`{"x":1}`))
}

func TestScenario151_AnObjectIsNoFloat(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[float64](t, chanws.Text(`{"x":1}`))
}

// Go has no decimal; this is a type of the user's own.
func TestScenario152_AnObjectIsNoDecimal(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[bDecimal](t, chanws.Text(`{"x":1}`))
}

func TestScenario153_XMLToAJSONServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[any](t, chanws.Text("<book/>"))
}

func TestScenario154_BinaryXMLToAJSONServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[any](t, chanws.Binary("<book/>"))
}

// Go has no xml type; this is a text type of the user's own.
func TestScenario155_JSONToAnXMLServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[bXML](t, chanws.Text(`{"x":1}`))
}

func TestScenario156_AnObjectToARecordArrayServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[[]bPoint](t, chanws.Text(`{"x":"a"}`))
}

func TestScenario157_AnArrayToARecordServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[bPoint](t, chanws.Text(`[{"x":"a"}]`))
}

func TestScenario158_TextThroughAServiceOfBothKindsIsNoInt(t *testing.T) {
	t.Parallel()
	bRequireUndecodable[int](t, chanws.Text("Hello"))
}

func TestScenario159_HelloToAFloatServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[float64](t, chanws.Text("Hello"))
}

// Go has no decimal; this is a type of the user's own.
func TestScenario160_HelloToADecimalServiceClosesWith1003(t *testing.T) {
	t.Parallel()
	bRequireUnbound[bDecimal](t, chanws.Text("Hello"))
}

func TestScenario162_AReturnedInt(t *testing.T) {
	t.Parallel()
	require.Equal(t, 55, bRead[int](t, bAsk(t, bReplying(55), chanws.Text("go"))))
}

func TestScenario163_AReturnedFloat(t *testing.T) {
	t.Parallel()
	require.Equal(t, 10.5, bRead[float64](t, bAsk(t, bReplying(10.5), chanws.Text("go"))))
}

// Go has no decimal; this is a type of the user's own.
func TestScenario164_AReturnedDecimalAsBytes(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bReplying([]byte("1.10")), chanws.Text("go"))
	require.Equal(t, bDecimal{"1.10"}, bRead[bDecimal](t, c))
}

func TestScenario165_AReturnedRecordAsBytes(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bReplying([]byte(`{"x":"a","y":1}`)), chanws.Text("go"))
	require.Equal(t, bPoint{"a", 1}, bRead[bPoint](t, c))
}

func TestScenario166_ReturnedJSONAsBytes(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bReplying([]byte(`{"x":[1]}`)), chanws.Text("go"))
	require.Equal(t, map[string]any{"x": []any{1.0}}, bRead[any](t, c))
}

// Go has no xml type; a client decodes the bytes itself.
func TestScenario167_ReturnedXMLAsBytes(t *testing.T) {
	t.Parallel()
	c := bAsk(t, bReplying([]byte("<book>Go</book>")), chanws.Text("go"))
	b, err := c.ReadBinaryMessage(bContext(t))
	require.NoError(t, err)
	require.NoError(t, new(bXML).UnmarshalText(b))
}

func TestScenario168_TextReadAsEitherKindIsText(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bMirror(), chanws.Text("1")), chanws.Text("1"))
}

func TestScenario170_BinaryReadAsEitherKindIsBytes(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bMirror(), chanws.Binary("1")), chanws.Binary("1"))
}

func TestScenario172_AnEnumParameterAndReply(t *testing.T) {
	t.Parallel()
	c := bAsk(t, &adapt.Service{OnTextMessage: adapt.JSON(func(_ *adapt.Caller, in bColor) (bColor, error) {
		if in == "RED" {
			return "BLUE", nil
		}
		return "RED", nil
	})}, chanws.Text("RED"))
	bExpect(t, c, chanws.Text("BLUE"))
	bSend(t, c, chanws.Text("BLUE"))
	bExpect(t, c, chanws.Text("RED"))
	bSend(t, c, chanws.Text("GREEN"))
	bRequireClosed(t, c, 1003, "data binding failed: ")
}

// Go has no unions; this is a type of the user's own that picks one of several.
func TestScenario173_AUnionOfRecordsPicksTheOneThatFits(t *testing.T) {
	t.Parallel()
	s := &adapt.Service{OnTextMessage: adapt.JSON(func(_ *adapt.Caller, in bEither) (string, error) {
		return fmt.Sprintf("%T", in.message), nil
	})}
	c := bAsk(t, s, chanws.Text(`{"event":"ping"}`))
	bExpect(t, c, chanws.Text("adapt_test.bEvent"))
	bSend(t, c, chanws.Text(`{"x":"a","y":1}`))
	bExpect(t, c, chanws.Text("adapt_test.bPoint"))
	bSend(t, c, chanws.Text(`{"event":"ping","y":1}`))
	bRequireClosed(t, c, 1003, "data binding failed: ")
}

// Go has no xml type; this is a text type of the user's own.
func TestScenario174_ReturnedXMLArrivesAsXML(t *testing.T) {
	t.Parallel()
	bExpect(t, bAsk(t, bReplying(bXML("<book>Go</book>")), chanws.Text("go")), chanws.Text("<book>Go</book>"))
}

func TestScenario175_QuotesSurviveInReturnedJSON(t *testing.T) {
	t.Parallel()
	want := map[string]string{"x": `say "hello"`}
	c := bAsk(t, bReplying(want), chanws.Text("go"))
	require.Equal(t, want, bRead[map[string]string](t, c))
}

func TestScenario176_QuotesSurviveInAnElementOfAStream(t *testing.T) {
	t.Parallel()
	want := bPoint{X: `say "hello"`, Y: 1}
	c := bAsk(t, streaming(bSequence(want, want)), chanws.Text("go"))
	require.Equal(t, want, bRead[bPoint](t, c))
	require.Equal(t, want, bRead[bPoint](t, c))
}

func TestScenario177_OnErrorIsToldOfABinaryMessageThatIsNoInt(t *testing.T) {
	t.Parallel()
	s := bEchoing[int]()
	s.OnError = bTelling
	c := bAsk(t, s, chanws.Binary("event"))
	text, err := c.ReadTextMessage(bContext(t))
	require.NoError(t, err)
	require.Contains(t, text, "told: ")
	bSend(t, c, chanws.Binary("7"))
	require.Equal(t, 7, bRead[int](t, c), "the connection is alive")
}
