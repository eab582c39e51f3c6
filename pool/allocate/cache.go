package allocate

import (
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// fromCache takes ready instances, those of the present make first.
func (d *allocation) fromCache(
	s *Source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease,
) (units []*Grant, err error) {
	if m, ok := d.view.Newest(s); ok {
		small := d.tooSmall
		d.of = &m
		units, err = d.picked(s, r, n, lend)
		d.of, d.tooSmall = nil, small // all are looked at again
		if err != nil || len(units) == n {
			return units, err
		}
	}
	more, err := d.picked(s, r, n-len(units), lend)
	return append(units, more...), err
}

// pick reads up to n ready instances of a source, the oldest first, or only those of d.of if it is
// set.
func (d *allocation) pick(key int64, n int) ([]*compute.Instance, error) {
	if d.of == nil {
		return d.plan.Pick(key, n)
	}
	is, err := d.plan.Instances(inventory.InstanceQuery{
		SourceKey: key, States: []compute.State{compute.Ready}, After: max(0, d.of.First-newerRows-1),
		Limit: n + 2*newerRows,
	})
	if err != nil {
		return nil, err
	}
	var out []*compute.Instance
	for _, i := range is {
		if i.Facts[provider.FactTemplate] == d.of.Template && len(out) < n {
			out = append(out, i)
		}
	}
	return out, nil
}

// picked takes ready instances. Those too old or too often used go.
func (d *allocation) picked(s *Source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease) ([]*Grant, error) {
	var units []*Grant
	lacking := map[compute.ID]bool{}
	defer func() { d.tooSmall += len(lacking) }()
	small := 0 // of those picked last; they stay where they are
	// cold ones are left as long as there are warm ones; cold counts those picked last
	warm, cold := true, 0
	for len(units) < n {
		// twice, as there may be many of them
		picks, err := d.pick(r.Key, n-len(units)+2*small+cold)
		if err == nil && len(picks) <= small+cold && cold > 0 {
			warm, small, cold = false, 0, 0
			continue
		}
		if err != nil || len(picks) <= small+cold {
			return units, err
		}
		small, cold = 0, 0
		for _, i := range picks {
			if len(units) == n {
				break
			}
			if i.Cold && warm {
				d.view.pass(s, i.ID, "it is stopped, and running ones go first")
				cold++
				continue
			}
			if lacks, err := lackedBy(d.plan, d.asks.Amount(), i); err != nil {
				return nil, err
			} else if kept, err := d.claims.reservedFor(d.known, i); err != nil {
				return nil, err
			} else if dear, err := d.known.tooExpensive(i, d.asks.Price); err != nil {
				return nil, err
			} else if hidden, err := d.hidden(s, i); err != nil {
				return nil, err
			} else if lacks || kept || dear || hidden {
				small++
				d.view.pass(s, i.ID, whyNot(i, lacks, kept, dear))
				if lacks {
					lacking[i.ID] = true
				}
				continue
			}
			if why, err := Expired(d.plan, d.view.ByName, s, i, d.view.Now); err != nil {
				return nil, err
			} else if why != "" {
				d.expired = append(d.expired, i.ID)
				d.view.pass(s, i.ID, why)
				d.plan.discard(i, Because(why))
				continue
			}
			u := &Grant{Source: s, Instance: i, Lease: lend(i), Waited: d.waited, Verify: d.looked(i) || Unreachable(r)}
			d.changed = true
			d.plan.hand(u, d.pending || u.Verify)
			units = append(units, u)
		}
	}
	return units, nil
}

// hidden reports whether a ready instance is elsewhere, or is a pool's over a source that cannot be
// reached now.
func (d *allocation) hidden(s *Source, i *compute.Instance) (bool, error) {
	if d.passOver(i) {
		return true, nil
	}
	if s.Type != PoolType {
		return false, nil
	}
	some := false
	for _, c := range s.All() {
		r, err := d.known.record(c)
		if err != nil {
			return false, err
		}
		some = some || UnreachableNow(r, d.view.Now)
	}
	if !some {
		return false, nil
	}
	chain, err := ChainOf(d.plan, i.Child)
	if err != nil || len(chain) == 0 {
		return false, err
	}
	r, err := d.plan.SourceByKey(chain[len(chain)-1].SourceKey)
	return err == nil && UnreachableNow(r, d.view.Now), err
}

// existing hands out a machine that needs no making or set-up, or returns nil: then it is made as
// others are.
func (d *allocation) existing(s *Source, i *compute.Instance, lend func(*compute.Instance) *compute.Lease) *Grant {
	o := d.view.Provider(i.SourceKey)
	if o == nil || o.Lookup == nil || s.Has("provision") || d.asks.Amount() != (compute.Resources{}) || d.asks.Chosen() {
		return nil
	}
	known, ok := o.Lookup(i.ID)
	if !ok {
		return nil
	}
	i.ProviderID, i.Address, i.Facts, i.ReadyAt = known.ProviderID, known.Address, known.Facts, d.view.Now
	u := &Grant{Source: s, Instance: i, Lease: lend(i), Waited: d.waited, Verify: d.req.Hooked}
	d.plan.stand(u, d.pending || u.Verify)
	return u
}

// passOver reports whether a ready instance is elsewhere, as far as was found lately. A request
// that gets none is told why.
func (d *allocation) passOver(i *compute.Instance) bool {
	// a clock may have been set back
	if !i.Retry.After(d.view.Now) || i.Retry.Sub(d.view.Now) > ElsewherePause {
		return false
	}
	if !d.passedOver {
		d.passedOver = true
		d.known.paused = append(d.known.paused, &compute.Error{ID: i.ID, Kind: compute.ErrUnavailable, Err: errors.New(i.Reason)})
	}
	return true
}

// newerRows is how far before the first ready one rows of the same make may begin: instances are
// made concurrently.
const newerRows = 64
