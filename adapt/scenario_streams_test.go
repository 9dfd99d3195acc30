package adapt_test

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// bSequence is a sequence of values, whatever the request.
func bSequence(values ...any) func(string) iter.Seq2[any, error] {
	return func(string) iter.Seq2[any, error] { return of(values...) }
}

func TestScenario205_AStreamOfStrings(t *testing.T) {
	t.Parallel()
	c := bAsk(t, streaming(bSequence("ABC", "XYZ", "123")), chanws.Text("go"))
	bExpect(t, c, chanws.Text("ABC"), chanws.Text("XYZ"), chanws.Text("123"))
}

func TestScenario206_AStreamOfRecordsIsJSON(t *testing.T) {
	t.Parallel()
	c := bAsk(t, streaming(bSequence(bPoint{"a", 1}, bPoint{"b", 2})), chanws.Text("go"))
	bExpect(t, c, chanws.Text(`{"x":"a","y":1}`), chanws.Text(`{"x":"b","y":2}`))
}

func TestScenario207_AGeneratorsEndSendsNothing(t *testing.T) {
	t.Parallel()
	evens := func(yield func(int, error) bool) { _ = yield(2, nil) && yield(4, nil) }
	s := &adapt.Service{OnTextMessage: adapt.JSONStream(func(*adapt.Caller, string) iter.Seq2[int, error] { return evens })}
	c := bAsk(t, s, chanws.Text("go"))
	bExpect(t, c, chanws.Text("2"), chanws.Text("4"))
	require.NoError(t, c.Close(1000, ""))
	_, err := c.ReadMessage(bContext(t))
	require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err), "nothing came before the close")
}

func TestScenario208_AGeneratorsErrorClosesWith1011(t *testing.T) {
	t.Parallel()
	c := bAsk(t, streaming(bSequence("1", errors.New("panic from next"))), chanws.Text("go"))
	bExpect(t, c, chanws.Text("1"))
	bRequireClosed(t, c, 1011, "streaming failed: panic from next")
}

func TestScenario209_AStreamOfJSON(t *testing.T) {
	t.Parallel()
	c := bAsk(t, streaming(bSequence(map[string]any{"x": 1}, []any{true, "a"}, 3)), chanws.Text("go"))
	bExpect(t, c, chanws.Text(`{"x":1}`), chanws.Text(`[true,"a"]`), chanws.Text("3"))
}

func TestScenario210_AStreamFromOnOpen(t *testing.T) {
	t.Parallel()
	s := &adapt.Service{OnOpen: func(c *adapt.Caller) error { return adapt.Stream(c, of("ABC", "XYZ")) }}
	bExpect(t, bDial(t, bListen(t, s, nil), nil), chanws.Text("ABC"), chanws.Text("XYZ"))
}

// bSlow is a service with a stream of ten seconds, which answers other requests.
func bSlow() *adapt.Service {
	s := bDispatching(adapt.Route{Name: "onSubscribe", Handle: adapt.JSONStream(func(*adapt.Caller, any) iter.Seq2[any, error] {
		return counting(10, time.Second)
	})})
	s.OnTextMessage = func(c *adapt.Caller, text string) error { return c.WriteTextMessage("re: " + text) }
	return s
}

func TestScenario211_ARequestDuringAStreamIsAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, bSlow(), chanws.Options{})
		s.Send <- chanws.Text(`{"event":"subscribe"}`)
		expect(t, s.Conn, chanws.Text("1"))
		before := time.Now()
		s.Send <- chanws.Text("request")
		expect(t, s.Conn, chanws.Text("re: request"))
		require.Zero(t, time.Since(before), "it does not wait for the stream")
		for i := 2; i <= 10; i++ {
			expect(t, s.Conn, chanws.Text(strconv.Itoa(i)))
		}
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
	})
}

func TestScenario212_FiveRequestsDuringAStreamAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, bSlow(), chanws.Options{})
		s.Send <- chanws.Text(`{"event":"subscribe"}`)
		for i := 1; i <= 10; i++ {
			expect(t, s.Conn, chanws.Text(strconv.Itoa(i)))
			if i <= 5 {
				s.Send <- chanws.Text(fmt.Sprintf("request %d", i))
				expect(t, s.Conn, chanws.Text(fmt.Sprintf("re: request %d", i)))
			}
		}
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
	})
}
