package director

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/observe/gauge"
)

// Arrival is a request of a trace: when it came, of which source, and for how long it used its
// instance.
type Arrival struct {
	Time   time.Time
	Source string
	Lasts  time.Duration
}

// Model describes the computers of a source in a replay.
type Model struct {
	Create time.Duration // the mean time to make one until it is ready
	Jitter float64       // Create varies by this share up and down, evenly: 0 to 1
	Clean  time.Duration // to make a used one as new
	Start  time.Duration // to start one that was stopped
	Stop   time.Duration // to stop one
	OneUse bool          // a used one is discarded, never cleaned
	Seed   uint64        // of the jitter
}

// Setup is a source in a replay: its configuration, and its computers.
type Setup struct {
	Source plan.SourceState // Name, Reserve, Spare, Maximum, ColdMost and Idle count
	Policy Policy
	Limits Limits
	Model  Model
	Window time.Duration // of its demand; 0: an hour
	Tick   time.Duration // between two looks; 0: 10 s. The bell rings at each request and return
}

// Outcome is the result of a replay.
type Outcome struct {
	Requests  int
	Hits      int             // requests that found a running instance ready
	Cold      int             // of the other requests, those that got a stopped instance
	Waits     []time.Duration // of all requests, sorted
	Made      int
	Discarded int
	Peak      int           // the highest number of instances
	Used      time.Duration // the time of all instances together while leased
	Idle      time.Duration // the time while running and not leased: made, ready, cleaned
	Stopped   time.Duration // the time while stopped
	Begin     time.Time
	End       time.Time
	Series    []Sample // evenly spaced, for a plot
}

// Sample is the mean over a stretch of the trace.
type Sample struct {
	Time    time.Time
	Used    float64
	Idle    float64
	Cold    float64
	Waiting float64
	Wanted  float64
}

// samples is how many of them a replay keeps: about one for each two pixels of a plot.
const samples = 480

// Wait returns the time within which a share of the requests, 0 to 1, was served.
func (o *Outcome) Wait(share float64) time.Duration {
	if len(o.Waits) == 0 {
		return 0
	}
	n := int(share*float64(len(o.Waits)) + 0.999999)
	return o.Waits[min(len(o.Waits), max(1, n))-1]
}

// HitRate returns the share of the requests that found an instance ready.
func (o *Outcome) HitRate() float64 {
	if o.Requests == 0 {
		return 0
	}
	return float64(o.Hits) / float64(o.Requests)
}

// Replay runs a trace through the decisions that Run would take, with the model for computers and
// without waiting. It is a pure function: the same arguments give the same outcome. The arrivals
// are of this source and need no order.
func Replay(setup Setup, arrivals []Arrival) Outcome {
	setup.Window = cmp.Or(setup.Window, time.Hour)
	setup.Tick = cmp.Or(setup.Tick, usualTick)
	r := &replay{
		Setup: setup, gauge: gauge.New(setup.Window), dice: rand.New(rand.NewPCG(setup.Model.Seed, 1)),
		boxes: map[compute.ID]*box{},
	}
	r.state = setup.Source
	arrivals = slices.Clone(arrivals)
	slices.SortStableFunc(arrivals, func(a, b Arrival) int { return a.Time.Compare(b.Time) })
	if len(arrivals) == 0 {
		return r.out
	}
	r.begin(arrivals)
	for _, a := range arrivals {
		r.until(a.Time)
		r.now = a.Time
		r.arrive(a)
		r.look()
	}
	r.last = arrivals[len(arrivals)-1].Time
	for len(r.queue) > 0 || r.state.Counts.Leased+r.state.Booked > 0 {
		next := r.events[0].at
		r.until(next)
		if r.now.Sub(r.last) > 366*24*time.Hour {
			break // a request that can never be served, as maximum or budget forbid it
		}
	}
	r.pass(r.now)
	r.out.End = r.now
	r.finishSeries()
	slices.Sort(r.out.Waits)
	r.out.Requests = len(arrivals)
	return r.out
}

// box is one modelled computer.
type box struct {
	plan.Idler
	row    int
	asker  *Arrival // the request that it is made for, or leased to; nil: none
	ready  bool
	counts *int // where its state is counted
}

// event is something that is due.
type event struct {
	at   time.Time
	turn int // those of one time in the order in which they were made
	do   func()
}

// events is a heap of events, the earliest on top.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(a, b int) bool {
	if c := e[a].at.Compare(e[b].at); c != 0 {
		return c < 0
	}
	return e[a].turn < e[b].turn
}
func (e events) Swap(a, b int) { e[a], e[b] = e[b], e[a] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// replay is the state of one Replay.
type replay struct {
	Setup
	gauge  *gauge.Gauge
	dice   *rand.Rand
	now    time.Time
	last   time.Time
	state  plan.SourceState
	boxes  map[compute.ID]*box
	ready  []*box     // by row
	queue  []*Arrival // first come first
	events events
	turns  int
	rows   int
	wanted int
	out    Outcome

	from  time.Time     // the series' begin
	width time.Duration // of a sample
}

// begin sets the clock before the first arrival, and starts the director's rounds.
func (r *replay) begin(arrivals []Arrival) {
	// the director has had time to make instances before the first request comes
	r.now = arrivals[0].Time.Add(-2*r.Model.Create - 2*r.Tick)
	r.out.Begin, r.from = r.now, r.now
	end := r.now
	for _, a := range arrivals {
		if e := a.Time.Add(a.Lasts); e.After(end) {
			end = e
		}
	}
	r.width = max(time.Second, end.Sub(r.from)/samples+1)
	r.tick()
	r.look()
}

// tick schedules the director's rounds.
func (r *replay) tick() { r.later(r.Tick, func() { r.look(); r.tick() }) }

func (r *replay) later(d time.Duration, do func()) {
	r.turns++
	heap.Push(&r.events, event{r.now.Add(d), r.turns, do})
}

// until carries out the events that are due before a time.
func (r *replay) until(t time.Time) {
	for len(r.events) > 0 && !r.events[0].at.After(t) {
		e := heap.Pop(&r.events).(event)
		r.pass(e.at)
		e.do()
	}
	r.pass(t)
}

// pass advances the clock, and counts what the time cost.
func (r *replay) pass(t time.Time) {
	d := t.Sub(r.now)
	if d <= 0 {
		return
	}
	c := r.state.Counts
	used, cold := c.Leased, r.state.Cold
	idle := c.Cached() - cold
	r.out.Used += time.Duration(used) * d
	r.out.Idle += time.Duration(idle) * d
	r.out.Stopped += time.Duration(cold) * d
	for d > 0 { // spread over the samples that it touches
		n := int(r.now.Sub(r.from) / r.width)
		part := min(d, r.from.Add(time.Duration(n+1)*r.width).Sub(r.now))
		for len(r.out.Series) <= n {
			r.out.Series = append(r.out.Series, Sample{Time: r.from.Add(time.Duration(len(r.out.Series)) * r.width)})
		}
		s, share := &r.out.Series[n], part.Seconds()
		s.Used += share * float64(used)
		s.Idle += share * float64(idle)
		s.Cold += share * float64(cold)
		s.Waiting += share * float64(len(r.queue)+r.state.Booked)
		s.Wanted += share * float64(r.wanted)
		r.now = r.now.Add(part)
		d -= part
	}
}

// finishSeries turns the sums of the samples into means.
func (r *replay) finishSeries() {
	for n := range r.out.Series {
		s := &r.out.Series[n]
		width := min(r.width, r.now.Sub(s.Time)).Seconds()
		for _, v := range []*float64{&s.Used, &s.Idle, &s.Cold, &s.Waiting, &s.Wanted} {
			*v /= max(width, 1e-9)
		}
	}
}

// in moves a box into the state that counts counts.
func (r *replay) in(b *box, counts *int) {
	if b.counts != nil {
		*b.counts--
	}
	if b.counts = counts; counts != nil {
		*counts++
	}
	r.out.Peak = max(r.out.Peak, r.state.Counts.Cached()+r.state.Counts.Leased)
}

// arrive serves a request as the engine does: with a running instance, else a stopped one, else a
// new one; else it waits.
func (r *replay) arrive(a Arrival) {
	if b := r.pick(false); b != nil && len(r.queue) == 0 {
		r.out.Hits++
		r.lease(b, &a)
		return
	}
	if b := r.pick(true); b != nil && len(r.queue) == 0 {
		r.out.Cold++
		r.unready(b)
		b.asker = &a
		r.state.Booked++
		r.in(b, &r.state.Counts.Creating)
		r.later(r.Model.Start, func() { r.born(b, 0) })
		return
	}
	if len(r.queue) == 0 && (r.state.Maximum == 0 || r.state.Counts.Present() < r.state.Maximum) {
		r.make(&a)
		return
	}
	r.queue = append(r.queue, &a)
}

// pick returns the ready box that was made first, running or cold, or nil.
func (r *replay) pick(cold bool) *box {
	for _, b := range r.ready {
		if b.Cold == cold {
			return b
		}
	}
	return nil
}

// unready takes a ready box out of the ready ones, which are in the order of their rows.
func (r *replay) unready(b *box) {
	n, _ := slices.BinarySearchFunc(r.ready, b.row, func(x *box, row int) int { return cmp.Compare(x.row, row) })
	r.ready = slices.Delete(r.ready, n, n+1)
	b.ready = false
	if b.Cold {
		r.state.Cold--
		b.Cold = false
	}
}

// make begins a new box, for a request or, with nil, for the cache.
func (r *replay) make(a *Arrival) {
	r.rows++
	b := &box{row: r.rows, asker: a, Idler: plan.Idler{ID: rowID(r.rows)}}
	r.boxes[b.ID] = b
	r.out.Made++
	if a != nil {
		r.state.Booked++
	}
	r.in(b, &r.state.Counts.Creating)
	takes := time.Duration(float64(r.Model.Create) * (1 + r.Model.Jitter*(2*r.dice.Float64()-1)))
	r.later(takes, func() { r.born(b, takes) })
}

// born makes a box ready, or hands it to the request that it was made for.
func (r *replay) born(b *box, took time.Duration) {
	if took > 0 {
		r.gauge.Made(took)
	}
	if b.asker != nil {
		r.state.Booked--
		r.lease(b, b.asker)
		r.look()
		return
	}
	r.shelve(b)
}

// shelve gives a box to the request that waits the longest, or keeps it.
func (r *replay) shelve(b *box) {
	if len(r.queue) > 0 {
		a := r.queue[0]
		r.queue = r.queue[1:]
		r.lease(b, a)
		return
	}
	r.in(b, &r.state.Counts.Ready)
	b.Since, b.ready, b.asker = r.now, true, nil
	n, _ := slices.BinarySearchFunc(r.ready, b.row, func(x *box, row int) int { return cmp.Compare(x.row, row) })
	r.ready = slices.Insert(r.ready, n, b)
}

// lease gives a box to a request for as long as it uses one.
func (r *replay) lease(b *box, a *Arrival) {
	if b.ready {
		r.unready(b)
	}
	b.asker = a
	r.in(b, &r.state.Counts.Leased)
	r.out.Waits = append(r.out.Waits, r.now.Sub(a.Time))
	r.gauge.Given(r.now)
	given := r.now
	r.later(a.Lasts, func() { r.giveBack(b, given) })
}

// giveBack cleans or discards a box, as a release does.
func (r *replay) giveBack(b *box, given time.Time) {
	held := r.state.Counts.Cached() + r.state.Counts.Leased
	keep := max(r.state.Reserve, r.state.Counts.Leased-1+r.state.Spare)
	if r.state.Target.Until.After(r.now) {
		keep = max(r.state.Target.Reserve, r.state.Counts.Leased-1+r.state.Target.Spare)
	}
	if r.Model.OneUse || r.state.Idle == 0 && held > keep+r.state.ColdMost && len(r.queue) == 0 {
		r.discard(b)
	} else {
		r.in(b, &r.state.Counts.Cleaning)
		r.later(r.Model.Clean, func() {
			r.gauge.Held(r.now.Sub(given))
			r.shelve(b)
		})
	}
	r.serve()
	r.look()
}

// serve makes instances for waiting requests, where there is room again.
func (r *replay) serve() {
	for len(r.queue) > 0 && (r.state.Maximum == 0 || r.state.Counts.Present() < r.state.Maximum) {
		a := r.queue[0]
		r.queue = r.queue[1:]
		r.make(a)
	}
}

// discard removes a box. Waiting requests may get its room.
func (r *replay) discard(b *box) {
	if b.ready {
		r.unready(b)
	}
	r.in(b, nil)
	delete(r.boxes, b.ID)
	r.out.Discarded++
	r.serve()
}

// look is one round of the director.
func (r *replay) look() {
	s := r.state
	s.Present, s.Waiting, s.Demand = s.Counts.Present(), len(r.queue), r.gauge.Demand(r.now)
	if surplusOf(r.Policy, r.now, s) {
		s.Idlers = make([]plan.Idler, 0, len(r.ready))
		for _, b := range r.ready {
			s.Idlers = append(s.Idlers, b.Idler)
			if !b.Cold && r.now.Sub(b.Since) >= s.Idle {
				s.Tired++
			}
		}
		slices.SortStableFunc(s.Idlers, func(a, b plan.Idler) int { return a.Since.Compare(b.Since) })
	}
	out := Decide(map[string]Policy{s.Name: r.Policy}, r.Limits, plan.Snapshot{Time: r.now, Sources: []plan.SourceState{s}})[0]
	r.wanted = out.Wanted
	for _, d := range out.Directives {
		b := r.boxes[d.Instance]
		switch d.Verb {
		case plan.VerbTarget:
			r.state.Target = d.Target
		case plan.VerbCreate:
			for range d.Count {
				r.make(nil)
			}
		case plan.VerbDiscard:
			r.discard(b)
		case plan.VerbStop:
			r.unready(b)
			r.in(b, &r.state.Counts.Cleaning)
			r.state.Cold++ // as good as stopped
			r.later(r.Model.Stop, func() {
				r.state.Cold--
				r.shelve(b)
				if b.ready {
					b.Cold = true
					r.state.Cold++
				}
			})
		case plan.VerbStart:
			r.unready(b)
			r.in(b, &r.state.Counts.Cleaning)
			r.later(r.Model.Start, func() { r.shelve(b) })
		}
	}
}

// rowID returns the decimal digits of n, which is above 0.
func rowID(n int) compute.ID {
	var digits [20]byte
	at := len(digits)
	for ; n > 0; n /= 10 {
		at--
		digits[at] = byte('0' + n%10)
	}
	return compute.ID(digits[at:])
}
