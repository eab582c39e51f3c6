package postgres

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store/record"
)

// Held sums what living leases count.
func (t *tx) Held(project, owner string) (compute.Capacity, error) {
	if err := t.ready(); err != nil {
		return compute.Capacity{}, err
	}
	if t.m.held == nil {
		var ls []*lease
		if err := t.ask(collect(&ls, scanLease, "SELECT "+leaseColumns+" FROM leases WHERE ended = 0")); err != nil {
			return compute.Capacity{}, err
		}
		t.m.held = record.Held{}
		for _, l := range ls {
			t.m.held.Add(&l.Lease, 1)
		}
	}
	return t.m.held.Of(project, owner), nil
}
