package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// read is something that a decision asked, with the answer.
type read struct {
	Ask     string          `json:"ask"`
	Of      json.RawMessage `json:"of,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Missing string          `json:"missing,omitempty"` // the text of an ErrNotFound
	Failed  string          `json:"failed,omitempty"`  // the text of another error
}

func (r *read) key() string { return r.Ask + " " + string(r.Of) }

// tape has what a decision reads, in order. One that plays answers from it.
type tape struct {
	order []*read
	err   error // of the first read that could not be recorded

	plays   bool
	answers map[string][]*read
	unknown string // the first question that it has no answer for
}

// ask records a question and its answer, or returns the recorded one. A question that is asked more
// often than it was gets the last answer again.
func ask[T any](t *tape, what string, of any, from func() (T, error), plain func(T)) (answer T, err error) {
	text, err := json.Marshal(of)
	if err != nil {
		t.err = errors.Join(t.err, err)
		return answer, err
	}
	r := &read{Ask: what, Of: text}
	if t.plays {
		return play[T](t, r)
	}
	answer, err = from()
	switch {
	case errors.Is(err, compute.ErrNotFound):
		r.Missing = fault.Message(err)
	case err != nil:
		r.Failed = fault.Message(err)
	default:
		var e error
		if r.Answer, e = json.Marshal(answer); e == nil && plain != nil {
			var own T // the decision goes on with all of it
			if e = json.Unmarshal(r.Answer, &own); e == nil {
				plain(own)
				r.Answer, e = json.Marshal(own)
			}
		}
		if e != nil && t.err == nil {
			t.err = e
		}
	}
	t.order = append(t.order, r)
	return answer, err
}

func play[T any](t *tape, r *read) (answer T, err error) {
	key := r.key()
	left := t.answers[key]
	if len(left) == 0 {
		if t.unknown == "" {
			t.unknown = key
		}
		return answer, fmt.Errorf("the recording does not have what is asked: %s", key)
	}
	if len(left) > 1 {
		t.answers[key] = left[1:]
	}
	switch r := left[0]; {
	case r.Missing != "":
		return answer, &compute.Error{Kind: compute.ErrNotFound, Err: errors.New(r.Missing)}
	case r.Failed != "":
		return answer, errors.New(r.Failed)
	default:
		return answer, json.Unmarshal(r.Answer, &answer)
	}
}

// tell is ask where there is always an answer.
func tell[T any](t *tape, what string, of any, f func() T) T {
	answer, _ := ask(t, what, of, func() (T, error) { return f(), nil }, nil)
	return answer
}

// reader is an allocate.Reader with a tape. from is nil where that plays.
type reader struct {
	t    *tape
	from allocate.Reader
}

func (r reader) Instance(id compute.ID) (*compute.Instance, error) {
	return ask(r.t, "Instance", id, func() (*compute.Instance, error) { return r.from.Instance(id) }, plainInstance)
}

func (r reader) Instances(q inventory.InstanceQuery) ([]*compute.Instance, error) {
	return ask(r.t, "Instances", q, func() ([]*compute.Instance, error) { return r.from.Instances(q) }, each(plainInstance))
}

func (r reader) Pick(key int64, n int) ([]*compute.Instance, error) {
	return ask(r.t, "Pick", []int64{key, int64(n)},
		func() ([]*compute.Instance, error) { return r.from.Pick(key, n) }, each(plainInstance))
}

func (r reader) Rooms(key int64, least compute.Resources, n int) ([]*compute.Instance, error) {
	return ask(r.t, "Rooms", []any{key, least, n},
		func() ([]*compute.Instance, error) { return r.from.Rooms(key, least, n) }, each(plainInstance))
}

func (r reader) Leases(q inventory.LeaseQuery) ([]*compute.Lease, error) {
	return ask(r.t, "Leases", q, func() ([]*compute.Lease, error) { return r.from.Leases(q) }, each(plainLease))
}

func (r reader) Held(project, owner string) (compute.Capacity, error) {
	return ask(r.t, "Held", []string{project, owner}, func() (compute.Capacity, error) { return r.from.Held(project, owner) }, nil)
}

func (r reader) Waiters() ([]*inventory.Waiter, error) {
	return ask(r.t, "Waiters", nil, func() ([]*inventory.Waiter, error) { return r.from.Waiters() },
		each(func(w *inventory.Waiter) { w.Purpose = "" }))
}

func (r reader) Note(name string) (string, error) {
	return ask(r.t, "Note", name, func() (string, error) { return r.from.Note(name) }, nil)
}

func (r reader) Source(name, digest string) (*store.SourceRecord, error) {
	return ask(r.t, "Source", []string{name, digest},
		func() (*store.SourceRecord, error) { return r.from.Source(name, digest) }, plainRecord)
}

func (r reader) Sources(name string) ([]*store.SourceRecord, error) {
	return ask(r.t, "Sources", name, func() ([]*store.SourceRecord, error) { return r.from.Sources(name) }, each(plainRecord))
}

func (r reader) SourceByKey(key int64) (*store.SourceRecord, error) {
	return ask(r.t, "SourceByKey", key, func() (*store.SourceRecord, error) { return r.from.SourceByKey(key) }, plainRecord)
}

func (r reader) LastNumber(name string) (int64, error) {
	return ask(r.t, "LastNumber", name, func() (int64, error) { return r.from.LastNumber(name) }, nil)
}

func each[T any](plain func(*T)) func([]*T) {
	return func(all []*T) {
		for _, one := range all {
			plain(one)
		}
	}
}

// decisive are the facts of an instance that decisions go by.
var decisive = []string{
	provider.FactTemplate, provider.FactChosen, provider.FactIdentity, provider.FactPrice, "cores", "memory", "disk", "gpus",
}

func plainInstance(i *compute.Instance) {
	i.ProviderID, i.Address = "", ""
	maps.DeleteFunc(i.Facts, func(name, _ string) bool { return !slices.Contains(decisive, name) })
}

func plainLease(l *compute.Lease) { l.Labels, l.Purpose = nil, "" }

func plainRecord(r *store.SourceRecord) { r.Definition = nil }

// surroundings is an allocate.Surroundings with a tape.
type surroundings struct {
	t    *tape
	from allocate.Surroundings
}

func (s surroundings) KeyOf(of *allocate.Source) int64 {
	return tell(s.t, "KeyOf", of.Name, func() int64 { return s.from.KeyOf(of) })
}

// plainProvider is what is recorded of an allocate.Provider.
type plainProvider struct {
	Failed bool     `json:"failed,omitempty"`
	Names  []string `json:"names,omitempty"`
	Prices bool     `json:"prices,omitempty"`
	Lookup bool     `json:"lookup,omitempty"` // it has one
	Fit    bool     `json:"fit,omitempty"`
}

func (s surroundings) Provider(key int64) *allocate.Provider {
	var is *allocate.Provider
	p := tell(s.t, "Provider", key, func() *plainProvider {
		if is = s.from.Provider(key); is == nil {
			return nil
		}
		return &plainProvider{is.Failed, is.Names, is.Prices, is.Lookup != nil, is.Fit != nil}
	})
	if p == nil {
		return nil
	}
	out := &allocate.Provider{Failed: p.Failed, Names: p.Names, Prices: p.Prices}
	known := computers{s.t, key, is}
	if p.Lookup {
		out.Lookup = known.lookup
	}
	if p.Fit {
		out.Fit = known.fit
	}
	return out
}

// computers are what a provider knows of its computers without being asked.
type computers struct {
	t   *tape
	key int64
	is  *allocate.Provider
}

type known struct {
	Instance *compute.Instance `json:"instance,omitempty"`
	OK       bool              `json:"ok"`
}

func (c computers) lookup(id compute.ID) (compute.Instance, bool) {
	k, _ := ask(c.t, "Lookup", []any{c.key, id}, func() (known, error) {
		i, ok := c.is.Lookup(id)
		return known{&i, ok}, nil
	}, func(k known) { plainInstance(k.Instance) })
	if k.Instance == nil {
		return compute.Instance{}, false
	}
	return *k.Instance, k.OK
}

func (c computers) fit(id compute.ID, identity string) bool {
	return tell(c.t, "Fit", []any{c.key, id, identity}, func() bool { return c.is.Fit(id, identity) })
}

type made struct {
	Has   compute.Resources `json:"has"`
	Known bool              `json:"known"`
}

func (s surroundings) MadeLast(key int64) (compute.Resources, bool) {
	m := tell(s.t, "MadeLast", key, func() (m made) { m.Has, m.Known = s.from.MadeLast(key); return m })
	return m.Has, m.Known
}

type newest struct {
	Make allocate.Make `json:"make"`
	OK   bool          `json:"ok"`
}

func (s surroundings) Newest(of *allocate.Source) (allocate.Make, bool) {
	n := tell(s.t, "Newest", of.Name, func() (n newest) { n.Make, n.OK = s.from.Newest(of); return n })
	return n.Make, n.OK
}

func (s surroundings) Project(name string) allocate.Project {
	return tell(s.t, "Project", name, func() allocate.Project { return s.from.Project(name) })
}

func (s surroundings) Waits(w *inventory.Waiter) bool {
	return tell(s.t, "Waits", w.ID, func() bool { return s.from.Waits(w) })
}

type durations struct {
	Lease  time.Duration `json:"lease"`
	Making time.Duration `json:"making"`
}

func (s surroundings) Durations(source string, now time.Time) (lease, making time.Duration) {
	d := tell(s.t, "Durations", source, func() (d durations) { d.Lease, d.Making = s.from.Durations(source, now); return d })
	return d.Lease, d.Making
}
