package handshake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A dumping RoundTripper shows what it has got, as programs do that look for a fault.
type dumping struct{ http.RoundTripper }

func (d dumping) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(req)
	if err == nil {
		_, _ = httputil.DumpResponse(resp, true)
	}
	return resp, err
}

func TestTimeLimitsHoldForARoundTripperThatReadsThe101sBody(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(context.Context, *http.Client, *ClientOptions) (context.Context, context.CancelFunc){
		"ctx": func(ctx context.Context, _ *http.Client, _ *ClientOptions) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"HandshakeTimeout": func(ctx context.Context, _ *http.Client, o *ClientOptions) (context.Context, context.CancelFunc) {
			o.Timeout = time.Second
			return ctx, func() {}
		},
		"HTTPClient.Timeout": func(ctx context.Context, c *http.Client, _ *ClientOptions) (context.Context, context.CancelFunc) {
			c.Timeout = time.Second
			return ctx, func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, servers := pipes(t, answer101())
				inner := client.Transport.(*http.Transport)
				client.Transport = dumping{inner}
				o := ClientOptions{HTTPClient: client}
				ctx, cancel := limit(t.Context(), client, &o)
				defer cancel()
				began := time.Now()
				_, err := Dial(ctx, "ws://example.com/", o)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "HTTPClient's Transport handshake.dumping has not returned; it must not read the body of a 101")
				require.Equal(t, time.Second, time.Since(began))
				servers.Wait() // the connection was closed, which ends the RoundTripper
			})
		})
	}
}

func TestTimeLimitsHoldForARoundTripperThatMindsNothing(t *testing.T) {
	t.Parallel()
	for name, trip := range map[string]roundTripper{
		"no answer": func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Hour)
			return nil, errors.New("too late")
		},
		"a body without an end": func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 403, Body: sleepy{}, Request: req}, nil
		},
		"the body of a redirect without an end": func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"/"}}, Body: sleepy{}, Request: req}, nil
		},
		"a 101 whose body does not mind its connection": func(req *http.Request) (*http.Response, error) {
			conn, _ := net.Pipe()
			traced(req, conn)
			return readAnswer(req, sleepy{})
		},
		"a wrong 101 whose body cannot be closed": func(req *http.Request) (*http.Response, error) {
			resp, err := readAnswer(req, sleepy{})
			resp.Header.Del("Sec-WebSocket-Accept")
			return resp, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{Timeout: time.Second, HTTPClient: &http.Client{Transport: trip}})
				require.Error(t, err)
				require.LessOrEqual(t, time.Since(began), time.Second)
				time.Sleep(3 * time.Hour) // whatever it has begun ends
			})
		})
	}
}

// sleepy is a body, and a connection, on which everything takes an hour.
type sleepy struct{}

func (sleepy) Read([]byte) (int, error)  { time.Sleep(time.Hour); return 0, io.EOF }
func (sleepy) Write([]byte) (int, error) { time.Sleep(time.Hour); return 0, io.EOF }
func (sleepy) Close() error              { time.Sleep(time.Hour); return nil }

func TestAnswerThatComesTooLateIsClosed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{101, 403} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				time.Sleep(time.Minute)
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: near, Request: req}, nil
			})}
			_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{Timeout: time.Second, HTTPClient: client})
			require.EqualError(t, err, "handshake timed out after 1s")
			_, err = far.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestBodyOfARefusalIsWaitedForNoLongerThanItIsWorth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, servers := pipes(t, say("HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\nbecause"))
		began := time.Now()
		_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: client, Timeout: time.Hour})
		var answer *ResponseError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, "because", string(answer.Body))
		require.Equal(t, bodyTime, time.Since(began))
		servers.Wait()
	})
}

func TestRoundTripperThatReturnsNothingIsAnError(t *testing.T) {
	t.Parallel()
	for name, trip := range map[string]roundTripper{
		"nil and nil": func(*http.Request) (*http.Response, error) { return nil, nil },
		"ended":       func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: &http.Client{Transport: trip}})
		require.ErrorIs(t, err, errNoResult, name)
	}
}

func TestAnswerWithoutABodyIsAnError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{101, 403} {
		_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: &http.Client{
			Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := readAnswer(req, nil)
				resp.StatusCode, resp.Body = status, nil
				return resp, err
			}),
		}})
		if status == 101 {
			require.ErrorContains(t, err, "a body that cannot be written to")
		} else {
			require.ErrorAs(t, err, new(*ResponseError))
		}
	}
}

func TestPanicOfARoundTripperIsTheCallers(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "mine", func() {
		_, _ = Dial(t.Context(), "ws://example.com/", ClientOptions{HTTPClient: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("mine") }),
		}})
	})
}

// A shared connection of HTTP/2 carries the requests of others.
func TestConnectionThatOthersMayUseIsNotClosed(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(req *http.Request, conn net.Conn){
		"one of several": func(req *http.Request, conn net.Conn) {
			other, _ := net.Pipe()
			traced(req, other)
			traced(req, conn)
		},
		"none": func(*http.Request, net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var closed atomic.Bool
				conn := watched{closed: &closed}
				client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					tell(req, conn)
					<-req.Context().Done()
					return nil, req.Context().Err()
				})}
				_, err := Dial(t.Context(), "ws://example.com/", ClientOptions{Timeout: time.Second, HTTPClient: client})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				synctest.Wait()
				require.False(t, closed.Load())
			})
		})
	}
}

type watched struct {
	net.Conn
	closed *atomic.Bool
}

func (w watched) Close() error { w.closed.Store(true); return nil }

func TestExcerptIsTheFirstKiB(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 1023: 1023, 1024: 1024, 1025: 1024, 5000: 1024} {
		var e excerpt
		e.readFrom(bytes.NewReader(make([]byte, n)))
		require.Len(t, e.bytes(), want)
	}
}
