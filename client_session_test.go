package chanws_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
)

// recorder is a handler that puts what it gets into a channel.
func recorder(n int) (func(*chanws.Client, []byte), <-chan string) {
	got := make(chan string, n)
	return func(_ *chanws.Client, data []byte) { got <- string(data) }, got
}

func TestClient_handlers_run_while_nobody_reads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		onPing, pings := recorder(10)
		onPong, pongs := recorder(10)
		c, peer := s.connected(&chanws.ClientOptions{OnPing: onPing, OnPong: onPong})
		peer.Send <- chanws.Ping("1")
		peer.Send <- chanws.Pong("unasked")
		peer.Send <- chanws.Ping("2")
		require.NoError(t, c.Ping(t.Context(), []byte("mine")))
		synctest.Wait()
		require.Equal(t, "1", <-pings)
		require.Equal(t, "2", <-pings)
		require.ElementsMatch(t, []string{"unasked", "mine"}, []string{<-pongs, <-pongs})
		// They have been answered without the handler's help.
		require.Equal(t, uint64(2), peer.Stats().PongsReceived)
	})
}

func TestClient_with_ManualPong_the_handler_answers(t *testing.T) {
	for name, answer := range map[string]bool{"and does": true, "or does not": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				_, peer := s.connected(&chanws.ClientOptions{
					DialOptions: chanws.DialOptions{Options: chanws.Options{ManualPong: true}},
					OnPing: func(c *chanws.Client, data []byte) {
						if answer {
							assert.NoError(t, c.Pong(t.Context(), data))
						}
					},
				})
				peer.Send <- chanws.Ping("?")
				synctest.Wait()
				if answer {
					require.Equal(t, chanws.Pong("?"), nextEvent(t, peer))
				}
				require.Empty(t, peer.Events())
			})
		})
	}
}

func TestClient_answers_to_keepalive_pings_are_no_pongs_for_the_handler(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		onPong, pongs := recorder(100)
		c, _ := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{PingInterval: time.Second}},
			OnPong:      onPong,
		})
		time.Sleep(10500 * time.Millisecond)
		require.Equal(t, uint64(10), c.Conn().Stats().PongsReceived)
		require.Empty(t, pongs)
		require.True(t, c.IsOpen())
	})
}

func TestClient_with_handlers_puts_EventBuffer_messages_aside_and_then_pushes_back(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		onPing, pings := recorder(100)
		c, peer := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 4}},
			OnPing:      onPing,
		})
		send := func(text string) {
			require.NoError(t, peer.Write(t.Context(), chanws.Text(text)))
			require.NoError(t, peer.Write(t.Context(), chanws.Ping(text)))
			synctest.Wait()
		}
		for i := range 4 {
			send(fmt.Sprint(i))
			require.Equal(t, fmt.Sprint(i), <-pings)
		}
		send("4") // waits for a read, and so does the ping behind it
		require.Empty(t, pings)
		require.Equal(t, "0", readText(t, c))
		synctest.Wait()
		require.Equal(t, "4", <-pings)
		for i := 1; i <= 4; i++ {
			require.Equal(t, fmt.Sprint(i), readText(t, c))
		}

		// Beyond both buffers the peer is held up, and nothing is lost.
		const n = 10000
		go func() {
			for i := range n {
				peer.Send <- chanws.Text(fmt.Sprintf("%0100d", i))
			}
		}()
		synctest.Wait()
		require.Less(t, c.Conn().Stats().MessagesReceived, uint64(100))
		for i := range n {
			require.Equal(t, fmt.Sprintf("%0100d", i), readText(t, c))
		}
	})
}

func TestClient_may_be_closed_by_a_handler(t *testing.T) {
	for name, end := range map[string]func(*chanws.Client) error{
		"Close":    func(c *chanws.Client) error { return c.Close(4000, "from a handler") },
		"CloseNow": (*chanws.Client).CloseNow,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				ended := make(chan error, 1)
				c, peer := s.connected(&chanws.ClientOptions{
					Retry:  retry(),
					OnPing: func(c *chanws.Client, _ []byte) { ended <- end(c) },
				})
				read := make(chan error, 1)
				go func() {
					_, err := c.ReadMessage(t.Context())
					read <- err
				}()
				peer.Send <- chanws.Ping{}
				require.NoError(t, <-ended)
				require.Error(t, <-read)
				require.False(t, c.IsOpen())
				for err := error(nil); err == nil; {
					_, err = peer.Receive(t.Context())
				}
			})
		})
	}
}

func TestClient_Close_does_not_wait_for_a_handler(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		release := make(chan struct{})
		c, peer := s.connected(&chanws.ClientOptions{OnPing: func(*chanws.Client, []byte) { <-release }})
		peer.Send <- chanws.Ping{}
		peer.Send <- chanws.Text("too late")
		synctest.Wait()
		require.NoError(t, c.Close(1000, ""))
		_, err := c.ReadMessage(t.Context())
		require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err))
		close(release)
	})
}

func TestClient_with_handlers_leaves_no_goroutine_when_much_is_unread(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 1}},
			OnPing:      func(*chanws.Client, []byte) {},
		})
		for range 10 {
			peer.Send <- chanws.Text("unread")
		}
		synctest.Wait()
		require.NoError(t, c.CloseNow())
	})
}

func TestClient_reads_what_handlers_have_put_aside_before_the_end(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		ignore := func(*chanws.Client, []byte) {}
		c, peer := s.connected(&chanws.ClientOptions{OnPing: ignore})
		for i := range 40 {
			peer.Send <- chanws.Text(fmt.Sprint(i))
		}
		require.NoError(t, peer.Close(4000, ""))
		for i := range 40 {
			require.Equal(t, fmt.Sprint(i), readText(t, c))
		}
		_, err := c.ReadMessage(t.Context())
		require.Equal(t, chanws.Close{Code: 4000}, err)
	})
}

func TestClient_what_a_lost_connection_brought_is_read_after_a_write_has_reconnected(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				lose := func(text string) {
					require.NoError(t, peer.Write(t.Context(), chanws.Text(text+"1")))
					require.NoError(t, peer.Write(t.Context(), chanws.Text(text+"2")))
					synctest.Wait()
					s.drop()
					require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
					peer = s.conn()
				}
				lose("a")
				lose("b")
				lose("c")
				require.NoError(t, peer.Write(t.Context(), chanws.Text("last")))
				for _, want := range []string{"a1", "a2", "b1", "b2", "c1", "c2", "last"} {
					require.Equal(t, want, readText(t, c))
				}
				require.NoError(t, peer.Write(t.Context(), chanws.Text("d")))
				require.Equal(t, "d", readText(t, c))
			})
		})
	}
}

func TestClient_lost_connections_are_closed_before_their_messages_are_read(t *testing.T) {
	for name, text := range map[string]string{"with messages": "unread", "without": ""} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(&chanws.ClientOptions{Retry: retry()})
				var lost []*chanws.Conn
				for range 5 {
					if text != "" {
						require.NoError(t, peer.Write(t.Context(), chanws.Text(text)))
					}
					synctest.Wait()
					lost = append(lost, c.Conn())
					s.drop()
					require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
					peer = s.conn()
				}
				for _, conn := range lost[1:] { // the reads are still at the first
					require.ErrorIs(t, conn.CloseNow(), net.ErrClosed, "it has been closed")
				}
				peer.Send <- chanws.Text("last")
				for range lost {
					if text != "" {
						require.Equal(t, text, readText(t, c))
					}
				}
				require.Equal(t, "last", readText(t, c))
			})
		})
	}
}

func TestClient_its_end_ends_all_the_lost_connections_that_wait_for_reads(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				o := *opts
				o.EventBuffer = 1
				c, peer := s.connected(&o)
				for range 3 {
					for range 5 {
						require.NoError(t, peer.Write(t.Context(), chanws.Text("unread")))
					}
					synctest.Wait() // the pump waits for reads, and does not see the drop
					s.drop()
					require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
					peer = s.conn()
				}
				require.NoError(t, c.CloseNow()) // no goroutine is left in the bubble
			})
		})
	}
}

func TestClient_a_write_does_not_wait_for_ever_for_reads_of_the_lost_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 1, CloseTimeout: 3 * time.Second}},
			Retry:       retry(),
		})
		for i := range 5 {
			require.NoError(t, peer.Write(t.Context(), chanws.Text(fmt.Sprint(i))))
		}
		synctest.Wait() // the pump waits for reads, and does not see the drop
		s.drop()
		begin := time.Now()
		require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
		require.Equal(t, 4*time.Second, time.Since(begin))
		peer = s.conn()
		require.Equal(t, chanws.Text("x"), nextEvent(t, peer))
		require.Equal(t, "0", readText(t, c))
	})
}

func TestClient_a_write_that_finds_the_reconnection_done_uses_it(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 1}},
			Retry:       retry(),
		})
		for range 5 {
			require.NoError(t, peer.Write(t.Context(), chanws.Text("unread")))
		}
		synctest.Wait() // the pump waits for reads, and does not see the drop
		s.drop()
		begin := time.Now()
		var late sync.WaitGroup
		late.Go(func() {
			time.Sleep(4 * time.Second)
			assert.NoError(t, c.WriteTextMessage(t.Context(), "second"))
			assert.Equal(t, 9*time.Second, time.Since(begin)) // waited 5 s for the end of the lost one
		})
		require.NoError(t, c.WriteTextMessage(t.Context(), "first"))
		require.Equal(t, 6*time.Second, time.Since(begin))
		peer = s.conn()
		require.Equal(t, chanws.Text("first"), nextEvent(t, peer))
		require.Equal(t, chanws.Text("second"), nextEvent(t, peer))
		late.Wait()
		require.Len(t, s.dials, 2)
	})
}

func TestClient_a_write_whose_context_ends_while_it_waits_for_the_end_of_the_lost_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, peer := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{EventBuffer: 1}},
			Retry:       retry(),
		})
		for range 5 {
			require.NoError(t, peer.Write(t.Context(), chanws.Text("unread")))
		}
		synctest.Wait()
		s.drop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, c.WriteTextMessage(ctx, "x"))
		require.Len(t, s.dials, 1)
	})
}

func TestClient_reconnects_with_the_options_that_it_was_given(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		opts := &chanws.ClientOptions{Retry: retry(), DialOptions: chanws.DialOptions{
			Header:       http.Header{"X-Who": {"me"}},
			Cookies:      []*http.Cookie{{Name: "a", Value: "mine"}},
			Subprotocols: []string{"mine"},
		}}
		c, peer := s.connected(opts)
		opts.Header.Set("X-Who", "you")
		opts.Cookies[0].Value = "yours"
		opts.Subprotocols[0] = "yours"
		before := peer.Request().Header
		s.drop()
		require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
		after := s.conn().Request().Header
		require.Equal(t, "me", after.Get("X-Who"))
		require.Equal(t, "a=mine", after.Get("Cookie"))
		require.Equal(t, "mine", after.Get("Sec-WebSocket-Protocol"))
		before.Del("Sec-WebSocket-Key")
		after.Del("Sec-WebSocket-Key")
		require.Equal(t, before, after)
	})
}
