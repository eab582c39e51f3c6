package lifecycle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// expire ends leases whose time is over, or whose process or worker is dead, and takes their
// instances back. It returns the instances that then wait for work.
func (p *Background) expire(ctx context.Context, now time.Time) ([]compute.ID, error) {
	if err := p.core.RemoveStaleRequests(ctx); err != nil {
		return nil, err
	}
	now, err := p.clock.InTime(ctx, now)
	if err != nil {
		return nil, err
	}
	any := false
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		any = false
		ls, err := tx.Leases(inventory.LeaseQuery{Due: now})
		for _, l := range ls {
			any = any || p.clock.Over(l, now) != ""
		}
		return err
	})
	if err != nil || !any {
		return nil, err
	}
	var due []compute.ID
	err = p.disposal.WithOpen(ctx, func(tx store.Tx) error {
		due = nil
		ls, err := tx.Leases(inventory.LeaseQuery{Due: now})
		if err != nil {
			return err
		}
		for _, l := range ls {
			why := p.clock.Over(l, now)
			if why == "" {
				continue
			}
			i, err := tx.Instance(l.Instance)
			if err == nil && l.Pool != "" {
				if front, e := tx.Instance(l.Pool); e == nil && front.Child == l.Instance {
					if err := p.leaveTo(tx, front, l, why, &due); err != nil {
						return err
					}
					continue
				} else if !errors.Is(e, compute.ErrNotFound) {
					err = e
				}
			}
			switch {
			case errors.Is(err, compute.ErrNotFound), err == nil && i.State != compute.Leased:
				err = leasing.EndLease(tx, l, allocate.Because(why))
			case err == nil:
				err = p.disposal.GiveBack(tx, []leasing.Taken{{Instance: i, Lease: l}}, allocate.Because(why), false, &due)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.core.Step("expire:recorded")
	p.core.Wake()
	return due, nil
}

// leaveTo leaves an instance that a dead process drew for a pool to the pool's instance in front of
// it. It comes back when that one ends, and not before, as the pool's hooks may have changed it.
func (p *Background) leaveTo(tx store.Tx, front *compute.Instance, l *compute.Lease, why string, due *[]compute.ID) error {
	l.Worker = 0
	if err := tx.SaveLease(l); err != nil {
		return err
	}
	if steps.Of(front.State).Making && !p.core.AtWork(front.Worker, string(front.ID)) {
		return p.disposal.discardLeased(tx, front, compute.Event{Kind: "released"}, allocate.Because(why), due)
	}
	return nil
}

// recover finishes what dead workers left half-made or half-discarded of a source and those below
// it, and work whose time has come.
func (p *Background) recover(ctx context.Context, s *allocate.Source) error {
	var due []compute.ID
	for _, c := range s.All() {
		key := p.core.KeyOf(c)
		if key == 0 {
			continue
		}
		is, _, err := p.due(ctx, key)
		if err != nil {
			return err
		}
		due = append(due, idsOf(is)...)
	}
	return p.disposal.after(ctx, due)
}

// due lists the instances of a source (0: of all) that wait for work that no worker does, and when
// the next one comes due.
func (p *Background) due(ctx context.Context, key int64) (out []*compute.Instance, next time.Time, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		out, next = nil, time.Time{}
		now, err := p.clock.InOrder(tx, time.Now())
		if err != nil {
			return err
		}
		is, err := tx.Instances(inventory.InstanceQuery{SourceKey: key, Busy: true})
		if err != nil {
			return err
		}
		failed, err := tx.Instances(inventory.InstanceQuery{SourceKey: key, States: steps.Idle()})
		if err != nil {
			return err
		}
		failed = slices.DeleteFunc(failed, func(i *compute.Instance) bool {
			return steps.Of(i.State).Undo.When == steps.InTime && i.Retry.IsZero()
		})
		for _, i := range append(is, failed...) {
			switch {
			case p.core.AtWork(i.Worker, string(i.ID)):
			case i.Retry.After(now):
				next = state.Sooner(next, i.Retry)
			default:
				out = append(out, i)
			}
		}
		worn, at, err := p.disposal.surplus(tx, key, now, true)
		if err != nil {
			return err
		}
		old, err := p.disposal.outdated(tx, key)
		out, next = append(append(out, worn...), old...), state.Sooner(next, at)
		return err
	})
	return out, next, err
}

func idsOf(is []*compute.Instance) []compute.ID {
	ids := make([]compute.ID, len(is))
	for n, i := range is {
		ids[n] = i.ID
	}
	return ids
}

// deserted lists the ready instances of sources that are not configured any more.
func (p *Disposal) deserted(tx store.Tx) (out []*compute.Instance, err error) {
	if p.core.Opt.Gone == nil {
		return nil, nil
	}
	recs, err := tx.Sources("")
	if err != nil {
		return nil, err
	}
	return readyOf(tx, recs, p.providers.Removed)
}

// readyOf lists the ready instances of some records of sources.
func readyOf(tx store.Tx, recs []*store.SourceRecord, some func(*store.SourceRecord) bool) (out []*compute.Instance, err error) {
	for _, r := range recs {
		if r.Counts.Ready == 0 || !some(r) {
			continue
		}
		ready, err := tx.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
		if err != nil {
			return nil, err
		}
		out = append(out, ready...)
	}
	return out, nil
}

// outdated lists the ready instances of older definitions of a source (0: of all), and of all
// sources that are not configured any more.
func (p *Disposal) outdated(tx store.Tx, key int64) (out []*compute.Instance, err error) {
	if key == 0 {
		if out, err = p.deserted(tx); err != nil {
			return nil, err
		}
	}
	for _, s := range p.core.Ordered {
		k := p.core.KeyOf(s)
		if k == 0 || key != 0 && k != key {
			continue
		}
		recs, err := tx.Sources(s.Name)
		if err != nil {
			return nil, err
		}
		ready, err := readyOf(tx, recs, p.providers.Redefined)
		if err != nil {
			return nil, err
		}
		out = append(out, ready...)
	}
	return out, nil
}

const (
	// all ready instances of a source that has many are read so often, and not whenever something
	// happens
	manyEvery = 5 * time.Second
)

// surplus lists ready instances that may go. They are worn, or those behind them are; or there are
// more than wanted for longer than their source's idle. None goes for one that is being made and
// may fail. seldom: sources that have many and were looked at a moment ago come later.
func (p *Disposal) surplus(tx store.Tx, key int64, now time.Time, seldom bool) (out []*compute.Instance, next time.Time, err error) {
	for _, s := range p.core.Ordered {
		k := p.core.KeyOf(s)
		if k == 0 || key != 0 && k != key || s.Err != nil || s.Idle == 0 && !s.Ages() {
			continue
		}
		rec, err := tx.SourceByKey(k)
		if err != nil {
			return nil, time.Time{}, err
		}
		if seldom && rec.Counts.Ready > allocate.Many {
			p.core.Mu.Lock()
			at := p.core.At(s).Counted.Add(manyEvery)
			if !at.After(now) {
				p.core.At(s).Counted = now
			}
			p.core.Mu.Unlock()
			if at.After(now) {
				next = state.Sooner(next, at)
				continue
			}
		}
		ready, err := tx.Instances(inventory.InstanceQuery{SourceKey: k, States: []compute.State{compute.Ready}})
		if err != nil {
			return nil, time.Time{}, err
		}
		extra := rec.Counts.Ready + rec.Counts.InUse() - p.records.Keeps(s, rec, rec.Counts.InUse())
		tired := p.idleTooLong(s, rec, ready)
		// of those idle for equally long the youngest go first, as the oldest are handed out first
		slices.Reverse(ready)
		slices.SortStableFunc(ready, func(a, b *compute.Instance) int { return a.Since.Compare(b.Since) })
		for _, i := range ready {
			at, err := p.wornAt(tx, s, i, now)
			if err != nil {
				return nil, time.Time{}, err
			}
			if s.Idle > 0 && extra > 0 && !i.Cold && len(tired) > 0 {
				extra--
				at, tired = state.Sooner(at, tired[0]), tired[1:]
			}
			if at.IsZero() {
				continue
			}
			if at.After(now) {
				next = state.Sooner(next, at)
			} else {
				out = append(out, i)
			}
		}
	}
	return out, next, nil
}

// idleTooLong returns the times at which one more ready instance of a source may go: when so
// many more than its spare ones have been idle for long enough. The number in use at this moment
// says little: the next one may be taken in a second, and would have to be made anew.
func (p *Disposal) idleTooLong(s *allocate.Source, rec *store.SourceRecord, ready []*compute.Instance) (at []time.Time) {
	for _, i := range ready {
		if !i.Cold {
			at = append(at, i.Since.Add(s.Idle))
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	spare := s.Spare
	if rec.Target.Until.After(time.Now()) {
		spare = rec.Target.Spare
	}
	if m := p.records.Maximum(s); m > 0 {
		spare = min(spare, max(0, m-rec.Counts.InUse()))
	}
	return at[min(len(at), spare):]
}

// UnderWay returns what waiting requests need. By record it returns how many instances being made
// belong to a request, and how many cold ones are being stopped.
func (p *Background) UnderWay(tx store.Tx, recs []*store.SourceRecord) (m *allocate.Needs, booked, stirring map[int64]int, err error) {
	booked, stirring = map[int64]int{}, map[int64]int{}
	if m, err = allocate.Demands(p.records.View(tx)); err != nil {
		return nil, nil, nil, err
	}
	for _, r := range recs {
		if r.Counts.Creating+r.Counts.SettingUp+r.Counts.Cleaning == 0 {
			continue
		}
		is, err := tx.Instances(inventory.InstanceQuery{SourceKey: r.Key, Busy: true})
		if err != nil {
			return nil, nil, nil, err
		}
		for _, i := range is {
			switch i.State {
			case compute.Creating, compute.SettingUp:
				if i.Wanted != "" && !i.Fill {
					booked[r.Key]++
				}
			case compute.Cleaning:
				if i.Cause == inventory.CauseStop {
					stirring[r.Key]++
				}
			}
		}
	}
	return m, booked, stirring, nil
}
