package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// expire ends leases whose time is over, or whose process or worker is dead, and takes their
// instances back. It returns the instances that then wait for work.
func (p *background) expire(ctx context.Context, now time.Time) ([]compute.ID, error) {
	if err := p.core.removeStaleRequests(ctx); err != nil {
		return nil, err
	}
	now, err := p.clock.inTime(ctx, now)
	if err != nil {
		return nil, err
	}
	any := false
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		any = false
		ls, err := tx.Leases(compute.LeaseQuery{Due: now})
		for _, l := range ls {
			any = any || p.clock.over(l, now) != ""
		}
		return err
	})
	if err != nil || !any {
		return nil, err
	}
	var due []compute.ID
	err = p.disposal.withOpen(ctx, func(tx store.Tx) error {
		due = nil
		ls, err := tx.Leases(compute.LeaseQuery{Due: now})
		if err != nil {
			return err
		}
		for _, l := range ls {
			why := p.clock.over(l, now)
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
				err = endLease(tx, l, allocate.Because(why))
			case err == nil:
				err = p.disposal.giveBack(tx, []taken{{i, l}}, allocate.Because(why), false, &due)
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
	p.core.step("expire:recorded")
	p.core.wake()
	return due, nil
}

// leaveTo leaves an instance that a dead process drew for a pool to the pool's instance in front of
// it. It comes back when that one ends, and not before, as the pool's hooks may have changed it.
func (p *background) leaveTo(tx store.Tx, front *compute.Instance, l *compute.Lease, why string, due *[]compute.ID) error {
	l.Worker = 0
	if err := tx.SaveLease(l); err != nil {
		return err
	}
	if (front.State == compute.Creating || front.State == compute.SettingUp) && !p.core.atWork(front.Worker, string(front.ID)) {
		return p.disposal.discardLeased(tx, front, compute.Event{Kind: "released"}, allocate.Because(why), due)
	}
	return nil
}

// over returns why a lease has ended, though its instance was not taken back yet, or "".
func (p *clock) over(l *compute.Lease, now time.Time) string {
	switch {
	case !l.Ended.IsZero():
		return l.Why
	case !l.Expires.IsZero() && !now.Before(l.Expires):
		return fmt.Sprintf("its ttl of %v is over", l.TTL)
	case l.Idle > 0 && !now.Before(l.Used.Add(l.Idle)):
		return fmt.Sprintf("unused for %v", l.Idle)
	case l.For.PID > 0 && (l.For.Host == "" || l.For.Host == p.core.opt.Host) && !alive(l.For):
		return fmt.Sprintf("its process %d ended", l.For.PID)
	case l.Worker != 0 && !p.core.atWork(l.Worker, l.ID):
		return "it was never told to its user: the process that took it died"
	}
	return ""
}

// recover finishes what dead workers left half-made or half-discarded of a source and those below
// it, and work whose time has come.
func (p *background) recover(ctx context.Context, s *Source) error {
	var due []compute.ID
	for _, c := range s.All() {
		key := p.core.keyOf(c)
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
func (p *background) due(ctx context.Context, key int64) (out []*compute.Instance, next time.Time, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		out, next = nil, time.Time{}
		now, err := p.clock.inOrder(tx, time.Now())
		if err != nil {
			return err
		}
		is, err := tx.Instances(compute.InstanceQuery{SourceKey: key, Busy: true})
		if err != nil {
			return err
		}
		failed, err := tx.Instances(compute.InstanceQuery{SourceKey: key, States: []compute.State{compute.Failed, compute.Held}})
		if err != nil {
			return err
		}
		failed = slices.DeleteFunc(failed, func(i *compute.Instance) bool { return i.State == compute.Held && i.Retry.IsZero() })
		for _, i := range append(is, failed...) {
			switch {
			case p.core.atWork(i.Worker, string(i.ID)):
			case i.Retry.After(now):
				next = sooner(next, i.Retry)
			default:
				out = append(out, i)
			}
		}
		worn, at, err := p.disposal.surplus(tx, key, now, true)
		if err != nil {
			return err
		}
		old, err := p.disposal.outdated(tx, key)
		out, next = append(append(out, worn...), old...), sooner(next, at)
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

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// redefined reports whether a record is of an older definition of a source that is configured at
// the same place: its instances fit no request any more.
func (p *providers) redefined(rec *store.SourceRecord) bool {
	s := p.core.sources[rec.Name]
	return s != nil && s.Err == nil && s.Digest != rec.Digest && s.Place == rec.Place
}

// removed reports whether a record's source is not configured any more where it was.
func (p *providers) removed(rec *store.SourceRecord) bool {
	return p.core.configured(rec) == nil && p.core.opt.Gone != nil && p.core.opt.Gone(rec.Name, rec.Place)
}

// deserted lists the ready instances of sources that are not configured any more.
func (p *disposal) deserted(tx store.Tx) (out []*compute.Instance, err error) {
	if p.core.opt.Gone == nil {
		return nil, nil
	}
	recs, err := tx.Sources("")
	if err != nil {
		return nil, err
	}
	return readyOf(tx, recs, p.providers.removed)
}

// readyOf lists the ready instances of some records of sources.
func readyOf(tx store.Tx, recs []*store.SourceRecord, some func(*store.SourceRecord) bool) (out []*compute.Instance, err error) {
	for _, r := range recs {
		if r.Counts.Ready == 0 || !some(r) {
			continue
		}
		ready, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
		if err != nil {
			return nil, err
		}
		out = append(out, ready...)
	}
	return out, nil
}

// outdated lists the ready instances of older definitions of a source (0: of all), and of all
// sources that are not configured any more.
func (p *disposal) outdated(tx store.Tx, key int64) (out []*compute.Instance, err error) {
	if key == 0 {
		if out, err = p.deserted(tx); err != nil {
			return nil, err
		}
	}
	for _, s := range p.core.ordered {
		k := p.core.keyOf(s)
		if k == 0 || key != 0 && k != key {
			continue
		}
		recs, err := tx.Sources(s.Name)
		if err != nil {
			return nil, err
		}
		ready, err := readyOf(tx, recs, p.providers.redefined)
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
func (p *disposal) surplus(tx store.Tx, key int64, now time.Time, seldom bool) (out []*compute.Instance, next time.Time, err error) {
	for _, s := range p.core.ordered {
		k := p.core.keyOf(s)
		if k == 0 || key != 0 && k != key || s.Err != nil || s.Idle == 0 && !s.Ages() {
			continue
		}
		rec, err := tx.SourceByKey(k)
		if err != nil {
			return nil, time.Time{}, err
		}
		if seldom && rec.Counts.Ready > allocate.Many {
			p.core.mu.Lock()
			at := p.core.at(s).counted.Add(manyEvery)
			if !at.After(now) {
				p.core.at(s).counted = now
			}
			p.core.mu.Unlock()
			if at.After(now) {
				next = sooner(next, at)
				continue
			}
		}
		ready, err := tx.Instances(compute.InstanceQuery{SourceKey: k, States: []compute.State{compute.Ready}})
		if err != nil {
			return nil, time.Time{}, err
		}
		extra := rec.Counts.Ready + rec.Counts.InUse() - p.records.keeps(s, rec, rec.Counts.InUse())
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
				at, tired = sooner(at, tired[0]), tired[1:]
			}
			if at.IsZero() {
				continue
			}
			if at.After(now) {
				next = sooner(next, at)
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
func (p *disposal) idleTooLong(s *Source, rec *store.SourceRecord, ready []*compute.Instance) (at []time.Time) {
	for _, i := range ready {
		if !i.Cold {
			at = append(at, i.Since.Add(s.Idle))
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	spare := s.Spare
	if rec.Aim.Until.After(time.Now()) {
		spare = rec.Aim.Spare
	}
	if m := p.records.maximum(s); m > 0 {
		spare = min(spare, max(0, m-rec.Counts.InUse()))
	}
	return at[min(len(at), spare):]
}

// soonest returns when the next lease ends, as far as is known; zero: none will.
func (p *clock) soonest(ctx context.Context) (next time.Time, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		next = time.Time{}
		ls, err := tx.Leases(compute.LeaseQuery{Soonest: true})
		for _, l := range ls {
			next = sooner(next, l.Deadline())
			if l.For.PID > 0 || l.Worker != 0 {
				next = sooner(next, time.Now().Add(time.Second))
			}
		}
		return err
	})
	return next, err
}

// learnKeys reads the record keys of the configured sources.
func (p *core) learnKeys(ctx context.Context) error {
	return p.store.View(ctx, func(tx store.Tx) error {
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range recs {
			if s := p.configured(r); s != nil {
				p.at(s).key = r.Key
			}
		}
		return nil
	})
}
