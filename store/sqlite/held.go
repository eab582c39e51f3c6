package sqlite

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// held are the sums of what living leases count, by project and user, and with the user "" by project. The writer keeps them in step from one transaction to
// the next, for as long as nobody else writes.
type held struct {
	version int64 // of the data, at which they were true
	sums    map[[2]string]compute.Capacity
}

// add takes in a lease that lives now, or with -1 one that does not any more.
func (h *held) add(l *compute.Lease, sign int) {
	if h == nil || l.Pool != "" || strings.HasPrefix(l.Owner, "pool:") {
		return
	}
	for _, key := range [][2]string{{l.Project, l.Owner}, {l.Project, ""}} {
		sum := h.sums[key]
		if sign > 0 {
			sum = sum.Add(l.Holds)
		} else {
			sum = sum.Less(l.Holds)
		}
		if sum.Count == 0 && sum.Memory == 0 { // what is left are errors of rounding
			delete(h.sums, key)
			continue
		}
		h.sums[key] = sum
	}
}

// Held sums what living leases count.
func (t *tx) Held(project, owner string) (compute.Capacity, error) {
	if t.err != nil {
		return compute.Capacity{}, t.err
	}
	if !t.summed {
		var version int64
		if err := t.row("PRAGMA data_version").Scan(&version); err != nil {
			return compute.Capacity{}, err
		}
		if t.s.held == nil || t.s.held.version != version {
			if err := t.sum(version); err != nil {
				return compute.Capacity{}, err
			}
		}
		t.summed = true
	}
	return t.s.held.sums[[2]string{project, owner}], nil
}

func (t *tx) sum(version int64) error {
	ls, err := collect(t, t.scanLease, "SELECT "+leaseColumns+" FROM leases INDEXED BY leases_live WHERE ended = 0")
	if err != nil {
		return err
	}
	t.s.held = &held{version, map[[2]string]compute.Capacity{}}
	for _, l := range ls {
		t.s.held.add(l, 1)
	}
	return nil
}
