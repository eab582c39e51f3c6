package sqlite

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// Held sums what living leases count.
func (t *tx) Held(project, owner string) (compute.Capacity, error) {
	m, err := t.memory()
	if err == nil && m.held == nil {
		m.held, err = t.sum()
	}
	if err != nil {
		return compute.Capacity{}, err
	}
	return m.held.Of(project, owner), nil
}

// sum counts what the living leases hold.
func (t *tx) sum() (record.Held, error) {
	ls, err := collect(t, t.scanLease, "SELECT "+leaseColumns+" FROM leases INDEXED BY leases_live WHERE ended = 0")
	if err != nil {
		return nil, err
	}
	h := record.Held{}
	for _, l := range ls {
		h.Add(l, 1)
	}
	return h, nil
}
