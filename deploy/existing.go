package deploy

import (
	"cmp"
	"context"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Existing is a node that is there, or another lease that can be called one, with the instance
// under it.
type Existing struct {
	Lease    compute.Lease
	Instance compute.Instance
}

// Made reports whether deploy made it.
func (n Existing) Made() bool { return n.Lease.Labels[Label] != "" }

// Name returns the name to show.
func (n Existing) Name() string { return cmp.Or(n.Lease.Name, string(n.Lease.Instance)) }

// Addresses are what is known of where it is.
func (n Existing) Addresses() (public, private []string) { return Addresses(n.Instance.Address) }

// List returns the leases of the owner, or of all users for "", sorted by name. Instances behind
// those of pools are left out.
func List(ctx context.Context, b inventory.Book, owner string) ([]Existing, error) {
	leases, err := b.Leases(ctx, inventory.LeaseQuery{Owner: owner})
	if err != nil {
		return nil, err
	}
	instances, err := b.Instances(ctx, inventory.InstanceQuery{})
	if err != nil {
		return nil, err
	}
	by := map[compute.ID]compute.Instance{}
	for _, i := range instances {
		by[i.ID] = i
	}
	var out []Existing
	for _, l := range leases {
		if l.Pool != "" {
			continue
		}
		n := Existing{l, by[l.Instance]}
		for i := n.Instance; i.Child != ""; { // the facts of the real instance
			i = by[i.Child]
			n.Instance.Address, n.Instance.ProviderID = cmp.Or(n.Instance.Address, i.Address), cmp.Or(n.Instance.ProviderID, i.ProviderID)
			if n.Instance.Facts == nil {
				n.Instance.Facts = i.Facts
			}
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(x, y Existing) int {
		return cmp.Or(cmp.Compare(x.Name(), y.Name()), cmp.Compare(x.Lease.ID, y.Lease.ID))
	})
	return out, nil
}
