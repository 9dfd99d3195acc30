package faults

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// Real clocks and real sockets: what these tests try with short times in the ordinary run,
// they try with usual ones for half a minute with
//
//	go test -run Throttled ./internal/faults -throttled
var throttledLong = flag.Bool("throttled", false, "have peers read 6 MB at 250 KB/s in the tests of throttled peers")

// A throttle is a peer that reads all the time, but not fast.
type throttle struct {
	timeout       time.Duration // of pings, pongs and writes
	rate, message int           // octets a second, and of a message
	messages      int
	fast          int // octets before the rate holds
}

func throttles() map[string]throttle {
	slow := throttle{timeout: time.Second, rate: 700_000, message: 100_000, messages: 30}
	if *throttledLong {
		slow = throttle{timeout: 2 * time.Second, rate: 250_000, message: 100_000, messages: 60}
	}
	fastFirst := slow
	fastFirst.fast = 10 * slow.message
	fastFirst.messages += 10
	return map[string]throttle{"slow": slow, "fast, then slow": fastFirst}
}

// sockets gives sockets a small buffer to read into, as slow readers have, and may
// make their segments as small as those of Ethernet.
func sockets(mss int) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) {
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10); err == nil && mss > 0 {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, mss)
			}
		})
		return err
	}
}

func TestThrottledPeersAreAlive(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes several seconds of real time")
	}
	t.Parallel()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	serverTLS := &tls.Config{Certificates: certificates.TLS.Certificates}
	certificates.Close()
	for name, pace := range throttles() {
		for _, encrypted := range []bool{false, true} {
			for _, mss := range []int{0, 1460} {
				for _, toClient := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/TLS=%v/MSS=%d/toClient=%v", name, encrypted, mss, toClient), func(t *testing.T) {
						t.Parallel()
						listenOptions := &chanws.ListenOptions{Options: pace.options()}
						if encrypted {
							listenOptions.TLSConfig = serverTLS
						}
						pace.run(t, listenOptions, mss, toClient)
					})
				}
			}
		}
	}
}

func (p throttle) options() chanws.Options {
	return chanws.Options{PingInterval: p.timeout, WriteTimeout: p.timeout}
}

// run has one side send what the other one takes in its time.
func (p throttle) run(t *testing.T, listenOptions *chanws.ListenOptions, mss int, toClient bool) {
	l := listen(t, listenOptions)
	slow := plan{rate: p.rate, piece: 5000, fast: p.fast}
	toServer, toPeer := slow, plan{}
	if toClient {
		toServer, toPeer = plan{}, slow
	}
	proxy := newProxyWith(t, sockets(mss), l.Addr().String(), toServer, toPeer)
	url := proxy.url()
	dialOptions := &chanws.DialOptions{Options: p.options()}
	if listenOptions.TLSConfig != nil {
		url = "wss" + strings.TrimPrefix(url, "ws")
		dialOptions.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	sender, err := chanws.Dial(t.Context(), url, dialOptions)
	require.NoError(t, err)
	defer sender.CloseNow()
	receiver := <-l.Conns()
	defer receiver.CloseNow()
	if toClient {
		sender, receiver = receiver, sender
	}
	go func() {
		for range p.messages {
			sender.Send <- chanws.Binary(make([]byte, p.message))
		}
	}()
	pongs := sender.Stats().PongsReceived
	for messages := 0; messages < p.messages; {
		ev, err := receiver.Receive(t.Context())
		require.NoError(t, err, "%v", sender.Err())
		if m, ok := ev.(chanws.Binary); ok {
			require.Len(t, m, p.message)
			messages++
		}
	}
	// The pings that lay behind the messages are answered now.
	for deadline := time.Now().Add(patience); sender.Stats().PongsReceived == pongs; time.Sleep(10 * time.Millisecond) {
		require.NoError(t, sender.Err())
		require.True(t, time.Now().Before(deadline), "no pong")
	}
}
