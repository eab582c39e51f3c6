package inventory

import (
	"context"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Queries are the numbers that Sum knows.
var Queries = []string{"available", "cached", "in-use", "max"}

// Sum sums up one number over sources; nil means no limit.
func Sum(sources []SourceStatus, query string) *int {
	sum := 0
	for _, s := range sources {
		switch query {
		case "cached":
			sum += s.Counts.Cached()
		case "in-use":
			sum += s.Counts.InUse()
		case "max":
			if s.Maximum == 0 {
				return nil
			}
			sum += s.Maximum
		case "available":
			if s.Available == nil {
				return nil
			}
			sum += *s.Available
		}
	}
	return &sum
}

// InstancesOf returns the instances of sources, sorted by name, and their leases.
func InstancesOf(
	ctx context.Context, b Book, sources []SourceStatus,
) ([]compute.Instance, map[compute.ID][]*compute.Lease, error) {
	all, err := b.Instances(ctx, InstanceQuery{})
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(i compute.Instance) bool {
		return !slices.ContainsFunc(sources, func(s SourceStatus) bool { return s.Name == i.Source })
	})
	slices.SortFunc(all, func(a, b compute.Instance) int {
		return strings.Compare(a.Source+"\x00"+string(a.ID), b.Source+"\x00"+string(b.ID))
	})
	leases, err := b.Leases(ctx, LeaseQuery{})
	if err != nil {
		return nil, nil, err
	}
	byInstance := make(map[compute.ID][]*compute.Lease, len(leases))
	for i, l := range leases {
		byInstance[l.Instance] = append(byInstance[l.Instance], &leases[i])
	}
	return all, byInstance, nil
}
