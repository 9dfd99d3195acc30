package chanws_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// answeringLater is an answer that opens no connection, with header lines.
func answeringLater(code int, header string) answerer {
	return answering(fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Length: 0\r\n%s\r\n", code, header))
}

// onlyDelay is the delay between two attempts.
func onlyDelay(t *testing.T, policy chanws.RedialPolicy, first answerer) (delay time.Duration) {
	client, servers := inMemory(first, nil)
	began := time.Now()
	policy.MaxAttempts = 2
	for range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
		delay = time.Since(began)
	}
	servers.Wait()
	return delay
}

func TestRetryAfterIsTheLeastDelay(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	fixed := func(d time.Duration) func(int, error) time.Duration {
		return func(int, error) time.Duration { return d }
	}
	for name, tc := range map[string]struct {
		code   int
		header func() string
		delay  func(int, error) time.Duration
		want   time.Duration
	}{
		"of 503, in seconds": {503, func() string { return "Retry-After: 17\r\n" }, nil, 17 * time.Second},
		"of 429, in seconds": {429, func() string { return "Retry-After: 17\r\n" }, nil, 17 * time.Second},
		"with spaces":        {429, func() string { return "Retry-After:  17 \r\n" }, nil, 17 * time.Second},
		"of 503, as a date":  {503, func() string { return "Retry-After: " + in(17*time.Second) + "\r\n" }, nil, 17 * time.Second},
		"of 429, as a date":  {429, func() string { return "Retry-After: " + in(17*time.Second) + "\r\n" }, nil, 17 * time.Second},
		"as a date by the server's own clock": {503, func() string {
			return "Date: " + in(-24*time.Hour) + "\r\nRetry-After: " + in(-24*time.Hour+17*time.Second) + "\r\n"
		}, nil, 17 * time.Second},
		"if it is longer than the delay": {503, func() string { return "Retry-After: 0\r\n" }, nil, time.Second},
		"and a date gone by is none":     {503, func() string { return "Retry-After: " + in(-time.Hour) + "\r\n" }, nil, time.Second},
		"and a negative one is none":     {503, func() string { return "Retry-After: -17\r\n" }, nil, time.Second},
		"and what is no time is none":    {503, func() string { return "Retry-After: soon\r\n" }, nil, time.Second},
		"and an empty one is none":       {503, func() string { return "Retry-After:\r\n" }, nil, time.Second},
		"at most an hour":                {503, func() string { return "Retry-After: 3601\r\n" }, nil, time.Hour},
		"at most an hour, as a date":     {503, func() string { return "Retry-After: " + in(365*24*time.Hour) + "\r\n" }, nil, time.Hour},
		"at most an hour, whatever the number": {503, func() string {
			return "Retry-After: 99999999999999999999999999\r\n"
		}, nil, time.Hour},
		"exactly an hour":          {503, func() string { return "Retry-After: 3600\r\n" }, nil, time.Hour},
		"under Delay too":          {503, func() string { return "Retry-After: 17\r\n" }, fixed(time.Second), 17 * time.Second},
		"but not under a long one": {503, func() string { return "Retry-After: 17\r\n" }, fixed(time.Minute), time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				require.Equal(t, tc.want, onlyDelay(t, steady(chanws.RedialPolicy{Delay: tc.delay}), answeringLater(tc.code, tc.header())))
			})
		})
	}
}

func TestJitterOnlyLengthensRetryAfter(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			delay := onlyDelay(t, chanws.RedialPolicy{}, answeringLater(503, "Retry-After: 100\r\n"))
			require.GreaterOrEqual(t, delay, 100*time.Second)
			require.LessOrEqual(t, delay, 120*time.Second)
			seen[delay] = true
		})
	}
	require.Greater(t, len(seen), 25)
}

func TestDelayReplacesTheBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := inMemory(nil, nil, living(time.Hour, hello), answeringStatus(503), nil, living(time.Minute, ""), living(time.Minute, closeFrame(1012)), nil)
		type call struct {
			attempt int
			err     error
		}
		var calls, want []call
		attempt := 0
		policy := chanws.RedialPolicy{
			MaxAttempts: 3,
			Delay: func(attempt int, err error) time.Duration {
				calls = append(calls, call{attempt, err})
				if attempt == 3 {
					return -time.Hour // none
				}
				return time.Duration(attempt) * 7 * time.Second
			},
		}
		began := time.Now()
		var at []time.Duration
		for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, policy) {
			at = append(at, time.Since(began))
			if attempt++; c != nil {
				for range c.Events() {
				}
				attempt, err = 1, c.Err()
				began = time.Now()
			}
			want = append(want, call{attempt, err})
		}
		require.Equal(t, want[:len(want)-1], calls, "the last one was final")
		require.Equal(t, 1, calls[0].attempt)
		require.ErrorIs(t, calls[2].err, io.ErrUnexpectedEOF)
		require.Equal(t, chanws.Close{Code: 1012}, calls[6].err)
		require.Equal(t, seconds(0, 7, 21, 7, 21, 21, 7, 7, 21, 21), at)
		servers.Wait()
	})
}

func TestAServerThatAcceptsAndClosesForEverIsNotHammered(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"with a drop": "", "with 1001": closeFrame(1001), "with 1012": closeFrame(1012), "with no code": closeFrame(1005)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, servers := inMemory(living(time.Millisecond, end))
				began := time.Now()
				conns := 0
				for c, err := range chanws.Redial(t.Context(), "ws://example.com/", &chanws.DialOptions{HTTPClient: client}, steady(chanws.RedialPolicy{})) {
					require.NoError(t, err)
					for range c.Events() {
					}
					require.NoError(t, c.CloseNow())
					if conns++; time.Since(began) > time.Hour {
						break
					}
				}
				// 1, 2, 4, 8 and 16 s, then 30 s each.
				require.Equal(t, 1+5+119, conns)
				servers.Wait()
			})
		})
	}
}
