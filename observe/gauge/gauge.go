// Package gauge measures what a strategy that follows demand has to know: of a source, how many
// leases were given within a window of time, how they spread, how long they last, and how long it
// takes to make an instance (Gauge); of images, how often each is asked for by the hour (Forecast).
// It has no clock: every call says when. It remembers counts and not events, so that its size does
// not depend on the load.
package gauge

import (
	"time"

	"github.com/hostler-project/hostler/director/plan"
)

const (
	bins      = 60  // parts of a window
	lastTenth = 6   // of which these are its last tenth
	last      = 100 // a duration is the mean of this number of the latest
	fewLeases = 10  // leases that say nothing yet of how they spread
)

// Gauge is that of one source. It is used by one goroutine at a time.
type Gauge struct {
	width time.Duration // of a bin
	count [bins]int
	at    int64 // the number of the newest bin since the epoch; its place is the remainder
	held  mean
	made  mean
}

// New makes a gauge that looks so far back.
func New(window time.Duration) *Gauge {
	return &Gauge{width: max(time.Millisecond, window/bins)}
}

// advance makes the bin of a time the newest, if it is later.
func (g *Gauge) advance(t time.Time) (bin int64) {
	bin = t.UnixNano() / int64(g.width)
	if bin-g.at >= bins {
		g.count = [bins]int{}
		g.at = bin
	}
	for g.at < bin {
		g.at++
		g.count[place(g.at)] = 0
	}
	return bin
}

// place is where a bin is counted; there are times before the epoch.
func place(bin int64) int64 { return (bin%bins + bins) % bins }

// Given notes a lease that was given at a time. One from before the window is passed over.
func (g *Gauge) Given(t time.Time) {
	if bin := g.advance(t); bin > g.at-bins {
		g.count[place(bin)]++
	}
}

// Held notes how long a lease lasted, until its instance could be used again.
func (g *Gauge) Held(d time.Duration) { g.held.add(d) }

// Made notes how long it took to make an instance.
func (g *Gauge) Made(d time.Duration) { g.made.add(d) }

// Demand is the demand as known at a time.
func (g *Gauge) Demand(now time.Time) plan.Demand {
	// the clock was set back: all that was counted lies ahead, where nothing would be counted until
	// then
	if bin := g.advance(now); g.at-bin >= bins {
		g.count = [bins]int{}
		g.at = bin
	}
	d := plan.Demand{Window: g.width * bins, Held: g.held.value(), Made: g.made.value()}
	squares := 0.0
	for back := range int64(bins) {
		n := g.count[place(g.at-back)]
		d.Given += n
		if back < lastTenth {
			d.Late += n
		}
		squares += float64(n) * float64(n)
	}
	if d.Given >= fewLeases {
		m := float64(d.Given) / bins
		d.Spread = (squares/bins - m*m) / m
	}
	return d
}

// mean is of the last values.
type mean struct {
	values []time.Duration
	next   int
	sum    time.Duration
}

// add adds a duration. Once the number of values is last, it replaces the oldest.
func (m *mean) add(d time.Duration) {
	if len(m.values) < last {
		m.values = append(m.values, d)
	} else {
		m.sum -= m.values[m.next]
		m.values[m.next] = d
		m.next = (m.next + 1) % last
	}
	m.sum += d
}

func (m *mean) value() time.Duration {
	if len(m.values) == 0 {
		return 0
	}
	return m.sum / time.Duration(len(m.values))
}
