package chanws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClient_goes_on_after_a_close_of_the_servers_that_may_pass(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		for _, code := range []chanws.StatusCode{1001, 1011, 1012, 1013, 1014} {
			t.Run(fmt.Sprint(name, " ", int(code)), func(t *testing.T) {
				inBubble(t, func(t *testing.T, s *site) {
					c, peer := s.connected(opts)
					peer.Send <- chanws.Text("before")
					require.NoError(t, peer.Close(code, "back soon"))
					require.Equal(t, "before", readText(t, c))
					got := make(chan string, 1)
					go func() { got <- readText(t, c) }()
					peer = s.conn()
					peer.Send <- chanws.Text("after")
					require.Equal(t, "after", <-got)

					require.NoError(t, peer.Close(code, "back soon"))
					require.NoError(t, c.WriteTextMessage(t.Context(), "written"))
					require.Equal(t, chanws.Text("written"), nextEvent(t, s.conn()))
					require.Equal(t, []time.Duration{time.Second, 2 * time.Second}, s.delays())
				})
			})
		}
	}
}

func TestClient_asks_Retry_once_about_the_end_of_a_connection(t *testing.T) {
	for name, again := range map[string]bool{"and goes on": true, "and stays closed": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				var mu sync.Mutex
				var asked []error
				policy := retry()
				policy.Retry = func(err error) bool {
					mu.Lock()
					defer mu.Unlock()
					asked = append(asked, err)
					return again
				}
				c, peer := s.connected(&chanws.ClientOptions{Retry: policy, OnPing: func(*chanws.Client, []byte) {}})
				var using sync.WaitGroup
				for range 10 {
					using.Go(func() {
						_, err := c.ReadMessage(t.Context())
						assert.Equal(t, again, err == nil)
					})
				}
				synctest.Wait()
				require.NoError(t, peer.Close(4000, ""))
				for range 10 {
					using.Go(func() { assert.Equal(t, again, c.WriteTextMessage(t.Context(), "x") == nil) })
				}
				if again {
					peer = s.conn()
					for range 10 {
						peer.Send <- chanws.Text("y")
					}
				}
				using.Wait()
				require.Equal(t, []error{chanws.Close{Code: 4000}}, asked)
			})
		})
	}
}

func TestClient_Delay_and_RetryAfter_are_asked_for_reconnections_too(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var attempts []int
		var errs []error
		policy := &chanws.RedialPolicy{Delay: func(attempt int, err error) time.Duration {
			attempts, errs = append(attempts, attempt), append(errs, err)
			return time.Duration(attempt) * time.Minute
		}}
		s.down = true
		time.AfterFunc(2*time.Minute, func() { s.set(func() { s.down = false }) })
		c, peer := s.connected(&chanws.ClientOptions{Retry: policy})
		require.Equal(t, []int{1, 2}, attempts)

		s.set(func() { s.refusal, s.refusalHeader = 429, "600" })
		time.AfterFunc(5*time.Minute, func() { s.set(func() { s.refusal = 0 }) })
		attempts, errs = nil, nil
		require.NoError(t, peer.Close(1012, ""))
		began := time.Now()
		require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
		require.Equal(t, 11*time.Minute, time.Since(began))
		s.conn()
		require.Equal(t, []int{1, 2}, attempts)
		require.Equal(t, chanws.Close{Code: 1012}, errs[0])
		require.ErrorAs(t, errs[1], new(*chanws.HandshakeError))
	})
}

func TestClient_reads_with_little_time_reach_a_server_that_takes_more(t *testing.T) {
	for name, use := range map[string]func(context.Context, *chanws.Client) error{
		"reads":  func(ctx context.Context, c *chanws.Client) error { _, err := c.ReadMessage(ctx); return err },
		"writes": func(ctx context.Context, c *chanws.Client) error { return c.WriteTextMessage(ctx, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				c, _ := s.connected(&chanws.ClientOptions{Retry: retry(), OnConnect: func(context.Context, *chanws.Conn) error {
					time.Sleep(10 * time.Second)
					return nil
				}})
				s.drop()
				synctest.Wait()
				began := time.Now()
				go func() { s.conn().Send <- chanws.Text("there again") }()
				for err := error(context.DeadlineExceeded); err != nil; {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					if err = use(ctx, c); err != nil {
						require.Equal(t, context.DeadlineExceeded, err)
					}
					cancel()
					require.Less(t, time.Since(began), time.Minute)
				}
				require.InDelta(t, 11, time.Since(began).Seconds(), 0.1)
				require.Equal(t, 2, s.dialled())
			})
		})
	}
}

func TestClient_with_handlers_goes_on_while_nobody_reads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		onPing, pings := recorder(10)
		c, peer := s.connected(&chanws.ClientOptions{Retry: retry(), OnPing: onPing})
		for i := range 5 {
			require.NoError(t, peer.Write(t.Context(), chanws.Text(fmt.Sprint(i))))
			synctest.Wait() // a reset would take it back
			if i%2 == 0 {
				s.drop()
			} else {
				require.NoError(t, peer.Close(chanws.StatusGoingAway, ""))
			}
			peer = s.conn()
			peer.Send <- chanws.Ping(fmt.Sprint(i))
			require.Equal(t, fmt.Sprint(i), <-pings)
		}
		for i := range 5 {
			require.Equal(t, fmt.Sprint(i), readText(t, c)) // kept meanwhile
		}
		require.NoError(t, c.Close(1000, ""))
		time.Sleep(time.Hour)
		require.Equal(t, 6, s.dialled())
	})
}

func TestClient_a_server_that_accepts_and_closes_for_ever_is_not_hammered(t *testing.T) {
	for name, end := range map[string]func(s *site, peer *chanws.Conn){
		"with a drop": func(s *site, _ *chanws.Conn) { s.drop() },
		"with 1001":   func(_ *site, peer *chanws.Conn) { _ = peer.Close(1001, "") },
		"with 1013":   func(_ *site, peer *chanws.Conn) { _ = peer.Close(1013, "") },
	} {
		for kind, opts := range everyKind() {
			if opts.Retry == nil {
				continue
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				inBubble(t, func(t *testing.T, s *site) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					var serving sync.WaitGroup
					serving.Go(func() {
						for {
							select {
							case peer := <-s.conns:
								end(s, peer)
								_ = peer.CloseNow()
							case <-ctx.Done():
								return
							}
						}
					})
					c, err := s.client(opts)
					require.NoError(t, err)
					var using sync.WaitGroup
					for range 3 {
						using.Go(func() {
							_, err := c.ReadMessage(ctx)
							assert.Equal(t, context.DeadlineExceeded, err)
						})
						using.Go(func() {
							for ctx.Err() == nil {
								err := c.WriteTextMessage(ctx, "x")
								assert.True(t, err == nil || errors.Is(err, context.DeadlineExceeded), err)
								time.Sleep(10 * time.Millisecond)
							}
						})
					}
					using.Wait()
					_ = c.CloseNow()
					serving.Wait()
					// 1, 2, 4, 8 and 16 s, then 30 s each.
					require.InDelta(t, 1+5+119, s.dialled(), 2)
				})
			})
		}
	}
}

func TestClient_with_handlers_misses_no_end_while_nobody_reads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				select {
				case peer := <-s.conns:
					_ = peer.Close(chanws.StatusGoingAway, "")
				case <-ctx.Done():
					return
				}
			}
		})
		policy := retry()
		policy.Factor = -1
		c, err := s.client(&chanws.ClientOptions{Retry: policy, OnPong: func(*chanws.Client, []byte) {}})
		require.NoError(t, err)
		time.Sleep(300*time.Second + time.Second/2)
		require.Equal(t, 301, s.dialled())
		_ = c.CloseNow()
		cancel()
		serving.Wait()
	})
}

func TestClient_whose_policy_has_given_up_about_an_end_begins_anew(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		policy := retry()
		policy.MaxAttempts = 2
		c, _ := s.connected(&chanws.ClientOptions{Retry: policy, OnPing: func(*chanws.Client, []byte) {}})
		s.set(func() { s.down = true })
		s.drop()
		time.Sleep(time.Hour) // given up while nobody reads
		require.Equal(t, 3, s.dialled())
		_, err := c.ReadMessage(t.Context())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 5, s.dialled())
		s.set(func() { s.down = false })
		require.NoError(t, c.WriteTextMessage(t.Context(), "x"))
		s.conn()
	})
}
