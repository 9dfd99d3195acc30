package chanws_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// Each bubble here ends only when no goroutine is left in it, and its clock stands
// still while anything can run, so that delays are exact.

func seconds(n ...float64) []time.Duration {
	all := make([]time.Duration, len(n))
	for i, s := range n {
		all[i] = time.Duration(s * float64(time.Second))
	}
	return all
}

// steady is a policy without randomness.
func steady(p chanws.RedialPolicy) chanws.RedialPolicy {
	p.Jitter = -1
	return p
}

func TestRedialBacksOff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		policy chanws.RedialPolicy
		want   []time.Duration
	}{
		"by default":                    {chanws.RedialPolicy{}, seconds(0, 1, 3, 7, 15, 31, 61, 91)},
		"by a factor":                   {chanws.RedialPolicy{Interval: 100 * time.Millisecond, Factor: 3}, seconds(0, .1, .4, 1.3, 4)},
		"without a factor":              {chanws.RedialPolicy{Factor: -1}, seconds(0, 1, 2, 3, 4)},
		"up to MaxInterval":             {chanws.RedialPolicy{MaxInterval: 3 * time.Second}, seconds(0, 1, 3, 6, 9)},
		"at least by Interval":          {chanws.RedialPolicy{Interval: time.Minute}, seconds(0, 60, 120, 180)},
		"never longer than MaxInterval": {chanws.RedialPolicy{Interval: time.Minute, MaxInterval: time.Second}, seconds(0, 1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := inMemory(nil)
				tc.policy.MaxAttempts = len(tc.want)
				began := time.Now()
				var at []time.Duration
				for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(tc.policy)) {
					require.Nil(t, c)
					require.ErrorIs(t, err, errNoNetwork)
					at = append(at, time.Since(began))
				}
				require.Equal(t, tc.want, at)
			})
		})
	}
}

func TestRedialJitters(t *testing.T) {
	t.Parallel()
	for jitter, by := range map[float64]float64{0: 0.2, 0.5: 0.5, 1: 1} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := inMemory(nil)
			last := time.Now()
			seen := map[time.Duration]bool{}
			policy := chanws.RedialPolicy{Interval: time.Second, Factor: -1, Jitter: jitter, MaxAttempts: 50}
			for range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
				if len(seen) > 0 {
					require.InDelta(t, 1, time.Since(last).Seconds(), by)
				}
				seen[time.Since(last)] = true
				last = time.Now()
			}
			require.Greater(t, len(seen), 25)
		})
	}
}

func TestRedialJudgesErrors(t *testing.T) {
	t.Parallel()
	retried := map[int]bool{}
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530} {
		retried[code] = true
	}
	for _, code := range []int{200, 302, 400, 401, 403, 404, 407, 408, 409, 410, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451,
		500, 501, 502, 503, 504, 505, 507, 508, 510, 511, 519, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 531, 599} {
		synctest.Test(t, func(t *testing.T) {
			client, servers := inMemory(answeringStatus(code))
			attempts := 0
			for _, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, chanws.RedialPolicy{MaxAttempts: 3}) {
				var refused *chanws.HandshakeError
				require.ErrorAs(t, err, &refused)
				attempts++
			}
			if retried[code] {
				require.Equal(t, 3, attempts, code)
			} else {
				require.Equal(t, 1, attempts, code)
			}
			servers.Wait()
		})
	}

	certificate := &tls.CertificateVerificationError{Err: errors.New("unknown authority")}
	opts := &chanws.DialOptions{Authorize: func(context.Context, *http.Request) error { return certificate }}
	attempts := 0
	for _, err := range chanws.Redial(t.Context(), "ws://example.com/", opts, chanws.RedialPolicy{}) {
		require.ErrorIs(t, err, certificate)
		attempts++
	}
	require.Equal(t, 1, attempts)
}

func TestRedialAsksRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(answeringStatus(401), nil, answeringStatus(404), nil)
		var asked, got []error
		policy := chanws.RedialPolicy{Retry: func(err error) bool {
			asked = append(asked, err)
			var refused *chanws.HandshakeError
			return !errors.As(err, &refused) || refused.StatusCode == 401
		}}
		for _, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
			got = append(got, err)
		}
		require.Len(t, got, 3)
		require.Equal(t, got, asked)
		servers.Wait()
	})
}

func TestRedialDoesNotRetryWhatCannotWork(t *testing.T) {
	t.Parallel()
	policy := chanws.RedialPolicy{Retry: func(error) bool { panic("asked") }}
	for text, tc := range map[string]struct {
		url  string
		opts *chanws.DialOptions
	}{
		"no scheme":          {"example.com", nil},
		"Options.SendBuffer": {"ws://example.com", &chanws.DialOptions{Options: chanws.Options{SendBuffer: -1}}},
		`Subprotocols: ""`:   {"ws://example.com", &chanws.DialOptions{Subprotocols: []string{""}}},
	} {
		turns := 0
		for c, err := range chanws.Redial(t.Context(), tc.url, tc.opts, policy) {
			require.Nil(t, c)
			require.ErrorContains(t, err, text)
			turns++
		}
		require.Equal(t, 1, turns)
	}
}

func TestRedialRefusesAnInvalidPolicy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		field  string
		policy chanws.RedialPolicy
	}{
		{"Interval", chanws.RedialPolicy{Interval: -1}},
		{"MaxInterval", chanws.RedialPolicy{MaxInterval: -1}},
		{"Factor", chanws.RedialPolicy{Factor: math.NaN()}},
		{"Factor", chanws.RedialPolicy{Factor: math.Inf(1)}},
		{"Factor", chanws.RedialPolicy{Factor: 0.5}},
		{"Jitter", chanws.RedialPolicy{Jitter: math.NaN()}},
		{"Jitter", chanws.RedialPolicy{Jitter: 1.5}},
		{"MaxAttempts", chanws.RedialPolicy{MaxAttempts: -1}},
	} {
		turns := 0
		for c, err := range chanws.Redial(t.Context(), "ws://example.com", nil, tc.policy) {
			require.Nil(t, c)
			require.ErrorContains(t, err, "RedialPolicy."+tc.field+" must")
			turns++
		}
		require.Equal(t, 1, turns)
	}
}

func TestRedialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for name, tc := range map[string]struct {
		answer answerer
		after  time.Duration // of the cancellation; 0: within the loop's body
		turns  int
	}{
		"before the first attempt": {nil, -1, 1},
		"during an attempt":        {answering(""), 5 * time.Second, 1},
		"between attempts":         {nil, 2 * time.Second, 3},
		"within the body":          {nil, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tc.after < 0 {
					cancel(mine)
				} else if tc.after > 0 {
					defer time.AfterFunc(tc.after, func() { cancel(mine) }).Stop()
				}
				client, servers := inMemory(tc.answer)
				began := time.Now()
				var errs []error
				for c, err := range chanws.Redial(ctx, "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{})) {
					require.Nil(t, c)
					errs = append(errs, err)
					if tc.after == 0 {
						cancel(mine)
					}
				}
				require.Equal(t, max(tc.after, 0), time.Since(began))
				require.Len(t, errs, tc.turns)
				for i, err := range errs {
					require.Equal(t, i == len(errs)-1, errors.Is(err, mine), err)
					require.Equal(t, i == len(errs)-1, errors.Is(err, context.Canceled), err)
				}
				servers.Wait()
			})
		})
	}
}

func TestRedialStopsWhenTheLoopIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := inMemory(nil)
		again := chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{}))
		for range 2 { // the sequence starts anew each time
			began := time.Now()
			turns := 0
			for range again {
				if turns++; turns == 3 {
					break
				}
			}
			require.Equal(t, 3*time.Second, time.Since(began))
		}
	})
}

func TestRedialYieldsANewConnectionAfterEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Fewer failures in a row than MaxAttempts, though not in all.
		client, servers := inMemory(living(time.Hour, hello), nil, nil, living(time.Hour, hello), nil, nil, living(time.Hour, hello+bye))
		began := time.Now()
		var at []time.Duration
		var ends []error
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{MaxAttempts: 3})) {
			at = append(at, time.Since(began))
			if err != nil {
				require.ErrorIs(t, err, errNoNetwork)
				continue
			}
			var last error
			for {
				var ev chanws.Event
				if ev, last = c.Receive(t.Context()); last != nil {
					break
				}
				require.Equal(t, chanws.Text("hello"), ev)
			}
			ends = append(ends, last)
			if chanws.CloseStatus(last) == chanws.StatusNormalClosure {
				require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
				break
			}
			// The body forgets to close.
		}
		hour := time.Hour
		require.Equal(t, append(seconds(0), hour+1e9, hour+3e9, hour+7e9, 2*hour+8e9, 2*hour+10e9, 2*hour+14e9), at)
		require.Len(t, ends, 3)
		require.ErrorIs(t, ends[0], io.ErrUnexpectedEOF)
		servers.Wait()
	})
}

func TestRedialDoesNotHammerAServerThatDropsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const moment = time.Millisecond // Dial has returned when the clock moves
		client, servers := inMemory(living(moment, ""), living(moment, ""), living(time.Second, ""), living(moment, ""),
			living(29*time.Second, ""), living(30*time.Second, ""), living(moment, ""))
		began := time.Now()
		var at []time.Duration
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{MaxAttempts: 1})) {
			require.NoError(t, err)
			at = append(at, time.Since(began).Truncate(time.Second))
			for range c.Events() {
			}
			if len(at) == 8 {
				require.NoError(t, c.CloseNow())
				break
			}
		}
		// Delays of 1, 2, 4 (after a life of 1), 8, 16 (after a life of 29), 1 (after a life of
		// 30, which is MaxInterval) and 2.
		require.Equal(t, seconds(0, 1, 3, 8, 16, 61, 92, 94), at)
		servers.Wait()
	})
}

func TestRedialCountsTheLifeOfAConnectionToItsEndAndNotToTheBodys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(living(time.Millisecond, ""))
		last := time.Now()
		var delays []time.Duration
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{})) {
			require.NoError(t, err)
			delays = append(delays, time.Since(last))
			for range c.Events() {
			}
			time.Sleep(time.Hour) // with what has come
			last = time.Now()
			if len(delays) == 4 {
				require.NoError(t, c.CloseNow())
				break
			}
		}
		require.Equal(t, seconds(0, 1, 2, 4), delays)
		servers.Wait()
	})
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestRedialTakesARefusedCertificateForFinal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err      error
		attempts int
	}{
		{&tls.CertificateVerificationError{Err: errors.New("mine")}, 1},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "pinned"}, 1},
		{x509.UnknownAuthorityError{}, 1},
		{x509.CertificateInvalidError{}, 1},
		{fmt.Errorf("wrapped: %w", x509.UnknownAuthorityError{}), 1},
		{&net.OpError{Op: "read", Err: tls.AlertError(42)}, 2},
		{errors.New("anything else"), 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			attempts := 0
			o := &chanws.DialOptions{HTTPClient: &http.Client{Transport: failing{tc.err}}}
			for _, err := range chanws.Redial(t.Context(), "wss://example.com/", o, chanws.RedialPolicy{MaxAttempts: 2}) {
				require.ErrorIs(t, err, tc.err)
				attempts++
			}
			require.Equal(t, tc.attempts, attempts, tc.err)
		})
	}
}

func TestRedialWaitsForTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(living(time.Minute, hello), nil)
		began := time.Now()
		var first *chanws.Conn
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{MaxAttempts: 1})) {
			if first == nil {
				require.NoError(t, err)
				first = c // given away: the body does not wait for it
				continue
			}
			require.ErrorIs(t, err, errNoNetwork)
		}
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		ev, err := first.Receive(t.Context()) // nothing was discarded
		require.NoError(t, err)
		require.Equal(t, chanws.Text("hello"), ev)
		require.NoError(t, first.CloseNow())
		servers.Wait()
	})
}

func TestRedialLeavesTheLastConnectionToTheUser(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(cancel func()) (leaveLoop bool){
		"when the loop is left": func(func()) bool { return true },
		"when ctx ends":         func(cancel func()) bool { cancel(); return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, servers := inMemory(living(time.Hour, hello))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var last *chanws.Conn
				var lastErr error
				for c, err := range chanws.Redial(ctx, "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, chanws.RedialPolicy{}) {
					if lastErr = err; c != nil {
						last = c
						if leave(cancel) {
							break
						}
					}
				}
				require.Equal(t, ctx.Err() != nil, errors.Is(lastErr, context.Canceled))
				require.NoError(t, last.Err())
				ev, err := last.Receive(t.Context())
				require.NoError(t, err)
				require.Equal(t, chanws.Text("hello"), ev)
				require.NoError(t, last.CloseNow())
				servers.Wait()
			})
		})
	}
}

func ExampleRedial() {
	server := echoServer(true) // closes after each text
	defer server.Close()
	turns := 0
	policy := chanws.RedialPolicy{Interval: time.Millisecond}
	for c, err := range chanws.Redial(context.Background(), server.URL, nil, policy) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		turns++
		c.Send <- chanws.Text(fmt.Sprintf("hello %d", turns))
		for ev := range c.Events() {
			fmt.Println(ev)
		}
		c.CloseNow()
		if turns == 2 {
			break
		}
	}
	// Output:
	// hello 1
	// websocket closed: 1001 (going away): "that was all"
	// hello 2
	// websocket closed: 1001 (going away): "that was all"
}
