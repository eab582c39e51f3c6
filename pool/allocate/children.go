package allocate

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// fromChildren draws for a pool: in the configured order first what the children have cached, then
// what they can make.
func (d *allocation) fromChildren(s *Source, n int, lend func(*compute.Instance) *compute.Lease) ([]*Grant, error) {
	r := d.known.records[s]
	if n = min(n, d.known.below(s, r)); d.claims.isClaimed(r.Key, d.asks) {
		n = 0
	}
	d.pools = append(d.pools, s.Name)
	defer func() { d.pools = d.pools[:len(d.pools)-1] }()
	var units []*Grant
	for _, cached := range []bool{true, false} {
		for _, c := range s.below {
			want := n - len(units)
			if !cached {
				if a, err := d.available(c); err != nil {
					return nil, err
				} else {
					want = min(want, a)
				}
			}
			got, err := d.take(c, want, cached, func(i *compute.Instance) *compute.Lease {
				return &compute.Lease{ID: d.view.NewID(), Instance: i.ID, Source: c.Name, Owner: poolOwner(s.Name),
					Purpose: "drawn by pool " + s.Name,
					Pool:    poolID(s.Name, i.ID), Given: d.view.Now, Used: d.view.Now}
			})
			if err != nil {
				return nil, err
			}
			for _, child := range got {
				units = append(units, d.overChild(s, r, child, lend))
			}
		}
	}
	return units, nil
}

func poolID(name string, child compute.ID) compute.ID { return compute.ID(name + "-" + string(child)) }

// poolOwner is the owner of a pool's own leases. No user's name has a colon.
func poolOwner(name string) string { return poolPrefix + name }

const poolPrefix = "pool:"

// OwnsAsPool reports whether an owner's name is one that pools have, which no user may.
func OwnsAsPool(owner string) bool { return strings.HasPrefix(owner, poolPrefix) }

// overChild records the pool's instance in front of a child's.
func (d *allocation) overChild(s *Source, r *store.SourceRecord, child *Grant, lend func(*compute.Instance) *compute.Lease) *Grant {
	i := &compute.Instance{ID: poolID(s.Name, child.Instance.ID), Source: s.Name, SourceKey: r.Key, Created: d.view.Now,
		Child: child.Instance.ID, Address: child.Instance.Address}
	u := &Grant{Source: s, Instance: i, Child: child, Waited: d.waited, Fresh: child.Fresh || s.Has("provision")}
	u.Lease = lend(i)
	if u.Fresh {
		i.Worker, i.Wanted, i.Fill = d.view.Worker, u.Lease.ID, u.Lease.Owner == ""
		d.book(u)
		d.plan.create(u)
		return u
	}
	i.Basis, i.ReadyAt = child.Instance.Basis, child.Instance.ReadyAt
	u.Verify = d.req.Hooked || child.Verify
	d.plan.hand(u, d.pending || u.Verify)
	return u
}
