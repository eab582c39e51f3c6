package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// openLong is how long a release waits for a provider to open. Then it has the instances discarded
// when the provider opens again.
const openLong = 30 * time.Second

// Ours reports whether an instance that waits for work is to be worked on here and now, and no
// other process will do it.
func (p *Disposal) Ours(tx store.Tx, id compute.ID) (bool, error) {
	if p.core.Opt.Later == nil {
		return true, nil
	}
	i, err := tx.Instance(id)
	if err != nil {
		return false, err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	return err == nil && !p.core.Opt.Later(rec.Name, rec.Type), err
}

// errNotOpen asks for a provider to be opened outside of the transaction, and for another try.
type errNotOpen struct{ rec *store.SourceRecord }

func (e *errNotOpen) Error() string { return "provider of " + e.rec.Name + " is not open" }

// WithOpen runs a transaction. It opens the providers and reads the templates that fn turns out to
// need, and runs fn again.
func (p *Disposal) WithOpen(ctx context.Context, fn func(store.Tx) error) error {
	var shut, read []int64
	defer func() { // the next may find it open again, and another template
		p.core.Mu.Lock()
		defer p.core.Mu.Unlock()
		for _, key := range read {
			p.templates.ForgetTemplate(key)
		}
		for _, key := range shut {
			if p.providers.Shut[key]--; p.providers.Shut[key] == 0 {
				delete(p.providers.Shut, key)
			}
		}
	}()
	for {
		err := p.core.Store.Update(ctx, fn)
		var unread *sources.ErrUnread
		if errors.As(err, &unread) {
			p.templates.NoteTemplate(ctx, unread.Source)
			read = append(read, p.core.KeyOf(unread.Source))
			continue
		}
		var need *errNotOpen
		if !errors.As(err, &need) {
			return err
		}
		opening, cancel := context.WithTimeout(ctx, openLong)
		o := p.providers.Open(opening, need.rec)
		cancel()
		if o.Err == nil {
			continue
		}
		// A source that does not open cannot clean. Its instances can still be taken back, and are
		// discarded when it opens again.
		shut = append(shut, need.rec.Key)
		p.core.Mu.Lock()
		p.providers.Shut[need.rec.Key]++
		p.core.Mu.Unlock()
	}
}

// Releasable returns the instance to take back, nil where that has happened already, or an error.
func (p *Disposal) Releasable(
	tx store.Tx, who compute.Who, opt compute.ReleaseOptions, name compute.ID,
) (*compute.Instance, *compute.Lease, error) {
	i, l, err := p.leases.LookUp(tx, who, string(name))
	if errors.Is(err, compute.ErrNotFound) {
		if had, e := p.leases.HadLease(tx, who, name); e != nil || had {
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
		if had, e := p.leases.HadLease(tx, who, i.ID); e != nil || had {
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
	err = leasing.Allowed(who, l)
	if err != nil && l.Share != nil {
		if had, e := p.leases.HadShare(tx, who, i.ID); e != nil || had {
			return nil, nil, e
		}
	}
	return i, l, err
}

// discardable returns an error if an instance that is not in use may not be discarded.
func (p *Disposal) discardable(i *compute.Instance) error {
	if i.State != compute.Discarding && p.core.AtWork(i.Worker, string(i.ID)) {
		return &compute.Error{
			ID: i.ID, Kind: compute.ErrConflict, Err: fmt.Errorf("it is %s", i.State),
			Hint: "try again when that has ended",
		}
	}
	return nil
}

// DiscardNow moves i to discarding, or clears the delay before the next try. If i is made for
// another instance that has begun, that one goes first.
func (p *Disposal) DiscardNow(tx store.Tx, i *compute.Instance) error {
	if i.State == compute.Discarding {
		if i.Retry.IsZero() {
			return nil
		}
		i.Retry = time.Time{}
		return tx.SaveInstance(i)
	}
	if steps.Of(i.State).Making {
		if front, err := begun(tx, i); err != nil || front != nil {
			if err != nil {
				return err
			}
			return p.DiscardNow(tx, front) // this one comes after it
		}
	}
	return p.records.ToDiscarding(tx, i, allocate.Because("discarded by its user"))
}

// GiveBack ends the leases of instances in use. Of each source as many are kept as are wanted, the
// first ones first. Instances that then wait for work are added to due.
func (p *Disposal) GiveBack(tx store.Tx, back []leasing.Taken, why allocate.Reason, force bool, due *[]compute.ID) error {
	back, err := p.leases.EndShares(tx, back, why, force && why.Cause != inventory.CauseEnded)
	if err != nil {
		return err
	}
	keep, lend := map[int64]int{}, map[int64]int{}
	for n, t := range back {
		i := t.Instance
		if _, ok := keep[i.SourceKey]; ok {
			continue
		}
		k := 0
		for _, j := range back[n:] {
			if j.Instance.SourceKey == i.SourceKey {
				k++
			}
		}
		if keep[i.SourceKey], lend[i.SourceKey], err = p.kept(tx, i.SourceKey, k); err != nil {
			return err
		}
	}
	for _, t := range back {
		i, l := t.Instance, t.Lease
		if l == nil {
			if l, err = tx.LeaseOf(i.ID); err != nil && !errors.Is(err, compute.ErrNotFound) {
				return err
			}
		}
		e := compute.Event{Kind: "released", Text: why.Text}
		if l != nil {
			if err := leasing.EndLease(tx, l, why); err != nil {
				return err
			}
			e.Lease, e.Owner, e.Project = l.ID, l.Owner, l.Project
		}
		i.Worker = 0
		goes := force || keep[i.SourceKey]+lend[i.SourceKey] <= 0
		if !goes {
			if goes, err = p.templates.OfOldTemplate(tx, i); err != nil {
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
			i.Reason, i.Cause = "somebody waits for it", inventory.CauseWaiter
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
func (p *Disposal) kept(tx store.Tx, key int64, k int) (keep, more int, err error) {
	rec, err := tx.SourceByKey(key)
	if err != nil {
		return 0, 0, err
	}
	s := p.core.Configured(rec)
	if s == nil || s.Err != nil {
		return 0, 0, nil
	}
	if s.Idle > 0 {
		return k, 0, nil
	}
	held := rec.Counts.Cached() + rec.Counts.InUse()
	if keep = max(0, min(k, p.records.Keeps(s, rec, rec.Counts.InUse()-k)-(held-k))); keep == k {
		return keep, 0, nil
	}
	n, err := p.records.Awaits(tx, key)
	return keep, max(0, min(k-keep, n-rec.Counts.Cached()-keep)), err
}

// cleanOrCache caches an instance that was in use, by way of cleaning where it needs that.
func (p *Disposal) cleanOrCache(tx store.Tx, i *compute.Instance, e compute.Event, why allocate.Reason, due *[]compute.ID) error {
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
	_, err = p.core.Set(tx, i, steps.Clean, e)
	return err
}

// toReadyAsIs caches an instance with nothing done to it; the release is then what the next
// hand-out rests on.
func (p *Disposal) toReadyAsIs(tx store.Tx, i *compute.Instance, e compute.Event) error {
	if err := p.core.Take(i, steps.Return); err != nil { // ReadyAt stays: it was not checked
		return err
	}
	e.Time, e.Source, e.Instance = i.Since, i.Source, i.ID
	basis, err := tx.Append(&e)
	if err != nil {
		return err
	}
	i.Worker, i.Wanted, i.Fill, i.Resume, i.Basis, i.Reason, i.Cause = 0, "", false, 0, basis, "", ""
	return tx.SaveInstance(i)
}

// cleaning returns what has to happen before an instance can be used again: "clean", "as-is", or
// "no" if it cannot be.
func (p *Disposal) cleaning(tx store.Tx, i *compute.Instance) (string, error) {
	if i.Facts[provider.FactChosen] != "" {
		return "no", nil // the source makes other instances now
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return "", err
	}
	s := p.core.Configured(rec)
	if s == nil || s.Err != nil {
		return "no", nil
	}
	if why, err := allocate.Expired(tx, p.core.Sources, s, i, time.Now()); err != nil || why != "" {
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
		o := p.providers.Ready(rec.Key)
		if o == nil && p.providers.IsShut(rec.Key) {
			return "no", nil
		} else if o == nil {
			return "", &errNotOpen{rec}
		}
		how = o.Reuse
		switch {
		case s.Reuse == "as-is", s.Reuse == "no":
			how = s.Reuse
		case s.Reuse == "rebuild" && !o.Rebuilds():
			how = "no" // none is kept, but there may be one from before the source said so
		case s.Reuse == "clean" && o.Stays:
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
func (p *Disposal) discardLeased(tx store.Tx, i *compute.Instance, e compute.Event, why allocate.Reason, due *[]compute.ID) error {
	e.Time, e.Source, e.Instance, e.Text = time.Now(), i.Source, i.ID, why.Text
	if _, err := tx.Append(&e); err != nil {
		return err
	}
	if err := p.records.ToDiscarding(tx, i, why); err != nil {
		return err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if rec.Type == allocate.PoolType && !p.core.SourceOf(rec).Has("discard") {
		return p.endPoolInstance(tx, i, due)
	}
	*due = append(*due, i.ID)
	return nil
}

// endPoolInstance ends a pool's instance and gives back the child's behind it.
func (p *Disposal) endPoolInstance(tx store.Tx, i *compute.Instance, due *[]compute.ID) error {
	if err := p.records.Remove(tx, i, steps.Gone, ""); err != nil {
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
	child.Uses += i.Uses - 1             // by the pool's users; the pool's own lease was no use
	if i.Cause == inventory.CauseEnded { // then the child is the one that has
		return p.GiveBack(tx, []leasing.Taken{{Instance: child, Lease: l}}, allocate.Reason{Cause: i.Cause, Text: i.Reason}, true, due)
	}
	return p.GiveBack(tx, []leasing.Taken{{Instance: child, Lease: l}}, allocate.Because("given back by the pool"), false, due)
}

// after does what is due here and now, and leaves the rest to the process that does such work in
// the background.
func (p *Disposal) after(ctx context.Context, ids []compute.ID) error {
	if p.core.Opt.Later != nil {
		var mine []compute.ID
		err := p.core.Store.View(ctx, func(tx store.Tx) error {
			mine = nil
			for _, id := range ids {
				now, err := p.Ours(tx, id)
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
			p.core.Opt.Left()
		}
		ids = mine
	}
	return p.workOn(ctx, ids)
}

// lies returns the lease of a grant that books a part, with its instance, if it still lives.
func lies(tx store.Tx, u *allocate.Grant) (*leasing.Taken, error) {
	l, err := tx.Lease(u.Lease.ID)
	if errors.Is(err, compute.ErrNotFound) || err == nil && !l.Ended.IsZero() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	i, err := tx.Instance(l.Instance)
	if err != nil {
		return nil, err
	}
	return &leasing.Taken{Instance: i, Lease: l}, nil
}

// wornAt returns when a ready instance, or one behind it, will have worn out if it stays ready;
// zero: never.
func (p *Disposal) wornAt(tx store.Tx, s *allocate.Source, i *compute.Instance, now time.Time) (at time.Time, err error) {
	if why := s.Expired(i, now); why != "" {
		return now, nil
	}
	if s.MaxAge > 0 {
		at = i.Created.Add(s.MaxAge)
	}
	if s.Type != allocate.PoolType {
		return at, nil
	}
	if why, err := allocate.Expired(tx, p.core.Sources, s, i, now); errors.Is(err, compute.ErrNotFound) {
		return at, nil // the one behind it is gone; its next use will show that
	} else if err != nil || why != "" {
		return now, err
	}
	behind, err := allocate.ChainOf(tx, i.Child)
	for _, j := range behind {
		if c := p.core.Sources[j.Source]; c != nil && c.MaxAge > 0 {
			at = state.Sooner(at, j.Created.Add(c.MaxAge))
		}
	}
	return at, err
}

// retire discards worn ready instances. A transaction that finds them and fails is undone, with its
// record of them. Without this it would find them again for ever.
func (p *Disposal) retire(ctx context.Context, ids []compute.ID) error {
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		for _, id := range ids {
			i, err := tx.Instance(id)
			if errors.Is(err, compute.ErrNotFound) || err == nil && i.State != compute.Ready {
				continue
			} else if err != nil {
				return err
			}
			rec, err := tx.SourceByKey(i.SourceKey)
			if err != nil {
				return err
			}
			s := p.core.Configured(rec)
			if s == nil {
				continue
			}
			if why, err := allocate.Expired(tx, p.core.Sources, s, i, time.Now()); err != nil {
				return err
			} else if why == "" {
				continue
			} else if err := p.records.ToDiscarding(tx, i, allocate.Because(why)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.core.Step("acquire:retired")
	p.core.Opt.Left()
	return nil
}
