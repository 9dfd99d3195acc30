package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long anything may take that should not take long.
const patience = 30 * time.Second

// runLoad is the process of the load: it puts the workload on the server at addr and
// says what came of it.
func runLoad(addr string, w workload) error {
	raiseFileLimit()
	switch {
	case w.Open:
		return loadOpens(addr, w)
	case w.Idle:
		return loadIdle(addr, w)
	}
	return loadMessages(addr, w)
}

// runClient is the process of a library that is the client, with a server that is
// always the same.
func runClient(name, addr string, w workload) error {
	p, ok := findPeer(name)
	if !ok || p.client == nil {
		return errors.New("no such client: " + name)
	}
	stopProfile, err := profile(w.Profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	var phase atomic.Int32
	m := newMeter(&phase, w)
	done := make(chan error, 1)
	go func() { done <- p.client(context.Background(), "ws://"+addr, w, m) }()
	r, err := clock(&phase, []*meter{m}, w, done)
	if err == nil {
		err = m.wrong
	}
	return conclude(r, err)
}

// conclude says the result of a measurement.
func conclude(r result, err error) error {
	if err != nil {
		r.Err = err.Error()
	}
	say(wordResult, r)
	return nil
}

// clock runs the phases over connections that are at work, and waits for their ends:
// one error, or nil, of each from done.
func clock(phase *atomic.Int32, meters []*meter, w workload, done <-chan error) (result, error) {
	left := len(meters)
	wait := func(d time.Duration) error {
		select {
		case err := <-done:
			left--
			return errors.Join(errors.New("a connection ended"), err)
		case <-time.After(d):
			return nil
		}
	}
	var r result
	if err := wait(w.Warmup); err != nil {
		return r, err
	}
	say(wordBegin, nil)
	r.Begin = use(false)
	phase.Store(measuring)
	from, began := replies(meters), time.Now()
	err := wait(w.Duration)
	to, seconds := replies(meters), time.Since(began).Seconds()
	r.End = use(false)
	say(wordEnd, nil)
	phase.Store(ending)
	r.Messages, r.Seconds = (to-from)*int64(w.Batch), seconds
	for deadline := time.After(patience); left > 0; left-- {
		select {
		case e := <-done:
			err = errors.Join(err, e)
		case <-deadline:
			return r, errors.Join(err, errors.New("a connection did not end"))
		}
	}
	r.P50, r.P99, r.Samples = latencies(meters)
	return r, err
}

// loadMessages measures messages on connections that stay.
func loadMessages(addr string, w workload) error {
	var phase atomic.Int32
	conns, err := openAll(addr, w, &phase)
	defer cutAll(conns)
	if err != nil {
		return conclude(result{}, err)
	}
	done := make(chan error, len(conns))
	meters := make([]*meter, len(conns))
	for i, c := range conns {
		meters[i] = c.meter
		go func() { done <- c.run() }()
	}
	r, err := clock(&phase, meters, w, done)
	if w.Deflate {
		var replies, bytes int64
		for _, c := range conns {
			replies, bytes = replies+c.meter.replies.Load(), bytes+c.bytes
		}
		r.Compression = float64(bytes) / float64(max(1, replies)*int64(w.Size))
	}
	return conclude(r, err)
}

// openAll opens the workload's connections, some at a time.
func openAll(addr string, w workload, phase *atomic.Int32) ([]*loadConn, error) {
	conns := make([]*loadConn, w.Conns)
	errs := make([]error, w.Conns)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(32, w.Conns) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < w.Conns; i = int(next.Add(1)) - 1 {
				conns[i], errs[i] = openConn(addr, w, i, newMeter(phase, w))
			}
		})
	}
	wg.Wait()
	return conns, errors.Join(errs...)
}

func cutAll(conns []*loadConn) {
	for _, c := range conns {
		if c != nil {
			c.cut()
		}
	}
}

// loadIdle opens connections, lets each do work once, and tells when all wait. Then it
// makes sure that all of them are still alive.
func loadIdle(addr string, w workload) error {
	var phase atomic.Int32
	say(wordBegin, nil)
	conns, err := openAll(addr, w, &phase)
	defer cutAll(conns)
	for _, c := range conns {
		if err == nil {
			err = c.exchange()
		}
	}
	if err == nil {
		say(wordIdle, nil)
		bufio.NewScanner(os.Stdin).Scan() // until somebody has looked at the server
		for i, c := range conns {
			if e := c.exchange(); e != nil && err == nil {
				err = fmt.Errorf("connection %d is not alive any more: %w", i, e)
			}
		}
	}
	say(wordEnd, nil)
	return conclude(result{Messages: int64(2 * w.Conns), Seconds: 1}, err)
}

// loadOpens opens connections one after the other, w.Conns at a time, lets each do
// work once, and cuts it.
func loadOpens(addr string, w workload) error {
	var phase atomic.Int32
	done := make(chan error, w.Conns)
	meters := make([]*meter, w.Conns)
	for i := range meters {
		m := newMeter(&phase, w)
		m.sampling = 1
		meters[i] = m
		go func() {
			for n := int64(1); m.going(); n++ {
				m.sent(n)
				c, err := openConn(addr, w, int(n), newMeter(&phase, w))
				if err == nil {
					err = c.exchange()
					c.cut()
				}
				if err != nil {
					done <- err
					return
				}
				m.got(n)
			}
			done <- nil
		}()
	}
	return conclude(clock(&phase, meters, w, done))
}

// sourceAddr spreads many connections over the loopback's addresses, because each has
// only some 28 000 ports.
func sourceAddr(w workload, i int) *net.TCPAddr {
	if w.Conns <= 5000 && !w.Open || !manyLoopbacks {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%8))}
}
