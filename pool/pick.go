package pool

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// fromCache takes ready instances, those of the present make first.
func (d *draw) fromCache(
	s *source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease,
) (units []*unit, err error) {
	if m, ok := d.p.newer(s); ok {
		small := d.small
		d.of = &m
		units, err = d.picked(s, r, n, lend)
		d.of, d.small = nil, small // all are looked at again
		if err != nil || len(units) == n {
			return units, err
		}
	}
	more, err := d.picked(s, r, n-len(units), lend)
	return append(units, more...), err
}

// pick reads up to n ready instances of a source, the oldest first, or only those of d.of if it is
// set.
func (d *draw) pick(key int64, n int) ([]*compute.Instance, error) {
	if d.of == nil {
		return d.tx.Pick(key, n)
	}
	is, err := d.tx.Instances(compute.InstanceQuery{
		SourceKey: key, States: []compute.State{compute.Ready}, After: max(0, d.of.First-newerRows-1),
		Limit: n + 2*newerRows,
	})
	if err != nil {
		return nil, err
	}
	var out []*compute.Instance
	for _, i := range is {
		if i.Facts[compute.FactTemplate] == d.of.Template && len(out) < n {
			out = append(out, i)
		}
	}
	return out, nil
}

// picked takes ready instances. Those too old or too often used go.
func (d *draw) picked(s *source, r *store.SourceRecord, n int, lend func(*compute.Instance) *compute.Lease) ([]*unit, error) {
	var units []*unit
	lacking := map[compute.ID]bool{}
	defer func() { d.small += len(lacking) }()
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
				cold++
				continue
			}
			if lacks, err := d.least.lackedBy(d.tx, i); err != nil {
				return nil, err
			} else if kept, err := d.kept(i); err != nil {
				return nil, err
			} else if dear, err := d.dear(i, d.most); err != nil {
				return nil, err
			} else if hidden, err := d.hidden(s, i); err != nil {
				return nil, err
			} else if lacks || kept || dear || hidden {
				small++
				if lacks {
					lacking[i.ID] = true
				}
				continue
			}
			if why, err := d.p.wornOut(d.tx, s, i, d.now); err != nil {
				return nil, err
			} else if why != "" {
				d.worn = append(d.worn, i.ID)
				if err := d.p.toDiscarding(d.tx, i, because(why)); err != nil {
					return nil, err
				}
				continue
			}
			u := &unit{src: s, inst: i, lease: lend(i), waited: d.waited, look: d.looked(i) || doubted(r)}
			d.wrote = true
			if err := d.p.hand(d.tx, u, d.pending || u.look); err != nil {
				return nil, err
			}
			units = append(units, u)
		}
	}
	return units, nil
}

// hidden reports whether a ready instance is elsewhere, or is a pool's over a source that cannot be
// reached now.
func (d *draw) hidden(s *source, i *compute.Instance) (bool, error) {
	if d.passOver(i) {
		return true, nil
	}
	if s.Type != poolType {
		return false, nil
	}
	some := false
	for _, c := range s.all() {
		r, err := d.record(c)
		if err != nil {
			return false, err
		}
		some = some || away(r, d.now)
	}
	if !some {
		return false, nil
	}
	chain, err := chainOf(d.tx, i.Child)
	if err != nil || len(chain) == 0 {
		return false, err
	}
	r, err := d.tx.SourceByKey(chain[len(chain)-1].SourceKey)
	return err == nil && away(r, d.now), err
}

// standing hands out a machine that needs no making or set-up, or returns nil: then it is made as
// others are.
func (d *draw) standing(s *source, i *compute.Instance, lend func(*compute.Instance) *compute.Lease) (*unit, error) {
	o := d.p.ready(i.SourceKey)
	if o == nil || o.standing == nil || s.has("provision") || d.least != (size{}) || d.choice != (choice{}) {
		return nil, nil
	}
	known, ok := o.standing.Standing(i.ID)
	if !ok {
		return nil, nil
	}
	i.ProviderID, i.Address, i.Facts, i.ReadyAt = known.ProviderID, known.Address, known.Facts, d.now
	basis, err := d.tx.Append(&compute.Event{Time: d.now, Kind: "made", Source: i.Source, Instance: i.ID, Text: "it stands there anyway"})
	if err != nil {
		return nil, err
	}
	i.Basis = basis
	u := &unit{src: s, inst: i, lease: lend(i), waited: d.waited, look: d.hooked}
	return u, d.p.hand(d.tx, u, d.pending || u.look)
}
