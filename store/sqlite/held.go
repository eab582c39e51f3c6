package sqlite

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// held has the sums over living leases, by project and user, and with the user "" by project.
type held struct {
	sums map[[2]string]compute.Capacity
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
	m, err := t.memory()
	if err == nil && m.held == nil {
		m.held, err = t.sum()
	}
	if err != nil {
		return compute.Capacity{}, err
	}
	return m.held.sums[[2]string{project, owner}], nil
}

func (t *tx) sum() (*held, error) {
	ls, err := collect(t, t.scanLease, "SELECT "+leaseColumns+" FROM leases INDEXED BY leases_live WHERE ended = 0")
	if err != nil {
		return nil, err
	}
	h := &held{map[[2]string]compute.Capacity{}}
	for _, l := range ls {
		h.add(l, 1)
	}
	return h, nil
}
