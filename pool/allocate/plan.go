package allocate

import (
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// ChangeKind is what a change does.
type ChangeKind int

const (
	Leave        ChangeKind = iota // a request leaves the queue
	PassOver                       // a request was passed by a later one
	Discard                        // a ready instance is to be discarded
	Create                         // an instance is to be made for a lease
	HandStanding                   // a computer that needs no making is given to a lease
	HandOut                        // a ready instance is given to a lease
	HandPart                       // a part of an instance that is in use is given to a lease
)

// Change is one thing that a decision has the engine do to the store.
type Change struct {
	Kind     ChangeKind
	Waiter   *inventory.Waiter
	Instance *compute.Instance
	Why      Reason
	Grant    *Grant
	Pending  bool // the lease is not told yet: it ends with this worker
	Numbers  int  // how many numbers the new instance's name used up
}

// plan is what a decision changes. It reads the store as it will be after that. Nothing is written
// by it. What it has is not safe for concurrent use.
type plan struct {
	Reader
	changes []Change

	made    []*compute.Instance          // new ones
	states  map[compute.ID]compute.State // of ready ones that are taken
	counts  map[int64]inventory.Counts   // what the changes add, by source key
	numbers map[string]int64             // the last one used, by source name
	used    int                          // numbers since the last new instance
}

func (p *plan) leave(w *inventory.Waiter) {
	p.changes = append(p.changes, Change{Kind: Leave, Waiter: w})
}

func (p *plan) pass(w *inventory.Waiter) {
	p.changes = append(p.changes, Change{Kind: PassOver, Waiter: w})
}

func (p *plan) discard(i *compute.Instance, why Reason) {
	p.moved(i, compute.Discarding)
	p.changes = append(p.changes, Change{Kind: Discard, Instance: i, Why: why})
}

func (p *plan) create(u *Grant) {
	p.added(u.Instance, compute.Creating)
	p.changes = append(p.changes, Change{Kind: Create, Grant: u, Numbers: p.used})
	p.used = 0
}

func (p *plan) stand(u *Grant, pending bool) {
	p.added(u.Instance, compute.Leased)
	p.changes = append(p.changes, Change{Kind: HandStanding, Grant: u, Pending: pending, Numbers: p.used})
	p.used = 0
}

// hand gives a grant's instance to its lease. It is a ready one, or a pool's new one over a ready
// one.
func (p *plan) hand(u *Grant, pending bool) {
	if u.Instance.Row == 0 {
		p.added(u.Instance, compute.Leased)
	} else {
		p.moved(u.Instance, compute.Leased)
	}
	p.changes = append(p.changes, Change{Kind: HandOut, Grant: u, Pending: pending})
}

func (p *plan) handPart(u *Grant, pending bool) {
	p.changes = append(p.changes, Change{Kind: HandPart, Grant: u, Pending: pending})
}

// hands reports whether a grant's lease is given in this plan.
func (p *plan) hands(u *Grant) bool {
	return slices.ContainsFunc(p.changes, func(c Change) bool { return c.Grant == u && c.Kind != Create })
}

// number returns the next number of a source's instances.
func (p *plan) number(source string) (int64, error) {
	n, known := p.numbers[source]
	if !known {
		var err error
		if n, err = p.LastNumber(source); err != nil {
			return 0, err
		}
	}
	if p.numbers == nil {
		p.numbers = map[string]int64{}
	}
	p.numbers[source] = n + 1
	p.used++
	return n + 1, nil
}

func (p *plan) added(i *compute.Instance, s compute.State) {
	p.made = append(p.made, i)
	p.count(i.SourceKey, s, 1)
	if p.states == nil {
		p.states = map[compute.ID]compute.State{}
	}
	p.states[i.ID] = s
}

func (p *plan) moved(i *compute.Instance, to compute.State) {
	p.count(i.SourceKey, compute.Ready, -1)
	p.count(i.SourceKey, to, 1)
	if p.states == nil {
		p.states = map[compute.ID]compute.State{}
	}
	p.states[i.ID] = to
}

func (p *plan) count(key int64, s compute.State, n int) {
	if p.counts == nil {
		p.counts = map[int64]inventory.Counts{}
	}
	c := p.counts[key]
	c.Add(s, n)
	p.counts[key] = c
}

// Instance is the reader's, and knows the new ones.
func (p *plan) Instance(id compute.ID) (*compute.Instance, error) {
	for _, i := range p.made {
		if i.ID == id {
			own := *i
			own.State = p.states[id]
			return &own, nil
		}
	}
	return p.Reader.Instance(id)
}

// Pick is the reader's without those that are taken.
func (p *plan) Pick(key int64, n int) ([]*compute.Instance, error) {
	is, err := p.Reader.Pick(key, n+len(p.states))
	is = slices.DeleteFunc(is, func(i *compute.Instance) bool { return p.states[i.ID] != "" })
	return is[:min(n, len(is))], err
}

// Instances is the reader's with the new states.
func (p *plan) Instances(q inventory.InstanceQuery) ([]*compute.Instance, error) {
	if len(p.states) == 0 {
		return p.Reader.Instances(q)
	}
	wider := q
	if q.Limit > 0 {
		wider.Limit += len(p.states)
	}
	// all that are taken were ready
	if len(q.States) > 0 && !slices.Contains(q.States, compute.Ready) {
		wider.States = append(slices.Clone(q.States), compute.Ready)
	}
	is, err := p.Reader.Instances(wider)
	if err != nil {
		return nil, err
	}
	for _, i := range p.made {
		if (q.SourceKey == 0 || q.SourceKey == i.SourceKey) && (q.Source == "" || q.Source == i.Source) &&
			(q.Child == "" || q.Child == i.Child) {
			own := *i
			is = append(is, &own)
		}
	}
	is = slices.DeleteFunc(is, func(i *compute.Instance) bool {
		if s := p.states[i.ID]; s != "" {
			i.State = s
		}
		return len(q.States) > 0 && !slices.Contains(q.States, i.State)
	})
	if q.Limit > 0 {
		is = is[:min(q.Limit, len(is))]
	}
	return is, nil
}

// Source is the reader's with the new counts.
func (p *plan) Source(name, digest string) (*store.SourceRecord, error) {
	r, err := p.Reader.Source(name, digest)
	return p.counted(r), err
}

// SourceByKey is the reader's with the new counts.
func (p *plan) SourceByKey(key int64) (*store.SourceRecord, error) {
	r, err := p.Reader.SourceByKey(key)
	return p.counted(r), err
}

// Sources is the reader's with the new counts.
func (p *plan) Sources(name string) ([]*store.SourceRecord, error) {
	rs, err := p.Reader.Sources(name)
	for _, r := range rs {
		p.counted(r)
	}
	return rs, err
}

func (p *plan) counted(r *store.SourceRecord) *store.SourceRecord {
	if r != nil {
		r.Counts = r.Counts.Plus(p.counts[r.Key])
	}
	return r
}

// Reason is why an instance is in its state, or why a lease has ended: what the engine goes by, and
// a text for people.
type Reason struct {
	Cause compute.Cause
	Text  string
}

// Because is a reason that the engine does not go by.
func Because(text string) Reason { return Reason{Text: text} }
