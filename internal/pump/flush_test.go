package pump

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// stick makes the write pump wait for its peer, so that what follows comes together.
func stick(p *Pump[any, any]) {
	p.Send() <- text("stuck")
	synctest.Wait()
}

// midway makes the write pump wait in the middle of a message, and receive tells it to go
// on: it looks at what does not come through Send before it takes more from there.
func midway(p *Pump[any, any], peer *peer) (receive func()) {
	message := strings.Repeat("s", bufferSize+100)
	p.Send() <- text(message)
	synctest.Wait()
	return func() {
		peer.expect(frame.Text, message)
		synctest.Wait()
	}
}

func TestMessagesThatFillABatchToItsLastBytes(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		for left := range 2 * frame.MaxHeaderSize {
			stick(p)
			full := strings.Repeat("x", bufferSize-4-left) // behind a header of four bytes
			p.Send() <- bin(full)
			p.Send() <- text("next")
			peer.expect(frame.Text, "stuck")
			peer.expect(frame.Binary, full)
			peer.expect(frame.Text, "next")
		}
	})
}

func TestPongsThatFindTheBatchFullGoOutWithTheNext(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		ctx, cancel := context.WithCancel(t.Context()) // what it gives Write is copied
		defer cancel()
		large := strings.Repeat("x", 2*bufferSize-2000)
		writing := later(func() error { return p.Write(ctx, bin(large)) })
		_, err := peer.conn.Write(wire(frame.Ping, make([]byte, 100), 30))
		require.NoError(t, err)
		synctest.Wait()
		peer.expect(frame.Binary, large)
		for range 30 {
			peer.expect(frame.Pong, string(make([]byte, 100)))
		}
		require.NoError(t, <-writing)
	})
}

func TestAWriteThatIsWithdrawnWhileItsTurnComesIsNeverSent(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		receive := midway(p, peer)
		large := strings.Repeat("x", 2*bufferSize)
		p.Send() <- bin(large)
		ctx, cancel := context.WithCancel(t.Context())
		writing := later(func() error { return p.Write(ctx, text("withdrawn")) })
		receive()
		require.False(t, p.requests.waiting(), "the write pump has it in hand")
		cancel()
		require.Equal(t, context.Canceled, <-writing)
		peer.expect(frame.Binary, large)
		p.Send() <- text("next")
		peer.expect(frame.Text, "next")
	})
}

func TestThePeersCloseIsAnsweredInPlaceOfACloseFrameWhoseTurnComes(t *testing.T) {
	inBubble(t, testOptions(), func(t *testing.T, p *Pump[any, any], peer *peer) {
		receive := midway(p, peer)
		large := strings.Repeat("x", 2*bufferSize)
		p.Send() <- bin(large)
		p.Shutdown(1001, "never sent")
		receive()
		peer.sendClose(4005, "first")
		synctest.Wait()
		peer.expect(frame.Binary, large)
		peer.expectClose(4005, "")
		require.Equal(t, closed{4005, "first"}, requireEnd(t, p))
	})
}

func TestManyCompressedMessagesFillSeveralBatches(t *testing.T) {
	cfg, _, d := compressing()
	bubbleOf(t, cfg, func(t *testing.T, p *Pump[any, any], peer *peer) {
		r := rand.New(rand.NewPCG(1, 2))
		stick(p)
		var messages []string
		for range 60 {
			var m strings.Builder
			for range 200 {
				fmt.Fprintf(&m, "%016x", r.Uint64()) // half of it is noise
			}
			messages = append(messages, m.String())
			p.Send() <- text(m.String())
		}
		peer.expect(frame.Text, "stuck")
		for _, want := range messages {
			h, payload, err := peer.receive()
			require.NoError(t, err)
			require.True(t, h.Fin && h.RSV1)
			got, err := d.Decode(payload, 1<<20, newPayload)
			require.NoError(t, err)
			require.True(t, want == string(got))
		}
		require.Less(t, p.Stats().Flushes, uint64(30))
	})
}
