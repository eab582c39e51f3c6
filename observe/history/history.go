// Package history keeps what a controller's page draws. For each source that is: the leases given,
// how many of them came from ready instances, how long the others waited, the number of instances
// and their cost. It also keeps the last directives.
//
// All of it is read from the journal as it is written, whichever controller writes it. So it is the
// same for all controllers on one store, and it is there again after a restart.
//
// It counts in bins of time, so its size does not depend on the load. It has no clock: each call
// takes the time as an argument.
package history

import (
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

const (
	// atFirst is how much of the journal is read when nothing was read before: a day of people's
	// work, or seconds of a machine's at its fastest. More would delay a start.
	atFirst = 20000
	// mostSources are followed; more are left out, so that a configuration of thousands costs 15 MB
	// and not more.
	mostSources = 1000
	// mostDirectives are kept, the newest.
	mostDirectives = 500
	// lapse is how far apart two counts may be for what lies between them to be taken as known.
	lapse = time.Minute
)

// Scale is one of the two ranges that are kept.
type Scale struct {
	Step time.Duration // of a bin
	Bins int           // number of bins
}

// Hour and Day are the periods kept: the last hour by the minute, and the last day by the quarter
// of an hour.
var (
	Hour = Scale{time.Minute, 60}
	Day  = Scale{15 * time.Minute, 96}
)

// Bin is what happened within a time.
type Bin struct {
	Start   time.Time
	Given   int           // leases
	Misses  int           // of Given, those that no ready instance met
	Waited  time.Duration // by these, together
	Longest time.Duration // by one of these
	Made    int           // instances
	Failed  int           // instances, at whatever step

	Known time.Duration // of this time it is known how many instances there were
	// the sum of all instances' time; divided by Known it is their mean number
	Present time.Duration
	InUse   time.Duration // the same, of those in use
	Cost    float64       // of these instances, in whatever money prices are
}

// Count is how many instances a source has at a moment.
type Count struct {
	Source  string
	Present int     // all that takes a place
	InUse   int     // of these
	Price   float64 // of one for an hour; 0: not known
}

// History is the history of all sources. The zero value has read nothing. Its methods may be called
// from many goroutines, Take and Sample by one.
type History struct {
	mu         sync.Mutex
	read       bool
	last       int64 // event
	sources    map[string]*series
	directives []compute.Event
	using      map[compute.ID]bool // instances that are in use, as far as the journal was read
	sampled    time.Time
	steps      map[string][]step // how the counts changed before the first sample
}

// step is one change of a source's counts.
type step struct {
	at             time.Time
	present, inUse int // changes of the numbers
}

// series is the history of one source.
type series struct {
	hour, day []Bin // by the remainder of their number
	now       Count
}

func newSeries() *series { return &series{hour: make([]Bin, Hour.Bins), day: make([]Bin, Day.Bins)} }

// bin is the one of a time; nil: it is not kept any more.
func bin(bins []Bin, s Scale, t time.Time) *Bin {
	start := t.Truncate(s.Step)
	n := start.UnixNano() / int64(s.Step)
	b := &bins[(n%int64(s.Bins)+int64(s.Bins))%int64(s.Bins)]
	switch {
	case b.Start.Equal(start):
	case b.Start.Before(start):
		*b = Bin{Start: start}
	default:
		return nil
	}
	return b
}

// each calls f for the bins of a time.
func (s *series) each(t time.Time, f func(*Bin)) {
	for _, b := range []*Bin{bin(s.hour, Hour, t), bin(s.day, Day, t)} {
		if b != nil {
			f(b)
		}
	}
}

// of returns the series of a source; nil if there are too many.
func (h *History) of(name string) *series {
	s := h.sources[name]
	if s == nil && len(h.sources) < mostSources {
		if h.sources == nil {
			h.sources = map[string]*series{}
		}
		s = newSeries()
		h.sources[name] = s
	}
	return s
}

// Query asks for the events that Take has not had yet.
func (h *History) Query() inventory.EventQuery {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.read {
		return inventory.EventQuery{Newest: atFirst}
	}
	// the journal may have grown by millions while it could not be read
	return inventory.EventQuery{After: h.last, Limit: atFirst}
}

// Take takes events of the journal, in their order.
func (h *History) Take(events []compute.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = true
	if h.using == nil {
		h.using, h.steps = map[compute.ID]bool{}, map[string][]step{}
	}
	for _, e := range events {
		if e.ID <= h.last {
			continue
		}
		h.last = e.ID
		if e.Kind == "directive" {
			h.directives = append(h.directives, e)
			if len(h.directives) >= 2*mostDirectives {
				h.directives = slices.Clone(h.directives[len(h.directives)-mostDirectives:])
			}
			continue
		}
		if s := h.of(e.Source); e.Source != "" && s != nil {
			h.take(s, e)
		}
	}
}

// take counts one event of the journal for its source.
func (h *History) take(s *series, e compute.Event) {
	var d step
	switch e.Kind {
	case string(compute.Creating):
		d.present = 1
	case "made":
		s.each(e.Time, func(b *Bin) { b.Made++ })
	case string(compute.Leased):
		waited, _ := time.ParseDuration(e.Data["waited"])
		s.each(e.Time, func(b *Bin) {
			b.Given++
			if waited > 0 {
				b.Misses++
				b.Waited += waited
				b.Longest = max(b.Longest, waited)
			}
		})
		if !h.using[e.Instance] {
			h.using[e.Instance] = true
			d.inUse = 1
		}
	case string(compute.Failed):
		s.each(e.Time, func(b *Bin) { b.Failed++ })
		d.inUse = h.endUse(e.Instance, false)
	case "gone":
		d.present, d.inUse = -1, h.endUse(e.Instance, false)
	case "released":
		d.inUse = h.endUse(e.Instance, true)
	case string(compute.Ready), string(compute.Cleaning), string(compute.Discarding), string(compute.Held), "cleaned":
		d.inUse = h.endUse(e.Instance, false)
	}
	if h.sampled.IsZero() && (d.present != 0 || d.inUse != 0) {
		d.at = e.Time
		h.steps[e.Source] = append(h.steps[e.Source], d)
	}
}

// endUse notes that an instance is no longer in use, and returns the change of their number. sure:
// it was in use, whether its hand-out was read or not.
func (h *History) endUse(id compute.ID, sure bool) int {
	was := h.using[id]
	delete(h.using, id)
	if was || sure && h.sampled.IsZero() {
		return -1
	}
	return 0
}

// Sample takes the number of instances at a time. The first call reconstructs the numbers before it
// from the journal, backwards.
func (h *History) Sample(now time.Time, counts []Count) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// the clock was set back, perhaps before we began: samples of the future would keep their place
	// until then
	if now.Before(h.sampled) || h.sampled.IsZero() {
		for _, s := range h.sources {
			s.forget(now)
		}
		if !h.sampled.IsZero() {
			h.sampled = now
		}
	}
	seen := map[string]bool{}
	for _, c := range counts {
		seen[c.Source] = true
		if s := h.of(c.Source); s != nil {
			if h.sampled.IsZero() {
				s.reconstruct(now, c, h.steps[c.Source])
			} else {
				s.countPresent(h.sampled, now)
			}
			s.now = c
		}
	}
	for name, s := range h.sources {
		if !seen[name] { // it is configured no longer, and has none
			s.now = Count{Source: name}
		}
	}
	h.sampled, h.steps = now, nil
}

// forget forgets what lies after a time.
func (s *series) forget(now time.Time) {
	for _, bins := range [][]Bin{s.hour, s.day} {
		for n := range bins {
			if bins[n].Start.After(now) {
				bins[n] = Bin{}
			}
		}
	}
}

// countPresent counts all present instances as there between two times, unless these are too far
// apart.
func (s *series) countPresent(from, to time.Time) {
	if to.Sub(from) > lapse {
		return
	}
	s.fillBins(from, to, s.now)
}

// fillBins counts instances as having been there within a time, bin by bin.
func (s *series) fillBins(from, to time.Time, c Count) {
	for _, of := range []struct {
		bins []Bin
		Scale
	}{{s.hour, Hour}, {s.day, Day}} {
		at := from
		if first := to.Add(-of.Step * time.Duration(of.Bins)); at.Before(first) {
			at = first
		}
		for at.Before(to) {
			end := at.Truncate(of.Step).Add(of.Step)
			if end.After(to) {
				end = to
			}
			if b := bin(of.bins, of.Scale, at); b != nil {
				d := end.Sub(at)
				b.Known += d
				b.Present += d * time.Duration(c.Present)
				b.InUse += d * time.Duration(c.InUse)
				b.Cost += d.Hours() * float64(c.Present) * c.Price
			}
			at = end
		}
	}
}

// reconstruct finds the numbers before the first sample: from the present ones, taking the
// changes back one by one.
func (s *series) reconstruct(now time.Time, c Count, steps []step) {
	for n := len(steps) - 1; n >= 0; n-- {
		d := steps[n]
		if d.at.After(now) {
			d.at = now
		}
		s.fillBins(d.at, now, c)
		now = d.at
		c.Present, c.InUse = max(0, c.Present-d.present), max(0, c.InUse-d.inUse)
	}
}

// Series returns the bins of a scale up to a time, the oldest first. They are the sums over the
// sources for which may returns true; a nil may selects all.
func (h *History) Series(now time.Time, scale Scale, may func(source string) bool) []Bin {
	out := make([]Bin, scale.Bins)
	last := now.Truncate(scale.Step)
	for n := range out {
		out[n].Start = last.Add(scale.Step * time.Duration(n+1-scale.Bins))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.sources {
		if may != nil && !may(name) {
			continue
		}
		bins := s.hour
		if scale == Day {
			bins = s.day
		}
		for _, b := range bins {
			n := int(b.Start.Sub(out[0].Start) / scale.Step)
			if b.Start.Before(out[0].Start) || n >= len(out) {
				continue
			}
			o := &out[n]
			o.Given, o.Misses, o.Made, o.Failed = o.Given+b.Given, o.Misses+b.Misses, o.Made+b.Made, o.Failed+b.Failed
			o.Waited, o.Longest = o.Waited+b.Waited, max(o.Longest, b.Longest)
			if b.Known > 0 { // a mean, so that sources that are known for unlike times add up
				f := float64(scale.Step) / float64(b.Known)
				o.Known = scale.Step
				o.Present += time.Duration(float64(b.Present) * f)
				o.InUse += time.Duration(float64(b.InUse) * f)
				o.Cost += b.Cost * f
			}
		}
	}
	return out
}

// Directives returns the last ones, the newest first, most at most, of the sources for which may
// returns true. A nil may selects all.
func (h *History) Directives(most int, may func(source string) bool) []compute.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []compute.Event
	for n := len(h.directives) - 1; n >= 0 && len(out) < most && len(h.directives)-n <= mostDirectives; n-- {
		if e := h.directives[n]; may == nil || may(e.Source) {
			out = append(out, e)
		}
	}
	return out
}

// Priced reports whether a price is known for one of the sources for which may returns true.
func (h *History) Priced(may func(source string) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.sources {
		if s.now.Price > 0 && (may == nil || may(name)) {
			return true
		}
	}
	return false
}
