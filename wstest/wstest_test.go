package wstest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
)

func receive(t testing.TB, c *chanws.Conn) chanws.Event {
	t.Helper()
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	return ev
}

// ending passes over what else there is and gives the terminal error.
func ending(t testing.TB, c *chanws.Conn) error {
	t.Helper()
	for {
		if _, err := c.Receive(t.Context()); err != nil {
			return err
		}
	}
}

func ExamplePipe() {
	var t *testing.T // of your test

	client, server := wstest.Pipe(t, nil, &chanws.UpgradeOptions{Subprotocols: []string{"chat"}})
	client.Send <- chanws.Text("hello")
	switch ev := (<-server.Events()).(type) {
	case chanws.Text:
		t.Log(ev)
	default:
		t.Fatal(ev)
	}
}

func ExampleRaw() {
	var t *testing.T // of your test

	server, peer := wstest.Raw(t, nil)
	peer.(interface{ Drop() }).Drop()
	if _, err := server.Receive(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

func TestPipe_carries_messages_both_ways_in_a_bubble_and_takes_no_time(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c, s := wstest.Pipe(t, nil, nil)
		c.Send <- chanws.Text("to the server")
		s.Send <- chanws.Binary("to the client")
		require.Equal(t, chanws.Text("to the server"), receive(t, s))
		require.Equal(t, chanws.Binary("to the client"), receive(t, c))
		require.Equal(t, begin, time.Now())
	})
}

func TestPipe_does_a_real_handshake_with_the_options_of_both_sides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := &chanws.DialOptions{
			Header:             http.Header{"X-Client": {"yes"}},
			Cookies:            []*http.Cookie{{Name: "session", Value: "1"}},
			Subprotocols:       []string{"second", "first"},
			RequireSubprotocol: true,
			Authorize: func(_ context.Context, r *http.Request) error {
				r.Header.Set("Authorization", "Bearer token")
				return nil
			},
		}
		c, s := wstest.Pipe(t, dial, &chanws.UpgradeOptions{
			Subprotocols: []string{"first"},
			Header:       http.Header{"X-Server": {"yes"}},
			Authorize: func(r *http.Request) error {
				if r.Header.Get("Authorization") != "Bearer token" {
					return errors.New("no token")
				}
				return nil
			},
		})
		require.Nil(t, dial.HTTPClient)
		require.Equal(t, "first", c.Subprotocol())
		require.Equal(t, "first", s.Subprotocol())
		require.Equal(t, "yes", c.Response().Header.Get("X-Server"))
		require.Equal(t, "yes", s.Request().Header.Get("X-Client"))
		require.Equal(t, "session=1", s.Request().Header.Get("Cookie"))
		require.Equal(t, "server.test", s.Request().Host)
		require.Equal(t, c.LocalAddr().String(), s.Request().RemoteAddr)
		require.Equal(t, c.LocalAddr(), s.RemoteAddr())
		require.Equal(t, s.LocalAddr(), c.RemoteAddr())
	})
}

func TestPipe_does_the_close_handshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := wstest.Pipe(t, nil, nil)
		require.NoError(t, c.Close(4000, "bye"))
		require.Equal(t, chanws.Close{Code: 4000, Reason: "bye"}, ending(t, s))
		require.NoError(t, s.CloseNow())
	})
}

func TestPipe_the_end_of_the_request_does_not_end_the_connection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var request context.Context
		_, s := wstest.Pipe(t, nil, &chanws.UpgradeOptions{Authorize: func(r *http.Request) error {
			request = r.Context()
			return nil
		}})
		synctest.Wait()
		require.Error(t, request.Err())
		require.NoError(t, s.Context().Err())
		require.NoError(t, s.Request().Context().Err())
	})
}

func TestRaw_gives_the_client_end_from_the_first_frame_on(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, peer := wstest.Raw(t, nil)
		s.Send <- chanws.Text("hello")
		require.Equal(t, "\x81\x05hello", read(t, peer, 7))
		write(t, peer, "\x82\x83\x00\x00\x00\x00abc")
		require.Equal(t, chanws.Binary("abc"), receive(t, s))
		require.Equal(t, "server.test", s.Request().Host)
	})
}

func TestRawServer_gives_the_server_end_from_the_first_frame_on(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, peer := wstest.RawServer(t, nil)
		write(t, peer, "\x81\x05hello")
		require.Equal(t, chanws.Text("hello"), receive(t, c))
		c.Send <- chanws.Text("x")
		frame := read(t, peer, 7)
		require.Equal(t, "\x81\x81", frame[:2])
		require.Equal(t, byte('x'), frame[2]^frame[6])
		require.Equal(t, http.StatusSwitchingProtocols, c.Response().StatusCode)
	})
}

func TestRaw_offers_the_subprotocols_of_the_server(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := wstest.Raw(t, &chanws.UpgradeOptions{Subprotocols: []string{"one", "two"}})
		require.Equal(t, "one", s.Subprotocol())
	})
}

func TestRawServer_chooses_the_first_subprotocol_of_the_client(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := wstest.RawServer(t, &chanws.DialOptions{Subprotocols: []string{"one", "two"}})
		require.Equal(t, "one", c.Subprotocol())
	})
}

func TestRaw_and_RawServer_ends_can_be_dropped_and_half_closed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		do   func(net.Conn)
	}{
		{"drop", drop},
		{"half close", func(c net.Conn) { closeWrite(t, c) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer := wstest.Raw(t, nil)
				tc.do(peer)
				require.ErrorIs(t, ending(t, s), io.ErrUnexpectedEOF)

				c, peer := wstest.RawServer(t, nil)
				tc.do(peer)
				require.ErrorIs(t, ending(t, c), io.ErrUnexpectedEOF)
			})
		})
	}
}

// A bubble whose goroutines do not end fails its test, so these need to ask for
// nothing: what is left is ended by the clean-up.
func TestEverything_ends_with_the_test_in_a_bubble(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		behaviour string
		test      func(t *testing.T)
	}{
		{"untouched", func(t *testing.T) {
			wstest.Pipe(t, nil, nil)
			wstest.Raw(t, nil)
			wstest.RawServer(t, nil)
			wstest.NetPipe(t)
		}},
		{"closed already", func(t *testing.T) {
			c, s := wstest.Pipe(t, nil, nil)
			c.CloseNow()
			s.CloseNow()
			s, peer := wstest.Raw(t, nil)
			peer.Close()
			s.CloseNow()
		}},
		{"with events that nobody receives", func(t *testing.T) {
			c, _ := wstest.Pipe(t, nil, nil)
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			go func() {
				for {
					select {
					case c.Send <- chanws.Text("x"):
					case <-stop:
						return
					}
				}
			}()
			synctest.Wait()
		}},
		{"with bytes that nobody reads", func(t *testing.T) {
			s, _ := wstest.Raw(t, nil)
			failed := make(chan error, 1)
			go func() { failed <- s.Write(context.Background(), chanws.Binary(make([]byte, 10*bufferSize))) }()
			synctest.Wait()
			require.Empty(t, failed)
		}},
		{"with a close that nobody answers", func(t *testing.T) {
			s, _ := wstest.Raw(t, &chanws.UpgradeOptions{Options: chanws.Options{CloseTimeout: -1}})
			go s.Close(chanws.StatusNormalClosure, "")
			synctest.Wait()
		}},
		{"after a protocol error", func(t *testing.T) {
			s, peer := wstest.Raw(t, nil)
			write(t, peer, "\xff\xff")
			var broken *chanws.ProtocolError
			require.ErrorAs(t, ending(t, s), &broken)
		}},
	} {
		t.Run(tc.behaviour, func(t *testing.T) { synctest.Test(t, tc.test) })
	}
}

func TestRaw_ends_without_waiting_for_a_peer_that_does_not_answer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		t.Cleanup(func() { require.Equal(t, begin, time.Now()) })
		s, peer := wstest.Raw(t, nil)
		write(t, peer, "\xff\xff")
		var broken *chanws.ProtocolError
		require.ErrorAs(t, ending(t, s), &broken)
		c, peer := wstest.RawServer(t, nil)
		write(t, peer, "\xff\xff")
		require.ErrorAs(t, ending(t, c), &broken)
	})
}

// Not parallel: it looks at all goroutines.
func TestHandshakes_leave_no_goroutine(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		wstest.Pipe(t, nil, nil)
		wstest.Raw(t, nil)
		wstest.RawServer(t, nil)
		eventuallyNone(t, "net/http.", "/wstest.Pipe.", "/wstest.Raw.", "/wstest.RawServer.", "nhooyr.io")
	})
	eventuallyNone(t, "net/http.", "chanws/internal/pump", "nhooyr.io")
	t.Run("failed", func(t *testing.T) {
		for range 20 {
			require.NotEmpty(t, try(t, func(t testing.TB) {
				wstest.Pipe(t, &chanws.DialOptions{RequireSubprotocol: true, Subprotocols: []string{"x"}}, nil)
			}))
		}
	})
	eventuallyNone(t, "net/http.", "chanws/internal/pump", "nhooyr.io", "/wstest.Pipe.")
}

// eventuallyNone waits until no goroutine has one of the names on its stack: some
// end just after what they did has been seen.
func eventuallyNone(t *testing.T, names ...string) {
	t.Helper()
	buf := make([]byte, 1<<20)
	for giveUp := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		stacks := string(buf[:runtime.Stack(buf, true)])
		left := slices.ContainsFunc(names, func(name string) bool { return strings.Contains(stacks, name) })
		if !left {
			return
		}
		if time.Now().After(giveUp) {
			t.Fatalf("one of %v is left:\n%s", names, stacks)
		}
	}
}

// doomed is a test that is expected to fail.
type doomed struct {
	testing.TB
	failure string
}

func (d *doomed) Fatalf(format string, args ...any) {
	d.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// try gives the message with which f fails its test.
func try(t testing.TB, f func(t testing.TB)) string {
	d := &doomed{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(d)
	}()
	<-done
	return d.failure
}

func TestHandshake_that_fails_fails_the_test_and_says_why(t *testing.T) {
	t.Parallel()
	no := errors.New("no entry")
	for _, tc := range []struct {
		behaviour string
		make      func(t testing.TB)
		wants     []string
	}{
		{"an HTTP client", func(t testing.TB) { wstest.Pipe(t, &chanws.DialOptions{HTTPClient: &http.Client{}}, nil) },
			[]string{"client: DialOptions.HTTPClient is set"}},
		{"a TLS configuration", func(t testing.TB) { wstest.RawServer(t, &chanws.DialOptions{TLSConfig: &tls.Config{}}) },
			[]string{"client: DialOptions.TLSConfig is set"}},
		{"no common subprotocol", func(t testing.TB) {
			wstest.Pipe(t, &chanws.DialOptions{Subprotocols: []string{"x"}, RequireSubprotocol: true}, nil)
		}, []string{"client: ", "subprotocol"}},
		{"a client that does not want to", func(t testing.TB) {
			wstest.Pipe(t, &chanws.DialOptions{Authorize: func(context.Context, *http.Request) error { return no }}, nil)
		}, []string{"client: ", "no entry", "server: "}},
		{"a server that does not want to", func(t testing.TB) {
			wstest.Pipe(t, nil, &chanws.UpgradeOptions{Authorize: func(*http.Request) error {
				return &chanws.HTTPError{StatusCode: http.StatusTeapot, Message: "short and stout"}
			}})
		}, []string{"client: ", "418", "short and stout", "server: "}},
		{"a server that does not want a bare client", func(t testing.TB) {
			wstest.Raw(t, &chanws.UpgradeOptions{Authorize: func(*http.Request) error { return no }})
		}, []string{"client: the answer is 403", "Forbidden", "server: ", "no entry"}},
		{"invalid options of the client", func(t testing.TB) {
			wstest.RawServer(t, &chanws.DialOptions{Options: chanws.Options{EventBuffer: -1}})
		}, []string{"client: ", "EventBuffer"}},
		{"invalid options of the server", func(t testing.TB) {
			wstest.Raw(t, &chanws.UpgradeOptions{Options: chanws.Options{EventBuffer: -1}})
		}, []string{"500", "server: ", "EventBuffer"}},
		{"a handshake that takes too long", func(t testing.TB) {
			wstest.Pipe(t, &chanws.DialOptions{HandshakeTimeout: time.Second}, &chanws.UpgradeOptions{
				Authorize: func(*http.Request) error { time.Sleep(time.Minute); return nil },
			})
		}, []string{"client: ", "timed out"}},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failure := try(t, tc.make)
				require.Contains(t, failure, "wstest: the handshake failed: ")
				for _, want := range tc.wants {
					require.Contains(t, failure, want)
				}
			})
		})
	}
}

func TestPipe_that_is_made_many_times_stays_quick(t *testing.T) {
	t.Parallel()
	for range 50 {
		c, s := wstest.Pipe(t, nil, nil)
		require.NoError(t, c.Write(t.Context(), chanws.Text("x")))
		require.Equal(t, chanws.Text("x"), receive(t, s))
	}
}

func TestPipeMayBeMadeInACleanup(t *testing.T) {
	t.Parallel()
	t.Run("that has one", func(t *testing.T) {
		t.Cleanup(func() {
			c, s := wstest.Pipe(t, nil, nil)
			require.NoError(t, c.Write(context.Background(), chanws.Text("hello")))
			require.Equal(t, chanws.Text("hello"), <-s.Events())
		})
	})
}
