package wstest_test

import (
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/wstest"
)

func TestNetPipe_holds_exactly_64_KiB_each_way(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe(t)
		for _, c := range []net.Conn{a, b} {
			n, err := c.Write(make([]byte, bufferSize))
			require.NoError(t, err)
			require.Equal(t, bufferSize, n)
			require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
			n, err = c.Write([]byte{1})
			requireTimeout(t, err)
			require.Zero(t, n)
		}
	})
}

func TestNetPipe_one_write_and_one_read_move_all_that_fits_wherever_the_buffer_begins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe(t)
		buf := make([]byte, 2*bufferSize)
		for _, skip := range []int{0, 1, bufferSize - 1, 10000} {
			read(t, b, len(prime(t, a, skip)))
			all := prime(t, a, bufferSize)
			n, err := b.Read(buf)
			require.NoError(t, err)
			require.Equal(t, bufferSize, n)
			require.True(t, all == string(buf[:n]))
		}
	})
}

// prime writes n bytes and returns them.
func prime(t testing.TB, c net.Conn, n int) string {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	write(t, c, string(data))
	return string(data)
}

func TestNetPipe_read_makes_room_for_a_write_that_waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe(t)
		read(t, b, len(prime(t, a, 10))) // so that the ring's end is passed
		fill(t, a)
		done := false
		go func() {
			io.WriteString(a, "0123456789")
			done = true
		}()
		synctest.Wait()
		require.False(t, done)
		read(t, b, 9)
		synctest.Wait()
		require.False(t, done)
		read(t, b, 1)
		synctest.Wait()
		require.True(t, done)
		rest := read(t, b, bufferSize)
		require.Equal(t, "0123456789", rest[bufferSize-10:])
	})
}

func TestNetPipe_write_fails_with_EPIPE_once_the_peer_has_closed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe(t)
		var n int
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			n, err = a.Write(make([]byte, bufferSize+1))
		}()
		synctest.Wait()
		require.NoError(t, b.Close())
		<-done
		require.ErrorIs(t, err, syscall.EPIPE)
		require.Equal(t, bufferSize, n)
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = a.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestNetPipe_drop_resets_both_ends_and_loses_what_is_buffered(t *testing.T) {
	t.Parallel()
	for _, dropper := range []string{"the peer", "this end"} {
		t.Run("by "+dropper, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := wstest.NetPipe(t)
				fill(t, a)
				failed := make(chan error, 2)
				go func() {
					_, err := a.Write([]byte("x"))
					failed <- err
				}()
				go func() {
					_, err := a.Read(make([]byte, 4))
					failed <- err
				}()
				synctest.Wait()
				if dropper == "this end" {
					drop(a)
				} else {
					drop(b)
				}
				synctest.Wait()
				for _, c := range []net.Conn{a, b} {
					_, err := c.Read(make([]byte, 4))
					require.ErrorIs(t, err, syscall.ECONNRESET)
					_, err = c.Write([]byte("x"))
					require.ErrorIs(t, err, syscall.ECONNRESET)
				}
				require.ErrorIs(t, <-failed, syscall.ECONNRESET)
				require.ErrorIs(t, <-failed, syscall.ECONNRESET)
				require.NoError(t, a.Close())
				_, err := a.Read(make([]byte, 4))
				require.ErrorIs(t, err, net.ErrClosed)
			})
		})
	}
}

func TestNetPipe_keeps_its_deadlines_on_the_clock_of_a_bubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe(t)
		begin := time.Now()
		require.NoError(t, a.SetReadDeadline(begin.Add(time.Hour)))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, time.Hour, time.Since(begin))

		require.NoError(t, b.SetReadDeadline(time.Now().Add(24*time.Hour)))
		time.AfterFunc(2*time.Hour, func() { a.Write([]byte("x")) })
		require.Equal(t, "x", read(t, b, 1))
		require.Equal(t, 3*time.Hour, time.Since(begin))
	})
}

func TestNetPipe_arms_no_timer_while_nobody_waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := wstest.NetPipe(t)
		require.NoError(t, a.SetDeadline(time.Now().Add(time.Minute)))
		begin := time.Now()
		time.Sleep(time.Hour) // nothing else may stop the bubble's clock on the way
		require.Equal(t, time.Hour, time.Since(begin))
		_, err := a.Write([]byte("x"))
		requireTimeout(t, err)
	})
}
