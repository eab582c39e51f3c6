package postgres

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// held has the sums over living leases, by project and user, and with the user "" by project. nil:
// unknown.
type held map[[2]string]compute.Capacity

// add takes in a lease that lives now, or with -1 one that does not any more.
func (h held) add(l *compute.Lease, sign int) {
	if h == nil || l.Pool != "" || strings.HasPrefix(l.Owner, "pool:") {
		return
	}
	for _, key := range [][2]string{{l.Project, l.Owner}, {l.Project, ""}} {
		sum := h[key]
		if sign > 0 {
			sum = sum.Add(l.Holds)
		} else {
			sum = sum.Less(l.Holds)
		}
		if sum.Count == 0 && sum.Memory == 0 { // what is left are errors of rounding
			delete(h, key)
			continue
		}
		h[key] = sum
	}
}

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
		t.m.held = held{}
		for _, l := range ls {
			t.m.held.add(&l.Lease, 1)
		}
	}
	return t.m.held[[2]string{project, owner}], nil
}
