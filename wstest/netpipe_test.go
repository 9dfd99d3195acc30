package wstest_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/wstest"
)

const bufferSize = 64 << 10

// past is a deadline that has long expired.
var past = time.Unix(1, 0)

type transport struct {
	name string
	// run calls f, in a synctest bubble where the transport allows one.
	run  func(t *testing.T, f func(t *testing.T))
	pair func(t *testing.T) (a, b net.Conn)
}

// transports are what the tests of net.Conn's contract run on: the pipe, and TCP
// to show that they ask for no more and no less than TCP does.
var transports = []transport{
	{"pipe", synctest.Test, func(t *testing.T) (a, b net.Conn) { return wstest.NetPipe(t) }},
	{"tcp", func(t *testing.T, f func(t *testing.T)) { f(t) }, tcpPair},
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return a, b
}

func requireTimeout(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	n, err := io.WriteString(c, s)
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func read(t testing.TB, c net.Conn, n int) string {
	t.Helper()
	buf := make([]byte, n)
	_, err := io.ReadFull(c, buf)
	require.NoError(t, err)
	return string(buf)
}

// fill writes until no more fits.
func fill(t testing.TB, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	for {
		if _, err := c.Write(make([]byte, bufferSize)); err != nil {
			requireTimeout(t, err)
			break
		}
	}
	require.NoError(t, c.SetWriteDeadline(time.Time{}))
}

func closeWrite(t testing.TB, c net.Conn) {
	t.Helper()
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
}

func drop(c net.Conn) { c.(interface{ Drop() }).Drop() }

var netConnContract = []struct {
	behaviour string
	test      func(t *testing.T, a, b net.Conn)
}{
	{"bytes arrive in order in both directions at once", func(t *testing.T, a, b net.Conn) {
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		var wg sync.WaitGroup
		for _, ends := range [][2]net.Conn{{a, b}, {b, a}} {
			wg.Go(func() {
				n, err := ends[0].Write(data)
				assert.NoError(t, err)
				assert.Equal(t, len(data), n)
				assert.NoError(t, ends[0].(interface{ CloseWrite() error }).CloseWrite())
			})
			wg.Go(func() {
				got, err := io.ReadAll(ends[1])
				assert.NoError(t, err)
				assert.True(t, bytes.Equal(data, got))
			})
		}
		wg.Wait()
	}},
	{"replies go back and forth", func(t *testing.T, a, b net.Conn) {
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(b, b) })
		for i := range 100 {
			s := string(bytes.Repeat([]byte{byte(i)}, i+1))
			write(t, a, s)
			require.Equal(t, s, read(t, a, len(s)))
		}
		a.Close()
		wg.Wait()
	}},
	{"a read gives what is there and keeps the rest", func(t *testing.T, a, b net.Conn) {
		write(t, a, "hello")
		buf := make([]byte, 3)
		n, err := b.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "hel", string(buf[:n]))
		n, err = b.Read(make([]byte, 100))
		require.NoError(t, err)
		require.Equal(t, 2, n)
	}},
	{"an empty read and an empty write return at once", func(t *testing.T, a, b net.Conn) {
		n, err := a.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = a.Write(nil)
		require.NoError(t, err)
		require.Zero(t, n)
	}},
	{"a past deadline fails reads and writes at once, also those that would not wait", func(t *testing.T, a, b net.Conn) {
		write(t, b, "x")
		require.NoError(t, a.SetDeadline(past))
		n, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Zero(t, n)
		n, err = a.Write([]byte("y"))
		requireTimeout(t, err)
		require.Zero(t, n)
	}},
	{"a deadline that is moved revives the connection and nothing is lost", func(t *testing.T, a, b net.Conn) {
		write(t, b, "x")
		require.NoError(t, a.SetDeadline(past))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.NoError(t, a.SetDeadline(time.Time{}))
		require.Equal(t, "x", read(t, a, 1))
		write(t, a, "y")
		require.Equal(t, "y", read(t, b, 1))
	}},
	{"a future deadline ends a read that waits", func(t *testing.T, a, b net.Conn) {
		begin := time.Now()
		require.NoError(t, a.SetReadDeadline(begin.Add(20*time.Millisecond)))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.GreaterOrEqual(t, time.Since(begin), 20*time.Millisecond)
	}},
	{"a future deadline ends a write that waits, which tells how much went out", func(t *testing.T, a, b net.Conn) {
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		data := make([]byte, 16<<20)
		n, err := a.Write(data)
		requireTimeout(t, err)
		require.Less(t, n, len(data))
		closeWrite(t, a)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Len(t, got, n)
	}},
	{"a read deadline does not touch writes, nor a write deadline reads", func(t *testing.T, a, b net.Conn) {
		require.NoError(t, a.SetReadDeadline(past))
		require.NoError(t, b.SetWriteDeadline(past))
		write(t, a, "x")
		require.Equal(t, "x", read(t, b, 1))
	}},
	{"a deadline set while a read waits ends it", func(t *testing.T, a, b net.Conn) {
		failed := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failed <- err
		}()
		runtime.Gosched()
		require.NoError(t, a.SetReadDeadline(past))
		requireTimeout(t, <-failed)
	}},
	{"a deadline set while a write waits ends it", func(t *testing.T, a, b net.Conn) {
		fill(t, a)
		failed := make(chan error)
		go func() {
			_, err := a.Write(make([]byte, 16<<20))
			failed <- err
		}()
		runtime.Gosched()
		require.NoError(t, a.SetWriteDeadline(past))
		requireTimeout(t, <-failed)
	}},
	{"a deadline that is put off while a read waits does not end it", func(t *testing.T, a, b net.Conn) {
		for late := true; late; {
			deadline := time.Now().Add(50 * time.Millisecond)
			require.NoError(t, a.SetReadDeadline(deadline))
			failed := make(chan error)
			go func() {
				_, err := a.Read(make([]byte, 1))
				failed <- err
			}()
			runtime.Gosched()
			require.NoError(t, a.SetReadDeadline(time.Time{}))
			late = !time.Now().Before(deadline) // on a busy machine: once more
			time.AfterFunc(100*time.Millisecond, func() { b.Write([]byte("x")) })
			if err := <-failed; !late {
				require.NoError(t, err)
			} else if err != nil {
				read(t, a, 1)
			}
		}
	}},
	{"writes of many goroutines are not interleaved", func(t *testing.T, a, b net.Conn) {
		const size = 3 * bufferSize
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := a.Write(bytes.Repeat([]byte{byte(i)}, size))
				assert.NoError(t, err)
			})
		}
		for range 4 {
			got := read(t, b, size)
			require.Equal(t, string(bytes.Repeat([]byte{got[0]}, size)), got)
		}
		wg.Wait()
	}},
	{"reads of many goroutines share the bytes and lose none", func(t *testing.T, a, b net.Conn) {
		var mu sync.Mutex
		var total int
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				n, err := io.Copy(io.Discard, io.LimitReader(b, int64(1000*(i+1))))
				assert.NoError(t, err)
				mu.Lock()
				total += int(n)
				mu.Unlock()
			})
		}
		write(t, a, string(make([]byte, 10000)))
		wg.Wait()
		require.Equal(t, 10000, total)
	}},
	{"close ends the local read that waits", func(t *testing.T, a, b net.Conn) {
		failed := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			failed <- err
		}()
		runtime.Gosched()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-failed, net.ErrClosed)
	}},
	{"close ends the local write that waits", func(t *testing.T, a, b net.Conn) {
		fill(t, a)
		failed := make(chan error)
		go func() {
			_, err := a.Write(make([]byte, 16<<20))
			failed <- err
		}()
		runtime.Gosched()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-failed, net.ErrClosed)
	}},
	{"everything fails with net.ErrClosed after close, a second close too", func(t *testing.T, a, b net.Conn) {
		require.NoError(t, a.SetDeadline(past))
		require.NoError(t, a.Close())
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Read(nil)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.SetReadDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.SetWriteDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.(interface{ CloseWrite() error }).CloseWrite(), net.ErrClosed)
		require.ErrorIs(t, a.Close(), net.ErrClosed)
	}},
	{"what was written before close is read before io.EOF", func(t *testing.T, a, b net.Conn) {
		write(t, a, "bye")
		require.NoError(t, a.Close())
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		_, err = b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	}},
	{"close of the peer ends a read that waits", func(t *testing.T, a, b net.Conn) {
		failed := make(chan error)
		go func() {
			_, err := b.Read(make([]byte, 1))
			failed <- err
		}()
		runtime.Gosched()
		require.NoError(t, a.Close())
		require.Equal(t, io.EOF, <-failed)
	}},
	{"half close ends one direction after what is buffered", func(t *testing.T, a, b net.Conn) {
		write(t, a, "bye")
		closeWrite(t, a)
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		write(t, b, "still here")
		require.Equal(t, "still here", read(t, a, 10))
		write(t, b, "!")
		require.NoError(t, b.Close())
		got, err = io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "!", string(got))
	}},
	{"half close ends the local write that waits", func(t *testing.T, a, b net.Conn) {
		fill(t, a)
		failed := make(chan error)
		go func() {
			_, err := a.Write(make([]byte, 16<<20))
			failed <- err
		}()
		runtime.Gosched()
		closeWrite(t, a)
		require.ErrorIs(t, <-failed, syscall.EPIPE)
	}},
	{"everything may be called at the same time", func(t *testing.T, a, b net.Conn) {
		var wg sync.WaitGroup
		for _, c := range []net.Conn{a, b} {
			for range 10 {
				wg.Go(func() { c.Read(make([]byte, 1024)) })
				wg.Go(func() { c.Write(make([]byte, 1024)) })
				wg.Go(func() { c.SetDeadline(time.Now().Add(10 * time.Millisecond)) })
				wg.Go(func() { c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) })
				wg.Go(func() { c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) })
				wg.Go(func() { c.LocalAddr(); c.RemoteAddr() })
			}
		}
		wg.Wait()
	}},
	{"each end knows the other's address", func(t *testing.T, a, b net.Conn) {
		require.Equal(t, a.LocalAddr().String(), b.RemoteAddr().String())
		require.Equal(t, b.LocalAddr().String(), a.RemoteAddr().String())
		require.NotEqual(t, a.LocalAddr().String(), b.LocalAddr().String())
		_, _, err := net.SplitHostPort(a.LocalAddr().String())
		require.NoError(t, err)
	}},
}

func TestNetPipe_keeps_the_contract_of_a_TCP_connection(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			for _, tc := range netConnContract {
				t.Run(tc.behaviour, func(t *testing.T) {
					t.Parallel()
					tr.run(t, func(t *testing.T) {
						a, b := tr.pair(t)
						tc.test(t, a, b)
					})
				})
			}
		})
	}
}

func TestNetPipe_is_closed_with_the_test(t *testing.T) {
	t.Parallel()
	var a, b net.Conn
	t.Run("test", func(t *testing.T) { a, b = wstest.NetPipe(t) })
	for _, c := range []net.Conn{a, b} {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

func TestNetPipe_errors_name_the_operation_and_the_ends(t *testing.T) {
	t.Parallel()
	a, b := wstest.NetPipe(t)
	require.NoError(t, b.Close())
	_, err := a.Write([]byte("x"))
	var op *net.OpError
	require.True(t, errors.As(err, &op))
	require.Equal(t, "write wstest client.test:49152->server.test:80: write: broken pipe", err.Error())
}

func BenchmarkNetPipe_round_trip(b *testing.B) {
	near, far := wstest.NetPipe(b)
	go io.Copy(far, far)
	buf := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		near.Write(buf)
		io.ReadFull(near, buf)
	}
}

func TestNetPipe_shows_what_the_other_end_has_read(t *testing.T) {
	t.Parallel()
	a, b := wstest.NetPipe(t)
	requireTransferred := func(written, read int64) {
		t.Helper()
		gotWritten, gotRead := a.(interface{ Transferred() (written, read int64) }).Transferred()
		require.Equal(t, [2]int64{written, read}, [2]int64{gotWritten, gotRead})
	}
	requireTransferred(0, 0)
	_, err := a.Write(make([]byte, 1000))
	require.NoError(t, err)
	requireTransferred(1000, 0)
	_, err = io.ReadFull(b, make([]byte, 300))
	require.NoError(t, err)
	requireTransferred(1000, 300)
	_, err = io.ReadAll(io.LimitReader(b, 700))
	require.NoError(t, err)
	requireTransferred(1000, 1000)
}
