package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/chanws/chanws"
)

// pacer makes connections take their time, until the end of the soak.
type pacer struct {
	every time.Duration // between two messages, on average
	stop  <-chan struct{}
}

func (p pacer) rest(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(rand.N(2 * d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stop:
	}
}

// options are those of one side of a connection.
func (p plan) options(s side) chanws.Options {
	return chanws.Options{
		EventBuffer:  8,
		SendBuffer:   8,
		FragmentSize: p.fragment[s],
		// Patient enough for any machine: a live peer is never taken for a dead one.
		PingInterval: 10 * time.Second,
		PongTimeout:  3 * time.Minute,
		CloseTimeout: 3 * time.Minute,
	}
}

// heard is what a receiver has got.
type heard struct {
	messages, pings int
	end             error
	problem         string
	// closing is set before this side's own Close, which discards what it finds.
	closing *atomic.Bool
}

// hold holds the next message against what it must be. While this side closes, those
// before it may have been discarded.
func (h *heard) hold(in *stream, got chanws.Message) {
	want := in.next()
	for !same(got, want) && h.closing.Load() && in.n < mostMessages {
		want = in.next()
	}
	if h.problem == "" && !same(got, want) {
		h.problem = fmt.Sprintf("message %d is a %T of %d bytes, and not the expected %T of %d", in.n, got, size(got), want, size(want))
	}
	h.messages++
}

func same(a, b chanws.Message) bool {
	switch a := a.(type) {
	case chanws.Text:
		b, ok := b.(chanws.Text)
		return ok && a == b
	case chanws.Binary:
		b, ok := b.(chanws.Binary)
		return ok && string(a) == string(b)
	}
	return false
}

func size(m chanws.Message) int {
	switch m := m.(type) {
	case chanws.Text:
		return len(m)
	case chanws.Binary:
		return len(m)
	}
	return 0
}

// converse is one side's part of a connection, with the channels.
func converse(conn *chanws.Conn, p plan, me side, pace pacer) report {
	got := make(chan heard, 1)
	var closing atomic.Bool
	go func() { got <- listen(conn, p, me, pace, &closing) }()
	sent := speak(conn, p, me, pace)
	var closed error
	if p.ending.by(me) {
		closing.Store(true)
		switch p.ending {
		case clientCuts, serverCuts:
			closed = conn.CloseNow()
		case clientHasSpoken:
			close(conn.Send)
		default:
			closed = conn.Close(chanws.StatusNormalClosure, "done")
		}
	}
	h := <-got
	conn.CloseNow()
	stats := conn.Stats()
	if h.problem == "" && uint64(h.messages+h.pings)+stats.DroppedEvents != stats.MessagesReceived+stats.PingsReceived {
		h.problem = fmt.Sprintf("%d messages and %d pings do not make up for %+v", h.messages, h.pings, stats)
	}
	return p.judge(me, h, sent, closed, stats)
}

// listen receives until the end.
func listen(conn *chanws.Conn, p plan, me side, pace pacer, closing *atomic.Bool) (h heard) {
	h.closing = closing
	in := p.stream(1 - me)
	for ev := range conn.Events() {
		switch ev := ev.(type) {
		case chanws.Text:
			h.hold(in, ev)
		case chanws.Binary:
			h.hold(in, ev)
			ev.Recycle()
		case chanws.Ping:
			h.pings++
		case error:
			h.end = ev
		default:
			h.problem = fmt.Sprintf("unexpected event %#v", ev)
		}
		if p.slow[me] {
			pace.rest(pace.every)
		}
	}
	return h
}

// speak sends a side's messages, and tells how many.
func speak(conn *chanws.Conn, p plan, me side, pace pacer) (sent int) {
	out := p.stream(me)
	// A peer that reads what we send is alive for as long as we send it something.
	flood := p.floods && p.ending == peerVanishes && !p.vanishedReads()
	for ; flood || sent < p.messages[me]; sent++ {
		m := out.next()
		if p.writes[me] {
			if conn.Write(context.Background(), m) != nil {
				return sent
			}
		} else {
			select {
			case conn.Send <- m:
			case <-conn.Done():
				return sent
			}
		}
		if !flood {
			pace.rest(pace.every)
		}
	}
	return sent
}

// judge holds the end of a connection against its plan.
func (p plan) judge(me side, h heard, sent int, closed error, stats chanws.Stats) report {
	r := report{ID: p.id, Side: me, Plan: string(p.ending), Clean: p.ending.clean(), Stats: stats}
	wrong := func(format string, args ...any) {
		if r.Problem == "" {
			r.Problem = fmt.Sprintf(format, args...)
		}
	}
	if h.problem != "" {
		wrong("%s", h.problem)
	}
	if !p.endsWell(me, h.end) {
		wrong("the terminal event is %#v: %v", h.end, h.end)
	}
	if closed != nil {
		wrong("Close returned %v", closed)
	}
	peer := p.messages[1-me]
	if p.ending.clean() && !p.ending.by(me) && h.messages != peer {
		wrong("%d of %d messages have come", h.messages, peer)
	}
	if h.messages > peer {
		wrong("%d of %d messages have come", h.messages, peer)
	}
	if p.ending.clean() && !p.ending.by(1-me) && stats.MessagesSent != uint64(sent) {
		wrong("%d messages were sent, %d are counted", sent, stats.MessagesSent)
	}
	if p.writes[me] && stats.MessagesSent < uint64(sent) {
		wrong("Write returned nil for %d messages, %d are counted as sent", sent, stats.MessagesSent)
	}
	return r
}

// endsWell tells whether a terminal event is the one that the plan leads to.
func (p plan) endsWell(me side, end error) bool {
	switch {
	case p.ending.clean():
		return chanws.CloseStatus(end) == chanws.StatusNormalClosure
	case p.ending == peerVanishes:
		return errors.Is(end, os.ErrDeadlineExceeded)
	case p.ending.by(me):
		return errors.Is(end, net.ErrClosed)
	}
	return errors.Is(end, io.ErrUnexpectedEOF)
}
