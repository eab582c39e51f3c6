package leasecmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// users lists who uses what of the source and those below it. mine is a name of one of these
// instances, if the request's owner has all of them and none is on its way back; else "".
func (w *waiting) users(ctx context.Context) (lines []string, mine string) {
	names := w.leaves(w.req.Source)
	leases, err := w.engine.Leases(ctx, inventory.LeaseQuery{})
	if err != nil {
		return nil, ""
	}
	fronts := map[compute.ID]string{} // the pool's instance in front of it
	for _, l := range leases {
		fronts[l.Instance] = l.Owner
	}
	by, handles := map[string][]string{}, map[string]string{}
	var owners []string
	for _, l := range leases {
		if !slices.Contains(names, l.Source) {
			continue
		}
		owner := l.Owner
		if l.Pool != "" && fronts[l.Pool] != "" {
			owner = fronts[l.Pool]
		}
		if by[owner] == nil {
			owners = append(owners, owner)
			handles[owner] = cmp.Or(string(l.Pool), l.Handle())
		}
		by[owner] = append(by[owner], string(l.Instance))
	}
	slices.Sort(owners)
	for _, o := range owners {
		ids := by[o]
		n, more := len(ids), ""
		if n > namedUsers {
			ids, more = ids[:namedUsers], " ..."
		}
		lines = append(lines, fmt.Sprintf("%d in use by %s (%s%s)", n, term.Line(o), strings.Join(ids, " "), more))
	}
	if len(owners) == 1 && owners[0] == w.req.Owner {
		mine = handles[owners[0]]
	}
	all, err := w.engine.Status(ctx)
	if err != nil {
		return lines, ""
	}
	for _, s := range all {
		if !slices.Contains(names, s.Name) {
			continue
		}
		if n := s.Counts.Cleaning + s.Counts.Discarding; n > 0 {
			lines, mine = append(lines, fmt.Sprintf("%d on the way back", n)), ""
		}
		if s.Counts.Ready > 0 && w.special() {
			lines, mine = append(lines, fmt.Sprintf("%d ready and not what is asked for", s.Counts.Ready)), ""
		}
		if s.Counts.Held > 0 {
			lines = append(lines, fmt.Sprintf("%d held aside", s.Counts.Held))
		}
	}
	return lines, mine
}

// special reports whether the request asks for a certain size, image or location.
func (w *waiting) special() bool {
	r := w.req
	return r.Cores > 0 || r.Memory > 0 || r.Disk > 0 || r.GPUs > 0 || r.Image != "" || r.Flavor != "" ||
		r.Location != "" || len(r.UserData) > 0
}
