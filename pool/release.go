package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Release takes instances back. Wanted ones are kept and cleaned, the first named first; the others
// are discarded. If one name is wrong nothing changes.
func (p *Pool) Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error {
	var due []compute.ID
	var jobs []job
	var free []int64
	defer func() { p.core.inflight.leave(keysOfJobs(jobs)...) }()
	err := p.disposal.withOpen(ctx, func(tx store.Tx) error {
		p.core.inflight.leave(keysOfJobs(jobs)...)
		due, jobs, free = nil, nil, nil
		var back []taken
		var other []*compute.Instance
		seen := map[string]bool{}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, l, err := p.disposal.releasable(tx, who, opt, name)
			if err != nil {
				return err
			}
			if i == nil || seen[what(i, l)] {
				continue
			}
			seen[what(i, l)] = true
			if i.State == compute.Leased {
				back = append(back, taken{i, l})
			} else {
				other = append(other, i)
			}
		}
		for _, i := range other { // only now are all names known to be good
			due = append(due, i.ID)
			if err := p.disposal.discardNow(tx, i); err != nil {
				return err
			}
		}
		why := allocate.Because("released")
		if opt.Ended != "" {
			why = endedWith(strings.Join(strings.FieldsFunc(opt.Ended, func(r rune) bool { return !unicode.IsPrint(r) }), " "))
		}
		if err := p.disposal.giveBack(tx, back, why, opt.Force || opt.Discard || opt.Ended != "", &due); err != nil {
			return err
		}
		for _, t := range back {
			if t.inst.State == compute.Ready {
				free = append(free, t.inst.SourceKey)
			}
		}
		for _, id := range due { // what is done here and now is claimed in the same transaction
			if now, err := p.disposal.ours(tx, id); err != nil {
				return err
			} else if !now && !opt.Discard {
				continue
			}
			i, rec, err := p.disposal.claim(tx, id)
			if err != nil {
				return err
			}
			if i != nil {
				jobs = append(jobs, job{i, rec})
			}
		}
		p.core.inflight.take(keysOfJobs(jobs)...)
		return nil
	})
	if err != nil {
		return err
	}
	p.core.step("release:recorded")
	p.queue.wakeHeads(free)
	p.core.wake()
	if len(jobs) < len(due) {
		p.core.opt.Left()
	}
	return p.disposal.carry(ctx, jobs)
}

// ours reports whether an instance that waits for work is to be worked on here and now, and no
// other process will do it.
func (p *disposal) ours(tx store.Tx, id compute.ID) (bool, error) {
	if p.core.opt.Later == nil {
		return true, nil
	}
	i, err := tx.Instance(id)
	if err != nil {
		return false, err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	return err == nil && !p.core.opt.Later(rec.Name, rec.Type), err
}

// errNotOpen asks for a provider to be opened outside of the transaction, and for another try.
type errNotOpen struct{ rec *store.SourceRecord }

func (e *errNotOpen) Error() string { return "provider of " + e.rec.Name + " is not open" }

// withOpen runs a transaction. It opens the providers and reads the templates that fn turns out to
// need, and runs fn again.
func (p *disposal) withOpen(ctx context.Context, fn func(store.Tx) error) error {
	var shut, read []int64
	defer func() { // the next may find it open again, and another template
		p.core.mu.Lock()
		defer p.core.mu.Unlock()
		for _, key := range read {
			p.templates.forgetTemplate(key)
		}
		for _, key := range shut {
			if p.providers.shut[key]--; p.providers.shut[key] == 0 {
				delete(p.providers.shut, key)
			}
		}
	}()
	for {
		err := p.core.store.Update(ctx, fn)
		var unread *errUnread
		if errors.As(err, &unread) {
			p.templates.noteTemplate(ctx, unread.source)
			read = append(read, p.core.keyOf(unread.source))
			continue
		}
		var need *errNotOpen
		if !errors.As(err, &need) {
			return err
		}
		opening, cancel := context.WithTimeout(ctx, openLong)
		o := p.providers.open(opening, need.rec)
		cancel()
		if o.err == nil {
			continue
		}
		// A source that does not open cannot clean. Its instances can still be taken back, and are
		// discarded when it opens again.
		shut = append(shut, need.rec.Key)
		p.core.mu.Lock()
		p.providers.shut[need.rec.Key]++
		p.core.mu.Unlock()
	}
}

// releasable returns the instance to take back, nil where that has happened already, or an error.
func (p *disposal) releasable(
	tx store.Tx, who compute.Who, opt compute.ReleaseOptions, name compute.ID,
) (*compute.Instance, *compute.Lease, error) {
	i, l, err := p.leases.lookUp(tx, who, string(name))
	if errors.Is(err, compute.ErrNotFound) {
		if had, e := p.leases.hadLease(tx, who, name); e != nil || had {
			return nil, nil, e
		}
		// it was not found because it has ended
		if l, e := tx.Lease(string(name)); e == nil && (who.Lease == l.ID || who.Lease == "" && who.Owner == l.Owner) {
			return nil, nil, nil
		} else if e != nil && !errors.Is(e, compute.ErrNotFound) {
			return nil, nil, e
		}
		return nil, nil, err
	} else if err != nil {
		return nil, nil, err
	}
	if l == nil || i.State != compute.Leased {
		if opt.Discard && who.Within == nil {
			return i, nil, p.discardable(i)
		}
		if had, e := p.leases.hadLease(tx, who, i.ID); e != nil || had {
			return nil, nil, e
		}
		if opt.Discard {
			return nil, nil, &compute.Error{
				ID: i.ID, Kind: compute.ErrDenied,
				Err: fmt.Errorf("it is %s, and only administrators discard what is not in use", i.State),
			}
		}
		return nil, nil, &compute.Error{
			ID: i.ID, Kind: compute.ErrNotLeased, Err: fmt.Errorf("it is %s", i.State),
			Hint: "`hostler discard` takes also what is not in use",
		}
	}
	err = allowed(who, l)
	if err != nil && l.Share != nil {
		if had, e := p.leases.hadShare(tx, who, i.ID); e != nil || had {
			return nil, nil, e
		}
	}
	return i, l, err
}

// what names what a lease gives back: the instance, or the part of it.
func what(i *compute.Instance, l *compute.Lease) string {
	if l != nil && l.Share != nil {
		return l.ID
	}
	return string(i.ID)
}

// hadLease reports whether the instance's newest lease was the caller's, and has ended.
func (p *leases) hadLease(tx store.Tx, who compute.Who, id compute.ID) (bool, error) {
	ls, err := tx.Leases(compute.LeaseQuery{Instance: id, Ended: true, Limit: 1})
	if err != nil || len(ls) == 0 {
		return false, err
	}
	if who.Lease != "" {
		return who.Lease == ls[0].ID, nil
	}
	return who.Owner == ls[0].Owner, nil
}

// allowed returns an error unless the caller may act under a lease. A caller that presents a
// lease's id acts under that one alone. A process that slept through the end of its lease must not
// go on under another, even of the same user.
func allowed(who compute.Who, l *compute.Lease) error {
	if b := who.Within; b != nil {
		if b.Projects != nil && !slices.Contains(b.Projects, l.Project) || b.Source != "" && b.Source != l.Source {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name")}
		}
		if who.Lease != "" && who.Owner != l.Owner && !who.Admin {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is %s's", l.Owner)}
		}
	}
	switch {
	case who.Lease != "" && who.Lease == l.ID:
		return nil
	case who.Lease != "":
		return &compute.Error{ID: l.Instance, Kind: compute.ErrStale, Err: errors.New("it is under another lease now")}
	case who.Owner == l.Owner, who.Admin && l.Pool == "":
		return nil
	case l.Pool != "":
		return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is in use by a pool, as %s", l.Pool),
			Hint: fmt.Sprintf("use that name: %s", l.Pool)}
	}
	return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is %s's", l.Owner)}
}

// discardable returns an error if an instance that is not in use may not be discarded.
func (p *disposal) discardable(i *compute.Instance) error {
	if i.State != compute.Discarding && p.core.atWork(i.Worker, string(i.ID)) {
		return &compute.Error{
			ID: i.ID, Kind: compute.ErrConflict, Err: fmt.Errorf("it is %s", i.State),
			Hint: "try again when that has ended",
		}
	}
	return nil
}

func (p *disposal) discardNow(tx store.Tx, i *compute.Instance) error {
	if i.State == compute.Discarding {
		if i.Retry.IsZero() {
			return nil
		}
		i.Retry = time.Time{}
		return tx.SaveInstance(i)
	}
	if i.State == compute.Creating || i.State == compute.SettingUp {
		if front, err := begun(tx, i); err != nil || front != nil {
			if err != nil {
				return err
			}
			return p.discardNow(tx, front) // this one comes after it
		}
	}
	return p.records.toDiscarding(tx, i, allocate.Because("discarded by its user"))
}

// taken is an instance in use, with its lease if that is known already.
type taken struct {
	inst  *compute.Instance
	lease *compute.Lease
}

// giveBack ends the leases of instances in use. Of each source as many are kept as are wanted, the
// first ones first. Instances that then wait for work are added to due.
func (p *disposal) giveBack(tx store.Tx, back []taken, why allocate.Reason, force bool, due *[]compute.ID) error {
	back, err := p.leases.endShares(tx, back, why, force && why.Cause != compute.CauseEnded)
	if err != nil {
		return err
	}
	keep, lend := map[int64]int{}, map[int64]int{}
	for n, t := range back {
		i := t.inst
		if _, ok := keep[i.SourceKey]; ok {
			continue
		}
		k := 0
		for _, j := range back[n:] {
			if j.inst.SourceKey == i.SourceKey {
				k++
			}
		}
		if keep[i.SourceKey], lend[i.SourceKey], err = p.kept(tx, i.SourceKey, k); err != nil {
			return err
		}
	}
	for _, t := range back {
		i, l := t.inst, t.lease
		if l == nil {
			if l, err = tx.LeaseOf(i.ID); err != nil && !errors.Is(err, compute.ErrNotFound) {
				return err
			}
		}
		e := compute.Event{Kind: "released", Text: why.Text}
		if l != nil {
			if err := endLease(tx, l, why); err != nil {
				return err
			}
			e.Lease, e.Owner, e.Project = l.ID, l.Owner, l.Project
		}
		i.Worker = 0
		goes := force || keep[i.SourceKey]+lend[i.SourceKey] <= 0
		if !goes {
			if goes, err = p.templates.ofOldTemplate(tx, i); err != nil {
				return err
			}
		}
		switch {
		case goes:
			err = p.discardLeased(tx, i, e, why, due)
		case keep[i.SourceKey] > 0:
			keep[i.SourceKey]--
			err = p.cleanOrCache(tx, i, e, why, due)
		default:
			lend[i.SourceKey]--
			i.Reason, i.Cause = "somebody waits for it", compute.CauseWaiter
			err = p.cleanOrCache(tx, i, e, why, due)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kept returns how many of k instances in use that come back their source keeps, and how many more
// are for waiting requests.
func (p *disposal) kept(tx store.Tx, key int64, k int) (keep, more int, err error) {
	rec, err := tx.SourceByKey(key)
	if err != nil {
		return 0, 0, err
	}
	s := p.core.configured(rec)
	if s == nil || s.Err != nil {
		return 0, 0, nil
	}
	if s.Idle > 0 {
		return k, 0, nil
	}
	held := rec.Counts.Cached() + rec.Counts.InUse()
	if keep = max(0, min(k, p.records.keeps(s, rec, rec.Counts.InUse()-k)-(held-k))); keep == k {
		return keep, 0, nil
	}
	n, err := p.records.awaits(tx, key)
	return keep, max(0, min(k-keep, n-rec.Counts.Cached()-keep)), err
}

// awaits returns how many instances of a source the requests in the queue may want.
func (p *records) awaits(tx store.Tx, key int64) (n int, err error) {
	ws, err := tx.Waiters()
	for _, w := range ws {
		if slices.Contains(w.Wants, key) && p.core.waits(w) && !allocate.DemandOfWaiter(w).Chosen() {
			n += w.Count
		}
	}
	return n, err
}

// inVain reports whether an instance was cleaned for a waiting request, and nothing wants it any
// more.
func (p *records) inVain(tx store.Tx, i *compute.Instance) (bool, error) {
	if i.Cause != compute.CauseWaiter {
		return false, nil
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return false, err
	}
	s := p.core.configured(rec)
	if s == nil || s.Idle > 0 || rec.Counts.Cached()+rec.Counts.InUse() <= p.keeps(s, rec, rec.Counts.InUse()) {
		return false, nil
	}
	n, err := p.awaits(tx, rec.Key)
	return err == nil && n == 0, err
}

// cleanOrCache caches an instance that was in use, by way of cleaning where it needs that.
func (p *disposal) cleanOrCache(tx store.Tx, i *compute.Instance, e compute.Event, why allocate.Reason, due *[]compute.ID) error {
	how, err := p.cleaning(tx, i)
	if err != nil {
		return err
	}
	switch how {
	case "no":
		return p.discardLeased(tx, i, e, why, due)
	case "as-is":
		e.Data = map[string]string{"reuse": "as-is"}
		return p.toReadyAsIs(tx, i, e)
	}
	*due = append(*due, i.ID)
	_, err = p.core.set(tx, i, compute.Cleaning, e)
	return err
}

// toReadyAsIs caches an instance with nothing done to it; the release is then what the next
// hand-out rests on.
func (p *disposal) toReadyAsIs(tx store.Tx, i *compute.Instance, e compute.Event) error {
	i.Since = time.Now() // but ReadyAt stays: it was not checked
	e.Time, e.Source, e.Instance = i.Since, i.Source, i.ID
	basis, err := tx.Append(&e)
	if err != nil {
		return err
	}
	i.Worker, i.Wanted, i.Fill, i.Resume, i.Basis, i.Reason, i.Cause = 0, "", false, 0, basis, "", ""
	i.State = compute.Ready
	return tx.SaveInstance(i)
}

// cleaning returns what has to happen before an instance can be used again: "clean", "as-is", or
// "no" if it cannot be.
func (p *disposal) cleaning(tx store.Tx, i *compute.Instance) (string, error) {
	if i.Facts[compute.FactChosen] != "" {
		return "no", nil // the source makes other instances now
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return "", err
	}
	s := p.core.configured(rec)
	if s == nil || s.Err != nil {
		return "no", nil
	}
	if why, err := allocate.Expired(tx, p.core.sources, s, i, time.Now()); err != nil || why != "" {
		return "no", err
	}
	how := ""
	if s.Type == allocate.PoolType {
		child, err := tx.Instance(i.Child)
		if err != nil {
			return "", err
		}
		if how, err = p.cleaning(tx, child); err != nil {
			return "", err
		}
	} else {
		o := p.providers.ready(rec.Key)
		if o == nil && p.providers.isShut(rec.Key) {
			return "no", nil
		} else if o == nil {
			return "", &errNotOpen{rec}
		}
		how = o.reuse
		switch {
		case s.Reuse == "as-is", s.Reuse == "no":
			how = s.Reuse
		case s.Reuse == "rebuild" && !o.rebuilds():
			how = "no" // none is kept, but there may be one from before the source said so
		case s.Reuse == "clean" && o.stays:
			how = "no" // the source wants it as new, which its provider cannot do
		}
	}
	if how == "as-is" && s.Has("release") {
		how = "clean"
	}
	return how, nil
}

// discardLeased discards an instance that was in use. A pool's without discard hooks goes at
// once, and its child goes back to its source.
func (p *disposal) discardLeased(tx store.Tx, i *compute.Instance, e compute.Event, why allocate.Reason, due *[]compute.ID) error {
	e.Time, e.Source, e.Instance, e.Text = time.Now(), i.Source, i.ID, why.Text
	if _, err := tx.Append(&e); err != nil {
		return err
	}
	if err := p.records.toDiscarding(tx, i, why); err != nil {
		return err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if rec.Type == allocate.PoolType && !p.core.sourceOf(rec).Has("discard") {
		return p.endPoolInstance(tx, i, due)
	}
	*due = append(*due, i.ID)
	return nil
}

// endPoolInstance ends a pool's instance and gives back the child's behind it.
func (p *disposal) endPoolInstance(tx store.Tx, i *compute.Instance, due *[]compute.ID) error {
	if err := p.records.gone(tx, i, ""); err != nil {
		return err
	}
	child, err := tx.Instance(i.Child)
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	l, err := tx.LeaseOf(child.ID)
	if errors.Is(err, compute.ErrNotFound) || err == nil && l.Pool != i.ID {
		*due = append(*due, child.ID) // it was never finished, and comes next
		return nil
	} else if err != nil {
		return err
	}
	child.Uses += i.Uses - 1           // uses by the pool's users; the pool's own lease was no use
	if i.Cause == compute.CauseEnded { // then the child is the one that has
		return p.giveBack(tx, []taken{{child, l}}, allocate.Reason{Cause: i.Cause, Text: i.Reason}, true, due)
	}
	return p.giveBack(tx, []taken{{child, l}}, allocate.Because("given back by the pool"), false, due)
}

// gone removes an instance when its end is proved.
func (p *records) gone(tx store.Tx, i *compute.Instance, text string) error {
	if err := tx.DropInstance(i); err != nil {
		return err
	}
	if _, err := tx.Append(&compute.Event{Kind: "gone", Source: i.Source, Instance: i.ID, Text: text}); err != nil {
		return err
	}
	return p.freed(tx, i)
}

// after does what is due here and now, and leaves the rest to the process that does such work in
// the background.
func (p *disposal) after(ctx context.Context, ids []compute.ID) error {
	if p.core.opt.Later != nil {
		var mine []compute.ID
		err := p.core.store.View(ctx, func(tx store.Tx) error {
			mine = nil
			for _, id := range ids {
				now, err := p.ours(tx, id)
				if err != nil && !errors.Is(err, compute.ErrNotFound) {
					return err
				}
				if now {
					mine = append(mine, id)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(mine) < len(ids) {
			p.core.opt.Left()
		}
		ids = mine
	}
	return p.workOn(ctx, ids)
}
