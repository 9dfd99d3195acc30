package faults

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A server that runs out of descriptors keeps the connections it has, and takes new
// ones as soon as it has descriptors again.
func TestServerWithoutDescriptors(t *testing.T) {
	t.Parallel()
	if os.Getenv("CHANWS_FEW_DESCRIPTORS") == "1" {
		serveWithFewDescriptors(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience) // for a process of its own, and two waits of seconds
	defer cancel()
	server := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestServerWithoutDescriptors$", "-test.v")
	server.Env = append(os.Environ(), "CHANWS_FEW_DESCRIPTORS=1")
	stdin, err := server.StdinPipe()
	require.NoError(t, err)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	lines := bufio.NewScanner(stdout)
	var url string
	for url == "" && lines.Scan() {
		url, _ = strings.CutPrefix(lines.Text(), "serving ")
		if !strings.HasPrefix(url, "ws://") {
			url = ""
		}
	}
	require.NotEmpty(t, url)
	go func() {
		for lines.Scan() {
		}
	}()

	var conns []*chanws.Conn
	for {
		c, err := chanws.Dial(ctx, url, &chanws.DialOptions{HandshakeTimeout: 2 * time.Second})
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded, "nobody accepts")
			break
		}
		conns = append(conns, c)
		require.Less(t, len(conns), 100)
	}
	for i, c := range conns {
		requireEcho(t, c, fmt.Sprint("still served ", i))
	}
	require.GreaterOrEqual(t, len(conns), 3)
	for _, c := range conns[:3] {
		require.NoError(t, c.Close(1000, ""))
	}
	again, err := chanws.Dial(ctx, url, nil)
	require.NoError(t, err)
	requireEcho(t, again, "served again")
	for _, c := range append(conns, again) {
		c.CloseNow()
	}
	stdin.Close()
	require.NoError(t, server.Wait())
}

func requireEcho(t testing.TB, c *chanws.Conn, s string) {
	t.Helper()
	require.NoError(t, c.Write(t.Context(), chanws.Text(s)))
	ev, err := c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, chanws.Event(chanws.Text(s)), ev)
}

// serveWithFewDescriptors is the server, in a process of its own, until its standard
// input ends.
func serveWithFewDescriptors(t *testing.T) {
	l, err := chanws.Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	few := uint64(len(open) + 12)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: few, Max: few}))
	fmt.Println("\nserving " + l.URL())
	go func() {
		os.Stdin.Read(make([]byte, 1))
		l.Close()
	}()
	served := make(chan struct{}, 1000)
	n := 0
	for c := range l.Conns() {
		n++
		go func() {
			for ev := range c.Events() {
				if text, ok := ev.(chanws.Text); ok {
					c.Send <- text
				}
			}
			c.CloseNow()
			served <- struct{}{}
		}()
	}
	for range n {
		<-served
	}
}

// A server whose listen queue is full answers nothing: Dial gives up in its time, and
// leaves nothing behind.
func TestAFullListenQueue(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 3 { // the queue has room for one more than it was told
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			break
		}
		defer c.Close()
	}
	began := time.Now()
	_, err = chanws.Dial(t.Context(), "ws://"+addr, &chanws.DialOptions{HandshakeTimeout: 300 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), patience/2)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = chanws.Dial(ctx, "ws://"+addr, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
