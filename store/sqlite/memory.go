package sqlite

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/record"
)

// memory is what a session knows of the state without asking. It is kept from one transaction to
// the next while no other process writes. The session's own writes keep it in step; a rollback
// drops it.
type memory struct {
	version int64                 // of the data, at which it was true
	held    record.Held           // nil: not known
	waiting *waiting              // nil: not known
	last    int64                 // the newest event's id; 0: not known
	sources []*store.SourceRecord // with their counts kept in step
	named   map[string]bool       // of these names all are there

	instances map[int64]*instanceRow
	rows      map[compute.ID]int64
	leases    map[string]*leaseRow // those that live, by id
}

// remembered is how many instances, and how many leases, are kept; beyond that a transaction begins
// anew.
const remembered = 4096

// memory is the session's, if it is true; else a new one.
func (t *tx) memory() (*memory, error) {
	if t.err != nil {
		return nil, t.err
	}
	if t.sure && t.s.memory != nil {
		return t.s.memory, nil
	}
	var version int64
	if err := t.row("PRAGMA data_version").Scan(&version); err != nil {
		return nil, err
	}
	m := t.s.memory
	if m == nil || m.version != version {
		m = &memory{version: version}
		t.s.memory = m
	}
	if len(m.instances) >= remembered {
		m.instances, m.rows = nil, nil
	}
	if len(m.leases) >= remembered {
		m.leases = nil
	}
	t.sure = true
	return m, nil
}

// instanceRow is an instance as it stands in its row.
type instanceRow struct {
	row        int64
	id         compute.ID
	source     string
	sourceKey  int64
	state      compute.State
	since      int64
	generation int64
	uses       int
	worker     int64
	basis      int64
	readyAt    int64
	child      compute.ID
	detail     string
	created    int64
}

// change takes in what may change of an instance.
func (r *instanceRow) change(i *compute.Instance, detail string) {
	r.state, r.since, r.generation, r.uses, r.worker = i.State, record.Nanos(i.Since), i.Generation, i.Uses, i.Worker
	r.basis, r.readyAt, r.detail = i.Basis, record.Nanos(i.ReadyAt), detail
}

// knowInstance notes a row as it stands.
func (m *memory) knowInstance(r *instanceRow) {
	if m.instances == nil {
		m.instances, m.rows = map[int64]*instanceRow{}, map[compute.ID]int64{}
	}
	if m.instances[r.row] == nil && len(m.instances) >= remembered {
		return
	}
	m.instances[r.row], m.rows[r.id] = r, r.row
}

func (m *memory) forgetInstance(r *instanceRow) {
	delete(m.instances, r.row)
	delete(m.rows, r.id)
}

// leaseRow is a lease as it stands in its row.
type leaseRow struct {
	row        int64
	id         string
	name       string
	instance   compute.ID
	owner      string
	generation int64
	given      int64
	used       int64
	expires    int64
	ended      int64
	why        string
	pid        int
	worker     int64
	project    string
	detail     string
}

// change takes in what may change of a lease.
func (r *leaseRow) change(l *compute.Lease, detail string) {
	r.used, r.expires, r.ended = record.Nanos(l.Used), record.Nanos(l.Expires), record.Nanos(l.Ended)
	r.why, r.worker, r.detail = l.Why, l.Worker, detail
}

// knowLease notes a row as it stands.
func (m *memory) knowLease(r *leaseRow) {
	if r.ended != 0 {
		delete(m.leases, r.id)
		return
	}
	if m.leases == nil {
		m.leases = map[string]*leaseRow{}
	}
	if m.leases[r.id] == nil && len(m.leases) >= remembered {
		return
	}
	m.leases[r.id] = r
}
