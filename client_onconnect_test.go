package chanws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused by OnConnect")

// subscribing is an OnConnect that subscribes and waits for the answer.
func subscribing(ctx context.Context, c *chanws.Conn) error {
	if err := c.Write(ctx, chanws.Text("subscribe")); err != nil {
		return err
	}
	ev, err := c.Receive(ctx)
	if err == nil && ev != chanws.Event(chanws.Text("subscribed")) {
		err = fmt.Errorf("got %v", ev)
	}
	return err
}

func TestClient_OnConnect_comes_first_on_each_connection(t *testing.T) {
	for name, opts := range everyKind() {
		if opts.Retry == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				o := *opts
				o.OnConnect = subscribing
				accept := func() *chanws.Conn {
					peer := s.conn()
					assert.Equal(t, chanws.Text("subscribe"), nextEvent(t, peer))
					time.Sleep(5 * time.Second) // nothing else comes meanwhile
					assert.Empty(t, peer.Events())
					peer.Send <- chanws.Text("subscribed")
					return peer
				}
				var peer *chanws.Conn
				var first sync.WaitGroup
				first.Go(func() { peer = accept() })
				c, err := s.client(&o)
				require.NoError(t, err)
				first.Wait()
				for i := range 3 {
					var using sync.WaitGroup
					using.Go(func() { assert.Equal(t, fmt.Sprint("event ", i), readText(t, c)) })
					synctest.Wait()
					s.drop()
					using.Go(func() { assert.NoError(t, c.WriteTextMessage(t.Context(), "written")) })
					peer = accept()
					require.Equal(t, chanws.Text("written"), nextEvent(t, peer))
					peer.Send <- chanws.Text(fmt.Sprint("event ", i))
					using.Wait()
				}
			})
		})
	}
}

func TestNewClient_returns_OnConnects_error_and_closes(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var peer *chanws.Conn
		_, err := s.client(&chanws.ClientOptions{OnConnect: func(context.Context, *chanws.Conn) error {
			peer = s.conn()
			return errRefused
		}})
		require.ErrorIs(t, err, errRefused)
		_, err = peer.Receive(t.Context())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 1, s.dialled())
	})
}

func TestClient_an_error_of_OnConnect_counts_as_a_failed_attempt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		calls := 0
		var peers []*chanws.Conn
		var asked []error
		policy := retry()
		policy.MaxAttempts = 3
		policy.Retry = func(err error) bool { asked = append(asked, err); return chanws.DefaultRetry(err) }
		opts := &chanws.ClientOptions{Retry: policy, OnConnect: func(context.Context, *chanws.Conn) error {
			peers = append(peers, s.conn())
			if calls++; calls != 3 {
				return errRefused
			}
			return nil
		}}
		c, err := s.client(opts)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second}, s.delays())
		require.Len(t, asked, 2)
		for i := range 2 {
			require.ErrorIs(t, asked[i], errRefused)
			_, err := peers[i].Receive(t.Context())
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}

		time.Sleep(time.Hour)
		s.set(func() { s.dials = nil })
		s.drop()
		_, err = c.ReadMessage(t.Context())
		require.ErrorIs(t, err, errRefused)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second}, s.delays())
	})
}

func TestClient_Retry_decides_about_an_error_of_OnConnect(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		policy := retry()
		policy.Retry = func(err error) bool { return !errors.Is(err, errRefused) }
		_, err := s.client(&chanws.ClientOptions{Retry: policy, OnConnect: func(context.Context, *chanws.Conn) error {
			s.conn()
			return errRefused
		}})
		require.ErrorIs(t, err, errRefused)
		require.Equal(t, 1, s.dialled())
	})
}

func TestClient_what_the_peer_says_to_OnConnect_counts(t *testing.T) {
	for code, attempts := range map[chanws.StatusCode]int{chanws.StatusPolicyViolation: 1, chanws.StatusTryAgainLater: 3} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				policy := retry()
				policy.MaxAttempts = 3
				var serving sync.WaitGroup
				serving.Go(func() {
					for range attempts {
						peer := s.conn()
						assert.Equal(t, chanws.Text("subscribe"), nextEvent(t, peer))
						assert.NoError(t, peer.Close(code, ""))
					}
				})
				// Its own error does not tell; the end of the connection does.
				_, err := s.client(&chanws.ClientOptions{Retry: policy, OnConnect: func(ctx context.Context, c *chanws.Conn) error {
					if subscribing(ctx, c) != nil {
						return errRefused
					}
					return nil
				}})
				require.ErrorIs(t, err, errRefused)
				require.Equal(t, code, chanws.CloseStatus(err))
				require.Equal(t, attempts, s.dialled())
				serving.Wait()
			})
		})
	}
}

func TestClient_OnConnects_context_ends(t *testing.T) {
	for name, end := range map[string]func(s *site, cancel func()){
		"with NewClient's":    func(_ *site, cancel func()) { cancel() },
		"with the connection": func(s *site, _ func()) { s.drop() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Minute, func() { end(s, cancel) })
				began := time.Now()
				var cause error
				_, err := chanws.NewClient(ctx, "ws://server.test/", &chanws.ClientOptions{
					DialOptions: chanws.DialOptions{HTTPClient: s.httpClient()},
					OnConnect: func(ctx context.Context, c *chanws.Conn) error {
						<-ctx.Done()
						cause = context.Cause(ctx)
						return ctx.Err()
					},
				})
				require.Equal(t, time.Minute, time.Since(began))
				require.ErrorIs(t, err, context.Canceled)
				if ctx.Err() == nil {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					require.ErrorIs(t, cause, io.ErrUnexpectedEOF)
				}
				for err = nil; err == nil; {
					_, err = s.conn().Receive(t.Context())
				}
			})
		})
	}
}

func TestClient_the_end_of_a_context_frees_an_OnConnect_that_only_looks_at_events(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := chanws.NewClient(ctx, "ws://server.test/", &chanws.ClientOptions{
			DialOptions: chanws.DialOptions{HTTPClient: s.httpClient()},
			OnConnect: func(_ context.Context, c *chanws.Conn) error {
				for range c.Events() {
				}
				return nil
			},
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestClient_Close_ends_a_reconnection_that_is_in_OnConnect(t *testing.T) {
	for name, end := range map[string]func(*chanws.Client) error{
		"Close":    func(c *chanws.Client) error { return c.Close(1000, "") },
		"CloseNow": (*chanws.Client).CloseNow,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				var calls atomic.Int64
				c, _ := s.connected(&chanws.ClientOptions{Retry: retry(), OnConnect: func(ctx context.Context, c *chanws.Conn) error {
					if calls.Add(1) == 1 {
						return nil
					}
					_, err := c.Receive(ctx)
					return err
				}})
				s.drop()
				read := make(chan error)
				go func() {
					_, err := c.ReadMessage(t.Context())
					read <- err
				}()
				peer := s.conn()
				synctest.Wait()
				_ = end(c)
				require.ErrorIs(t, <-read, io.ErrUnexpectedEOF)
				_, err := peer.Receive(t.Context())
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				time.Sleep(time.Hour)
				require.Equal(t, 2, s.dialled())
			})
		})
	}
}

func TestClient_an_OnConnect_that_panics_leaves_no_connection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var peer *chanws.Conn
		require.PanicsWithValue(t, "mine", func() {
			_, _ = s.client(&chanws.ClientOptions{OnConnect: func(context.Context, *chanws.Conn) error {
				peer = s.conn()
				panic("mine")
			}})
		})
		_, err := peer.Receive(t.Context())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestClient_a_connection_that_ends_right_after_OnConnect_is_an_end_like_any_other(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		calls := 0
		policy := retry()
		policy.Retry = func(err error) bool { return chanws.CloseStatus(err) != 1000 }
		c, err := s.client(&chanws.ClientOptions{Retry: policy, OnConnect: func(_ context.Context, c *chanws.Conn) error {
			code := chanws.StatusServiceRestart
			if calls++; calls == 3 {
				code = chanws.StatusNormalClosure
			}
			_ = s.conn().Close(code, "")
			return nil
		}})
		require.NoError(t, err)
		_, err = c.ReadMessage(t.Context())
		require.Equal(t, chanws.Close{Code: 1000}, err)
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second}, s.delays())
		require.NotErrorIs(t, c.CloseNow(), net.ErrClosed)
	})
}

// A client that subscribes on every connection, also after its server was restarted.
func ExampleClientOptions_onConnect() {
	server := echoServer(true) // closes after each text
	defer server.Close()
	ctx := context.Background()
	c, err := chanws.NewClient(ctx, server.URL, &chanws.ClientOptions{
		Retry: &chanws.RedialPolicy{Interval: time.Millisecond},
		OnConnect: func(ctx context.Context, c *chanws.Conn) error {
			return c.Write(ctx, chanws.Text("subscribe"))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close(chanws.StatusNormalClosure, "")
	for range 2 {
		text, err := c.ReadTextMessage(ctx)
		fmt.Println(text, err)
	}
	// Output:
	// subscribe <nil>
	// subscribe <nil>
}
