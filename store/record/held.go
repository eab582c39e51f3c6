package record

import "github.com/hostler-project/hostler/compute"

// Held has the sums of what living leases count, by project and user, and with the user "" by
// project. nil: unknown.
type Held map[[2]string]compute.Capacity

// Add takes in a lease that lives now, or with -1 one that does not any more. A pool's own leases
// do not count.
func (h Held) Add(l *compute.Lease, sign int) {
	if h == nil || l.Pool != "" {
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

// Of is the sum of a project and one of its users; owner "": of all its users.
func (h Held) Of(project, owner string) compute.Capacity { return h[[2]string{project, owner}] }
