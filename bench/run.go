package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"time"
)

// settings are the flags of a run.
type settings struct {
	rows, servers *regexp.Regexp
	rounds        int
	duration      time.Duration
	short         bool
	pin           bool // all on one processor
	curves        bool
	tiny          bool   // few connections, for tests
	profiles      string // directory
	out           string // directory
	progress      io.Writer
}

// measured is what a row brought: for each peer a result of each round.
type measured struct {
	row
	peers   []peer
	results [][]result // by peer, then by round
}

// measureRow starts all servers of a row and measures them in turn, round after round,
// so that a moment in which the machine does something else hits each of them alike.
func measureRow(r row, s settings) measured {
	m := measured{row: r, peers: choosePeers(r, s)}
	m.results = make([][]result, len(m.peers))
	rounds, w := r.rounds(s.rounds), r.timed(s.duration)
	if s.tiny {
		w.Conns = min(w.Conns, 12)
	}
	if s.short && w.Idle {
		w.Conns, rounds = 500, 1
	}
	m.workload = w
	servers := make([]*server, len(m.peers))
	for i, p := range m.peers {
		var err error
		if servers[i], err = serverFor(p, w, s); err != nil {
			m.results[i] = []result{{Err: err.Error()}}
			continue
		}
		defer servers[i].process.stop()
	}
	for round := range rounds {
		for i := range m.peers {
			// Who is first has a cooler machine, so each is once.
			i = (i + round) % len(m.peers)
			if servers[i] == nil || failedAlready(m.results[i]) {
				continue
			}
			client := ""
			cw := w
			if w.Client {
				client = m.peers[i].name
				cw.Profile = profileName(s, r, m.peers[i])
			}
			m.results[i] = append(m.results[i], servers[i].measure(cw, client))
			fmt.Fprintf(s.progress, "\r%-16s round %d of %d, %-10s", r.name, round+1, rounds, m.peers[i].name)
		}
	}
	fmt.Fprintf(s.progress, "\r%60s\r", "")
	return m
}

// failedAlready tells whether a peer cannot do a row, so that another round is of no use.
func failedAlready(results []result) bool {
	n := len(results)
	return n > 1 && results[n-1].Err != "" && results[n-2].Err != ""
}

// serverFor starts the server that a peer is measured with.
func serverFor(p peer, w workload, s settings) (*server, error) {
	if w.Client {
		p, _ = findPeer("floor")
		return startServer(p, w)
	}
	w.Profile = profileName(s, row{workload: w}, p)
	return startServer(p, w)
}

func profileName(s settings, r row, p peer) string {
	if s.profiles == "" {
		return ""
	}
	w := r.workload
	name := fmt.Sprintf("%s-%s-%dx%dx%d", p.name, w.Job, w.Conns, w.Size, w.Window)
	if w.TLS {
		name += "-tls"
	}
	return filepath.Join(s.profiles, name+".pprof")
}
