package main

import (
	"bufio"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wrongServer answers each message with what reply makes of the payload.
func wrongServer(t *testing.T, reply func(payload []byte) []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		br := bufio.NewReader(c)
		if answerHandshake(c, br) != nil {
			return
		}
		var got []byte
		buf := make([]byte, 4096)
		for {
			for h, ok := parseHeader(got); ok && h.end <= len(got); h, ok = parseHeader(got) {
				payload := got[h.start:h.end]
				unmask(payload, *h.key)
				answer := reply(payload)
				if _, err := c.Write(append(appendHeader(nil, h.first, len(answer), nil), answer...)); err != nil {
					return
				}
				got = got[h.end:]
			}
			n, err := br.Read(buf)
			if err != nil {
				return
			}
			got = append(got, buf[:n]...)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

// runConn runs one connection of the load against a server that answers with reply. It
// ends after so many messages, or when it has failed.
func runConn(t *testing.T, w workload, messages int, reply func(payload []byte) []byte) error {
	var phase atomic.Int32
	addr := wrongServer(t, func(payload []byte) []byte {
		if messages--; messages == 0 {
			phase.Store(ending)
		}
		return reply(payload)
	})
	c, err := openConn(addr, w, 0, newMeter(&phase, w))
	require.NoError(t, err)
	defer c.cut()
	return c.run()
}

func TestTheLoadNoticesWrongReplies(t *testing.T) {
	w := workload{Job: echo, Conns: 1, Size: 128, Window: 4, Batch: 1, Duration: time.Second}
	same := func(p []byte) []byte { return p }
	require.NoError(t, runConn(t, w, 100, same))

	n := 0
	late := func(p []byte) []byte {
		if n++; n > 50 {
			p[0] ^= 1
		}
		return p
	}
	require.ErrorContains(t, runConn(t, w, 1000, late), "reply is wrong")

	short := func(p []byte) []byte { return p[1:] }
	require.ErrorContains(t, runConn(t, w, 100, short), "reply is wrong")

	// Someone who always sends the same is found out at the end.
	known := w.payload()
	constant := func([]byte) []byte { return known }
	require.ErrorContains(t, runConn(t, w, 100, constant), "reply is not what was sent")
}

func TestTheLoadNoticesWrongCompressedReplies(t *testing.T) {
	w := workload{Size: 300, Text: true, Deflate: true}
	good := deflate(w.payload())
	frame := append(appendHeader(nil, finBit|rsv1Bit|opText, len(good), nil), good...)
	require.NoError(t, checkReply(frame, w, w.payload()))
	frame[len(frame)-20]++
	require.Error(t, checkReply(frame, w, w.payload()))
	other := deflate([]byte("something else"))
	frame = append(appendHeader(nil, finBit|rsv1Bit|opText, len(other), nil), other...)
	require.ErrorContains(t, checkReply(frame, w, w.payload()), "not what was sent")
}

func TestOneMessageOfABatchIsMarked(t *testing.T) {
	var phase atomic.Int32
	w := workload{Job: sink, Size: 128, Window: 3, Batch: 10}
	c := &loadConn{w: w, meter: newMeter(&phase, w)}
	c.prepare()
	marks := 0
	count := 0
	for rest := c.frames; len(rest) > 0; count++ {
		h, ok := parseHeader(rest)
		require.True(t, ok)
		payload := rest[h.start:h.end]
		unmask(payload, *h.key)
		if payload[0] == mark {
			marks++
			require.Equal(t, 9, count%10, "the last one of a batch")
		}
		rest = rest[h.end:]
	}
	require.Equal(t, 30, count)
	require.Equal(t, 3, marks)
}
