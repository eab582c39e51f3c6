package journal

import (
	"cmp"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/observe/gauge"
)

// recentEvents is how many events a new process reads: a second at the fastest rate, or a day of a
// source that people use.
const recentEvents = 20000

// Beside marks events of leases that began or ended while other leases had parts of the instance:
// it did not change hands.
const Beside = "beside"

// Recent is what the journal says of recent leases. It is gathered from new events, so it costs as
// much as has happened, and is the same for all processes on one store. The zero value has read
// nothing.
type Recent struct {
	mu      sync.Mutex
	last    int64 // up to this event
	sources map[string]*gauge.Gauge
	out     map[compute.ID]time.Time // when instances were handed out that have not come back
}

// Read reads events, in their order. It passes over those that were read before: two callers may
// have looked at once.
func (r *Recent) Read(windows map[string]time.Duration, events []*compute.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out == nil {
		r.out, r.sources = map[compute.ID]time.Time{}, map[string]*gauge.Gauge{}
	}
	// events are missing: which leases have ended is not known
	if len(events) >= recentEvents && events[0].ID > r.last+1 {
		clear(r.out)
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
			of = gauge.New(window)
			r.sources[e.Source] = of
		}
		switch {
		case e.Data[Beside] != "": // no instance changed hands
		case e.Kind == string(compute.Leased):
			of.Given(e.Time)
			r.out[e.Instance] = e.Time
		case e.Kind == "cleaned", e.Kind == "released" && e.Data["reuse"] == "as-is":
			if at, ok := r.out[e.Instance]; ok {
				of.Held(e.Time.Sub(at))
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
				of.Made(sum)
			}
		}
	}
}

// Query returns the query for the new events.
func (r *Recent) Query() inventory.EventQuery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return inventory.EventQuery{After: r.last, Newest: recentEvents}
}

// Demand returns the demand of a source.
func (r *Recent) Demand(name string, window time.Duration, now time.Time) plan.Demand {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.sources[name]; of != nil {
		return of.Demand(now)
	}
	return plan.Demand{Window: window}
}
