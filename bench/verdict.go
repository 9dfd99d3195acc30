package main

import "time"

// micros is d in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// A verdict is one goal and what was reached.
type verdict struct {
	what    string // "chanws / gws"
	reached float64
	goal    float64
	reach   float64 // where the goal is out of reach: what is usual, else 0
	atMost  bool    // the goal is a bound from above
	err     string
}

// met tells whether the goal is reached; slack is the part of it that will do.
func (v verdict) met(slack float64) bool {
	if v.err != "" {
		return false
	}
	if v.atMost {
		return v.reached <= v.goal/slack
	}
	return v.reached >= v.goal*slack
}

// wayOff tells whether what was reached is less than half of the goal, or of what is
// usual where the goal is out of reach.
func (v verdict) wayOff() bool {
	if v.reach > 0 {
		v.goal = v.reach
	}
	return !v.met(grossly)
}

// verdicts gives all goals of a row. A short run is for any machine, so it has no
// absolute ones in messages a second.
func (m measured) verdicts() []verdict {
	all, best := m.scores()
	var list []verdict
	for _, s := range all {
		if !s.ours {
			continue
		}
		add := func(against string, reached, goal, reach float64, atMost bool) {
			if goal > 0 {
				list = append(list, verdict{s.name + against, reached, goal, reach, atMost, s.err})
			}
		}
		if best >= 0 {
			reach := m.channelsReach
			if s.name == "adapt" {
				reach = m.callbacksReach
			}
			add(" / "+all[best].name, s.ratio, s.goal, reach, m.lowerIsBetter())
		}
		if s.name == "chanws" {
			if s.toFloor > 0 {
				add(" / floor", s.toFloor, m.toFloor, 0, false)
			}
			add("", s.median, m.limit, 0, true)
		}
		if s.name == "adapt" && !m.short {
			add("", s.median, m.absolute, 0, false)
		}
	}
	return list
}
