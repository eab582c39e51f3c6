package postgres

import (
	"bytes"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

// memory is a handle's copy of the database, true while the turn has this version. A transaction
// changes it as it goes, so a rollback drops it. It is the leader's.
type memory struct {
	valid   bool
	version int64
	last    numbers

	sources   []*store.SourceRecord    // with their counts, by name, older definitions first
	listed    bool                     // sources were read
	queue     []*inventory.Waiter      // in order
	queued    bool                     // queue was read
	held      record.Held              // what leases count
	instances map[compute.ID]*instance // nil: there is none of this name
	rows      map[int64]*instance
	// those that live and have all of an instance, by that; nil: there is none
	leases map[compute.ID]*lease
	lives  map[string]*lease // those that live, by their ids
	ready  map[int64]*window // by source
	drawn  []int64           // sources that were drawn from lately, a few
	glance int               // how many ready ones are read at once
	parts  bool              // leases have parts of instances
}

// numbers are the last that were given, of each kind.
type numbers struct{ instance, lease, waiter, event int64 }

// instance is a record as it stands, and its detail as it is written there.
type instance struct {
	compute.Instance
	detail string
}

type lease struct {
	compute.Lease

	// of the request that it is given to, while it is new; "": of one without a key
	mark       string
	nth, giver int64
}

// window is the beginning of a source's ready instances: all of them with rows up to a bound.
type window struct {
	rows []int64
	upto int64
}

// forget drops everything but the numbers, at a version.
func (m *memory) forget(version int64, last numbers) {
	*m = memory{drawn: m.drawn, valid: true, version: version, last: last, instances: map[compute.ID]*instance{},
		rows:   map[int64]*instance{},
		leases: map[compute.ID]*lease{}, lives: map[string]*lease{}, ready: map[int64]*window{}, glance: 8}
}

// most is how many records are remembered; then it begins anew.
const most = 20_000

func (m *memory) full() bool { return len(m.instances)+max(len(m.leases), len(m.lives)) > most }

// know notes a record as it stands.
func (m *memory) know(i *instance) {
	m.instances[i.ID], m.rows[i.Row] = i, i
}

// lose notes that a record is no more.
func (m *memory) lose(i *instance) {
	m.instances[i.ID] = nil
	delete(m.rows, i.Row)
	m.leave(i)
}

// drop forgets an instance and its leases.
func (m *memory) drop(id compute.ID) {
	if i := m.instances[id]; i != nil {
		delete(m.rows, i.Row)
	}
	delete(m.instances, id)
	if l := m.leases[id]; l != nil {
		delete(m.lives, l.ID)
	}
	delete(m.leases, id)
	if m.parts {
		maps.DeleteFunc(m.lives, func(_ string, l *lease) bool { return l.Instance == id })
	}
}

// lend notes a lease as it stands.
func (m *memory) lend(l *lease) {
	whole := l.Share == nil
	m.parts = m.parts || !whole
	if l.Ended.IsZero() {
		m.lives[l.ID] = l
		if whole {
			m.leases[l.Instance] = l
		}
	} else if m.lives[l.ID] == l {
		if whole {
			m.leases[l.Instance] = nil
		}
		delete(m.lives, l.ID)
	}
}

// enter notes that an instance is ready now.
func (m *memory) enter(i *instance) {
	if w := m.ready[i.SourceKey]; w != nil && i.Row <= w.upto {
		if n, found := slices.BinarySearch(w.rows, i.Row); !found {
			w.rows = slices.Insert(w.rows, n, i.Row)
		}
	}
}

// leave notes that an instance is not ready any more.
func (m *memory) leave(i *instance) {
	if w := m.ready[i.SourceKey]; w != nil {
		if n, found := slices.BinarySearch(w.rows, i.Row); found {
			w.rows = slices.Delete(w.rows, n, n+1)
		}
	}
}

// source finds a record.
func (m *memory) source(is func(*store.SourceRecord) bool) *store.SourceRecord {
	for _, r := range m.sources {
		if is(r) {
			return r
		}
	}
	return nil
}

// own returns a copy that is its caller's.
func own(r *store.SourceRecord) *store.SourceRecord {
	c := *r
	c.Definition = bytes.Clone(r.Definition)
	return &c
}

func (i *instance) own() *compute.Instance {
	c := i.Instance
	c.Facts = maps.Clone(c.Facts)
	return &c
}

func (l *lease) own() *compute.Lease {
	c := l.Lease
	c.Labels = maps.Clone(c.Labels)
	return &c
}
