package imagecache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/store"
)

// limits are the limiters of a loop.
type limits struct {
	Cache     loop.Limiter `json:"cache"`
	Eject     loop.Limiter `json:"eject"`
	Rebalance loop.Limiter `json:"rebalance"`
}

// newLimits returns the limits of options, with nothing spent.
func newLimits(opt *Options, now time.Time) limits {
	limiter := func(r loop.Rate) loop.Limiter {
		return *loop.NewLimiter(loop.Rate{N: r.N, Period: cmp.Or(r.Period, usualPeriod)}, now)
	}
	return limits{limiter(opt.CacheRate), limiter(opt.EjectRate), limiter(opt.RebalanceRate)}
}

// limited grants directives by the limits, and by a person's permission to eject more. All
// processes on the store spend them together. Grants are recorded before they are used, so a
// process that dies in between has spent them. A dry run spends nothing. grant is called again when
// the transaction is repeated.
func (r *round) limited(ctx context.Context, grant func(l *limits, leave *int)) error {
	l, leave := r.limits, r.state.confirmed.ejectAllowance(r.now)
	if leave == 0 && l.Cache.Unlimited() && l.Eject.Unlimited() && l.Rebalance.Unlimited() {
		grant(&l, &leave)
		return nil
	}
	if r.opt.DryRun {
		err := r.book.view(ctx, func(tx store.Tx) error {
			_, err := store.ReadNote(tx, limitsNote, &l)
			return err
		})
		grant(&l, &leave)
		return err
	}
	return r.book.update(ctx, func(tx store.Tx) error {
		l := r.limits
		if _, err := store.ReadNote(tx, limitsNote, &l); err != nil {
			return err
		}
		var c Confirmation
		if _, err := store.ReadNote(tx, confirmedNote, &c); err != nil {
			return err
		}
		leave := c.ejectAllowance(r.now)
		before, had := l, leave
		grant(&l, &leave)
		if leave != had {
			c.Ejections = leave
			if err := store.WriteNote(tx, confirmedNote, c); err != nil {
				return err
			}
		}
		if l == before {
			return nil
		}
		return store.WriteNote(tx, limitsNote, &l)
	})
}

// limit marks the directives that may not go now. They share something with too many others, are
// held back by a guard, or are beyond the rates. The kind that a rate limits goes first; if both or
// neither are limited, ejections go first.
func (r *round) limit(ctx context.Context, all []NodeAction) (out []NodeAction, err error) {
	r.limitTogether(all)
	err = r.limited(ctx, func(l *limits, leave *int) { out = r.rated(slices.Clone(all), l, leave) })
	return out, err
}

// rated limits by guards and rates. leave is how many more ejections a person permits; rated
// subtracts those it uses.
func (r *round) rated(all []NodeAction, l *limits, leave *int) []NodeAction {
	r.report.Held = ""
	count := func(which func(*NodeAction) bool) (n int) {
		for i := range all {
			if all[i].Result == "" && which(&all[i]) {
				n++
			}
		}
		return n
	}
	even := func(d *NodeAction) bool { return d.even }
	cache := func(d *NodeAction) bool { return d.Do == Cache }
	eject := func(d *NodeAction) bool { return d.Do == Eject }
	guarded := func(d *NodeAction) bool { return d.Do == Eject && !d.mend }
	hold(all, even, l.Rebalance.Grant(count(even), r.now), limited, "the rate of ejections that even things out is reached")
	ejects := count(guarded)
	offered := ejects
	if n := r.opt.EjectRate.N; n > 0 {
		offered = min(offered, n)
	}
	why := tooMany(r.fleet, offered, r.opt.MaxEjectFraction)
	if rest := ejects - *leave; why != "" && rest > 0 {
		r.report.Held = why
		if last := r.Last(); last == nil || last.Held != why {
			r.opt.Log.Error(
				"ejections are held back", "err", why, "hint",
				fmt.Sprintf("where it is meant: hostler director confirm --eject %d", rest),
			)
		}
		hold(all, guarded, *leave, Held, why)
	}
	hold(all, cache, l.Cache.Grant(count(cache), r.now), limited, "the rate of writing images is reached")
	hold(all, eject, l.Eject.Grant(count(eject), r.now), limited, "the rate of ejecting is reached")
	if why != "" {
		*leave = max(0, *leave-count(guarded))
	}
	if r.opt.CacheRate.N > 0 && r.opt.EjectRate.N == 0 {
		slices.SortStableFunc(all, func(a, b NodeAction) int { return cmp.Compare(a.Do, b.Do) })
	}
	return all
}

// hold marks directives of which reports true with a result and a reason, but not the first
// granted.
func hold(all []NodeAction, which func(*NodeAction) bool, granted int, result, why string) {
	for i := range all {
		d := &all[i]
		if d.Result != "" || !which(d) {
			continue
		}
		if granted > 0 {
			granted--
			continue
		}
		d.Result, d.Error = result, why
	}
}

// limitTogether holds back directives if too many others share their node's BMC, rack or conductor.
func (r *round) limitTogether(all []NodeAction) {
	things := map[string]*loop.Slots{}
	at := func(n *metal.Node) (of []*loop.Slots) {
		for _, t := range []struct {
			what, name string
			most       int
		}{
			{"conductor", n.Conductor, r.opt.Together.Conductor}, {"rack", n.Rack, r.opt.Together.Rack},
			{"BMC", n.BMC, r.opt.Together.BMC},
		} {
			if t.name == "" {
				continue
			}
			name := t.what + " " + t.name
			if things[name] == nil {
				things[name] = &loop.Slots{Name: name, Most: t.most}
			}
			of = append(of, things[name])
		}
		return of
	}
	for i := range r.fleet.Nodes {
		n := &r.fleet.Nodes[i]
		if f := r.state.flights[n.ID]; n.Writing || f != nil && f.UnderWay() {
			loop.Take(1, at(n)...)
		}
	}
	for i := range all {
		d := &all[i]
		if d.Result != "" {
			continue
		}
		of := at(d.node)
		if k := slices.IndexFunc(of, func(s *loop.Slots) bool { return loop.Room(s) == 0 }); k >= 0 {
			d.Result, d.Error = limited, fmt.Sprintf("%d directives are under way on %s", of[k].Busy, of[k].Name)
			continue
		}
		loop.Take(1, of...)
	}
}
