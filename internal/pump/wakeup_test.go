package pump

import (
	"testing"
	"time"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// A pong and a Write that reach the write pump at the same time are both written: it
// never goes to sleep on one of them.
func TestNoWakeUpIsLost(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	p, peer := serverPump(t, testOptions())
	go func() {
		for range p.Events() {
		}
	}()
	writes := make(chan struct{})
	defer close(writes)
	go func() {
		for range writes {
			p.Write(t.Context(), text("w"))
		}
	}()
	peer.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for round := range rounds {
		writes <- struct{}{}
		peer.send(frame.Ping, "p")
		for left := 2; left > 0; left-- {
			_, _, err := peer.receive()
			require.NoError(t, err, "round %d", round)
		}
	}
}
