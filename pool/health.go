package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// A place may not answer for a while: a cluster's API server is being replaced, or the network to
// it is down. Then nothing is known of its computers, so none is given up. Leases live on, ready
// instances there are given to nobody until it answers, and other sources of a pool serve. A
// compute.Overseer can tell; a controller asks all of them now and then.

const (
	overseeEvery = 10 * time.Second
	overseeSoon  = time.Second // where a provider says that it has news
	// for a source without instances: being overseen, its provider puts away what else it keeps
	overseeIdle     = time.Minute
	overseePatience = 10 * time.Second // for an answer, and for a check of one of its computers
	// until a request finds out whether it answers again, where nothing else has asked before
	awayPause = 30 * time.Second
)

// unreachableError says that a call failed because the place behind a source did not answer: it
// says nothing about the instance.
type unreachableError struct {
	key int64 // the source's record
	err error
}

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

func asUnreachable(err error) *unreachableError {
	var e *unreachableError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// reaches checks, after an error that may come from it, whether the place behind a provider
// answers. If not it returns an errAway. Other errors stay.
func (p *providers) reaches(ctx context.Context, o *opened, key int64, err error) error {
	if o.overseer == nil || ctx.Err() != nil ||
		!errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, overseePatience)
	defer cancel()
	if _, e := o.overseer.Oversee(bounded); e == nil || ctx.Err() != nil {
		return err
	}
	return &unreachableError{key, err}
}

// healthy returns the provider's error if a computer is not fit to be handed out.
func (p *providers) healthy(ctx context.Context, o *opened, i *compute.Instance) error {
	c, ok := compute.As[compute.Checker](o.provider)
	if !ok {
		return nil
	}
	if err := o.leads(ctx, i); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if e := p.reaches(ctx, o, i.SourceKey, err); asUnreachable(e) != nil {
			return e
		}
		return &misplacedError{err}
	}
	if o.overseer == nil {
		if err := o.same(ctx, i); err != nil {
			return err
		}
		return c.Check(ctx, i.ID)
	}
	bounded, cancel := context.WithTimeout(ctx, overseePatience)
	defer cancel()
	err := o.same(bounded, i)
	if err == nil {
		err = c.Check(bounded, i.ID)
	}
	if err != nil {
		return p.reaches(ctx, o, i.SourceKey, err)
	}
	return nil
}

// setUnreachable records that a source does not answer.
func (p *providers) setUnreachable(tx store.Tx, key int64, cause error) error {
	rec, err := tx.SourceByKey(key)
	if err != nil {
		return err
	}
	now := time.Now()
	was := allocate.Unreachable(rec)
	if was && rec.Paused.Sub(now) > awayPause*2/3 {
		return nil
	}
	if !was {
		rec.Unreachable = now
	}
	rec.Backoff = compute.Backoff{Paused: now.Add(awayPause), LastError: compute.Said(cause)}
	if err := tx.SaveSource(rec); err != nil || was {
		return err
	}
	_, err = tx.Append(&compute.Event{Time: now, Kind: "unreachable", Source: rec.Name, Text: compute.Said(cause)})
	return err
}

// setReached records that a source answers again. Its instances that wait to be discarded are
// discarded now.
func (p *providers) setReached(tx store.Tx, key int64) error {
	rec, err := tx.SourceByKey(key)
	if err != nil || !allocate.Unreachable(rec) {
		return err
	}
	rec.Backoff, rec.Unreachable = compute.Backoff{}, time.Time{}
	if err := tx.SaveSource(rec); err != nil {
		return err
	}
	is, err := tx.Instances(compute.InstanceQuery{SourceKey: key, States: []compute.State{compute.Discarding, compute.Cleaning}})
	if err != nil {
		return err
	}
	for _, i := range is {
		if i.Retry.IsZero() || lost(i) {
			continue
		}
		i.Retry = time.Time{}
		if err := tx.SaveInstance(i); err != nil {
			return err
		}
	}
	_, err = tx.Append(&compute.Event{Time: time.Now(), Kind: "reachable", Source: rec.Name})
	return err
}

// recordHealth records that a computer of a source was found fit: the source answers.
func (p *providers) recordHealth(tx store.Tx, key int64) error {
	if o := p.ready(key); o == nil || o.overseer == nil {
		return nil
	}
	return p.setReached(tx, key)
}

// unhand puts back an instance that was taken for a request and not yet given to its user. Its
// place did not answer, or it is in another.
func (p *disposal) unhand(tx store.Tx, i *compute.Instance, cause error) error {
	why := "not given: its source cannot be reached"
	if e := asUnreachable(cause); e != nil {
		if e.key != i.SourceKey {
			why = "not given: a source of the request cannot be reached"
		}
		if err := p.providers.setUnreachable(tx, e.key, e); err != nil {
			return err
		}
	} else {
		why = "not given: it is elsewhere"
		if err := p.providers.setMisplaced(tx, i, cause); err != nil {
			return err
		}
	}
	ls, err := tx.Leases(compute.LeaseQuery{Instance: i.ID})
	if err != nil {
		return err
	}
	if err := p.leases.endAll(tx, i, allocate.Because(why)); err != nil {
		return err
	}
	i.Worker, i.Wanted, i.Fill, i.Resume = 0, "", false, 0
	i.Uses -= len(ls) // it was not used; each part of a shared one counts
	_, err = p.core.set(tx, i, compute.Ready, compute.Event{Kind: "released", Text: why, Data: map[string]string{"reuse": "as-is"}})
	return err
}

// WatchHealth asks the providers of all sources what has become of their instances. It returns
// when to ask again; zero: never, as far as is known. It is for a process that calls Reconcile
// with Apart. with.Done is called when something has changed, so that Reconcile may have more to
// do. news is called when a provider has something new. They must not block. WatchHealth waits
// for no provider: what it began ends with ctx.
func (p *Pool) WatchHealth(ctx context.Context, with ReconcileOptions, news func()) (next time.Time, err error) {
	l := &p.core.inflight.workers
	l.mu.Lock()
	l.done = news
	l.mu.Unlock()
	if with.Failed == nil {
		with.Failed = func(err error) { p.core.log.Warn("what has become of instances", "err", err) }
	}
	return p.health.overseeAll(ctx, l, with, news)
}

// overseeAll asks the providers of sources, each in its own goroutine, what has become of their
// instances. It returns when to do so again. It seldom asks sources without instances. again is
// called when a provider had news while it was asked. If again is nil, only open providers are
// asked, and with.Done is called then.
func (p *health) overseeAll(ctx context.Context, l *sourceWorkers, with ReconcileOptions, again func()) (next time.Time, err error) {
	opens := again != nil
	if again == nil {
		again = with.Done
	}
	var recs []*store.SourceRecord
	err = p.core.store.View(ctx, func(tx store.Tx) (err error) {
		recs, err = tx.Sources("")
		return err
	})
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range recs {
		o := p.providers.ready(rec.Key)
		shut := o == nil
		if o != nil && o.overseer == nil || shut && (!opens || rec.Type == allocate.PoolType || hasNone(rec)) {
			continue
		}
		idle, every := hasNone(rec), overseeEvery
		switch {
		case shut:
			every = overseeIdle // a provider that does not open
		case idle: // any other look comes to it: no process stays for that
			every = overseeIdle
		case l.news[rec.Key]:
			every = overseeSoon
		}
		due := l.overseen[rec.Key].Add(every)
		wait := due.After(now)
		if !wait {
			due = now.Add(overseeEvery)
		}
		if !idle {
			next = sooner(next, due)
		}
		if wait {
			continue
		}
		if l.stocks[-rec.Key] { // under way
			continue
		}
		if l.overseen == nil {
			l.overseen = map[int64]time.Time{}
		}
		if l.stocks == nil {
			l.stocks = map[int64]bool{}
		}
		l.overseen[rec.Key], l.stocks[-rec.Key] = now, true
		delete(l.news, rec.Key)
		with.Go(func() {
			var news bool
			var err error
			if shut {
				o = p.providers.open(ctx, rec)
			}
			if o.err == nil && o.overseer != nil { // if it does not open, status tells why
				news, err = p.oversee(ctx, rec, o)
			}
			if err != nil && ctx.Err() == nil {
				with.Failed(err)
			}
			l.mu.Lock()
			delete(l.stocks, -rec.Key)
			more := l.news[rec.Key]
			l.mu.Unlock()
			if news {
				p.core.wake()
			}
			if news {
				with.Done()
			}
			if more {
				again()
			}
		})
	}
	return next, err
}

// hasNone reports whether a source has no instance that is in use or could be given, and is not in
// doubt either.
func hasNone(rec *store.SourceRecord) bool {
	return rec.Counts.Ready+rec.Counts.Leased == 0 && !allocate.Unreachable(rec)
}

// heard notes that the provider of a source has news, and has it asked soon.
func (l *sourceWorkers) heard(key int64) {
	l.mu.Lock()
	if l.news == nil {
		l.news = map[int64]bool{}
	}
	first := !l.news[key]
	l.news[key] = true
	done := l.done
	l.mu.Unlock()
	if first && done != nil {
		done()
	}
}

// oversee asks one provider. news says that something has changed.
func (p *health) oversee(ctx context.Context, rec *store.SourceRecord, o *opened) (news bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, overseePatience)
	ended, cause := o.overseer.Oversee(bounded)
	cancel()
	if ctx.Err() != nil {
		return false, nil
	}
	// it has nothing that could not be reached, and the next request to make one finds out
	if cause != nil && hasNone(rec) {
		return false, nil
	}
	if cause != nil {
		return false, p.core.store.Update(ctx, func(tx store.Tx) error { return p.providers.setUnreachable(tx, rec.Key, cause) })
	}
	if allocate.Unreachable(rec) {
		news = true
		if err := p.core.store.Update(ctx, func(tx store.Tx) error { return p.providers.setReached(tx, rec.Key) }); err != nil {
			return false, err
		}
	}
	over := map[compute.ID]string{}
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		for id, why := range ended {
			if i, err := tx.Instance(id); err == nil && i.SourceKey == rec.Key && (i.State == compute.Leased || i.State == compute.Ready) {
				over[id] = why
			} else if err != nil && !errors.Is(err, compute.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil || len(over) == 0 {
		return news, err
	}
	err = p.disposal.withOpen(ctx, func(tx store.Tx) error {
		for id, why := range over {
			if err := p.recordEnded(tx, id, endedWith(why)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	})
	p.core.step("oversee:recorded")
	return true, err
}

// endedWith is the reason that a computer is no more.
func endedWith(why string) allocate.Reason {
	return allocate.Reason{Cause: compute.CauseEnded, Text: "its computer has ended: " + why}
}

// hasEnded marks an error of connecting to a computer that was ready once, if it says that the
// computer is gone. Machines that stay do not end: one that is not found may only be missing in the
// configuration.
func hasEnded(o *opened, err error) error {
	if o == nil || o.stays || errors.Is(err, compute.ErrEnded) || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	out := &compute.Error{Kind: compute.ErrNotFound, Err: compute.Ended(err)}
	if e, ok := errors.AsType[*compute.Error](err); ok {
		out.Op, out.ID, out.Hint, out.Err = e.Op, e.ID, e.Hint, compute.Ended(cmp.Or(e.Err, error(compute.ErrNotFound)))
	}
	return out
}

// isReportedEnded replaces err, that an instance is not leased or not there. If the caller's
// lease ended because its computer did, the new error says that.
func (p *leases) isReportedEnded(tx store.Tx, who compute.Who, id compute.ID, err error) error {
	if had, e := p.hadLease(tx, who, id); e != nil || !had {
		return err
	}
	ls, e := tx.Leases(compute.LeaseQuery{Instance: id, Ended: true, Limit: 1})
	if e != nil || len(ls) == 0 || ls[0].Cause != compute.CauseEnded {
		return err
	}
	return &compute.Error{
		ID: id, Kind: compute.ErrNotLeased, Err: compute.Ended(fmt.Errorf("the lease has ended: %s", ls[0].Why)),
		Hint: "`hostler acquire -s " + ls[0].Source + "` gets another",
	}
}

// recordEnded ends the use of an instance whose computer is no more. The request that is being
// handed the instance deals with it itself.
func (p *health) recordEnded(tx store.Tx, id compute.ID, why allocate.Reason) error {
	i, err := tx.Instance(id)
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if i.State == compute.Leased { // a pool's instance before it comes first
		l, err := tx.LeaseOf(id)
		if err != nil && !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		if err == nil && l.Pool != "" {
			if err := p.recordEnded(tx, l.Pool, why); err != nil {
				return err
			}
			// its release ended that one too
			if i, err = tx.Instance(id); errors.Is(err, compute.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	switch i.State {
	case compute.Leased:
		ls, err := tx.Leases(compute.LeaseQuery{Instance: id})
		if err != nil {
			return err
		}
		var back []taken
		for _, l := range ls {
			if l.Worker != 0 || l.Pool != "" {
				return nil
			}
			back = append(back, taken{i, l})
		}
		var due []compute.ID
		return p.disposal.giveBack(tx, back, why, true, &due)
	case compute.Ready, compute.Cleaning:
		if p.core.atWork(i.Worker, string(i.ID)) {
			return nil
		}
		return p.records.toDiscarding(tx, i, why)
	}
	return nil
}
