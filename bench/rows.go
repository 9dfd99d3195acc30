package main

import "time"

// A row is a workload with the goals for it. A goal is a ratio to the best peer of the
// same run; 0 is none.
type row struct {
	name  string // for -rows
	title string
	metric
	workload
	channels, callbacks float64 // goals of chanws and of adapt
	// What is reached on one processor where a goal is out of reach: docs/performance.md
	// says why. A short run is measured by that.
	channelsReach, callbacksReach float64
	toFloor                       float64 // goal of chanws, as a part of the floor
	absolute                      float64 // goal of adapt in messages a second
	limit                         float64 // goal of chanws that is no ratio but a number
	only                          string  // the one peer to compare with
	growth                        bool    // a point of a curve, without goals
}

// adapt tells whether the callbacks take part.
func (r row) adapt() bool { return r.callbacks > 0 || r.absolute > 0 || r.growth }

// rows are the workloads of the table, in its order.
var rows = []row{
	{name: "pipelined", title: "1 connection, 128 B, 100 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100}, channels: 10, callbacks: 8, toFloor: 0.6,
		channelsReach: 6, callbacksReach: 6},
	{name: "pipelined-10", title: "10 connections, 128 B, 100 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 128, Window: 100}, channels: 10, callbacks: 8},
	{name: "busy-100", title: "100 connections, 128 B, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 100, Size: 128, Window: 1}, channels: 1, callbacks: 1},
	{name: "loadtest", title: "10 connections, 11 B text, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 11, Window: 1, Text: true}, absolute: 124000},
	{name: "roundtrip", title: "1 connection, 128 B, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 1}, channels: 0.85, callbacks: 0.85},
	{name: "push", title: "one-way, server to client, 128 B", metric: rate,
		workload: workload{Job: push, Conns: 1, Size: 128}, channels: 6},
	{name: "sink", title: "one-way, client to server, 128 B", metric: rate,
		workload: workload{Job: sink, Conns: 1, Size: 128, Window: 8, Batch: 100}, channels: 6, channelsReach: 1.1},
	{name: "64KiB", title: "1 connection, 64 KiB, echo with Write and Recycle", metric: rate,
		workload: workload{Job: large, Conns: 1, Size: 64 << 10, Window: 1}, channels: 1},
	{name: "1MiB", title: "1 connection, 1 MiB, echo with Write and Recycle", metric: rate,
		workload: workload{Job: large, Conns: 1, Size: 1 << 20, Window: 1}, channels: 1.2},
	{name: "deflate", title: "10 connections, 1 KiB JSON, permessage-deflate, 10 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 1 << 10, Window: 10, Text: true, Deflate: true}, channels: 1.3},
	{name: "tls", title: "1 connection, 128 B, 100 in flight, echo over TLS", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100, TLS: true}, channels: 5},
	{name: "client", title: "client side: 128 B, 100 in flight, one fixed server", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100, Client: true}, channels: 6},
	{name: "opens", title: "new connections, each with one echo of 128 B", metric: opens,
		workload: workload{Job: echo, Conns: 8, Size: 128, Window: 1, Open: true}, channels: 0.95, only: "nhooyr"},
	{name: "memory", title: "5 000 idle connections that have worked once", metric: memory,
		workload: workload{Job: echo, Conns: 5000, Size: 128, Window: 1, Idle: true}, channels: 0.8, callbacks: 0.8,
		channelsReach: 1.6, callbacksReach: 2},
	{name: "allocs-receive", title: "allocations to receive a message of 128 B", metric: allocs,
		workload: workload{Job: sink, Conns: 1, Size: 128, Window: 8, Batch: 100}, limit: 2},
	{name: "allocs-send", title: "allocations to send a message of 128 B", metric: allocs,
		workload: workload{Job: push, Conns: 1, Size: 128}, limit: 1},
}

// once is how many rounds a row needs: what does not depend on the machine's mood is
// measured less often.
func (r row) rounds(n int) int {
	if r.metric == memory || r.metric == allocs || r.growth {
		return min(n, 3)
	}
	return n
}

// timed gives the row's workload with its times.
func (r row) timed(d time.Duration) workload {
	w := r.workload
	w.Batch = max(1, w.Batch)
	w.Duration, w.Warmup = d, d/4
	return w
}
