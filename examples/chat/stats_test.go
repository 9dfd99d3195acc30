package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePanelIsToldTheCountersOfItsConnection(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		ada, bob := visit(), visit()
		ada.join("tea", "Ada")
		ada.hearType("notice")
		bob.say(message{Type: "say", Text: "too early"})
		bob.hearType("error")
		ada.say(message{Type: "stats"})
		m := ada.hear()
		require.Equal(t, "stats", m.Type)
		require.Equal(t, 2, m.Stats.Connections)

		// The counters are up to date whenever the pumps wait. That answer was made while
		// the question was still in the pump's hands, so it may or may not be counted.
		synctest.Wait()
		for p := range h.people {
			if p.name == "Ada" {
				require.Equal(t, stats{Received: 2, Sent: 4, Connections: 2}, *h.stats(p))
			} else {
				require.Equal(t, stats{Received: 1, Sent: 1, Connections: 2}, *h.stats(p))
			}
		}
	})
}

func TestThePanelIsToldTheRoundTripOfTheLastPing(t *testing.T) {
	t.Parallel()
	withHub(t, func(t *testing.T, h *hub, visit func() visitor) {
		ada := visit()
		synctest.Wait()
		for p := range h.people { // as Trace.KeepalivePong does
			p.roundTrip.Store(int64(1500 * time.Microsecond))
		}
		ada.say(message{Type: "stats"})
		require.InDelta(t, 1.5, ada.hear().Stats.Keepalive, 1e-9)
	})
}
