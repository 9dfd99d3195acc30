package chanws

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws/internal/server"
	"github.com/stretchr/testify/require"
)

func TestSlowHandshakeFreesItsPlace(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": testTLS(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, client := inMemory(t, &ListenOptions{HandshakeTimeout: 100 * time.Millisecond, MaxConns: 1, TLSConfig: config}, gatedConn{})
				began := time.Now()
				client.say("GET")
				client.closed()
				require.Equal(t, 100*time.Millisecond, time.Since(began))
				synctest.Wait()
				require.Zero(t, l.server.Counts())
			})
		})
	}
}

func TestMaxConnsCountsHandshakesWaitingAndLiveConnections(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{MaxConns: 3})
	live, liveClient := open(t, l)
	waiting := connect(t, l)
	require.Equal(t, 101, waiting.upgrade())
	shaking := connect(t, l)
	shaking.say(upgradeRequest)
	eventually(t, "all three are counted", func() bool {
		return l.server.Counts().Places == 3
	})

	refused := connect(t, l)
	refused.say(upgradeRequest + "\r\n")
	answer, body := refused.answer()
	require.Equal(t, 503, answer.StatusCode)
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Contains(t, body, "too many connections")

	// One that comes too early may stay when a place is free in time.
	eventually(t, "the refused one is gone", func() bool { return l.server.Counts().Attempts == 1 })
	early := connect(t, l)
	early.say("GET")
	eventually(t, "it has come", func() bool { return l.server.Counts().Attempts == 2 })
	liveClient.Close()
	<-live.Done()
	eventually(t, "the place is free", func() bool {
		return l.server.Counts().Places == 2
	})
	early.say(strings.TrimPrefix(upgradeRequest, "GET") + "\r\n")
	earlyAnswer, _ := early.answer()
	require.Equal(t, 101, earlyAnswer.StatusCode)

	// So may the one whose handshake had a place from the beginning.
	shaking.say("\r\n")
	shakingAnswer, _ := shaking.answer()
	require.Equal(t, 101, shakingAnswer.StatusCode)
	require.Equal(t, 503, connect(t, l).upgrade())
}

func TestMaxConnsBoundsTheRefusedToo(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{MaxConns: 1})
	open(t, l)
	const maxRefused = 256
	for range 1 + maxRefused { // live ones are not among the attempts
		connect(t, l)
	}
	connect(t, l).closed()
}

func TestFullBacklogMakesClientsWait(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Backlog: 1})
	first, second := connect(t, l), connect(t, l)
	require.Equal(t, 101, first.upgrade())
	second.say(upgradeRequest + "\r\n")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := second.in.Peek(1)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "the second got no answer yet")

	require.Equal(t, first.LocalAddr().String(), take(t, l).RemoteAddr().String())
	require.NoError(t, second.SetReadDeadline(time.Now().Add(patience)))
	answer, _ := second.answer()
	require.Equal(t, 101, answer.StatusCode)
	require.Equal(t, second.LocalAddr().String(), take(t, l).RemoteAddr().String())
}

func TestFullBacklogIs503AfterHandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, first := inMemory(t, &ListenOptions{Backlog: 1, HandshakeTimeout: 2 * time.Second}, gatedConn{})
		require.Equal(t, 101, first.upgrade())
		second := another(t, l)
		began := time.Now()
		second.say(upgradeRequest + "\r\n")
		answer, body := second.answer()
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Equal(t, 503, answer.StatusCode)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
		require.Contains(t, body, "too slow")
		take(t, l)
		require.Equal(t, 101, another(t, l).upgrade())
	})
}

func TestClientThatLeavesTheQueueOfTheBacklogIsForgotten(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{Backlog: 1, HandshakeTimeout: -1})
	require.Equal(t, 101, connect(t, l).upgrade())
	second := connect(t, l)
	second.say(upgradeRequest + "\r\n")
	eventually(t, "the second is there", func() bool {
		return l.server.Counts().Attempts == 1
	})
	second.Close()
	eventually(t, "the second is gone", func() bool {
		return l.server.Counts().Attempts == 0
	})
}

func TestAuthorizeHasTheHandshakesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := inMemory(t, &ListenOptions{HandshakeTimeout: 2 * time.Second, Authorize: func(r *http.Request) error {
			<-r.Context().Done()
			return &HTTPError{StatusCode: 504, Message: "slow"}
		}}, gatedConn{})
		began := time.Now()
		require.Equal(t, 504, client.upgrade())
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestPanicInAuthorizeLeavesTheListenerAlone(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	l := startListener(t, &ListenOptions{MaxConns: 1, Authorize: func(r *http.Request) error {
		if calls.Add(1) == 1 {
			panic("mine")
		}
		return nil
	}})
	client := connect(t, l)
	client.say(upgradeRequest + "\r\n")
	client.closed()
	eventually(t, "the place is free", func() bool { return connect(t, l).upgrade() == 101 })
}

func TestBodyThatNeverComesKeepsNoPlace(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"POST":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		"chunked":      "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"with upgrade": upgradeRequest + "Content-Length: 10\r\n\r\n",
		"expecting":    upgradeRequest + "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.0":     "GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 10\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startListener(t, &ListenOptions{HandshakeTimeout: -1, MaxConns: 1})
			client := connect(t, l)
			client.say(request)
			client.closed()
			eventually(t, "nothing is left", func() bool {
				return l.server.Counts() == server.Counts{}
			})
		})
	}
}

func TestPlaceIsFreeWhenTheRefusalHasBeenRead(t *testing.T) {
	t.Parallel()
	l := startListener(t, &ListenOptions{MaxConns: 1, Path: "/chat/red", Authorize: func(r *http.Request) error {
		if r.Header.Get("X-Bad") != "" {
			return errors.New("bad")
		}
		return nil
	}})
	for range 20 {
		for status, request := range map[int]string{
			403: upgradeRequest + "X-Bad: 1\r\n\r\n",
			// net/http waits for the bodies, when the answer has gone out.
			400: upgradeRequest + "Content-Length: 10\r\n\r\n",
			404: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
		} {
			client := connect(t, l)
			client.say(request)
			answer, _ := client.answer()
			require.Equal(t, status, answer.StatusCode, "not 503")
		}
	}
}

func TestHandshakeThatHasTakenTooLongIsRefusedThoughThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client := inMemory(t, &ListenOptions{HandshakeTimeout: time.Second, Authorize: func(r *http.Request) error {
			<-r.Context().Done()
			return nil
		}}, gatedConn{})
		for range 20 { // a select that has the choice would take either
			require.Equal(t, 503, client.upgrade())
			client = another(t, l)
		}
		require.Empty(t, l.room)
	})
}

// spoiltListener's connections cannot be used once they are hijacked.
type spoiltListener struct {
	net.Listener
	first atomic.Int32 // how many
}

func (s *spoiltListener) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil && s.first.Add(-1) >= 0 {
		c = spoilt{c}
	}
	return c, err
}

type spoilt struct{ net.Conn }

func (spoilt) SetDeadline(time.Time) error { return errors.New("spoilt") }

func TestHandshakeThatFailsAfterTheHijackKeepsNoPlace(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := &spoiltListener{Listener: tcp}
	listener.first.Store(2)
	l, err := Serve(listener, &ListenOptions{MaxConns: 1, Backlog: 1})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	for range 2 {
		client := connect(t, l)
		client.say(upgradeRequest + "\r\n")
		client.closed()
		eventually(t, "nothing is left", func() bool {
			return l.server.Counts() == server.Counts{} && len(l.room) == 0
		})
	}
	open(t, l)
}
