package journal

import (
	"cmp"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

const (
	// how many of the newest events are read at once: some milliseconds' work, also after a time in
	// which no request waited
	throughputEvents = 2000
	throughputLast   = 100 // how many durations count, as with a gauge
)

// Throughput is how fast sources come free and are made, by the journal. The zero value has read
// nothing.
type Throughput struct {
	mu      sync.Mutex
	read    bool
	last    int64
	sources map[string]*sourceThroughput
}

// sourceThroughput is the throughput of one source.
type sourceThroughput struct {
	held  []time.Duration // durations of the last ended leases
	next  int
	total time.Duration        // of held
	out   map[compute.ID]int64 // when leases that still last were given, in microseconds since base
	given int64                // the sum of out
	base  int64                // in microseconds since 1970
	made  time.Duration        // the last creation; 0: not known
}

// Query returns the query for the events that were not read yet.
func (pc *Throughput) Query() inventory.EventQuery {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	return inventory.EventQuery{After: pc.last, Newest: throughputEvents}
}

func (pc *Throughput) of(source string) *sourceThroughput {
	t := pc.sources[source]
	if t == nil {
		t = &sourceThroughput{out: map[compute.ID]int64{}}
		pc.sources[source] = t
	}
	return t
}

// Read reads events, in their order. It passes over those that were read before.
func (pc *Throughput) Read(events []*compute.Event) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.read = true
	if pc.sources == nil {
		pc.sources = map[string]*sourceThroughput{}
	}
	// events are missing: which of these leases have ended is not known
	if len(events) >= throughputEvents && events[0].ID > pc.last+1 {
		for _, t := range pc.sources {
			t.out, t.given = map[compute.ID]int64{}, 0
		}
	}
	for _, e := range events {
		if e.ID <= pc.last {
			continue
		}
		pc.last = e.ID
		t := pc.of(e.Source)
		switch e.Kind {
		case string(compute.Leased):
			t.began(e.Instance, e.Time)
		case "released", "gone", string(compute.Held):
			if at, ok := t.out[e.Instance]; ok {
				t.ended(time.Duration(e.Time.UnixMicro()-t.base-at) * time.Microsecond)
				t.given -= at
				delete(t.out, e.Instance)
			}
		case "made":
			var sum time.Duration
			for _, phase := range []string{"create", "connect", "set_up"} {
				d, _ := time.ParseDuration(cmp.Or(e.Data[phase], "0"))
				sum += d
			}
			t.made = cmp.Or(sum, t.made)
		}
	}
}

func (t *sourceThroughput) began(id compute.ID, at time.Time) {
	if t.base == 0 {
		t.base = at.UnixMicro()
	}
	since := at.UnixMicro() - t.base
	t.given += since - t.out[id]
	t.out[id] = since
}

// ended counts a lease that lasted for d. A lease that ended before it began, as the clock was set
// back meanwhile, counts as 0.
func (t *sourceThroughput) ended(d time.Duration) {
	d = max(0, d)
	t.total += d
	if len(t.held) < throughputLast {
		t.held = append(t.held, d)
		return
	}
	t.total -= t.held[t.next]
	t.held[t.next] = d
	t.next = (t.next + 1) % throughputLast
}

// hold returns the most likely mean duration of a lease: the time that all leases lasted so far
// divided by how many ended. That holds for exponential durations, which those of many users nearly
// are. It counts leases that still last. 0: not known, as none has ended. It costs the same however
// many there are, as it is called for each waiting request.
func (t *sourceThroughput) hold(now time.Time) time.Duration {
	if len(t.held) == 0 {
		return 0
	}
	living := float64(len(t.out))*float64(now.UnixMicro()-t.base) - float64(t.given)
	sum := float64(t.total) + max(0, living)*float64(time.Microsecond)
	return time.Duration(sum / float64(len(t.held)))
}

// Durations returns how long leases of a source last and its instances take to be made; 0: not
// known.
func (pc *Throughput) Durations(source string, now time.Time) (lease, making time.Duration) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	t := pc.sources[source]
	if t == nil {
		return 0, 0
	}
	return t.hold(now), t.made
}

// Known reports whether the journal was read.
func (pc *Throughput) Known() bool {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	return pc.read
}
