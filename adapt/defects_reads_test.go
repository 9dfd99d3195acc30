package adapt_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

// defectClient is a client that calls and waits.
func defectClient(t testing.TB, h *host, set func(*chanws.ClientOptions)) *chanws.Client {
	t.Helper()
	opts := &chanws.ClientOptions{DialOptions: h.options()}
	if set != nil {
		set(opts)
	}
	c, err := chanws.NewClient(t.Context(), serverURL, opts)
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// textOf is the text of a message, and empty for everything else.
func textOf(ev chanws.Event) string {
	text, _ := ev.(chanws.Text)
	return string(text)
}

func TestDefectAbsent_ControlFramesNeedNoRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		h := defectHost(t, &adapt.Service{
			OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("early") },
			OnPing: func(c *adapt.Caller, _ []byte) error { return c.Ping([]byte("q")) },
			OnPong: func(c *adapt.Caller, b []byte) error {
				return c.WriteMessage(chanws.Close{Code: 4000, Reason: string(b)})
			},
		}, nil)
		c := defectClient(t, h, func(o *chanws.ClientOptions) {
			o.OnPong = func(_ *chanws.Client, b []byte) { r.note("pong %s", b) }
		})
		require.NoError(t, c.Ping(t.Context(), []byte("p")), "a ping before any read")
		synctest.Wait()
		require.Equal(t, []string{"pong p"}, r.all())
		require.False(t, c.IsOpen(), "the close was seen, and the ping before it answered")
		text, err := c.ReadTextMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "early", text)
		_, err = c.ReadMessage(t.Context())
		require.Equal(t, chanws.Close{Code: 4000, Reason: "q"}, err)
	})
}

func TestDefectAbsent_PingsAreAnsweredAndCloseSeenWhileAHandlerRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnTextMessage = func(c *adapt.Caller, _ string) error {
			<-c.Context().Done()
			r.note("handler %d", int(chanws.CloseStatus(context.Cause(c.Context()))))
			return nil
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("work")
		s.Send <- chanws.Ping("p")
		expect(t, s.Conn, chanws.Pong("p"))
		require.NoError(t, s.Close(1001, ""))
		require.NoError(t, <-s.served)
		require.Equal(t, []string{"open", "handler 1001", "ping p", "close 1001 "}, r.all())
	})
}

func TestDefectAbsent_HeartbeatsAreAnsweredDuringAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := &adapt.Service{
			OnOpen: func(c *adapt.Caller) error {
				return adapt.Stream(c, func(yield func(string, error) bool) {
					for yield("element", nil) {
					}
				})
			},
			OnTextMessage: (*adapt.Caller).WriteTextMessage,
		}
		// The pongs are counted on the wire: a Pong event that finds the channel full of
		// elements is dropped.
		var pongs atomic.Int32
		client, server := wstest.Pipe(t, &chanws.DialOptions{Options: chanws.Options{Trace: &chanws.Trace{
			FrameReceived: func(f chanws.FrameInfo) {
				if f.Opcode == 10 {
					pongs.Add(1)
				}
			},
		}}}, nil)
		served := start(server, svc)
		for i := range 10 {
			client.Send <- chanws.Ping("beat")
			client.Send <- chanws.Text("heart")
			elements := 0
			for textOf(<-client.Events()) != "heart" {
				elements++
				require.Less(t, elements, 100_000)
			}
			require.EqualValues(t, i+1, pongs.Load(), "before the next message is")
		}
		require.NoError(t, client.Close(1000, ""))
		require.NoError(t, <-served)
	})
}

func TestDefectAbsent_CloseDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		h := defectHost(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			began := time.Now()
			err := c.Close(1000, "")
			if took := time.Since(began); took > 0 {
				err = fmt.Errorf("after %v: %v", took, err)
			}
			errs <- err
			return nil
		}}, nil)
		c := defectClient(t, h, nil)
		require.NoError(t, <-errs)
		synctest.Wait()
		require.False(t, c.IsOpen())
	})
}

func TestDefectAbsent_ConcurrentReadsGetAMessageEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := defectClient(t, defectHost(t, echoing, nil), nil)
		var r record
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				text, err := c.ReadTextMessage(t.Context())
				r.note("%s %v", text, err)
			})
		}
		synctest.Wait()
		for i := range 5 {
			require.NoError(t, c.WriteTextMessage(t.Context(), fmt.Sprint(i)))
		}
		wg.Wait()
		got := r.all()
		slices.Sort(got)
		require.Equal(t, []string{"0 <nil>", "1 <nil>", "2 <nil>", "3 <nil>", "4 <nil>"}, got)
	})
}

func TestDefectAbsent_AMessageAfterAReadTimedOutIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := defectHost(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			time.Sleep(time.Second)
			return c.WriteTextMessage("late")
		}}, nil)
		c := defectClient(t, h, func(o *chanws.ClientOptions) { o.ReadTimeout = 600 * time.Millisecond })
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		time.Sleep(time.Hour)
		text, err := c.ReadTextMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "late", text)
	})
}

func TestDefectAbsent_TheTypeOfAReadDoesNotStick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := defectClient(t, defectHost(t, echoing, nil), nil)
		for _, text := range []string{`{"x":"a"}`, "[", `{"x":1}`, "plain"} {
			require.NoError(t, c.WriteTextMessage(t.Context(), text))
		}
		v, err := chanws.ReadJSON[order](t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, order{X: "a"}, v)
		text, err := c.ReadTextMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "[", text)
		_, err = chanws.ReadJSON[order](t.Context(), c)
		require.ErrorAs(t, err, new(*chanws.DecodeError))
		text, err = c.ReadTextMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "plain", text)
	})
}

func TestDefectAbsent_TheWrongKindIsADefinedError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := defectClient(t, defectHost(t, bMirror(), nil), nil)
		bSend(t, c, chanws.Binary("b"), chanws.Text("t"))
		_, err := c.ReadTextMessage(t.Context())
		var other *chanws.UnexpectedMessageError
		require.ErrorAs(t, err, &other)
		require.Equal(t, chanws.Binary("b"), other.Message)
		_, err = c.ReadBinaryMessage(t.Context())
		require.ErrorAs(t, err, &other)
		require.Equal(t, chanws.Text("t"), other.Message)
		require.True(t, c.IsOpen())
	})
}

func TestDefectAbsent_BinaryBindingFailureLeavesTheConnectionOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := defectClient(t, defectHost(t, bMirror(), nil), nil)
		bSend(t, c, chanws.Binary("<no/>"), chanws.Binary(`{"x":"b"}`))
		_, err := chanws.ReadJSON[order](t.Context(), c)
		require.ErrorAs(t, err, new(*chanws.DecodeError))
		v, err := chanws.ReadJSON[order](t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, order{X: "b"}, v)
		require.NoError(t, c.Close(1000, ""))
	})
}

func TestDefectAbsent_FragmentsMayCutCharacters(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("aä€😀", 50)
	for size := 1; size <= 5; size++ {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, echoing, chanws.Options{FragmentSize: size})
			s.Send <- chanws.Text(text)
			expect(t, s.Conn, chanws.Text(text))
			require.NoError(t, s.Close(1000, ""))
			<-s.served
		})
		synctest.Test(t, func(t *testing.T) {
			server, bare := wstest.Raw(t, nil)
			got := make(chan string, 1)
			served := start(server, &adapt.Service{OnTextMessage: func(_ *adapt.Caller, s string) error { got <- s; return nil }})
			opcode := byte(1)
			for rest := text; rest != ""; opcode = 0 {
				n := min(size, len(rest))
				_, err := bare.Write(defectFrame(n == len(rest), opcode, rest[:n]))
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.Equal(t, text, <-got)
			bare.Close()
			<-served
		})
	}
}

func TestDefectAbsent_FragmentsNeverInterleave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{FragmentSize: 7})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					if c.WriteTextMessage(strings.Repeat(fmt.Sprint(i), 100)) != nil {
						return
					}
				}
			})
		}
		for range 8 * 20 {
			text := string((<-s.Events()).(chanws.Text))
			require.Equal(t, strings.Repeat(text[:1], 100), text)
		}
		wg.Wait()
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestDefectAbsent_TotalMessageSizeIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told error
		svc := &adapt.Service{
			OnMessage: func(*adapt.Caller, chanws.Message) error { panic("too large") },
			OnError:   func(_ *adapt.Caller, err error) error { told = err; return nil },
		}
		h := defectHost(t, svc, nil)
		c := defectClient(t, h, func(o *chanws.ClientOptions) { o.FragmentSize = 60_000 })
		go c.WriteBinaryMessage(t.Context(), make([]byte, 1<<20+1))
		_, err := c.ReadMessage(t.Context())
		require.EqualValues(t, 1009, chanws.CloseStatus(err))
		synctest.Wait()
		var p *chanws.ProtocolError
		require.ErrorAs(t, told, &p)
		require.EqualValues(t, 1009, p.Code)
	})
}

func TestDefectAbsent_StreamsWaitForThePeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c, bare, served := mute(t, chanws.Options{SendBuffer: 1, EventBuffer: 1})
		require.NoError(t, adapt.Stream(c, func(yield func([]byte, error) bool) {
			for yield(make([]byte, 16<<10), nil) {
				asked.Add(1)
			}
		}))
		time.Sleep(time.Hour)
		require.Less(t, asked.Load(), int64(20))
		bare.Close()
		<-served
	})
}

func TestDefectAbsent_StreamsMayBeBinary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error {
			return adapt.Stream(c, of([]byte("a"), chanws.Binary("b"), "c"))
		}}, chanws.Options{})
		expect(t, s.Conn, chanws.Binary("a"), chanws.Binary("b"), chanws.Text("c"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}
