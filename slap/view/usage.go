package view

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/slap"
	"github.com/hostler-project/hostler/slap/master"
)

// reports is how many of the newest are shown.
const reports = 100

// Usage is what was reported of the use of a computer, or of one of its partitions.
func (v *View) Usage(ctx context.Context, p auth.Principal, computer, of string) (out api.SlapUsage, err error) {
	who, err := v.who(p, false)
	if err != nil {
		return out, refusal(err)
	}
	if _, err := v.m.View(ctx, who, computer); err != nil { // whether it is his
		return out, hidden(err, "computer", computer)
	}
	all, err := v.m.Usage(ctx, master.Anybody, computer, reports)
	if err != nil {
		return out, refusal(err)
	}
	out = api.SlapUsage{Computer: computer, Of: cmp.Or(of, computer), Series: []api.SlapUsageSeries{}}
	known := map[string]bool{}
	series := map[string]*api.SlapUsageSeries{}
	slices.Reverse(all)
	for _, report := range all {
		transactions, err := slap.ParseUsage(report.Report)
		if err != nil {
			continue // it was of the format when it came
		}
		sums := map[string]float64{}
		for _, t := range transactions {
			for _, m := range t.Movements {
				about := cmp.Or(m.Reference, t.Reference, computer)
				quantity, err := strconv.ParseFloat(strings.TrimSpace(m.Quantity), 64)
				if err != nil || quantity-quantity != 0 { // no number, or none that JSON has
					continue
				}
				if known[about] = true; about != out.Of {
					continue
				}
				sums[m.Resource] += quantity
				if series[m.Resource] == nil {
					series[m.Resource] = &api.SlapUsageSeries{Resource: m.Resource}
				}
				series[m.Resource].Title = cmp.Or(m.Title, series[m.Resource].Title)
			}
		}
		for resource, quantity := range sums {
			series[resource].Points = append(series[resource].Points, api.SlapUsagePoint{Time: report.At, Quantity: quantity})
		}
	}
	out.Known = append([]string{}, slices.Sorted(maps.Keys(known))...)
	for _, resource := range slices.Sorted(maps.Keys(series)) {
		out.Series = append(out.Series, *series[resource])
	}
	return out, nil
}
