package chanws_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
)

func TestClient_reads_messages_in_the_order_in_which_they_came(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		peer.Send <- chanws.Text("one")
		peer.Send <- chanws.Binary("two")
		peer.Send <- chanws.Text("three")
		peer.Send <- chanws.Binary("four")
		synctest.Wait()
		m, err := c.ReadMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("one"), m)
		m, err = c.ReadMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Binary("two"), m)
		require.Equal(t, "three", readText(t, c))
		b, err := c.ReadBinaryMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, []byte("four"), b)
	})
}

func TestClient_writes_messages_and_control_frames(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		require.NoError(t, c.WriteTextMessage(t.Context(), "text"))
		require.NoError(t, c.WriteBinaryMessage(t.Context(), []byte("binary")))
		require.NoError(t, c.Ping(t.Context(), []byte("ping")))
		require.NoError(t, c.Pong(t.Context(), []byte("pong")))
		require.NoError(t, chanws.WriteJSON(t.Context(), c, map[string]int{"x": 1}))
		require.Equal(t, chanws.Text("text"), nextEvent(t, peer))
		require.Equal(t, chanws.Binary("binary"), nextEvent(t, peer))
		require.Equal(t, chanws.Ping("ping"), nextEvent(t, peer))
		require.Equal(t, chanws.Pong("pong"), nextEvent(t, peer))
		require.Equal(t, chanws.Text(`{"x":1}`), nextEvent(t, peer))
	})
}

func TestClient_refuses_what_cannot_be_sent_and_stays_open(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{Retry: retry()})
		begin := time.Now()
		require.ErrorIs(t, c.WriteTextMessage(t.Context(), "\xff"), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Ping(t.Context(), make([]byte, 126)), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Pong(t.Context(), make([]byte, 126)), chanws.ErrInvalidMessage)
		err := chanws.WriteJSON(t.Context(), c, make(chan int))
		var unsupported *json.UnsupportedTypeError
		require.ErrorAs(t, err, &unsupported)
		require.ErrorContains(t, err, "chan int")
		require.ErrorIs(t, c.Close(1006, ""), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(0, "a reason"), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(1000, string(make([]byte, 124))), chanws.ErrInvalidMessage)
		require.ErrorIs(t, c.Close(1000, "\xff"), chanws.ErrInvalidMessage)
		require.Equal(t, begin, time.Now())
		require.True(t, c.IsOpen())
		peer.Send <- chanws.Text("still here")
		require.Equal(t, "still here", readText(t, c))
	})
}

func TestClient_a_message_of_the_other_kind_is_in_the_error(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		peer.Send <- chanws.Binary("bytes")
		peer.Send <- chanws.Text("text")
		peer.Send <- chanws.Text("next")
		_, err := c.ReadTextMessage(t.Context())
		var other *chanws.UnexpectedMessageError
		require.ErrorAs(t, err, &other)
		require.Equal(t, chanws.Binary("bytes"), other.Message)
		require.EqualError(t, err, "chanws: unexpected binary message of 5 bytes: it is in this error's Message; ReadMessage returns both kinds")
		_, err = c.ReadBinaryMessage(t.Context())
		require.ErrorAs(t, err, &other)
		require.Equal(t, chanws.Text("text"), other.Message)
		require.EqualError(t, err, "chanws: unexpected text message of 4 bytes: it is in this error's Message; ReadMessage returns both kinds")
		require.Equal(t, "next", readText(t, c))
	})
}

func TestClient_reads_pass_over_control_frames_and_idle_periods(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{DialOptions: chanws.DialOptions{Options: chanws.Options{IdleTimeout: time.Second}}})
		peer.Send <- chanws.Ping("a")
		peer.Send <- chanws.Pong("b")
		time.Sleep(3500 * time.Millisecond)
		peer.Send <- chanws.Text("after all")
		require.Equal(t, "after all", readText(t, c))
		require.Equal(t, chanws.Pong("a"), nextEvent(t, peer))
	})
}

func TestClient_ReadTimeout_is_for_one_read_and_leaves_the_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{ReadTimeout: 300 * time.Millisecond})
		for range 3 {
			begin := time.Now()
			_, err := c.ReadMessage(t.Context())
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.EqualError(t, err, "chanws: no message within ClientOptions.ReadTimeout 300ms: i/o timeout")
			require.Equal(t, 300*time.Millisecond, time.Since(begin))
		}
		require.True(t, c.IsOpen())
		for i := range 5 {
			time.AfterFunc(200*time.Millisecond, func() { peer.Send <- chanws.Text(fmt.Sprint(i)) })
			require.Equal(t, fmt.Sprint(i), readText(t, c))
		}
		// A ping is no message.
		time.AfterFunc(200*time.Millisecond, func() { peer.Send <- chanws.Ping{} })
		begin := time.Now()
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 300*time.Millisecond, time.Since(begin))
	})
}

func TestClient_a_message_that_comes_after_a_timeout_is_the_next_reads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{ReadTimeout: time.Second})
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		peer.Send <- chanws.Text("late")
		time.Sleep(time.Minute)
		require.Equal(t, "late", readText(t, c))
	})
}

func TestClient_a_read_whose_context_ends_returns_its_error_and_harms_nothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.ReadMessage(ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		_, err = chanws.ReadJSON[int](ctx, c)
		require.Equal(t, context.DeadlineExceeded, err)
		_, err = c.ReadBinaryMessage(ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		_, err = c.ReadTextMessage(ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		require.ErrorIs(t, c.WriteTextMessage(ctx, "x"), context.DeadlineExceeded)
		peer.Send <- chanws.Text("x")
		require.Equal(t, "x", readText(t, c))
		require.True(t, c.IsOpen())
	})
}

func TestClient_the_peers_close_comes_after_its_messages_and_stays(t *testing.T) {
	for name, opts := range everyKind() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				peer.Send <- chanws.Text("last words")
				require.NoError(t, peer.Close(4001, "bye"))
				require.Equal(t, "last words", readText(t, c))
				for range 3 {
					_, err := c.ReadMessage(t.Context())
					require.Equal(t, chanws.Close{Code: 4001, Reason: "bye"}, err)
				}
				require.Equal(t, chanws.StatusCode(4001), chanws.CloseStatus(c.WriteTextMessage(t.Context(), "x")))
				require.False(t, c.IsOpen())
				require.Len(t, s.delays(), 0)
				require.NoError(t, c.Close(1000, ""))
			})
		})
	}
}

// everyKind gives options for a client that reads by itself, for one whose handlers'
// goroutine does, and for both with Retry.
func everyKind() map[string]*chanws.ClientOptions {
	ignore := func(*chanws.Client, []byte) {}
	return map[string]*chanws.ClientOptions{
		"plain":                    {},
		"with handlers":            {OnPing: ignore},
		"with retry":               {Retry: retry()},
		"with retry and handlers":  {Retry: retry(), OnPong: ignore},
		"with a short read buffer": {OnPing: ignore, DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 1}}},
	}
}

func TestClient_a_dropped_connection_is_an_error_after_its_messages(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				require.NoError(t, peer.Write(t.Context(), chanws.Text("a")))
				require.NoError(t, peer.Write(t.Context(), chanws.Text("b")))
				synctest.Wait()
				s.drop()
				require.Equal(t, "a", readText(t, c))
				require.Equal(t, "b", readText(t, c))
				for range 2 {
					_, err := c.ReadMessage(t.Context())
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					var terminal chanws.Error
					require.ErrorAs(t, err, &terminal)
				}
				require.ErrorIs(t, c.WriteTextMessage(t.Context(), "x"), io.ErrUnexpectedEOF)
				require.Len(t, s.delays(), 0)
			})
		})
	}
}

func TestClient_Close_does_the_handshake_and_ends_the_reads_that_wait(t *testing.T) {
	for name, opts := range everyKind() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				failed := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := c.ReadMessage(t.Context())
						failed <- err
					}()
				}
				synctest.Wait()
				require.NoError(t, c.Close(4002, "enough"))
				_, err := peer.Receive(t.Context())
				require.Equal(t, chanws.Close{Code: 4002, Reason: "enough"}, err)
				for range 2 {
					require.Equal(t, chanws.Close{Code: 4002}, <-failed)
				}
				_, err = c.ReadMessage(t.Context())
				require.Equal(t, chanws.Close{Code: 4002}, err)
				require.ErrorIs(t, c.WriteTextMessage(t.Context(), "x"), chanws.Close{Code: 4002})
				require.ErrorIs(t, c.Close(1000, ""), net.ErrClosed)
				require.ErrorIs(t, c.CloseNow(), net.ErrClosed)
				require.Len(t, s.delays(), 0)
			})
		})
	}
}

func TestClient_reads_nothing_after_its_own_close(t *testing.T) {
	for name, opts := range everyKind() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				for range 10 {
					peer.Send <- chanws.Text("too late")
				}
				synctest.Wait()
				require.NoError(t, c.CloseNow())
				for range 3 {
					_, err := c.ReadMessage(t.Context())
					require.ErrorIs(t, err, net.ErrClosed)
				}
				require.ErrorIs(t, c.WriteTextMessage(t.Context(), "x"), net.ErrClosed)
				require.False(t, c.IsOpen())
			})
		})
	}
}

func TestClient_a_read_during_an_unanswered_close_waits_for_its_end(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// A peer whose consumer has stopped does not see the close.
		s := newSite(t, &chanws.UpgradeOptions{Options: chanws.Options{EventBuffer: 1}})
		c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
		for range 3 {
			require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
		}
		begin := time.Now()
		closed := make(chan error)
		go func() { closed <- c.Close(1000, "") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.ReadMessage(ctx)
		require.Equal(t, context.DeadlineExceeded, err)
		_, err = c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.ErrorIs(t, <-closed, os.ErrDeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.Len(t, s.delays(), 0)
	})
}

func TestClient_concurrent_reads_get_a_message_each(t *testing.T) {
	for name, opts := range everyKind() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				const n = 50
				c, peer := s.connected(opts)
				var mu sync.Mutex
				got := make(map[string]int)
				var readers, writers sync.WaitGroup
				for range n {
					readers.Go(func() {
						text, err := c.ReadTextMessage(t.Context())
						assert.NoError(t, err)
						mu.Lock()
						defer mu.Unlock()
						got[text]++
					})
				}
				for i := range n {
					writers.Go(func() { assert.NoError(t, peer.Write(t.Context(), chanws.Text(fmt.Sprint(i)))) })
				}
				writers.Wait()
				readers.Wait()
				require.Len(t, got, n)
			})
		})
	}
}

func TestClient_Validate_sees_every_result_and_a_refusal_leaves_the_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		no := errors.New("too short")
		var seen []any
		c, peer := s.connected(&chanws.ClientOptions{Validate: func(v any) error {
			seen = append(seen, v)
			return no
		}})
		reads := []func() error{
			func() error { v, err := c.ReadTextMessage(t.Context()); assert.Empty(t, v); return err },
			func() error { v, err := c.ReadBinaryMessage(t.Context()); assert.Nil(t, v); return err },
			func() error { v, err := c.ReadMessage(t.Context()); assert.Nil(t, v); return err },
			func() error { v, err := chanws.ReadJSON[int](t.Context(), c); assert.Zero(t, v); return err },
		}
		messages := []chanws.Message{chanws.Text("text"), chanws.Binary("bytes"), chanws.Text("any"), chanws.Text("7")}
		for i, read := range reads {
			peer.Send <- messages[i]
			err := read()
			require.ErrorIs(t, err, no)
			var refused *chanws.ValidationError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, messages[i], refused.Message)
			require.ErrorContains(t, err, "too short")
		}
		require.Equal(t, []any{"text", []byte("bytes"), chanws.Text("any"), 7}, seen)
		require.True(t, c.IsOpen())
	})
}

func TestClient_Validate_that_agrees_changes_nothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{Validate: func(any) error { return nil }})
		peer.Send <- chanws.Text("text")
		require.Equal(t, "text", readText(t, c))
	})
}

type point struct{ X, Y int }

func TestReadJSON_decodes_messages_of_both_kinds(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		peer.Send <- chanws.Text(`{"X":1,"Y":2}`)
		peer.Send <- chanws.Binary(`{"X":3}`)
		peer.Send <- chanws.Text(`["a","b"]`)
		p, err := chanws.ReadJSON[point](t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, point{1, 2}, p)
		pp, err := chanws.ReadJSON[*point](t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, &point{X: 3}, pp)
		list, err := chanws.ReadJSON[[]string](t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, list)
	})
}

func TestReadJSON_a_message_that_does_not_decode_is_in_the_error(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(nil)
		peer.Send <- chanws.Text(`{"X":"one"}`)
		p, err := chanws.ReadJSON[point](t.Context(), c)
		require.Zero(t, p)
		var broken *chanws.DecodeError
		require.ErrorAs(t, err, &broken)
		require.Equal(t, chanws.Text(`{"X":"one"}`), broken.Message)
		var mismatch *json.UnmarshalTypeError
		require.ErrorAs(t, err, &mismatch)
		require.ErrorContains(t, err, "chanws: decode text message of 11 bytes as chanws_test.point: ")

		peer.Send <- chanws.Binary("not JSON")
		_, err = chanws.ReadJSON[any](t.Context(), c)
		require.ErrorAs(t, err, &broken)
		require.Equal(t, chanws.Binary("not JSON"), broken.Message)
		require.ErrorContains(t, err, "interface {}")

		peer.Send <- chanws.Text("next")
		require.Equal(t, "next", readText(t, c))
	})
}

func TestClient_attributes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, _ := s.connected(nil)
		require.Nil(t, c.Attribute("user"))
		require.Nil(t, c.RemoveAttribute("user"))
		c.SetAttribute("user", 7)
		c.SetAttribute("name", "x")
		require.Equal(t, 7, c.Attribute("user"))
		require.Equal(t, 7, c.RemoveAttribute("user"))
		require.Nil(t, c.Attribute("user"))
		require.Equal(t, "x", c.Attribute("name"))
	})
}

func TestClient_tells_about_its_connection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, &chanws.UpgradeOptions{Subprotocols: []string{"chat"}, Header: http.Header{"X-Hello": {"yes"}}})
		c, peer := s.connected(&chanws.ClientOptions{DialOptions: chanws.DialOptions{Subprotocols: []string{"chat"}}})
		require.Equal(t, "chat", c.Subprotocol())
		require.NotEmpty(t, c.ID())
		require.Equal(t, c.Conn().ID(), c.ID())
		require.Equal(t, "yes", c.Response().Header.Get("X-Hello"))
		require.False(t, c.IsSecure())
		require.True(t, c.IsOpen())
		peer.CloseNow()
		synctest.Wait()
		require.False(t, c.IsOpen())
	})
}

func TestClient_over_TLS_is_secure(t *testing.T) {
	t.Parallel()
	served := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		c, err := chanws.Upgrade(w, r, nil)
		if assert.NoError(t, err) {
			assert.NoError(t, c.Close(1000, ""))
		}
	}))
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c, err := chanws.NewClient(t.Context(), "wss"+server.URL[len("https"):], &chanws.ClientOptions{
		DialOptions: chanws.DialOptions{TLSConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}},
	})
	require.NoError(t, err)
	require.True(t, c.IsSecure())
	_, err = c.ReadMessage(t.Context())
	require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err))
	require.NoError(t, c.Close(1000, ""))
	<-served
}

func TestNewClient_fails_as_Dial_does(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.down = true
		_, err := s.client(nil)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		s.down, s.refusal = false, http.StatusUnauthorized
		_, err = s.client(nil)
		var refused *chanws.HandshakeError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
		_, err = chanws.NewClient(t.Context(), "server.test", nil)
		require.Error(t, err)
		_, err = chanws.NewClient(t.Context(), "ws://server.test", &chanws.ClientOptions{Retry: &chanws.RedialPolicy{Interval: -1}})
		require.ErrorContains(t, err, "RedialPolicy.Interval")
		require.Len(t, s.dials, 2)
	})
}
