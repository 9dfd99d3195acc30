package pump

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

func TestABucketFillsByItsRateUpToItsBurst(t *testing.T) {
	var b bucket
	now := time.Unix(0, 0)
	for range 3 {
		require.True(t, b.take(2, 3, now))
	}
	require.False(t, b.take(2, 3, now))
	require.False(t, b.take(2, 3, now.Add(499*time.Millisecond)))
	require.True(t, b.take(2, 3, now.Add(500*time.Millisecond)))
	now = now.Add(time.Hour)
	for range 3 {
		require.True(t, b.take(2, 3, now), "never more than the burst")
	}
	require.False(t, b.take(2, 3, now))
	var one bucket
	require.True(t, one.take(0.1, 0, now), "a burst below one means one")
	require.False(t, one.take(0.1, 0, now))
}

func TestABatchEndsWithAFrameOnlyWhereOneEnds(t *testing.T) {
	frameOf := func(n int) []byte {
		return append(frame.Header{Fin: true, Opcode: frame.Binary, Length: int64(n)}.Append(nil), make([]byte, n)...)
	}
	batch := append([]byte("tail of a frame"), frameOf(3)...)
	batch = append(batch, frameOf(200)...)
	ends := map[int]bool{15: true, 20: true, len(batch): true}
	for n := range len(batch) + 1 {
		require.Equal(t, ends[n], endsFrame(batch, 15, n), "%d", n)
	}
	require.True(t, endsFrame(frameOf(1), 0, 0), "nothing has gone out")
	require.False(t, endsFrame(nil, 100, 50))
	require.False(t, endsFrame(frame.Header{Opcode: frame.Binary, Length: 1 << 20}.Append(nil), 0, 10), "its payload follows")
}

func TestNetworkErrorsSayWhetherThePeerIsGone(t *testing.T) {
	for _, gone := range []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)},
		syscall.ETIMEDOUT,
	} {
		err := networkError("read", fmt.Errorf("wrapped: %w", gone))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%v", gone)
		require.ErrorIs(t, err, gone)
		require.ErrorContains(t, err, "dropped")
	}
	other := errors.New("bad record")
	err := networkError("read", other)
	require.NotErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, other)
	require.EqualError(t, err, "chanws: read: bad record")
	require.EqualError(t, networkError("read", io.EOF), "chanws: connection dropped by the peer without a close frame")
}

func TestMaskingKeysDoNotRepeat(t *testing.T) {
	var k maskingKeys
	seen := map[uint32]bool{randomKey(): true}
	for range 1000 {
		seen[k.next()] = true
	}
	require.Greater(t, len(seen), 990)
}

func TestAConnectionThatHasEndedHoldsNoBuffers(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	peer.send(frame.Text, "hello")
	<-p.Events()
	p.Send() <- text("you")
	peer.expect(frame.Text, "you")
	p.CloseNow()
	require.Nil(t, p.in.buf)
	require.Nil(t, p.out.buf)
	require.Nil(t, p.out.batch)
}

// Small messages of one read share an allocation, and nobody notices.
func TestSmallMessagesOfOneRead(t *testing.T) {
	p, peer := serverPump(t, testOptions())
	var sent []byte
	var want []string
	for i := range 40 {
		want = append(want, strings.Repeat(string(rune('a'+i%26)), 7*i)) // some are not small
		sent = append(sent, peer.frame(true, frame.Opcode(1+i%2), []byte(want[i]))...)
	}
	_, err := peer.conn.Write(sent)
	require.NoError(t, err)
	var got []any
	for range want {
		ev := <-p.Events()
		if b, ok := ev.(bin); ok {
			require.NotNil(t, b)
			require.Equal(t, len(b), cap(b), "it could grow into another message")
			ev = append(b, "not the next message's"...)[:len(b)]
		}
		got = append(got, ev)
	}
	for i, w := range want {
		if i%2 == 0 {
			require.Equal(t, text(w), got[i])
		} else {
			require.Equal(t, w, string(got[i].(bin)))
		}
	}
}

// What is set aside for small messages is never more than what has come.
func TestALoneMessageHasItsOwnAllocation(t *testing.T) {
	in := reader{start: 100, end: 100}
	require.Equal(t, "alone", string(in.ownCopy([]byte("alone"))))
	require.Empty(t, in.slab)
	in.end = 120
	in.ownCopy([]byte("first"))
	require.Len(t, in.slab, 20)
	in.end = bufferSize
	in.ownCopy(make([]byte, smallPayload))
	require.Len(t, in.slab, slabSize-smallPayload)
	in.ownCopy(make([]byte, smallPayload+1))
	require.Len(t, in.slab, slabSize-smallPayload)
}
