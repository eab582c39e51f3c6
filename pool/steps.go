package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

const (
	atOnce = 8 // instances worked on at a time by one call
	// how long the provider has to prove the end, before a later try
	destroyPatience = 2 * time.Minute
	// how long it has to clean, before the instance counts as failed
	cleanPatience = 30 * time.Minute
	listPatience  = 5 * time.Minute  // how long it has to list its computers
	retryFirst    = 2 * time.Second  // pause after a failed discard, doubling
	retryMost     = 10 * time.Minute // at most
)

// job is an instance that this worker has claimed, to carry it to its next stable state.
type job struct {
	inst *compute.Instance
	rec  *store.SourceRecord
}

func keysOfJobs(jobs []job) (keys []string) {
	for _, j := range jobs {
		keys = append(keys, string(j.inst.ID))
	}
	return keys
}

// workOn does the work that each of the instances waits for. It passes over instances that another
// worker has, or that wait for nothing.
func (p *disposal) workOn(ctx context.Context, ids []compute.ID) error {
	return p.abreast(len(ids), func(n int) error { _, err := p.workOne(ctx, ids[n]); return err })
}

// carry does jobs.
func (p *disposal) carry(ctx context.Context, jobs []job) error {
	if len(jobs) == 0 {
		return nil
	}
	return p.abreast(len(jobs), func(n int) error { return p.carryOne(ctx, jobs[n]) })
}

// abreast does several things at a time. A failure to discard is recorded and tried again later.
func (p *disposal) abreast(n int, do func(int) error) error {
	gate := make(chan struct{}, atOnce)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for k := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			errs[k] = do(k)
		})
	}
	wg.Wait()
	p.core.wake()
	return errors.Join(errs...)
}

// workOne claims an instance and carries it on. did is false where there was nothing to do, or
// another worker does it.
func (p *disposal) workOne(ctx context.Context, id compute.ID) (did bool, err error) {
	var j job
	var taken []string
	err = p.core.store.Update(ctx, func(tx store.Tx) (err error) {
		p.core.inflight.leave(taken...)
		taken = nil
		if j.inst, j.rec, err = p.claim(tx, id); err == nil && j.inst != nil {
			taken = []string{string(j.inst.ID)}
			p.core.inflight.take(taken...)
		}
		return err
	})
	defer func() { p.core.inflight.leave(taken...) }()
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil || j.inst == nil {
		return false, err
	}
	p.core.step("work:claimed")
	return true, p.carryOne(ctx, j)
}

// carryOne carries a claimed instance to its next stable state.
func (p *disposal) carryOne(ctx context.Context, j job) (err error) {
	switch j.inst.State {
	case compute.Cleaning:
		err = p.clean(ctx, j.inst, j.rec)
	case compute.Discarding:
		err = p.discard(ctx, j.inst, j.rec)
	}
	if errors.Is(err, compute.ErrStale) {
		err = nil // another worker went on with it
	}
	return err
}

// claim takes an instance for this worker, if there is something to do about it. An instance that a
// dead worker was making is to be discarded: how far it came is not known, and no request waits for
// it.
func (p *disposal) claim(tx store.Tx, id compute.ID) (*compute.Instance, *store.SourceRecord, error) {
	i, err := tx.Instance(id)
	if err != nil {
		return nil, nil, err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil || p.core.atWork(i.Worker, string(i.ID)) || i.Retry.After(time.Now()) {
		return nil, nil, err
	}
	s := p.core.configured(rec)
	switch i.State {
	case compute.Creating, compute.SettingUp:
		if front, e := begun(tx, i); e != nil || front != nil {
			if e != nil {
				return nil, nil, e
			}
			return p.claim(tx, front.ID) // this one comes after it
		}
		err = p.records.toDiscarding(tx, i, unanswered("the process that was making it died"))
	case compute.Failed:
		err = p.records.toDiscarding(tx, i, allocate.Reason{Cause: i.Cause, Text: i.Reason})
	case compute.Held:
		if i.Retry.IsZero() {
			return nil, nil, nil // a person has it
		}
		err = p.records.toDiscarding(tx, i, allocate.Because("taken for dead: "+i.Reason))
	case compute.Ready:
		// A ready instance that is due is too old or surplus, or its source is defined otherwise
		// now. It may have been taken and given back since.
		if s == nil && p.providers.redefined(rec) {
			err = p.records.toDiscarding(tx, i, allocate.Because("its source is defined otherwise now"))
			break
		} else if s == nil && p.providers.removed(rec) {
			err = p.records.toDiscarding(tx, i, allocate.Because("its source is configured no more"))
			break
		} else if s == nil {
			return nil, nil, nil
		}
		now, e := p.clock.inOrder(tx, time.Now())
		if e != nil {
			return nil, nil, e
		}
		why, e := p.unwanted(tx, s, rec, i, now)
		if e != nil || why == "" {
			return nil, nil, e
		}
		err = p.records.toDiscarding(tx, i, allocate.Because(why))
	case compute.Cleaning, compute.Discarding:
	default:
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	i.Worker = p.core.store.Worker()
	if i.Wanted == "" {
		i.Wanted = p.core.opt.NewID() // the token by which hooks may use it
	}
	return i, rec, tx.SaveInstance(i)
}

// unwanted returns why a ready instance is to go now, or "".
func (p *disposal) unwanted(tx store.Tx, s *Source, rec *store.SourceRecord, i *compute.Instance, now time.Time) (string, error) {
	if why, err := allocate.Expired(tx, p.core.sources, s, i, now); err != nil || why != "" {
		return why, err
	}
	why := fmt.Sprintf("not wanted for %v", s.Idle)
	// to read all for each that goes would take the square of their number
	if rec.Counts.Ready > allocate.Many {
		extra := rec.Counts.Cached() + rec.Counts.InUse() - p.records.keeps(s, rec, rec.Counts.InUse())
		if s.Idle > 0 && extra > 0 && !i.Cold && !i.Since.Add(s.Idle).After(now) {
			return why, nil
		}
		return "", nil
	}
	out, _, err := p.surplus(tx, i.SourceKey, now, false)
	if err != nil || !slices.ContainsFunc(out, func(o *compute.Instance) bool { return o.ID == i.ID }) {
		return "", err
	}
	return why, nil
}

// begun returns the pool's instance before one that was never finished, if the pool had begun its
// own part, or nil.
func begun(tx store.Tx, i *compute.Instance) (*compute.Instance, error) {
	fronts, err := tx.Instances(compute.InstanceQuery{Child: i.ID})
	if err != nil {
		return nil, err
	}
	for _, f := range fronts {
		if f.State != compute.Creating {
			return f, nil
		}
	}
	return nil, nil
}

// clean makes a released instance fit for the next lease: first the release hooks from the outside
// in, then the provider.
func (p *disposal) clean(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	chain, err := p.core.behind(ctx, i)
	if err != nil {
		return err
	}
	var checked []string
	asIs := false
	for stage, j := range chain {
		var of *store.SourceRecord
		if of, err = p.core.recordOf(ctx, j.SourceKey); err != nil {
			break
		}
		s := p.core.sourceOf(of)
		if !s.Has("release") {
			continue
		}
		if err = p.providers.hooksFor(ctx, s, i, hookView(i, j), stage, "release", i.Wanted); err != nil {
			break
		}
		checked = append(checked, "release hooks of "+s.Name+" ran")
	}
	if err == nil {
		leaf := chain[len(chain)-1]
		var what string
		if what, err = p.cleanLeaf(ctx, leaf); what != "" {
			asIs = what == "as-is"
			checked = append(checked, what)
		}
	}
	// an instance made as new has lost what its sources put on it
	for _, j := range slices.Backward(chain) {
		if err != nil || asIs {
			break
		}
		var of *store.SourceRecord
		if of, err = p.core.recordOf(ctx, j.SourceKey); err == nil && p.core.sourceOf(of).Has("bundles") {
			if err = p.providers.bundlesAgain(ctx, p.core.sourceOf(of), hookView(i, j)); err == nil {
				checked = append(checked, "bundles of "+of.Name+" applied")
			}
		}
	}
	if err != nil && ctx.Err() != nil {
		return p.core.releaseClaim(ctx, i) // interrupted: the next look cleans it again
	}
	if errors.Is(err, compute.ErrStale) {
		return err
	}
	p.core.step("clean:done")
	defer p.core.wake()
	rest, cancel := cleanupContext(ctx)
	defer cancel()
	unwanted := false
	e := p.core.store.Update(rest, func(tx store.Tx) (e error) {
		if e := p.core.checkOwned(tx, i); e != nil {
			return e
		}
		j := *i
		if err != nil {
			return p.core.toFailed(tx, &j, p.core.sourceOf(rec), allocate.Because("cleaning: "+compute.Said(err)))
		}
		if unwanted, e = p.records.inVain(tx, &j); e != nil {
			return e
		} else if unwanted {
			return p.records.toDiscarding(tx, &j, allocate.Because("nobody waits for it any more"))
		}
		j.Cold = j.Cold && asIs
		return p.core.toReady(tx, &j, compute.Event{Kind: "cleaned", Text: strings.Join(checked, "; ")})
	})
	if e == nil && unwanted {
		_, e = p.workOne(ctx, i.ID)
	}
	return e
}

// hookView returns the instance that a hook of an inner source sees, while the outer record is
// worked on.
func hookView(outer, inner *compute.Instance) *compute.Instance {
	if outer.ID == inner.ID {
		return outer
	}
	v := *outer
	v.ID, v.Source = inner.ID, inner.Source
	return &v
}

// cleanLeaf has the provider clean a computer, unless its source says reuse = as-is.
func (p *disposal) cleanLeaf(ctx context.Context, leaf *compute.Instance) (string, error) {
	rec, err := p.core.recordOf(ctx, leaf.SourceKey)
	if err != nil {
		return "", err
	}
	o := p.providers.open(ctx, rec)
	if o.err != nil {
		return "", o.err
	}
	if s := p.core.configured(rec); s != nil && s.Reuse == "as-is" || o.reuse == "as-is" {
		return "as-is", nil
	}
	c, ok := compute.As[compute.Cleaner](o.provider)
	if !ok {
		return "", &compute.Error{ID: leaf.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot clean")}
	}
	p.core.step("clean:before")
	ctx, cancel := context.WithTimeout(ctx, cleanPatience)
	defer cancel()
	return c.Clean(ctx, leaf.ID)
}

// releaseClaim releases this worker's claim on an instance, for the next look.
func (p *core) releaseClaim(ctx context.Context, i *compute.Instance) error {
	ctx, cancel := cleanupContext(ctx)
	defer cancel()
	return p.store.Update(ctx, func(tx store.Tx) error {
		if err := p.checkOwned(tx, i); err != nil {
			return err
		}
		j := *i
		j.Worker = 0
		return tx.SaveInstance(&j)
	})
}

// discard carries an instance to its proved end: first the discard hooks, whose failures are only
// noted, then the provider, until it says not found.
func (p *disposal) discard(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	if s := p.core.sourceOf(rec); s.Has("discard") && i.Resume >= 0 {
		if err := p.providers.hooks(ctx, s, i, "discard", i.Wanted); ctx.Err() != nil {
			return p.core.releaseClaim(ctx, i)
		} else if errors.Is(err, compute.ErrStale) {
			return err
		} else if e := p.core.hooksDone(ctx, i, err); e != nil {
			return e
		}
	}
	if rec.Type == allocate.PoolType {
		var due []compute.ID
		err := p.withOpen(ctx, func(tx store.Tx) error {
			due = nil
			if err := p.core.checkOwned(tx, i); err != nil {
				return err
			}
			j := *i
			return p.endPoolInstance(tx, &j, &due)
		})
		if err != nil {
			return err
		}
		p.core.step("discard:recorded")
		return p.workOn(ctx, due)
	}
	err := p.destroy(ctx, i, rec)
	if ctx.Err() != nil && err != nil {
		return p.core.releaseClaim(ctx, i)
	}
	p.core.step("discard:answered")
	ctx, cancel := cleanupContext(ctx)
	defer cancel()
	err = p.core.store.Update(ctx, func(tx store.Tx) error {
		if e := p.core.checkOwned(tx, i); e != nil {
			return e
		}
		j := *i
		if wait := p.providers.lingering(&j); err == nil && wait > 0 {
			j.Worker, j.Attempts, j.Retry = 0, j.Attempts+1, time.Now().Add(min(wait, lingerLook))
			return tx.SaveInstance(&j)
		} else if err == nil {
			why, _, _ := strings.Cut(j.Reason, triedInVain) // the last failure is over
			return p.records.gone(tx, &j, why)
		}
		j.Attempts++
		j.Retry = time.Now().Add(min(retryMost, retryFirst<<min(j.Attempts-1, 20)))
		j.Worker = 0
		if !lost(&j) {
			why, _, _ := strings.Cut(j.Reason, triedInVain)
			j.Reason = why + triedInVain + compute.Said(err)
		}
		if e := tx.SaveInstance(&j); e != nil {
			return e
		}
		_, e := tx.Append(&compute.Event{Kind: "discard-failed", Source: j.Source, Instance: j.ID, Text: compute.Said(err),
			Data: map[string]string{"attempt": fmt.Sprint(j.Attempts), "again": j.Retry.Format(time.RFC3339)}})
		return e
	})
	p.core.step("discard:recorded")
	return err
}

// triedInVain stands between the reason to discard an instance and the error of the last failed
// try.
const triedInVain = "; discard: "

// lingerLook is the time between two looks whether an instance exists by now.
const lingerLook = 5 * time.Second

// unanswered is the reason to discard an instance of which it is not known whether it was made.
func unanswered(why string) allocate.Reason {
	return allocate.Reason{Cause: compute.CauseUnanswered, Text: "the answer to its creation was lost: " + why}
}

func lost(i *compute.Instance) bool { return i.Cause == compute.CauseUnanswered }

// lingering returns how long to keep looking for an instance that is not there, because its
// creation may still be on its way.
func (p *providers) lingering(i *compute.Instance) time.Duration {
	o := p.ready(i.SourceKey)
	if o == nil || !lost(i) || i.ProviderID != "" {
		return 0
	}
	return min(o.lingers, time.Until(i.Created.Add(o.lingers)))
}

// hooksDone records, once, that the discard hooks have run.
func (p *core) hooksDone(ctx context.Context, i *compute.Instance, failed error) error {
	return p.store.Update(ctx, func(tx store.Tx) error {
		if err := p.checkOwned(tx, i); err != nil {
			return err
		}
		j := *i
		j.Resume = -1
		if failed != nil {
			if _, err := tx.Append(&compute.Event{
				Kind: "hook-failed", Source: j.Source, Instance: j.ID, Text: compute.Said(failed),
			}); err != nil {
				return err
			}
		}
		i.Resume = -1
		return tx.SaveInstance(&j)
	})
}

// destroy calls the provider's Destroy until it proves the end.
func (p *disposal) destroy(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	o := p.providers.open(ctx, rec)
	if o.err != nil {
		return o.err
	}
	ctx, cancel := context.WithTimeout(ctx, destroyPatience)
	defer cancel()
	pause, asked := 5*time.Millisecond, time.Now()
	for {
		p.core.step("discard:before")
		err := o.leads(ctx, i)
		if err == nil {
			err = o.provider.Destroy(ctx, i.ID)
		}
		switch {
		case errors.Is(err, compute.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		if time.Since(asked) >= yieldAfter {
			yieldWorker(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("asked, and still there after %v", destroyPatience)
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// of returns the source that decides about an instance's life: the configured one, or what its
// record has kept.
func (p *core) of(ctx context.Context, i *compute.Instance) (*Source, error) {
	if s := p.sources[i.Source]; s != nil {
		if p.keyOf(s) == i.SourceKey {
			return s, nil
		}
	}
	rec, err := p.recordOf(ctx, i.SourceKey)
	if err != nil {
		return nil, err
	}
	return p.sourceOf(rec), nil
}

// recordOf reads a source's record by its key.
func (p *core) recordOf(ctx context.Context, key int64) (rec *store.SourceRecord, err error) {
	err = p.store.View(ctx, func(tx store.Tx) error {
		rec, err = tx.SourceByKey(key)
		return err
	})
	return rec, err
}

// behind returns the instance and those behind it, the real one last.
func (p *core) behind(ctx context.Context, i *compute.Instance) (chain []*compute.Instance, err error) {
	if i.Child == "" {
		// this is the usual case; with thousands handed out at once, reading the store for each
		// would take most of the time
		return []*compute.Instance{i}, nil
	}
	err = p.store.View(ctx, func(tx store.Tx) error {
		inner, err := allocate.ChainOf(tx, i.Child)
		chain = append([]*compute.Instance{i}, inner...)
		return err
	})
	if err == nil && chain[len(chain)-1].Child != "" {
		err = errHollow(i.ID)
	}
	return chain, err
}

// errHollow is the error of a pool's instance that has lost the real one.
func errHollow(id compute.ID) error {
	return &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("the instance behind it is gone")}
}
