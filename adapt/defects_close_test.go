package adapt_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// defectAnswer makes the peer of a mute session answer a close frame with bytes.
func defectAnswer(t *testing.T, opts chanws.Options, answer []byte) (took time.Duration, err error) {
	c, bare, served := mute(t, opts)
	go func() {
		header := make([]byte, 2)
		if _, err := io.ReadFull(bare, header); err == nil && header[0] == 0x88 {
			bare.Write(answer)
		}
	}()
	began := time.Now()
	err = c.CloseTimeout(1000, "", time.Minute)
	took = time.Since(began)
	<-served
	return took, err
}

func TestDefectAbsent_DataAheadOfTheEchoDelaysNoClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var answer []byte
		for range 200 {
			answer = append(answer, masked(1, "data")...)
		}
		took, err := defectAnswer(t, chanws.Options{EventBuffer: 1}, append(answer, masked(8, "\x03\xe8")...))
		require.NoError(t, err)
		require.Zero(t, took)
	})
}

func TestDefectAbsent_AnEchoWithAnotherCodeIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"\x03\xe9other", "", "\x0f\xa0"} {
		synctest.Test(t, func(t *testing.T) {
			took, err := defectAnswer(t, chanws.Options{}, masked(8, payload))
			require.NoError(t, err)
			require.Zero(t, took)
		})
	}
}

func TestDefectAbsent_CloseTimeoutZeroIsNoError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		began := time.Now()
		require.NoError(t, c.CloseTimeout(1000, "bye", 0))
		expect(t, s.Conn, chanws.Close{Code: 1000, Reason: "bye"})
		require.NoError(t, <-s.served)
		require.Zero(t, time.Since(began))
	})
}

func TestDefectAbsent_CloseInOnCloseDoesNotBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inner error
		s := serve(t, &adapt.Service{OnClose: func(c *adapt.Caller, code chanws.StatusCode, _ string) error {
			inner = c.Close(code, "")
			return nil
		}}, chanws.Options{})
		began := time.Now()
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
		require.NoError(t, inner)
		require.Zero(t, time.Since(began))
	})
}

func TestDefectAbsent_ReasonLengthIsCheckedUpFront(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		began := time.Now()
		require.ErrorIs(t, c.Close(1000, strings.Repeat("x", 124)), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(1000, "\xff"), chanws.ErrInvalidMessage)
		require.Zero(t, time.Since(began))
		require.True(t, c.IsOpen())
		require.NoError(t, c.CloseTimeout(1000, strings.Repeat("x", 123), 0))
		require.Equal(t, chanws.Close{Code: 1000, Reason: strings.Repeat("x", 123)}, ending(t, s.Conn))
		<-s.served
	})
}

func TestDefectAbsent_ASlowOnCloseDoesNotDelayTheEcho(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnClose: func(*adapt.Caller, chanws.StatusCode, string) error {
			time.Sleep(time.Hour)
			return nil
		}}, chanws.Options{})
		began := time.Now()
		require.NoError(t, s.Close(1000, ""))
		require.Zero(t, time.Since(began))
		require.NoError(t, <-s.served)
		require.Equal(t, time.Hour, time.Since(began))
	})
}

func TestDefectAbsent_OnCloseIsCalledForServerInitiatedCloses(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*adapt.Caller) error{
		"Close":     func(c *adapt.Caller) error { return c.Close(4001, "enough") },
		"no wait":   func(c *adapt.Caller) error { return c.CloseTimeout(4001, "enough", 0) },
		"a message": func(c *adapt.Caller) error { return c.WriteMessage(chanws.Close{Code: 4001, Reason: "enough"}) },
		"a result":  func(*adapt.Caller) error { return chanws.Close{Code: 4001, Reason: "enough"} },
		"a panic":   func(*adapt.Caller) error { panic("oops") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r record
				svc := r.service()
				svc.OnError = nil
				svc.OnOpen = end
				s := serve(t, svc, chanws.Options{})
				closed, ok := ending(t, s.Conn).(chanws.Close)
				require.True(t, ok)
				require.NoError(t, <-s.served)
				require.Len(t, r.all(), 1)
				require.Contains(t, r.all()[0], fmt.Sprintf("close %d ", int(closed.Code)))
			})
		})
	}
}

func TestDefectAbsent_IOErrorsGiveOnClose1006(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, bare := wstest.Raw(t, nil)
		var r record
		served := start(server, r.service())
		bare.(interface{ Drop() }).Drop()
		require.ErrorIs(t, <-served, io.ErrUnexpectedEOF)
		require.Equal(t, []string{"open", "close 1006 "}, r.all())
	})
}

func TestDefectAbsent_PanicsEndOneConnectionOnly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		callback string
		trigger  chanws.Message
		set      func(*adapt.Service)
	}{
		{"OnOpen", nil, func(s *adapt.Service) { s.OnOpen = func(*adapt.Caller) error { panic("oops") } }},
		{"OnTextMessage", chanws.Text("x"), func(s *adapt.Service) { s.OnTextMessage = func(*adapt.Caller, string) error { panic("oops") } }},
		{"OnBinaryMessage", chanws.Binary("x"), func(s *adapt.Service) { s.OnBinaryMessage = func(*adapt.Caller, []byte) error { panic("oops") } }},
		{"OnPing", chanws.Ping("x"), func(s *adapt.Service) { s.OnPing = func(*adapt.Caller, []byte) error { panic("oops") } }},
		{"OnPong", chanws.Pong("x"), func(s *adapt.Service) { s.OnPong = func(*adapt.Caller, []byte) error { panic("oops") } }},
	} {
		t.Run(tc.callback, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told *adapt.PanicError
				svc := &adapt.Service{OnError: func(_ *adapt.Caller, err error) error {
					require.ErrorAs(t, err, &told)
					return nil
				}}
				tc.set(svc)
				other, s := serve(t, echoing, chanws.Options{}), serve(t, svc, chanws.Options{})
				if tc.trigger != nil {
					s.Send <- tc.trigger
				}
				require.EqualValues(t, 1011, chanws.CloseStatus(ending(t, s.Conn)))
				<-s.served
				require.Equal(t, tc.callback, told.Callback)
				require.Equal(t, "oops", told.Value)
				other.Send <- chanws.Text("alive")
				expect(t, other.Conn, chanws.Text("alive"))
				require.NoError(t, other.Close(1000, ""))
				<-other.served
			})
		})
	}
}

func TestDefectAbsent_ReturnedErrorsDoNotFreeze(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := &adapt.Service{OnTextMessage: func(c *adapt.Caller, text string) error {
			if text == "bad" {
				return errBroken
			}
			return c.WriteTextMessage(text)
		}}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("bad")
		require.EqualValues(t, 1011, chanws.CloseStatus(ending(t, s.Conn)))
		<-s.served

		svc.OnError = bTelling
		s = serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("bad")
		s.Send <- chanws.Text("good")
		expect(t, s.Conn, chanws.Text("told: broken"), chanws.Text("good"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestDefectAbsent_RefusedValuesDoNotFreeze(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serveConfig(t, bEchoing[order](), &adapt.ServiceConfig{Validate: func(v any) error {
			if v.(order).N < 0 {
				return errBroken
			}
			return nil
		}})
		c.Send <- chanws.Text(`{"x":"bad","n":-1}`) // nobody is told, and the connection stays open
		c.Send <- chanws.Text(`{"x":"good","n":1}`)
		expect(t, c, chanws.Text(`{"x":"good","n":1}`))
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
	})
}

func TestDefectAbsent_ResultsThatCannotBeSentDoNotFreeze(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := &adapt.Service{OnTextMessage: adapt.JSON(func(_ *adapt.Caller, in string) (any, error) {
			if in == "bad" {
				return make(chan int), nil
			}
			return in, nil
		})}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("bad")
		require.EqualValues(t, 1011, chanws.CloseStatus(ending(t, s.Conn)))
		<-s.served

		svc.OnError = func(c *adapt.Caller, err error) error {
			require.ErrorIs(t, err, chanws.ErrInvalidMessage)
			return c.WriteTextMessage("told")
		}
		s = serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("bad")
		s.Send <- chanws.Text("good")
		expect(t, s.Conn, chanws.Text("told"), chanws.Text("good"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestDefectAbsent_ReturnedArraysAreJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnTextMessage: adapt.JSON(func(_ *adapt.Caller, in string) (any, error) {
			switch in {
			case "records":
				return []order{{X: "a", N: 1}, {X: "b"}}, nil
			case "values":
				return []any{1, "two", nil}, nil
			default:
				return []byte(in), nil
			}
		})}, chanws.Options{})
		for _, in := range []string{"records", "values", "bytes"} {
			s.Send <- chanws.Text(in)
		}
		expect(t, s.Conn, chanws.Text(`[{"x":"a","n":1},{"x":"b","n":0}]`), chanws.Text(`[1,"two",null]`), chanws.Binary("bytes"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}
