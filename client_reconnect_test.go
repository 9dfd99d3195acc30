package chanws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws"
)

func TestNewClient_with_retry_tries_until_there_is_a_server(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.down = true
		time.AfterFunc(5*time.Second, func() { s.set(func() { s.down = false }) })
		c, peer := s.connected(&chanws.ClientOptions{Retry: retry()})
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, s.delays())
		peer.Send <- chanws.Text("hello")
		require.Equal(t, "hello", readText(t, c))
	})
}

func TestNewClient_with_retry_gives_up_by_the_policy_with_the_last_error(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.down = true
		policy := retry()
		policy.MaxAttempts = 3
		_, err := s.client(&chanws.ClientOptions{Retry: policy})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Len(t, s.dials, 3)

		s.dials, s.down, s.refusal = nil, false, http.StatusServiceUnavailable
		_, err = s.client(&chanws.ClientOptions{Retry: policy})
		var refused *chanws.HandshakeError
		require.ErrorAs(t, err, &refused)
		require.Len(t, s.dials, 3)

		s.dials, s.refusal = nil, http.StatusForbidden
		_, err = s.client(&chanws.ClientOptions{Retry: policy})
		require.ErrorAs(t, err, &refused)
		require.Len(t, s.dials, 1)
	})
}

func TestNewClient_with_retry_ends_with_its_context_and_tells_the_last_error(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.down = true
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := chanws.NewClient(ctx, "ws://server.test/", &chanws.ClientOptions{
			DialOptions: chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: s.dial}}},
			Retry:       retry(),
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Len(t, s.dials, 2)
	})
}

func TestClient_a_read_goes_on_after_a_reconnection(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				c.SetAttribute("kept", true)
				id := c.ID()
				require.NoError(t, peer.Write(t.Context(), chanws.Text("before")))
				synctest.Wait()
				s.drop()
				synctest.Wait()
				require.False(t, c.IsOpen())
				require.Equal(t, "before", readText(t, c))
				s.set(func() { s.down = true })
				time.AfterFunc(5*time.Second, func() { s.set(func() { s.down = false }) })
				got := make(chan string)
				begin := time.Now()
				go func() { got <- readText(t, c) }()
				peer = s.conn()
				require.Equal(t, 7*time.Second, time.Since(begin)) // after delays of 1, 2 and 4 s
				peer.Send <- chanws.Text("after")
				require.Equal(t, "after", <-got)
				require.NotEqual(t, id, c.ID())
				require.Equal(t, true, c.Attribute("kept"))
				require.True(t, c.IsOpen())
				require.NoError(t, c.Close(1000, ""))
			})
		})
	}
}

func TestClient_a_write_is_sent_again_after_a_reconnection(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(opts)
				require.NoError(t, c.WriteTextMessage(t.Context(), "first"))
				require.Equal(t, chanws.Text("first"), nextEvent(t, peer))
				var writing sync.WaitGroup
				for i := range 3 {
					s.drop()
					writing.Go(func() {
						assert.NoError(t, c.WriteTextMessage(t.Context(), fmt.Sprint(i)))
						assert.NoError(t, c.WriteBinaryMessage(t.Context(), []byte("next")))
					})
					peer = s.conn()
					require.Equal(t, chanws.Text(fmt.Sprint(i)), nextEvent(t, peer))
					require.Equal(t, chanws.Binary("next"), nextEvent(t, peer))
					writing.Wait()
				}
			})
		})
	}
}

func TestClient_decisions_are_not_retried(t *testing.T) {
	for _, tc := range []struct {
		behaviour string
		end       func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn)
		want      func(t *testing.T, err error)
	}{
		{"the peer's close frame", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			require.NoError(t, peer.Close(chanws.StatusNormalClosure, ""))
		}, func(t *testing.T, err error) { require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err)) }},
		{"a breach of the protocol", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			_, err := s.ends[0].Write([]byte{0xff, 0xff})
			require.NoError(t, err)
		}, func(t *testing.T, err error) {
			var breach *chanws.ProtocolError
			require.ErrorAs(t, err, &breach)
		}},
		{"the current connection's CloseNow", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			require.NoError(t, c.Conn().CloseNow())
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, net.ErrClosed) }},
		{"the current connection's Close", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			require.NoError(t, c.Conn().Close(chanws.StatusGoingAway, ""))
		}, func(t *testing.T, err error) { require.Equal(t, chanws.StatusGoingAway, chanws.CloseStatus(err)) }},
		{"the end of the current connection's Send", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			close(c.Conn().Send)
			<-c.Conn().Done()
		}, func(t *testing.T, err error) { require.Equal(t, chanws.StatusNormalClosure, chanws.CloseStatus(err)) }},
		{"the client's CloseNow", func(t *testing.T, s *site, c *chanws.Client, peer *chanws.Conn) {
			require.NoError(t, c.CloseNow())
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, net.ErrClosed) }},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, peer := s.connected(&chanws.ClientOptions{Retry: retry()})
				tc.end(t, s, c, peer)
				_, err := c.ReadMessage(t.Context())
				tc.want(t, err)
				tc.want(t, c.WriteTextMessage(t.Context(), "x"))
				require.Len(t, s.dials, 1)
			})
		})
	}
}

func TestClient_a_dead_peer_is_a_loss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, &chanws.UpgradeOptions{Options: chanws.Options{ManualPong: true}})
		c, _ := s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{PingInterval: time.Minute, PongTimeout: time.Second}},
			Retry:       retry(),
		})
		got := make(chan string)
		go func() { got <- readText(t, c) }()
		s.conn().Send <- chanws.Text("alive again")
		require.Equal(t, "alive again", <-got)
	})
}

func TestClient_a_policy_that_gives_up_leaves_the_loss_and_the_last_error(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		policy := retry()
		policy.MaxAttempts = 2
		c, _ := s.connected(&chanws.ClientOptions{Retry: policy})
		s.drop()
		s.down = true
		for _, do := range []func() error{
			func() error { _, err := c.ReadMessage(t.Context()); return err },
			func() error { return c.WriteTextMessage(t.Context(), "x") },
		} {
			s.dials = nil
			err := do()
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			require.Len(t, s.dials, 2)
		}
		// The next one begins anew.
		s.set(func() { s.down = false })
		got := make(chan string)
		go func() { got <- readText(t, c) }()
		s.conn().Send <- chanws.Text("there again")
		require.Equal(t, "there again", <-got)
	})
}

func TestClient_pings_are_not_repeated(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
		s.drop()
		synctest.Wait()
		require.ErrorIs(t, c.Ping(t.Context(), nil), io.ErrUnexpectedEOF)
		require.ErrorIs(t, c.Pong(t.Context(), nil), io.ErrUnexpectedEOF)
		require.Len(t, s.dials, 1)
	})
}

func TestClient_all_who_need_a_reconnection_share_it(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, _ := s.connected(opts)
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() { readText(t, c) })
				}
				synctest.Wait()
				s.drop()
				for range 10 {
					wg.Go(func() { assert.NoError(t, c.WriteTextMessage(t.Context(), "x")) })
				}
				peer := s.conn()
				for range 10 {
					require.Equal(t, chanws.Text("x"), nextEvent(t, peer))
					peer.Send <- chanws.Text("y")
				}
				wg.Wait()
				require.Len(t, s.dials, 2)
			})
		})
	}
}

func TestClient_all_who_wait_for_a_reconnection_share_its_failure(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		policy := retry()
		policy.MaxAttempts = 3
		c, _ := s.connected(&chanws.ClientOptions{Retry: policy})
		s.drop()
		synctest.Wait()
		s.dials, s.down = nil, true
		failed := make(chan error, 10)
		for range cap(failed) {
			go func() { failed <- c.WriteTextMessage(t.Context(), "x") }()
		}
		for range cap(failed) {
			require.ErrorIs(t, <-failed, syscall.ECONNREFUSED)
		}
		require.Len(t, s.dials, 3)
	})
}

func TestClient_a_reconnection_that_is_abandoned_is_taken_over(t *testing.T) {
	for name, patience := range map[string]time.Duration{
		"before the first attempt": 500 * time.Millisecond,
		"after some":               10 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
				s.drop()
				s.down = true
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				abandoned := make(chan error)
				go func() {
					_, err := c.ReadMessage(ctx)
					abandoned <- err
				}()
				synctest.Wait()
				short, cancel := context.WithTimeout(t.Context(), patience/2)
				defer cancel()
				require.Equal(t, context.DeadlineExceeded, c.WriteTextMessage(short, "x")) // waits for the other
				got := make(chan string)
				go func() { got <- readText(t, c) }()
				require.Equal(t, context.DeadlineExceeded, <-abandoned)
				s.set(func() { s.down = false })
				s.conn().Send <- chanws.Text("for the other")
				require.Equal(t, "for the other", <-got)
			})
		})
	}
}

func TestClient_the_time_of_a_reconnection_is_not_ReadTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, _ := s.connected(&chanws.ClientOptions{Retry: retry(), ReadTimeout: 300 * time.Millisecond})
		s.drop()
		begin := time.Now()
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 1300*time.Millisecond, time.Since(begin))
		require.True(t, c.IsOpen())
	})
}

func TestClient_Close_ends_a_reconnection(t *testing.T) {
	for name, during := range map[string]func(s *site){
		"that waits":     func(s *site) { s.down = true },
		"that dials":     func(s *site) { s.hang = true },
		"just beginning": func(s *site) {},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
				s.drop()
				during(s)
				failed := make(chan error)
				for range 2 {
					go func() {
						_, err := c.ReadMessage(t.Context())
						failed <- err
					}()
				}
				if name != "just beginning" {
					time.Sleep(1500 * time.Millisecond)
				}
				require.ErrorIs(t, c.Close(1000, ""), io.ErrUnexpectedEOF)
				for range 2 {
					require.ErrorIs(t, <-failed, io.ErrUnexpectedEOF)
				}
				_, err := c.ReadMessage(t.Context())
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.ErrorIs(t, c.WriteTextMessage(t.Context(), "x"), io.ErrUnexpectedEOF)
				dials := len(s.delays())
				time.Sleep(time.Hour)
				require.Len(t, s.delays(), dials)
			})
		})
	}
}

// atOpen is a slog.Handler that calls a function when a connection opens.
type atOpen struct {
	slog.Handler
	do func()
}

func (h atOpen) Enabled(context.Context, slog.Level) bool { return true }
func (h atOpen) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h atOpen) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "open") {
		h.do()
	}
	return nil
}

func TestClient_that_is_closed_while_it_reconnects_keeps_no_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var c *chanws.Client
		logger := slog.New(atOpen{do: func() {
			if c != nil {
				assert.NoError(t, c.CloseNow())
			}
		}})
		c, _ = s.connected(&chanws.ClientOptions{
			DialOptions: chanws.DialOptions{Options: chanws.Options{Logger: logger}},
			Retry:       retry(),
		})
		s.drop()
		require.ErrorIs(t, c.WriteTextMessage(t.Context(), "x"), io.ErrUnexpectedEOF)
		_, err := s.conn().Receive(t.Context())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.False(t, c.IsOpen())
	})
}

func TestClient_delays_start_again_after_a_connection_that_lived(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
		for range 3 {
			time.Sleep(time.Hour)
			s.drop()
			require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
			s.conn()
		}
		want := time.Hour + time.Second
		require.Equal(t, []time.Duration{want, want, want}, s.delays())
	})
}

func TestClient_a_server_that_accepts_and_drops_is_not_hammered(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		c, _ := s.connected(&chanws.ClientOptions{Retry: retry()})
		s.drop()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error)
		go func() {
			_, err := c.ReadMessage(ctx)
			failed <- err
		}()
		for range 4 {
			s.conn()
			s.drop()
		}
		cancel()
		require.Equal(t, context.Canceled, <-failed)
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, s.delays())
	})
}

func TestClient_a_new_connection_keeps_the_values_of_NewClients_context_only(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		type key string
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key("of the client"), true))
		c, err := chanws.NewClient(ctx, "ws://server.test/", &chanws.ClientOptions{
			DialOptions: chanws.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: s.dial}}},
			Retry:       retry(),
		})
		require.NoError(t, err)
		defer c.CloseNow()
		cancel()
		s.conn()
		s.drop()
		writing, cancel := context.WithCancel(context.WithValue(t.Context(), key("of the write"), true))
		require.NoError(t, c.WriteTextMessage(writing, "x"))
		cancel()
		synctest.Wait()
		require.Equal(t, true, c.Conn().Context().Value(key("of the client")))
		require.Nil(t, c.Conn().Context().Value(key("of the write")))
		require.NoError(t, c.Conn().Context().Err())
		require.True(t, c.IsOpen())
	})
}

func TestClient_everything_at_once_under_a_flapping_server(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		ignore := func(*chanws.Client, []byte) {}
		policy := retry()
		policy.MaxInterval = 10 * time.Second // less than a connection lives
		c, _ := s.connected(&chanws.ClientOptions{Retry: policy, OnPing: ignore, ReadTimeout: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := c.WriteTextMessage(ctx, "x"); ctx.Err() == nil {
						assert.NoError(t, err)
					}
					time.Sleep(time.Second)
				}
			})
			wg.Go(func() {
				for ctx.Err() == nil {
					_, err := c.ReadMessage(ctx)
					if ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						assert.NoError(t, err)
					}
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(17 * time.Second)
				s.drop()
			}
		})
		wg.Go(func() {
			for {
				select {
				case peer := <-s.conns:
					wg.Go(func() {
						defer peer.CloseNow()
						for ev := range peer.Events() {
							if text, ok := ev.(chanws.Text); ok {
								peer.Send <- chanws.Ping{}
								peer.Send <- text
							}
						}
					})
				case <-ctx.Done():
					return
				}
			}
		})
		<-ctx.Done()
		c.CloseNow()
		s.drop()
		wg.Wait()
		require.Greater(t, len(s.dials), 20)
	})
}
