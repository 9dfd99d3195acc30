package chanws_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// passingCodes are the codes of those close frames that by default are no reason to stay
// away; 1005 is a close frame without a code.
var passingCodes = map[chanws.StatusCode]bool{1001: true, 1005: true, 1011: true, 1012: true, 1013: true, 1014: true}

var receivableCodes = []chanws.StatusCode{1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}

// closeFrame is a server's, unmasked.
func closeFrame(code chanws.StatusCode) string {
	if code == chanws.StatusNoStatusRcvd {
		return "\x88\x00"
	}
	return string([]byte{0x88, 2, byte(code >> 8), byte(code)})
}

func TestDefaultRetry(t *testing.T) {
	t.Parallel()
	dropped := fmt.Errorf("gone: %w", io.ErrUnexpectedEOF)
	breach := &chanws.ProtocolError{Code: chanws.StatusMessageTooBig}
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{chanws.Error{Err: dropped}, true},
		{chanws.Error{Err: fmt.Errorf("no pong: %w", os.ErrDeadlineExceeded)}, true},
		{chanws.Error{Err: errors.Join(breach, os.ErrDeadlineExceeded)}, true},
		{chanws.Error{Err: &net.OpError{Op: "read", Err: errors.New("anything of the network")}}, true},
		{chanws.Error{Err: breach}, false},
		{chanws.Error{Err: errors.Join(breach, chanws.ErrOverflow)}, false},
		{chanws.Error{Err: chanws.ErrOverflow}, false},
		{chanws.Error{Err: net.ErrClosed}, false},
		{net.ErrClosed, true}, // a dialler's, and no connection's end
		{context.DeadlineExceeded, true},
		{&net.DNSError{IsNotFound: true}, true},
		{errors.New("of Authorize or OnConnect"), true},
		{x509.UnknownAuthorityError{}, false},
		{&chanws.HandshakeError{StatusCode: 101}, false},
		{&chanws.HandshakeError{StatusCode: 407}, false},
		{fmt.Errorf("wrapped: %w", &chanws.HandshakeError{StatusCode: 425}), true},
		{fmt.Errorf("wrapped: %w", chanws.Close{Code: chanws.StatusGoingAway}), true},
		{fmt.Errorf("wrapped: %w", chanws.Close{Code: chanws.StatusPolicyViolation}), false},
		{errors.Join(errors.New("of OnConnect"), chanws.Close{Code: chanws.StatusPolicyViolation}), false},
		{chanws.Close{Code: chanws.StatusAbnormalClosure}, true},
		{chanws.Close{Code: chanws.StatusTLSHandshake}, false},
	} {
		require.Equal(t, tc.want, chanws.DefaultRetry(tc.err), "%#v", tc.err)
	}
	for _, code := range receivableCodes {
		require.Equal(t, passingCodes[code], chanws.DefaultRetry(chanws.Close{Code: code}), code)
	}
}

func TestRedialConnectsAgainAfterAServersCloseThatMayPass(t *testing.T) {
	t.Parallel()
	for _, code := range receivableCodes {
		synctest.Test(t, func(t *testing.T) {
			client, servers := inMemory(living(time.Hour, hello+closeFrame(code)), nil)
			began := time.Now()
			var last error
			conns := 0
			for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{MaxAttempts: 1})) {
				if last = err; c != nil {
					conns++
					for range c.Events() {
					}
				}
			}
			require.Equal(t, 1, conns)
			if passingCodes[code] {
				require.ErrorIs(t, last, errNoNetwork, code)
				require.Equal(t, time.Second, time.Since(began))
			} else {
				require.Equal(t, chanws.Close{Code: code}, last)
				require.Zero(t, time.Since(began))
			}
			servers.Wait()
		})
	}
}

func TestRedialEndsWithAConnectionThatEndedForGood(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sent  string
		opts  chanws.Options
		again bool
	}{
		"a breach of the protocol": {"\xff\xff", chanws.Options{}, false},
		"a message too large":      {hello, chanws.Options{MaxMessageSize: 4}, false},
		"too slow a consumer":      {hello + hello + hello, chanws.Options{EventBuffer: 1, Overflow: chanws.CloseSlow}, false},
		"a peer that is silent":    {hello, chanws.Options{PingInterval: time.Minute, PongTimeout: time.Second}, true},
		"a dropped connection":     {hello, chanws.Options{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, servers := inMemory(living(time.Hour, tc.sent), nil)
				opts := &chanws.DialOptions{HTTPClient: client, Options: tc.opts}
				var end, last error
				for c, err := range chanws.Redial(t.Context(), "ws://example.com/", opts, chanws.RedialPolicy{MaxAttempts: 1}) {
					if last = err; c != nil {
						synctest.Wait()
						for range c.Events() {
						}
						end = c.Err()
					}
				}
				if tc.again {
					require.ErrorIs(t, last, errNoNetwork)
				} else {
					require.Equal(t, end, last, "the terminal event itself")
				}
				servers.Wait()
			})
		})
	}
}

func TestRedialAsksRetryOnceAboutEachFailureAndEachEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(answeringStatus(401), living(time.Second, hello), nil, living(time.Second, bye), living(time.Second, closeFrame(4000)))
		var asked, want []error
		policy := steady(chanws.RedialPolicy{Retry: func(err error) bool {
			asked = append(asked, err)
			return chanws.CloseStatus(err) != 4000
		}})
		var last error
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
			if last = err; c == nil {
				if err != (chanws.Close{Code: 4000}) {
					want = append(want, err)
				}
				continue
			}
			for range c.Events() {
			}
			want = append(want, c.Err())
		}
		require.Len(t, want, 5)
		require.Equal(t, want, asked)
		require.Equal(t, chanws.Close{Code: 4000}, last)
		servers.Wait()
	})
}

func TestRedialEndsAtALossIfRetrySaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(living(time.Second, hello))
		policy := chanws.RedialPolicy{Retry: func(error) bool { return false }}
		var errs []error
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
			if errs = append(errs, err); c != nil {
				for range c.Events() {
				}
			}
		}
		require.Len(t, errs, 2)
		require.IsType(t, chanws.Error{}, errs[1])
		require.ErrorIs(t, errs[1], io.ErrUnexpectedEOF)
		servers.Wait()
	})
}

func TestRedialGoesOnAfterAConnectionThatItsBodyHasClosed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *chanws.Conn){
		"by Close":    func(t *testing.T, c *chanws.Conn) { require.NoError(t, c.Close(chanws.StatusNormalClosure, "")) },
		"by CloseNow": func(t *testing.T, c *chanws.Conn) { require.NoError(t, c.CloseNow()) },
		"by CloseContext whose context has ended": func(t *testing.T, c *chanws.Conn) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = c.CloseContext(ctx, chanws.StatusNormalClosure, "") // the peer's answer may be faster
		},
		"by the end of Send": func(t *testing.T, c *chanws.Conn) { close(c.Send) },
		"by a Close on Send": func(t *testing.T, c *chanws.Conn) { c.Send <- chanws.Close{Code: 4000} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, nil)
				conns := 0
				policy := chanws.RedialPolicy{Retry: func(error) bool { panic("asked") }}
				for c, err := range chanws.Redial(t.Context(), "ws://server.test/", &chanws.DialOptions{HTTPClient: s.httpClient()}, policy) {
					require.NoError(t, err)
					s.conn()
					require.False(t, c.ClosedLocally())
					end(t, c)
					for range c.Events() {
					}
					require.True(t, c.ClosedLocally())
					if conns++; conns == 3 {
						_ = c.CloseNow()
						break
					}
				}
				require.Equal(t, 3, s.dialled())
			})
		})
	}
}

func TestAConnectionThatThePeerEndedFirstIsNotClosedLocally(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *site, peer *chanws.Conn){
		"a close frame":            func(_ *site, peer *chanws.Conn) { _ = peer.Close(chanws.StatusNormalClosure, "") },
		"a close frame of Send's":  func(_ *site, peer *chanws.Conn) { close(peer.Send) },
		"a drop":                   func(s *site, _ *chanws.Conn) { s.drop() },
		"a breach of the protocol": func(s *site, _ *chanws.Conn) { _, _ = s.ends[0].Write([]byte{0xff, 0xff}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, nil)
				c, err := chanws.Dial(t.Context(), "ws://server.test/", &chanws.DialOptions{HTTPClient: s.httpClient()})
				require.NoError(t, err)
				end(s, s.conn())
				for range c.Events() {
				}
				_ = c.CloseNow()
				require.False(t, c.ClosedLocally())
			})
		})
	}
}
