package metric

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// most is how many series a family may have: a few hundred sources with some states each.
const most = 10000

// other stands for label values beyond the limit.
const other = "other"

// Registry has the families of a program. It may be used from many goroutines.
type Registry struct {
	scrape sync.Mutex // one at a time, as what is gathered for it stands in the families

	mu       sync.Mutex
	families []*family // by name
	before   []func()
}

// New makes an empty registry.
func New() *Registry { return &Registry{} }

// family is all series of one name.
type family struct {
	name, help, kind string
	labels           []string
	bounds           []float64 // of a histogram

	mu     sync.Mutex
	series map[string]*series // by their label values, joined
}

// series is one set of label values.
type series struct {
	values []string
	sum    float64  // the value, or the sum of what a histogram was told
	counts []uint64 // of a histogram: in each bucket, the last without bound
}

// Counter only grows.
type Counter struct{ f *family }

// Gauge is what there is now.
type Gauge struct{ f *family }

// Histogram is how something spreads.
type Histogram struct{ f *family }

// Counter adds a family. It panics if the name is taken: that is a mistake in the program.
func (r *Registry) Counter(name, help string, labels ...string) Counter {
	return Counter{r.add(&family{name: name, help: help, kind: "counter", labels: labels})}
}

// Gauge adds a family.
func (r *Registry) Gauge(name, help string, labels ...string) Gauge {
	return Gauge{r.add(&family{name: name, help: help, kind: "gauge", labels: labels})}
}

// Histogram adds a family with the upper bounds of its buckets, ascending.
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...string) Histogram {
	return Histogram{r.add(&family{name: name, help: help, kind: "histogram", labels: labels, bounds: bounds})}
}

// Before has f called before each scrape, to set values that are computed only then. It is called
// by one goroutine at a time.
func (r *Registry) Before(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = append(r.before, f)
}

// Names returns the names of all families, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, len(r.families))
	for i, f := range r.families {
		out[i] = f.name
	}
	return out
}

// add registers a family. It panics if the name is taken.
func (r *Registry) add(f *family) *family {
	f.series = map[string]*series{}
	// a counter that never counted is 0; a gauge that was never set is not known
	if len(f.labels) == 0 && f.kind != "gauge" {
		f.at(nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i, found := slices.BinarySearchFunc(r.families, f.name, func(f *family, name string) int { return cmp.Compare(f.name, name) })
	if found {
		panic("metric: there are two families " + f.name)
	}
	r.families = slices.Insert(r.families, i, f)
	return f
}

// at finds or makes a series. The caller holds mu, or is the only one.
func (f *family) at(values []string) *series {
	if len(values) != len(f.labels) {
		panic("metric: " + f.name + " has the labels " + strings.Join(f.labels, ", "))
	}
	var room [128]byte
	key := room[:0]
	for n, v := range values {
		if n > 0 {
			key = append(key, 0xff)
		}
		key = append(key, v...)
	}
	s := f.series[string(key)]
	if s == nil {
		if len(f.series) >= most && (len(values) == 0 || values[0] != other) {
			return f.at(slices.Repeat([]string{other}, len(values)))
		}
		s = &series{values: slices.Clone(values)}
		if f.kind == "histogram" {
			s.counts = make([]uint64, len(f.bounds)+1)
		}
		f.series[string(key)] = s
	}
	return s
}

// Add adds n, which is not negative.
func (c Counter) Add(n float64, values ...string) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if s := c.f.at(values); n > 0 {
		s.sum += n
	}
}

// Set sets the value.
func (g Gauge) Set(v float64, values ...string) {
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	g.f.at(values).sum = v
}

// Add adds to the value.
func (g Gauge) Add(n float64, values ...string) {
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	g.f.at(values).sum += n
}

// Reset removes all values, before they are set anew.
func (g Gauge) Reset() {
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	clear(g.f.series)
}

// Observe notes one value.
func (h Histogram) Observe(v float64, values ...string) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	s := h.f.at(values)
	i, _ := slices.BinarySearch(h.f.bounds, v)
	s.counts[i]++
	if !math.IsNaN(v) {
		s.sum += v
	}
}

// sorted are a family's series in the order of their label values. The caller holds mu.
func (f *family) sorted() []*series {
	return slices.SortedFunc(maps.Values(f.series), func(a, b *series) int { return slices.Compare(a.values, b.values) })
}
