package main

import "time"

// A row is a workload that all peers are measured with.
type row struct {
	name  string // for -rows
	title string
	metric
	workload
	adapt  bool   // the callbacks take part
	alone  bool   // a number of chanws, without a bar in the chart
	only   string // the one peer to compare with
	growth bool   // a point of a curve
}

// rows are the workloads of the table, in its order.
var rows = []row{
	{name: "pipelined", title: "1 connection, 128 B, 100 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100}, adapt: true},
	{name: "pipelined-10", title: "10 connections, 128 B, 100 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 128, Window: 100}, adapt: true},
	{name: "busy-100", title: "100 connections, 128 B, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 100, Size: 128, Window: 1}, adapt: true},
	{name: "loadtest", title: "10 connections, 11 B text, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 11, Window: 1, Text: true}, adapt: true},
	{name: "roundtrip", title: "1 connection, 128 B, one in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 1}, adapt: true},
	{name: "push", title: "one-way, server to client, 128 B", metric: rate,
		workload: workload{Job: push, Conns: 1, Size: 128}},
	{name: "sink", title: "one-way, client to server, 128 B", metric: rate,
		workload: workload{Job: sink, Conns: 1, Size: 128, Window: 8, Batch: 100}},
	{name: "64KiB", title: "1 connection, 64 KiB, echo with Write and Recycle", metric: rate,
		workload: workload{Job: large, Conns: 1, Size: 64 << 10, Window: 1}},
	{name: "1MiB", title: "1 connection, 1 MiB, echo with Write and Recycle", metric: rate,
		workload: workload{Job: large, Conns: 1, Size: 1 << 20, Window: 1}},
	{name: "deflate", title: "10 connections, 1 KiB JSON, permessage-deflate, 10 in flight, echo", metric: rate,
		workload: workload{Job: echo, Conns: 10, Size: 1 << 10, Window: 10, Text: true, Deflate: true}},
	{name: "tls", title: "1 connection, 128 B, 100 in flight, echo over TLS", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100, TLS: true}},
	{name: "client", title: "client side: 128 B, 100 in flight, one fixed server", metric: rate,
		workload: workload{Job: echo, Conns: 1, Size: 128, Window: 100, Client: true}},
	{name: "opens", title: "new connections, each with one echo of 128 B", metric: opens,
		workload: workload{Job: echo, Conns: 8, Size: 128, Window: 1, Open: true}, only: "nhooyr"},
	{name: "memory", title: "5 000 idle connections that have worked once", metric: memory,
		workload: workload{Job: echo, Conns: 5000, Size: 128, Window: 1, Idle: true}, adapt: true},
	{name: "allocs-receive", title: "allocations to receive a message of 128 B", metric: allocs,
		workload: workload{Job: sink, Conns: 1, Size: 128, Window: 8, Batch: 100}, alone: true},
	{name: "allocs-send", title: "allocations to send a message of 128 B", metric: allocs,
		workload: workload{Job: push, Conns: 1, Size: 128}, alone: true},
}

// rounds is how many rounds a row needs: what does not depend on the machine's mood is
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
