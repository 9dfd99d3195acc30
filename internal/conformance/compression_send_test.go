package conformance

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/deflate/deflatetest"
	"github.com/stretchr/testify/require"
)

// A sent message is what the peer hears: the frames of one message.
type sent struct {
	frames []wire
	packed string // the payload of all of them
}

func (s sent) compressed() bool { return s.frames[0].first&rsv1 != 0 }

// sends lets the library send messages in a mode and gives what the peer hears, each
// message on its own; the last one is the close frame. Each data message is decompressed
// with no larger window than was agreed on, and compared; the reader reports how far
// back the distances went.
func sends(t *testing.T, m mode, server bool, options chanws.Options, messages ...chanws.Message) ([]sent, *deflatetest.Reader) {
	t.Helper()
	options.Compression = m.options
	x := exchange{options: options, deflate: &m.terms}
	conn, bare := x.open(t, server)
	peer := listen(bare)
	for _, message := range messages {
		require.NoError(t, conn.Write(t.Context(), message))
	}
	bare.Write(encode([]wire{closing(1000, "")}, server))
	for range conn.Events() {
	}
	await(t, peer.ended, "the end of the stream")
	heard := messagesIn(t, peer.all(), !server)
	require.Len(t, heard, len(messages)+1)
	u := m.terms.ours.reader()
	for i, message := range messages {
		requireSent(t, u, heard[i], message, options.FragmentSize)
	}
	return heard, u
}

// messagesIn takes apart what the peer has heard.
func messagesIn(t *testing.T, b []byte, masked bool) (all []sent) {
	t.Helper()
	inside := false
	for len(b) > 0 {
		size, n := 2, int(b[1]&0x7f)
		switch n {
		case 126:
			size, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		case 127:
			size, n = 10, int(binary.BigEndian.Uint64(b[2:]))
		}
		w := wire{first: b[0]}
		require.Equal(t, masked, b[1]&0x80 != 0)
		if masked {
			mask(b[size+4:][:n], [4]byte(b[size:]))
			size += 4
		}
		w.payload = string(b[size:][:n])
		b = b[size+n:]
		require.Zero(t, w.first&(rsv2|rsv3))
		if continues := w.first&0xf == opContinuation; !continues {
			require.False(t, inside, "a message in a message")
			all = append(all, sent{})
		} else {
			require.True(t, inside, "a continuation of nothing")
			require.Zero(t, w.first&rsv1, "RSV1 on a continuation frame")
		}
		inside = w.first&fin == 0
		s := &all[len(all)-1]
		s.frames = append(s.frames, w)
		s.packed += w.payload
	}
	require.False(t, inside, "a message without its end")
	return all
}

// requireSent holds what was heard against the message.
func requireSent(t *testing.T, u *deflatetest.Reader, s sent, message chanws.Message, fragment int) {
	t.Helper()
	op, want := byte(opText), ""
	switch message := message.(type) {
	case chanws.Text:
		want = string(message)
	case chanws.Binary:
		op, want = opBinary, string(message)
	case chanws.Ping:
		require.Equal(t, []wire{ping(string(message))}, s.frames, "a control frame is never compressed")
		return
	}
	require.Equal(t, op, s.frames[0].first&0xf)
	if fragment > 0 {
		for _, w := range s.frames[:len(s.frames)-1] {
			require.Len(t, w.payload, fragment)
		}
		require.LessOrEqual(t, len(s.frames[len(s.frames)-1].payload), fragment)
	} else {
		require.Len(t, s.frames, 1)
	}
	if !s.compressed() {
		require.True(t, want == s.packed, "another message")
		return
	}
	require.Less(t, len(s.packed), len(want), "compression that makes it larger")
	got, ok := u.Message(s.packed)
	require.True(t, ok, "no DEFLATE, or a distance beyond the window of %d octets", u.Window)
	require.True(t, want == string(got), "another message")
}

// eachSending runs a test in every mode, in both roles and at several levels.
func eachSending(t *testing.T, test func(t *testing.T, m mode, server bool, level int)) {
	t.Parallel()
	for _, m := range modes {
		for _, server := range []bool{true, false} {
			for _, level := range []int{1, 6} {
				t.Run(fmt.Sprintf("%s/%s level %d", m.name, role(server), level), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { test(t, m, server, level) })
				})
			}
		}
	}
}

// random gives octets that nothing can compress.
func random(seed uint64, n int) chanws.Binary {
	rng := rand.New(rand.NewPCG(seed, 7692))
	b := make(chanws.Binary, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// Section 6.1: a message from the threshold on is compressed, with RSV1 on its first frame.
// Control frames never are, nor what is empty.
func TestWhichMessagesAreCompressed(t *testing.T) {
	eachSending(t, func(t *testing.T, m mode, server bool, level int) {
		least := 128
		if m.terms.ours.fresh {
			least = 512
		}
		for _, threshold := range []int{0, 300, -1} {
			switch threshold {
			case 300:
				least = 300
			case -1:
				least = 60 // to be sure that it gets smaller
			}
			s := content(1 << 10)
			heard, _ := sends(t, m, server, chanws.Options{CompressionThreshold: threshold, CompressionLevel: level},
				chanws.Text(""), chanws.Text(s[:least-1]), chanws.Ping(s[:100]), chanws.Text(s[:least]), chanws.Binary(s[:least+1]), chanws.Text(s))
			require.False(t, heard[0].compressed())
			if threshold >= 0 {
				require.False(t, heard[1].compressed(), "%d octets", least-1)
			}
			if threshold < 0 {
				require.True(t, heard[5].compressed())
				continue
			}
			for _, s := range heard[3:6] {
				require.True(t, s.compressed())
			}
		}
	})
}

// Section 6.1 lets the sender choose: what would grow goes out as it is, and later messages
// do not refer to it.
func TestAMessageThatWouldGrowIsNotCompressed(t *testing.T) {
	eachSending(t, func(t *testing.T, m mode, server bool, level int) {
		var messages []chanws.Message
		for i := range 6 {
			noise := random(uint64(i), 100+700*i*i)
			messages = append(messages, noise, chanws.Text(content(1000+i*500)), noise[:len(noise)/2])
		}
		heard, _ := sends(t, m, server, chanws.Options{CompressionThreshold: -1, CompressionLevel: level}, messages...)
		for i, s := range heard[:len(messages)] {
			require.Equal(t, i%3 == 1, s.compressed(), "message %d", i)
		}
	})
}

// Section 6.1: a compressed message in fragments is what was compressed, cut. Only the
// first has RSV1.
func TestFragmentsOfACompressedMessage(t *testing.T) {
	eachSending(t, func(t *testing.T, m mode, server bool, level int) {
		for _, size := range []int{1, 7, 125, 126, 5000} {
			s := content(70_000)
			heard, _ := sends(t, m, server, chanws.Options{FragmentSize: size, CompressionLevel: level}, chanws.Text(s[:2000]), chanws.Binary(s[:10_000+10*size]), chanws.Text(s[:600]))
			for _, s := range heard[:3] {
				require.True(t, s.compressed())
				require.Len(t, s.frames, (len(s.packed)+size-1)/size)
			}
		}
	})
}

// Section 7.1.1: without takeover the same message is the same octets, whatever was said
// before. With it, it is hardly any.
func TestContextTakeoverOfOurs(t *testing.T) {
	eachSending(t, func(t *testing.T, m mode, server bool, level int) {
		message := chanws.Text(random(1, 100)) + chanws.Text(content(100))
		message = chanws.Text(fmt.Sprintf("%x", string(message))) // within the smallest window twice
		message = message[:230]
		heard, _ := sends(t, m, server, chanws.Options{CompressionThreshold: -1, CompressionLevel: level},
			message, message, chanws.Ping("p"), chanws.Binary(content(2000)), message, message)
		if m.terms.ours.fresh {
			for _, i := range []int{1, 4, 5} {
				require.Equal(t, heard[0].packed, heard[i].packed)
			}
			return
		}
		require.Less(t, len(heard[1].packed), 30, "all of it was there before: %d", len(heard[0].packed))
		require.Less(t, len(heard[5].packed), 30)
	})
}

// Section 7.1.2: no distance is beyond the window, within a message and between messages, also
// where there is something to find; and the window is used as a whole.
func TestDistancesOfOurs(t *testing.T) {
	eachSending(t, func(t *testing.T, m mode, server bool, level int) {
		window := m.terms.ours.window()
		var messages []chanws.Message
		for i, far := range []int{window - 300, window - 100, window - 10, window - 3, window, window + 1, window + 100, 3 * window, 70_000} {
			// Words that come again after so many octets, or nearly so.
			word := random(uint64(i), 64)
			message := append(chanws.Binary{}, word...)
			for len(message) < max(far, 100) {
				message = append(message, "..............."[:1+i]...)
			}
			message = append(append(message[:max(far, 100)], word...), word...)
			messages = append(messages, message, word, chanws.Text(content(len(message)/3)))
		}
		_, u := sends(t, m, server, chanws.Options{CompressionThreshold: -1, CompressionLevel: level}, messages...)
		require.LessOrEqual(t, u.Farthest, window)
		require.Greater(t, u.Farthest, window/2, "a window that is hardly used")
	})
}
