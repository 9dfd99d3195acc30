package adapt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestCallbacksComeInTheOrderOfTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		s := serve(t, r.service(), chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Binary("b")
		s.Send <- chanws.Ping("c")
		s.Send <- chanws.Text("d")
		s.Send <- chanws.Pong("e")
		require.NoError(t, s.Close(4001, "bye"))
		require.NoError(t, <-s.served)
		require.Equal(t, []string{"open", "text a", "binary b", "ping c", "text d", "pong e", "close 4001 bye"}, r.all())
	})
}

func TestCallbacksRunOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnOpen = func(*adapt.Caller) error {
			time.Sleep(time.Second)
			r.note("opened")
			return nil
		}
		svc.OnTextMessage = func(_ *adapt.Caller, text string) error {
			r.note("begin %s", text)
			time.Sleep(time.Second)
			r.note("end %s", text)
			return nil
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Text("b")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"opened", "begin a", "end a", "begin b", "end b"}, r.all())
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestMissingCallbacksAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{}, chanws.Options{IdleTimeout: time.Minute})
		for _, m := range []chanws.Message{chanws.Text("a"), chanws.Binary("b"), chanws.Pong("c"), chanws.Ping("d")} {
			s.Send <- m
		}
		expect(t, s.Conn, chanws.Pong("d"))
		time.Sleep(time.Hour)
		require.NoError(t, s.Close(1000, ""))
		require.NoError(t, <-s.served)
	})
}

func TestOnMessageGetsMessagesOfBothKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		s := serve(t, &adapt.Service{OnMessage: func(_ *adapt.Caller, m chanws.Message) error {
			r.note("%T %s", m, m)
			return nil
		}}, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Binary("b")
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		require.Equal(t, []string{"chanws.Text a", "chanws.Binary b"}, r.all())
	})
}

func TestPingsAreAnsweredWhileACallbackRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := serve(t, &adapt.Service{OnTextMessage: func(*adapt.Caller, string) error { <-release; return nil }}, chanws.Options{})
		s.Send <- chanws.Text("a")
		s.Send <- chanws.Ping("p")
		synctest.Wait()
		expect(t, s.Conn, chanws.Pong("p"))
		close(release)
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestACloseIsSeenWhileACallbackRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		svc := r.service()
		svc.OnTextMessage = func(c *adapt.Caller, _ string) error {
			<-c.Context().Done()
			r.note("seen %v", context.Cause(c.Context()))
			return nil
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("a")
		require.NoError(t, s.Close(1001, "leaving"), "the close waits for no callback")
		<-s.served
		require.Equal(t, []string{"open", "seen websocket closed: 1001 (going away): \"leaving\"", "close 1001 leaving"}, r.all())
	})
}

func TestManualPongsAreLeftToOnPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnPing: func(c *adapt.Caller, data []byte) error {
			return c.Pong([]byte(strings.ToUpper(string(data))))
		}}, chanws.Options{ManualPong: true})
		s.Send <- chanws.Ping("p")
		expect(t, s.Conn, chanws.Pong("P"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestWithoutOnPingAPingIsAnsweredInAnyCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveConfig(t, &adapt.Service{}, &adapt.ServiceConfig{Options: chanws.Options{ManualPong: true}})
		c.Send <- chanws.Ping("p")
		expect(t, c, chanws.Pong("p"))
		require.NoError(t, c.Close(1000, ""))
		synctest.Wait()
	})
}

func TestOnIdleTimeoutRepeatsAndClosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		s := serve(t, r.service(), chanws.Options{IdleTimeout: 500 * time.Millisecond})
		time.Sleep(1700 * time.Millisecond)
		s.Send <- chanws.Text("a")
		synctest.Wait()
		require.Equal(t, []string{"open", "idle", "idle", "idle", "text a"}, r.all())
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

// The last callback, for every way in which a connection ends.
func TestTheLastCallbackTellsHowTheConnectionEnded(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts chanws.Options
		end  func(bare net.Conn)
		last string
		err  error
	}{
		{name: "a close frame with a code", end: func(c net.Conn) { c.Write(masked(8, "\x03\xe9bye")) }, last: "close 1001 bye"},
		{name: "a close frame without a code", end: func(c net.Conn) { c.Write(masked(8, "")) }, last: "close 1005 "},
		{name: "a drop", end: func(c net.Conn) { c.Close() }, last: "close 1006 ", err: io.ErrUnexpectedEOF},
		{name: "a reset", end: func(c net.Conn) { c.(interface{ Drop() }).Drop() }, last: "close 1006 ", err: io.ErrUnexpectedEOF},
		{name: "a drop inside a frame", end: func(c net.Conn) { c.Write(masked(1, "half")[:7]); c.Close() }, last: "close 1006 ", err: io.ErrUnexpectedEOF},
		{name: "a frame that is not masked", end: func(c net.Conn) { c.Write([]byte{0x81, 1, 'a'}) }, last: "error 1002"},
		{name: "text that is not UTF-8", end: func(c net.Conn) { c.Write(masked(1, "\xff")) }, last: "error 1007"},
		{name: "a frame that is too large", opts: chanws.Options{MaxFrameSize: 1}, end: func(c net.Conn) { c.Write(masked(1, "Hi")) }, last: "error 1009"},
		{name: "no pong", opts: chanws.Options{PingInterval: time.Second}, end: func(net.Conn) {}, last: "error timeout", err: os.ErrDeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, bare := wstest.Raw(t, &chanws.UpgradeOptions{Options: tc.opts})
				var r record
				svc := r.service()
				svc.OnError = func(_ *adapt.Caller, err error) error {
					var p *chanws.ProtocolError
					switch {
					case errors.As(err, &p):
						r.note("error %d", int(p.Code))
					case errors.Is(err, os.ErrDeadlineExceeded):
						r.note("error timeout")
					default:
						r.note("error %v", err)
					}
					return nil
				}
				served := start(server, svc)
				tc.end(bare)
				err := <-served
				require.Equal(t, []string{"open", tc.last}, r.all())
				switch {
				case tc.err != nil:
					require.ErrorIs(t, err, tc.err)
				case strings.HasPrefix(tc.last, "close"):
					require.NoError(t, err)
				default:
					require.Error(t, err)
				}
				bare.Close()
			})
		})
	}
}

// masked is a client's frame.
func masked(opcode byte, payload string) []byte {
	frame := []byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	return append(frame, payload...)
}

func TestMessagesThatCameBeforeACloseAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, bare := wstest.Raw(t, nil)
		var r record
		svc := r.service()
		svc.OnTextMessage = func(c *adapt.Caller, text string) error {
			r.note("text %s", text)
			time.Sleep(time.Second)
			return c.WriteTextMessage(text)
		}
		served := start(server, svc)
		bare.Write(append(append(masked(1, "a"), masked(1, "b")...), masked(8, "\x03\xe8")...))
		require.NoError(t, <-served)
		require.Equal(t, []string{"open", "text a", "text b", "close 1000 "}, r.all(), "a write after the end is no error of its own")
	})
}

func TestServeRefusesAServiceThatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{
			OnMessage:     func(*adapt.Caller, chanws.Message) error { return nil },
			OnTextMessage: func(*adapt.Caller, string) error { return nil },
		}, chanws.Options{})
		require.Equal(t, chanws.Close{Code: 1011}, ending(t, s.Conn))
		require.ErrorIs(t, <-s.served, adapt.ErrInvalidService)
	})
}

func TestACallbackThatEndsItsGoroutineLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, &adapt.Service{OnOpen: func(*adapt.Caller) error { runtime.Goexit(); return nil }}, chanws.Options{})
		require.ErrorIs(t, ending(t, s.Conn), io.ErrUnexpectedEOF)
	})
}

func TestServeOnAConnectionWhoseEndWasReceivedIsTheLastCallbackAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, nil, nil)
		go client.Close(1001, "bye")
		for range server.Events() { // somebody was too eager
		}
		var r record
		require.NoError(t, adapt.Serve(server, r.service()))
		require.Equal(t, []string{"open", "close 1001 bye"}, r.all())
	})
}
