package soak

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/chanws/chanws/internal/leaktest"
	"github.com/stretchr/testify/require"
)

var (
	conns    = flag.Int("conns", 200, "how many connections there are at a time")
	duration = flag.Duration("duration", 15*time.Second, "how long connections come and go")
)

// orderVariable holds the order of the clients' process, which is this binary too.
const orderVariable = "CHANWS_SOAK_ORDER"

func TestMain(m *testing.M) {
	if order := os.Getenv(orderVariable); order != "" {
		runClients(order)
		return
	}
	leaktest.Main(m)
}

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes half a minute")
	}
	require.NoError(t, allowFiles(files(*conns)))
	watch := startWatch(*duration)
	began := time.Now()
	s := startServers(t, *conns)
	s.runClients(t)
	s.over()

	for _, problem := range watch.end("exec.(*Cmd)") {
		s.ledger.add(report{Side: server, Problem: "servers' process: " + problem})
	}
	for _, problem := range s.ledger.problems {
		t.Error(problem)
	}
	if s.ledger.tooMany > 0 {
		t.Errorf("and %d more", s.ledger.tooMany)
	}
	require.Zero(t, len(s.ledger.one), "connections that only one side has reported")
	for _, e := range append(talking, peerDrops, peerVanishes) {
		require.NotZero(t, s.ledger.done[e], "%s: no such connection", e)
	}
	t.Logf("%v: %v; memory from %v over %v", time.Since(began).Round(time.Second), s.ledger.done, watch.base, watch.seen)
}

// files is how many open files a process needs: it has one end of each connection, and
// some more while they come and go.
func files(conns int) int { return conns + conns/10 + 200 }
