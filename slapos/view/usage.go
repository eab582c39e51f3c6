package view

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/slapos/master/usage"
)

// maxKnown is how many names the readers of a report may choose from: a node may report any names.
const maxKnown = 1000

// Usage is the reported use of a computer, or of one of its partitions. It is for the computer's
// owner, and that of a partition also for the owner of the instance there.
func (v *View) Usage(ctx context.Context, p auth.Principal, computer, of string) (out api.SlapUsage, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	out = api.SlapUsage{Computer: computer, Of: cmp.Or(of, computer), Series: []api.SlapUsageSeries{}}
	known := map[string]bool{}
	series := map[string]*api.SlapUsageSeries{}
	err = v.m.Usage.Sums(ctx, who, computer, of, func(u usage.Sum) {
		if len(known) < maxKnown {
			known[u.About] = true
		}
		if u.About != out.Of {
			return
		}
		s := series[u.Resource]
		if s == nil {
			s = &api.SlapUsageSeries{Resource: u.Resource}
			series[u.Resource] = s
		}
		s.Title = cmp.Or(s.Title, u.Title) // the newest
		s.Points = append(s.Points, api.SlapUsagePoint{Time: u.At, Quantity: u.Quantity})
	})
	if err != nil {
		return out, notFoundFor(err, "computer", computer)
	}
	out.Known = append([]string{}, slices.Sorted(maps.Keys(known))...)
	for _, resource := range slices.Sorted(maps.Keys(series)) {
		slices.Reverse(series[resource].Points)
		out.Series = append(out.Series, *series[resource])
	}
	return out, nil
}
