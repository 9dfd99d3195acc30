package main

import (
	"context"
	"net"
	"net/http"
)

// A peer is a library, or another way to handle the same frames.
type peer struct {
	name    string
	version string // module path, for the table
	ours    bool   // chanws or adapt: measured against the others
	floor   bool   // no library at all
	quick   bool   // takes part in a short run

	// serve does the workload's job for every connection of the listener, which
	// does TLS already where it is asked for.
	serve func(net.Listener, workload) error
	// client dials the URL, keeps w.Window messages under way and counts each reply.
	client func(ctx context.Context, url string, w workload, m *meter) error
	// deflates tells whether it can do permessage-deflate out of the box.
	deflates bool
}

// peers is everything there is to measure, in the order of the table.
var peers = []peer{
	{name: "floor", floor: true, serve: serveFloor},
	{name: "gorilla", version: "github.com/gorilla/websocket", serve: serveGorilla, client: clientGorilla, quick: true, deflates: true},
	{name: "coder", version: "github.com/coder/websocket", serve: serveCoder, client: clientCoder, deflates: true},
	{name: "nhooyr", version: "nhooyr.io/websocket", serve: serveNhooyr, client: clientNhooyr},
	{name: "gobwas", version: "github.com/gobwas/ws", serve: serveGobwas, client: clientGobwas},
	{name: "gobwas-buf", version: "github.com/gobwas/ws", serve: serveGobwasBuffered, quick: true},
	{name: "gws", version: "github.com/lxzan/gws", serve: serveGws, client: clientGws, quick: true, deflates: true},
	{name: "chanws", version: "github.com/chanws/chanws", ours: true, serve: serveChanws, client: clientChanws, deflates: true},
	{name: "adapt", version: "github.com/chanws/chanws/adapt", ours: true, serve: serveAdapt, deflates: true},
}

// findPeer gives the peer of that name.
func findPeer(name string) (peer, bool) {
	for _, p := range peers {
		if p.name == name {
			return p, true
		}
	}
	return peer{}, false
}

// choosePeers gives those that take part in a row.
func choosePeers(r row, s settings) []peer {
	var chosen []peer
	for _, p := range peers {
		switch {
		case !s.servers.MatchString(p.name),
			s.short && !p.ours && !p.quick && p.name != r.only,
			r.Client && p.client == nil,
			r.Deflate && !p.deflates,
			p.name == "adapt" && !r.adapt && !r.growth,
			r.only != "" && !p.ours && p.name != r.only:
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen
}

// serveHTTP is how all peers that upgrade requests of net/http are served.
func serveHTTP(l net.Listener, h http.HandlerFunc) error {
	return (&http.Server{Handler: h}).Serve(l)
}
