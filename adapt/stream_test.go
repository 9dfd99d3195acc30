package adapt_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// counting counts to n, each number after a pause.
func counting(n int, pause time.Duration) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for i := range n {
			time.Sleep(pause)
			if !yield(i+1, nil) {
				return
			}
		}
	}
}

// of is a sequence of values, errors among them.
func of(values ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, v := range values {
			err, failed := v.(error)
			if _, isClose := v.(chanws.Close); failed && !isClose {
				v = nil
			} else {
				err = nil
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// streaming is a service that answers a text with a sequence.
func streaming(seq func(string) iter.Seq2[any, error]) *adapt.Service {
	return &adapt.Service{OnTextMessage: adapt.JSONStream(func(_ *adapt.Caller, in string) iter.Seq2[any, error] { return seq(in) })}
}

func TestTheElementsOfAStreamAreMessagesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, streaming(func(string) iter.Seq2[any, error] {
			return of("a", order{X: `"`}, nil, []byte("bytes"), 4)
		}), chanws.Options{})
		s.Send <- chanws.Text("go")
		expect(t, s.Conn, chanws.Text("a"), chanws.Text(`{"x":"\"","n":0}`), chanws.Binary("bytes"), chanws.Text("4"))
		time.Sleep(time.Hour)
		require.NoError(t, s.Close(1000, ""), "nothing is sent at the end")
		<-s.served
	})
}

func TestAStreamMayBeginInOnOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error { return adapt.Stream(c, of(1, 2)) }}, chanws.Options{})
		expect(t, s.Conn, chanws.Text("1"), chanws.Text("2"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestANilSequenceSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, streaming(func(string) iter.Seq2[any, error] { return nil }), chanws.Options{})
		s.Send <- chanws.Text("go")
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
	})
}

func TestAStreamThatFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		seq  iter.Seq2[any, error]
		end  chanws.Close
		told bool
	}{
		{"by an error", of(1, errBroken), chanws.Close{Code: 1011, Reason: "streaming failed: broken"}, true},
		{"by a long error", of(1, errors.New(strings.Repeat("ü", 100))), chanws.Close{Code: 1011, Reason: "streaming failed: " + strings.Repeat("ü", 52)}, true},
		{"by a Close as error", of(1, fmt.Errorf("enough: %w", chanws.Close{Code: 3000, Reason: "r"})), chanws.Close{Code: 3000, Reason: "r"}, false},
		{"by a Close as element", of(1, chanws.Close{Code: 1000}), chanws.Close{Code: 1000}, false},
		{"by a panic", func(yield func(any, error) bool) { yield(1, nil); panic(errBroken) }, chanws.Close{Code: 1011, Reason: "Unexpected condition"}, true},
		{"by an element that cannot be sent", of(1, make(chan int)), chanws.Close{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []error
				svc := streaming(func(string) iter.Seq2[any, error] { return tc.seq })
				svc.OnError = func(_ *adapt.Caller, err error) error { told = append(told, err); return nil }
				s := serve(t, svc, chanws.Options{})
				s.Send <- chanws.Text("go")
				expect(t, s.Conn, chanws.Text("1"))
				end := ending(t, s.Conn)
				require.NoError(t, <-s.served)
				if tc.end.Code != 0 {
					require.Equal(t, tc.end, end)
				} else {
					require.EqualValues(t, 1011, chanws.CloseStatus(end))
				}
				if tc.told {
					require.Len(t, told, 1)
				} else {
					require.Empty(t, told)
				}
			})
		})
	}
}

func TestOtherCallbacksRunWhileAStreamDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, streaming(func(in string) iter.Seq2[any, error] {
			if in == "slow" {
				return counting(10, time.Second)
			}
			return of(in)
		}), chanws.Options{})
		s.Send <- chanws.Text("slow")
		expect(t, s.Conn, chanws.Text("1"), chanws.Text("2"))
		s.Send <- chanws.Text("now")
		expect(t, s.Conn, chanws.Text("now"))
		for i := 3; i <= 10; i++ {
			expect(t, s.Conn, chanws.Text(fmt.Sprint(i)))
		}
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestStreamsInterleaveByWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, streaming(func(in string) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				for i := range 100 {
					if !yield(fmt.Sprintf("%s %d %s", in, i, strings.Repeat(in, 50)), nil) {
						return
					}
				}
			}
		}), chanws.Options{FragmentSize: 9})
		s.Send <- chanws.Text("ä")
		s.Send <- chanws.Text("ö")
		next := map[string]int{}
		for range 200 {
			var in, rest string
			var i int
			text := (<-s.Events()).(chanws.Text)
			_, err := fmt.Sscan(string(text), &in, &i, &rest)
			require.NoError(t, err)
			require.Equal(t, next[in], i)
			require.Equal(t, strings.Repeat(in, 50), rest)
			next[in]++
		}
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestAPeerThatDoesNotReadHoldsUpTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c, bare, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		require.NoError(t, adapt.Stream(c, func(yield func(string, error) bool) {
			for yield(strings.Repeat("x", 10_000), nil) {
				asked.Add(1)
			}
		}))
		synctest.Wait()
		require.Less(t, asked.Load(), int64(20))
		bare.(interface{ Drop() }).Drop()
		<-served
	})
}

func TestAStreamEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		svc := streaming(func(string) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				defer func() { ended = true }()
				counting(1000, time.Second)(yield)
			}
		})
		var r record
		svc.OnError = func(_ *adapt.Caller, err error) error { r.note("error %v", err); return nil }
		svc.OnClose = func(*adapt.Caller, chanws.StatusCode, string) error { r.note("close"); return nil }
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("go")
		expect(t, s.Conn, chanws.Text("1"))
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
		require.True(t, ended, "Serve waits for it")
		require.Equal(t, []string{"close"}, r.all(), "it is no failure")
	})
}

func TestAStreamAfterTheEndIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.ErrorAs(t, adapt.Stream(c, of(1)), new(*adapt.ClosureError))
	})
}
