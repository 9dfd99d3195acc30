package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

// An order is what the clients' process is to do.
type order struct {
	Talk, Callbacks, Vanish string // the servers' addresses
	Conns                   int
	Duration                time.Duration
}

// dialsAtATime spares the servers a storm at the beginning.
const dialsAtATime = 64

// handshakeTimeout is for any machine.
const handshakeTimeout = 3 * time.Minute

// clients is the clients' side of the soak: so many connections at all times.
type clients struct {
	order
	pace   pacer
	dials  chan struct{} // holds a token for each dial
	lastID atomic.Uint64

	mu      sync.Mutex
	reports *json.Encoder
	cleared map[uint64]chan struct{} // closed when the server has cleared a vanished peer
}

// runClients is the whole of the clients' process.
func runClients(text string) {
	c := &clients{
		dials:   make(chan struct{}, dialsAtATime),
		reports: json.NewEncoder(os.Stdout),
		cleared: make(map[uint64]chan struct{}),
	}
	err := json.Unmarshal([]byte(text), &c.order)
	if err == nil {
		err = allowFiles(files(c.Conns))
	}
	if err != nil {
		c.tell(report{Side: client, Problem: err.Error()})
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), c.Duration)
	defer stop()
	c.pace = pacer{pause(c.Conns), ctx.Done()}
	watch := startWatch(c.Duration)
	go c.hear(os.Stdin)
	var all sync.WaitGroup
	for i := range c.Conns {
		all.Go(func() { c.work(ctx, i) })
	}
	all.Wait()
	for _, problem := range watch.end("hear(") {
		c.tell(report{Side: client, Problem: "clients' process: " + problem})
	}
}

// pause is between two messages: some 150 connections come and go each second.
func pause(conns int) time.Duration { return time.Second * time.Duration(conns) / 150 / 15 }

// again is when somebody who found no place knocks again: of so many connections one in
// twenty waits for one, and together they knock a hundred times a second.
func again(conns int) time.Duration { return time.Duration(conns) * time.Second / 20 / 100 }

func (c *clients) tell(r report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports.Encode(r)
}

// hear is told which vanished peers have been cleared away.
func (c *clients) hear(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		id, _ := strconv.ParseUint(lines.Text(), 10, 64)
		c.mu.Lock()
		if cleared, ok := c.cleared[id]; ok {
			close(cleared)
			delete(c.cleared, id)
		}
		c.mu.Unlock()
	}
}

// work keeps one connection up at a time.
func (c *clients) work(ctx context.Context, number int) {
	for ctx.Err() == nil {
		id := c.lastID.Add(1)
		switch n := number % 20; {
		case n == 0:
			c.live(ctx, newPlan(id, peerVanishes), c.vanish)
		case n < 3:
			c.live(ctx, newPlan(id, peerDrops), c.drop)
		case n < 8:
			c.live(ctx, newPlan(id, talking...), func(p plan) error { return c.talk(p, c.Callbacks) })
		default:
			c.live(ctx, newPlan(id, talking...), func(p plan) error { return c.talk(p, c.Talk) })
		}
	}
}

// live lives one connection, and waits for a place at the server before.
func (c *clients) live(ctx context.Context, p plan, run func(plan) error) {
	for ctx.Err() == nil {
		c.dials <- struct{}{}
		err := run(p)
		var refused *chanws.HandshakeError
		if errors.As(err, &refused) && refused.StatusCode == http.StatusServiceUnavailable {
			c.pace.rest(again(c.Conns))
			continue
		}
		if err != nil {
			c.tell(report{ID: p.id, Side: client, Plan: string(p.ending), Problem: err.Error()})
		}
		return
	}
}

func (c *clients) dialled() { <-c.dials }

func (c *clients) talk(p plan, addr string) error {
	url := "ws://" + addr + p.path()
	opts := chanws.DialOptions{Options: p.options(client), HandshakeTimeout: handshakeTimeout}
	if !p.viaAdapt {
		conn, err := chanws.Dial(context.Background(), url, &opts)
		c.dialled()
		if err != nil {
			return err
		}
		c.tell(converse(conn, p, client, c.pace))
		return nil
	}
	opts.MaxFrameSize = -1
	t := newTalk(p, client, c.pace)
	a, err := adapt.NewAsyncClient(context.Background(), url, t.service(), &adapt.ClientConfig{DialOptions: opts})
	c.dialled()
	if err != nil {
		return err
	}
	c.tell(<-t.done)
	<-a.Done()
	return nil
}

func (c *clients) drop(p plan) error { return c.misbehave(p, c.Talk, nil) }

func (c *clients) vanish(p plan) error {
	cleared := make(chan struct{})
	c.mu.Lock()
	c.cleared[p.id] = cleared
	c.mu.Unlock()
	return c.misbehave(p, c.Vanish, cleared)
}

func (c *clients) misbehave(p plan, addr string, cleared <-chan struct{}) error {
	peer, err := openBarePeer(addr, p)
	c.dialled()
	if err != nil {
		return err
	}
	peer.misbehave(p, c.pace, cleared)
	c.tell(report{ID: p.id, Side: client, Plan: string(p.ending)})
	return nil
}
