package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/chanws/chanws"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"
)

// boundaries are the first and the last character of every length of UTF-8, and
// those around the surrogates.
var boundaries = []rune{0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}

// payload gives size bytes that are valid UTF-8: all boundaries in turn, so that
// fragments end inside characters.
func payload(size int) []byte {
	data := make([]byte, 0, size+utf8.UTFMax)
	for i := 0; len(data) < size; i++ {
		whole := len(data)
		data = utf8.AppendRune(data, boundaries[i%len(boundaries)])
		if len(data) > size {
			data = append(data[:whole], bytes.Repeat([]byte("."), size-whole)...)
		}
	}
	return data
}

// requireMessage holds an event against a message, without printing megabytes.
func requireMessage(t *testing.T, want dataMessage, ev chanws.Event) {
	t.Helper()
	var got dataMessage
	switch ev := ev.(type) {
	case chanws.Text:
		got.data = []byte(ev)
	case chanws.Binary:
		got.binary, got.data = true, ev
	default:
		require.FailNow(t, "no data message came", "%T: %v", ev, ev)
	}
	require.Equal(t, want.binary, got.binary, "whether the message is binary")
	require.Equal(t, len(want.data), len(got.data), "bytes of the message")
	if !bytes.Equal(want.data, got.data) {
		at := 0
		for want.data[at] == got.data[at] {
			at++
		}
		require.FailNow(t, "the message has changed", "at byte %d of %d", at, len(want.data))
	}
}

// A dataMessage is a text or binary message.
type dataMessage struct {
	binary bool
	data   []byte
}

func TestMessagesArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		fragment int
		most     int
	}{
		{"one frame a message", 0, 65536},
		{"frames of 1 byte", 1, 126},
		{"frames of 7 bytes", 7, 65536},
		{"frames of 1023 bytes", 1023, 65536},
	} {
		var messages []dataMessage
		for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
			if size <= tc.most {
				data := payload(size)
				messages = append(messages, dataMessage{false, data}, dataMessage{true, data})
			}
		}
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, a arrangement) {
				a.fragment = tc.fragment
				a.options = chanws.Options{FragmentSize: tc.fragment}
				exchange(t, a, messages)
			})
		})
	}
}

// TestMessagesOf8MiBArriveUnchangedBothWays leaves out what costs much time and
// shows little: text and fragments over TLS.
func TestMessagesOf8MiBArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	data := payload(8 << 20)
	for _, tc := range []struct {
		name     string
		text     bool
		fragment int
	}{
		{"text in one frame", true, 0},
		{"binary in one frame", false, 0},
		{"binary in frames of 1023 bytes", false, 1023},
		{"binary in frames of 65537 bytes", false, 65537},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, a arrangement) {
				if a.secure && (tc.text || tc.fragment > 0) {
					return
				}
				a.fragment = tc.fragment
				a.options = chanws.Options{FragmentSize: tc.fragment, MaxMessageSize: int64(len(data))}
				exchange(t, a, []dataMessage{{binary: !tc.text, data: data}})
			})
		})
	}
}

// TestAMessageOfTinyFragmentsTakesLinearTime is about a peer that wants to keep the
// receiver busy: a million frames of one byte, which are one message of the default
// MaxMessageSize. If every fragment copied what there is already, that would move
// half a terabyte.
func TestAMessageOfTinyFragmentsTakesLinearTime(t *testing.T) {
	t.Parallel()
	c, p := arrangement{library: gobwasLibrary}.connect(t)
	m := dataMessage{binary: true, data: payload(1 << 20)}
	var frames bytes.Buffer
	w := wsutil.NewWriterSize(&frames, ws.StateServerSide, ws.OpBinary, 1)
	require.NoError(t, inPieces(w, m.data, 1))
	require.NoError(t, w.Flush())

	go p.(*gobwasPeer).conn.Write(frames.Bytes())
	requireMessage(t, m, receive(t, c.Events()))
}

// exchange sends messages there and back, and counts the frames.
func exchange(t *testing.T, a arrangement, messages []dataMessage) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, p := a.connect(t)
	var frames uint64
	for _, m := range messages {
		if m.binary {
			c.Send <- chanws.Binary(m.data)
		} else {
			c.Send <- chanws.Text(m.data)
		}
		requireMessage(t, m, receive(t, p.inbox()))

		written := make(chan error, 1)
		go func() { written <- p.write(m.binary, m.data) }()
		ev, err := c.Receive(ctx)
		require.NoError(t, err)
		requireMessage(t, m, ev)
		require.NoError(t, receive(t, written))

		frames++
		if a.fragment > 0 && len(m.data) > 0 {
			frames += uint64((len(m.data) - 1) / a.fragment)
		}
	}
	require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
	stats := c.Stats()
	require.EqualValues(t, len(messages), stats.MessagesSent)
	require.EqualValues(t, len(messages), stats.MessagesReceived)
	require.GreaterOrEqual(t, stats.FramesSent, frames)
	switch {
	case a.can(fragments | anyCut):
		require.GreaterOrEqual(t, stats.FramesReceived, frames)
	case a.can(fragments) && a.fragment > 0 && len(messages[len(messages)-1].data) > a.fragment:
		require.Greater(t, stats.FramesReceived, uint64(len(messages)+1), "the peer makes fragments")
	}
	if a.fragment == 0 {
		require.LessOrEqual(t, stats.FramesSent, frames+1, "one for each message, and the close frame")
	}
}

func TestAPeersPingIsAnsweredAndDelivered(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		if !a.can(pings) {
			return
		}
		c, p := a.connect(t)
		for _, size := range []int{0, 1, 125} {
			sent := bytes.Repeat([]byte("p"), size)
			require.NoError(t, p.ping(sent))
			ev := receive(t, c.Events())
			require.IsType(t, chanws.Ping{}, ev)
			got := []byte(ev.(chanws.Ping))
			if !a.ownPings {
				require.Equal(t, string(sent), string(got))
			}
			if len(got) == 0 && a.hidesEmptyPongs && !a.server {
				continue
			}
			ev = receive(t, p.inbox())
			require.IsType(t, chanws.Pong{}, ev)
			require.Equal(t, string(got), string(ev.(chanws.Pong)))
		}
	})
}

func TestAPeerAnswersPings(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		c, p := a.connect(t)
		for _, size := range []int{0, 1, 125} {
			sent := bytes.Repeat([]byte("p"), size)
			require.NoError(t, c.Write(t.Context(), chanws.Ping(sent)))
			if !a.hidesPings {
				ev := receive(t, p.inbox())
				require.IsType(t, chanws.Ping{}, ev)
				require.Equal(t, string(sent), string(ev.(chanws.Ping)))
			}
			ev := receive(t, c.Events())
			require.IsType(t, chanws.Pong{}, ev)
			require.Equal(t, string(sent), string(ev.(chanws.Pong)))
		}
	})
}

// closes are the close frames that the tests send.
var closes = []chanws.Close{
	{Code: chanws.StatusNormalClosure, Reason: "done"},
	{Code: chanws.StatusGoingAway, Reason: "größer als 日本"},
	{Code: 3000, Reason: string(bytes.Repeat([]byte("r"), 123))},
	{Code: 4999},
}

func TestAPeerSeesTheCloseCodeAndReasonAndAnswers(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		for _, sent := range closes {
			t.Run(fmt.Sprint(int(sent.Code)), func(t *testing.T) {
				t.Parallel()
				c, p := a.connect(t)
				require.NoError(t, c.Close(sent.Code, sent.Reason))
				require.Equal(t, sent, receive(t, p.inbox()))
				require.Equal(t, a.answer(sent.Code), chanws.CloseStatus(c.Err()))
			})
		}
	})
}

func TestAPeersCloseCodeAndReasonArriveAndAreAnswered(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		cases := closes
		if !a.alwaysCloseCode {
			cases = append(cases[:4:4], chanws.Close{Code: chanws.StatusNoStatusRcvd})
		}
		for _, sent := range cases {
			if a.mayClose != nil && !a.mayClose(sent.Code) {
				continue
			}
			t.Run(fmt.Sprint(int(sent.Code)), func(t *testing.T) {
				t.Parallel()
				c, p := a.connect(t)
				require.NoError(t, p.close(sent.Code, sent.Reason))
				require.Equal(t, sent, receive(t, c.Events()))
				_, more := <-c.Events()
				require.False(t, more, "events after the close")
				require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
				if !a.hidesAnswer {
					require.Equal(t, chanws.Close{Code: sent.Code}, receive(t, p.inbox()), "the answer")
				}
			})
		}
	})
}

func TestTheSubprotocolIsAgreedOn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		offers, known []string
		agreed        string
	}{
		{"the only one", []string{"chat.v1"}, []string{"chat.v1"}, "chat.v1"},
		{"one of several", []string{"chat.v3", "chat.v2"}, []string{"chat.v1", "chat.v2"}, "chat.v2"},
		{"none is offered", nil, []string{"chat.v1"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, a arrangement) {
				a.offered, a.subprotocols = tc.offers, tc.known
				if len(tc.offers) == 0 && !a.server && a.insists {
					a.subprotocols = nil
				}
				c, p := a.connect(t)
				require.Equal(t, tc.agreed, c.Subprotocol())
				require.Equal(t, tc.agreed, p.subprotocol())
			})
		})
	}
}

func TestAPeerThatHangsUpIsAnUnexpectedEOF(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, a arrangement) {
		if !a.can(dropping) {
			return
		}
		c, p := a.connect(t)
		p.drop()
		_, err := c.Receive(t.Context())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}
