package allocate

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// patience is how many later requests may go before the one that has waited longest for something.
// After them it is next. So an eighth of what comes free goes by time alone, whatever the
// priorities and projects, and each request is served at last. More would let low priorities starve
// for longer; less would make people wait behind batch work.
const patience = 7

// projectShare is what a project has and may have, compared with others.
type projectShare struct {
	held   float64 // cores of its living leases; one for a lease of unknown cores
	weight float64 // above 0
}

// capacityOf is what leases count between projects: their cores, or their number if that is more.
func capacityOf(c compute.Capacity) float64 { return max(c.Cores, float64(c.Count)) }

// asks returns what a request will count between projects.
func asks(w *inventory.Waiter) float64 { return float64(w.Count) * max(1, w.Cores) }

// order sorts requests by their turn:
//
//  1. a request that has waited longest for something, and was passed as often as patience allows;
//     the oldest of them first;
//  2. the highest priority;
//  3. of the projects with requests of that priority, the one that has least for its weight,
//     requests before it counted;
//  4. the first that came.
//
// It is one order for all sources. So of several requests that block each other there is always a
// first. It has no clock and changes nothing.
func order(ws []*inventory.Waiter, claims func(project string) projectShare) []*inventory.Waiter {
	ws = slices.Clone(ws)
	slices.SortFunc(ws, func(a, b *inventory.Waiter) int { return cmp.Compare(a.ID, b.ID) })
	due := passedOver(ws)
	// by priority and project, in the order of their coming
	lines := map[int]map[string][]*inventory.Waiter{}
	out := make([]*inventory.Waiter, 0, len(ws))
	var priorities []int
	known := map[string]*projectShare{}
	serve := func(w *inventory.Waiter) {
		out = append(out, w)
		known[w.Project].held += asks(w)
	}
	for _, w := range ws {
		if known[w.Project] == nil {
			known[w.Project] = &projectShare{weight: 1}
		}
	}
	if len(known) > 1 {
		for name, k := range known {
			if *k = claims(name); k.weight <= 0 {
				k.weight = 1
			}
		}
	}
	for _, w := range ws {
		if due[w.ID] {
			serve(w)
			continue
		}
		if lines[w.Priority] == nil {
			lines[w.Priority] = map[string][]*inventory.Waiter{}
			priorities = append(priorities, w.Priority)
		}
		lines[w.Priority][w.Project] = append(lines[w.Priority][w.Project], w)
	}
	slices.Sort(priorities)
	for _, p := range slices.Backward(priorities) {
		for projects := lines[p]; len(projects) > 0; {
			var next *inventory.Waiter
			for name, line := range projects {
				if next == nil {
					next = line[0]
					continue
				}
				a, b := known[name], known[next.Project]
				if c := cmp.Compare(a.held/a.weight, b.held/b.weight); c < 0 || c == 0 && line[0].ID < next.ID {
					next = line[0]
				}
			}
			serve(next)
			if projects[next.Project] = projects[next.Project][1:]; len(projects[next.Project]) == 0 {
				delete(projects, next.Project)
			}
		}
	}
	return out
}

// passedOver returns, of requests in the order of their coming, those that have waited longest for
// something and were passed often enough.
func passedOver(ws []*inventory.Waiter) map[int64]bool {
	due, seen := map[int64]bool{}, map[int64]bool{}
	for _, w := range ws {
		for _, key := range w.Wants {
			if !seen[key] && w.Passed >= patience {
				due[w.ID] = true
			}
			seen[key] = true
		}
	}
	return due
}

// passedBy returns the requests that are passed when one of an order is served. Such a request has
// waited longest of all for a source that the served one wants, and stands behind it.
func passedBy(ordered []*inventory.Waiter, served int64) (out []*inventory.Waiter) {
	at := slices.IndexFunc(ordered, func(w *inventory.Waiter) bool { return w.ID == served })
	if at < 0 {
		return nil
	}
	for _, key := range ordered[at].Wants {
		var oldest *inventory.Waiter
		for _, w := range ordered {
			if slices.Contains(w.Wants, key) && (oldest == nil || w.ID < oldest.ID) {
				oldest = w
			}
		}
		if oldest.ID < served && !slices.Contains(out, oldest) && slices.Index(ordered, oldest) > at {
			out = append(out, oldest)
		}
	}
	return out
}
