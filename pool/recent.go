package pool

import (
	"cmp"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const (
	recentBins   = 60 // a window is counted in so many parts
	recentLate   = 6  // of which these are its last tenth
	recentEvents = 20000
	recentMeans  = 100 // a duration is the mean of the last so many
	fewToTell    = 10  // leases that say nothing yet of how they spread
)

// recent is what the journal says of the leases of the last time. It is gathered from the events as they come, so it costs what has happened, and is
// the same for all processes on one store. The zero value has read nothing.
type recent struct {
	mu      sync.Mutex
	read    bool  // the journal was read before
	last    int64 // up to this event
	sources map[string]*recentOf
	out     map[compute.ID]time.Time // when instances were handed out that have not come back
}

// recentOf is that of one source.
type recentOf struct {
	width time.Duration // of a bin
	bins  [recentBins]int
	at    int64 // the number of the newest bin since the epoch; its place is the remainder
	held  mean
	made  mean
}

// mean is of the last values.
type mean struct {
	values []time.Duration
	next   int
	sum    time.Duration
}

func (m *mean) add(d time.Duration) {
	if len(m.values) < recentMeans {
		m.values = append(m.values, d)
	} else {
		m.sum -= m.values[m.next]
		m.values[m.next] = d
		m.next = (m.next + 1) % recentMeans
	}
	m.sum += d
}

func (m *mean) value() time.Duration {
	if len(m.values) == 0 {
		return 0
	}
	return m.sum / time.Duration(len(m.values))
}

// advance makes the bin of a time the newest, if it is later.
func (r *recentOf) advance(t time.Time) (bin int64) {
	bin = t.UnixNano() / int64(r.width)
	if bin-r.at >= recentBins {
		r.bins = [recentBins]int{}
		r.at = bin
	}
	for r.at < bin {
		r.at++
		r.bins[r.at%recentBins] = 0
	}
	return bin
}

func (r *recentOf) given(t time.Time) {
	if bin := r.advance(t); bin > r.at-recentBins {
		r.bins[bin%recentBins]++
	}
}

// demand is what a director is told at a time.
func (r *recentOf) demand(now time.Time) compute.Demand {
	r.advance(now)
	d := compute.Demand{Window: r.width * recentBins, Held: r.held.value(), Made: r.made.value()}
	squares := 0.0
	for back := range int64(recentBins) {
		n := r.bins[(r.at-back)%recentBins]
		d.Given += n
		if back < recentLate {
			d.Late += n
		}
		squares += float64(n) * float64(n)
	}
	if d.Given >= fewToTell {
		m := float64(d.Given) / recentBins
		d.Spread = (squares/recentBins - m*m) / m
	}
	return d
}

// take reads events, in their order. Those that were read before are passed over: two may have looked at once.
func (r *recent) take(windows map[string]time.Duration, events []*compute.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = true
	if r.out == nil {
		r.out, r.sources = map[compute.ID]time.Time{}, map[string]*recentOf{}
	}
	for _, e := range events {
		if e.ID <= r.last {
			continue
		}
		r.last = e.ID
		window := windows[e.Source]
		if window <= 0 {
			continue
		}
		of := r.sources[e.Source]
		if of == nil {
			of = &recentOf{width: max(time.Millisecond, window/recentBins)}
			r.sources[e.Source] = of
		}
		switch {
		case e.Kind == string(compute.Leased):
			of.given(e.Time)
			r.out[e.Instance] = e.Time
		case e.Kind == "cleaned", e.Kind == "released" && e.Data["reuse"] == "as-is":
			if at, ok := r.out[e.Instance]; ok {
				of.held.add(e.Time.Sub(at))
			}
			delete(r.out, e.Instance)
		case e.Kind == "gone":
			delete(r.out, e.Instance)
		case e.Kind == "made":
			var sum time.Duration
			for _, phase := range []string{"create", "connect", "set_up"} {
				d, _ := time.ParseDuration(cmp.Or(e.Data[phase], "0"))
				sum += d
			}
			if sum > 0 {
				of.made.add(sum)
			}
		}
	}
}

// query asks for the events that were not read yet.
func (r *recent) query() compute.EventQuery {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.read {
		return compute.EventQuery{Newest: recentEvents}
	}
	return compute.EventQuery{After: r.last}
}

// of is the demand of a source.
func (r *recent) of(name string, window time.Duration, now time.Time) compute.Demand {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.sources[name]; of != nil {
		return of.demand(now)
	}
	return compute.Demand{Window: window}
}
