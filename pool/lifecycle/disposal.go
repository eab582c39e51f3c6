package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Disposal cleans and discards instances, and takes them back from leases.
type Disposal struct {
	core      *state.Core
	clock     *state.Clock
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	leases    *leasing.Leases
	creation  *Creation
}

func NewDisposal(
	c *state.Core, cl *state.Clock, p *sources.Providers, t *sources.Templates, r *leasing.Records, l *leasing.Leases, cr *Creation,
) *Disposal {
	return &Disposal{c, cl, p, t, r, l, cr}
}

const (
	atOnce = 8 // instances worked on at a time by one call
	// how long the provider has to prove the end, before a later try
	destroyPatience = 2 * time.Minute
	// how long it has to clean, before the instance counts as failed
	cleanPatience = 30 * time.Minute
	listPatience  = 5 * time.Minute // how long it has to list its computers
	// pause after a failed discard; it doubles, up to state.RetryMost
	retryFirst = 2 * time.Second
)

// Job is an instance that this worker has claimed, to carry it to its next stable state.
type Job struct {
	Instance *compute.Instance
	Record   *store.SourceRecord
}

// workOn does the work that each of the instances waits for. It passes over instances that another
// worker has, or that wait for nothing.
func (p *Disposal) workOn(ctx context.Context, ids []compute.ID) error {
	return p.abreast(len(ids), func(n int) error { _, err := p.workOne(ctx, ids[n]); return err })
}

// Carry does jobs.
func (p *Disposal) Carry(ctx context.Context, jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	return p.abreast(len(jobs), func(n int) error { return p.carryOne(ctx, jobs[n]) })
}

// abreast does several things at a time. A failure to discard is recorded and tried again later.
func (p *Disposal) abreast(n int, do func(int) error) error {
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
	p.core.Wake()
	return errors.Join(errs...)
}

// workOne claims an instance and carries it on. did is false where there was nothing to do, or
// another worker does it.
func (p *Disposal) workOne(ctx context.Context, id compute.ID) (did bool, err error) {
	var j Job
	var taken []string
	err = p.core.Store.Update(ctx, func(tx store.Tx) (err error) {
		p.core.Inflight.Leave(taken...)
		taken = nil
		if j.Instance, j.Record, err = p.Claim(tx, id); err == nil && j.Instance != nil {
			taken = []string{string(j.Instance.ID)}
			p.core.Inflight.Take(taken...)
		}
		return err
	})
	defer func() { p.core.Inflight.Leave(taken...) }()
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil || j.Instance == nil {
		return false, err
	}
	p.core.Step("work:claimed")
	return true, p.carryOne(ctx, j)
}

// carryOne carries a claimed instance to its next stable state.
func (p *Disposal) carryOne(ctx context.Context, j Job) (err error) {
	switch steps.Of(j.Instance.State).Work {
	case steps.Cleaning:
		err = p.clean(ctx, j.Instance, j.Record)
	case steps.Discarding:
		err = p.discard(ctx, j.Instance, j.Record)
	}
	if errors.Is(err, compute.ErrStale) {
		err = nil // another worker went on with it
	}
	return err
}

// Claim takes an instance for this worker, if there is something to do about it that no other does:
// its process died, its work failed or its time has come. The table says what that is.
func (p *Disposal) Claim(tx store.Tx, id compute.ID) (*compute.Instance, *store.SourceRecord, error) {
	i, err := tx.Instance(id)
	if err != nil {
		return nil, nil, err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil || p.core.AtWork(i.Worker, string(i.ID)) || i.Retry.After(time.Now()) {
		return nil, nil, err
	}
	of := steps.Of(i.State)
	if of.Making {
		if front, err := begun(tx, i); err != nil {
			return nil, nil, err
		} else if front != nil {
			return p.Claim(tx, front.ID) // this one comes after it
		}
	}
	var why allocate.Reason
	switch of.Undo.When {
	case steps.Never:
		return nil, nil, nil
	case steps.InTime:
		if i.Retry.IsZero() {
			return nil, nil, nil // a person has it
		}
	case steps.Unwanted:
		if why.Text, err = p.unwanted(tx, rec, i); err != nil || why.Text == "" {
			return nil, nil, err
		}
	}
	if of.Undo.Why != nil {
		why.Cause, why.Text = of.Undo.Why(i)
	}
	if of.Undo.Step == steps.Discard {
		if err := p.records.ToDiscarding(tx, i, why); err != nil {
			return nil, nil, err
		}
	}
	i.Worker = p.core.Store.Worker()
	if i.Wanted == "" {
		i.Wanted = p.core.Opt.NewID() // the token by which hooks may use it
	}
	return i, rec, tx.SaveInstance(i)
}

// unwanted returns why a ready instance is to go now, or "": it is too old or surplus, or its
// source is defined otherwise. It may have been taken and given back since it was found to be due.
func (p *Disposal) unwanted(tx store.Tx, rec *store.SourceRecord, i *compute.Instance) (string, error) {
	s := p.core.Configured(rec)
	switch {
	case s == nil && p.providers.Redefined(rec):
		return "its source is defined otherwise now", nil
	case s == nil && p.providers.Removed(rec):
		return "its source is configured no more", nil
	case s == nil:
		return "", nil
	}
	now, err := p.clock.InOrder(tx, time.Now())
	if err != nil {
		return "", err
	}
	if why, err := allocate.Expired(tx, p.core.Sources, s, i, now); err != nil || why != "" {
		return why, err
	}
	why := fmt.Sprintf("not wanted for %v", s.Idle)
	// to read all for each that goes would take the square of their number
	if rec.Counts.Ready > allocate.Many {
		extra := rec.Counts.Cached() + rec.Counts.InUse() - p.records.Keeps(s, rec, rec.Counts.InUse())
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
	fronts, err := tx.Instances(inventory.InstanceQuery{Child: i.ID})
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
func (p *Disposal) clean(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	chain, err := p.core.Behind(ctx, i)
	if err != nil {
		return err
	}
	var checked []string
	asIs := false
	for stage, j := range chain {
		var of *store.SourceRecord
		if of, err = p.core.RecordOf(ctx, j.SourceKey); err != nil {
			break
		}
		s := p.core.SourceOf(of)
		if !s.Has("release") {
			continue
		}
		if err = p.providers.HooksFor(ctx, s, i, sources.HookView(i, j), stage, "release", i.Wanted); err != nil {
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
		if of, err = p.core.RecordOf(ctx, j.SourceKey); err == nil && p.core.SourceOf(of).Has("bundles") {
			if err = p.providers.BundlesAgain(ctx, p.core.SourceOf(of), sources.HookView(i, j)); err == nil {
				checked = append(checked, "bundles of "+of.Name+" applied")
			}
		}
	}
	if err != nil && ctx.Err() != nil {
		return p.core.ReleaseClaim(ctx, i) // interrupted: the next look cleans it again
	}
	if errors.Is(err, compute.ErrStale) {
		return err
	}
	p.core.Step("clean:done")
	defer p.core.Wake()
	rest, cancel := state.CleanupContext(ctx)
	defer cancel()
	unwanted := false
	e := p.core.Store.Update(rest, func(tx store.Tx) (e error) {
		if e := p.core.CheckOwned(tx, i); e != nil {
			return e
		}
		j := *i
		if err != nil {
			return p.core.ToFailed(tx, &j, p.core.SourceOf(rec), allocate.Because("cleaning: "+fault.Message(err)))
		}
		if unwanted, e = p.records.InVain(tx, &j); e != nil {
			return e
		} else if unwanted {
			return p.records.ToDiscarding(tx, &j, allocate.Because("nobody waits for it any more"))
		}
		j.Cold = j.Cold && asIs
		return p.core.ToReady(tx, &j, steps.Cleaned, compute.Event{Kind: "cleaned", Text: strings.Join(checked, "; ")})
	})
	if e == nil && unwanted {
		_, e = p.workOne(ctx, i.ID)
	}
	return e
}

// cleanLeaf has the provider clean a computer, unless its source says reuse = as-is.
func (p *Disposal) cleanLeaf(ctx context.Context, leaf *compute.Instance) (string, error) {
	rec, err := p.core.RecordOf(ctx, leaf.SourceKey)
	if err != nil {
		return "", err
	}
	o := p.providers.Open(ctx, rec)
	if o.Err != nil {
		return "", o.Err
	}
	if s := p.core.Configured(rec); s != nil && s.Reuse == "as-is" || o.Reuse == "as-is" {
		return "as-is", nil
	}
	if o.Cleaner == nil {
		return "", &compute.Error{ID: leaf.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot clean")}
	}
	p.core.Step("clean:before")
	ctx, cancel := context.WithTimeout(ctx, cleanPatience)
	defer cancel()
	return o.Cleaner.Clean(ctx, leaf.ID)
}

// discard carries an instance to its proved end: first the discard hooks, whose failures are only
// noted, then the provider, until it says not found.
func (p *Disposal) discard(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	if s := p.core.SourceOf(rec); s.Has("discard") && i.Resume >= 0 {
		if err := p.providers.Hooks(ctx, s, i, "discard", i.Wanted); ctx.Err() != nil {
			return p.core.ReleaseClaim(ctx, i)
		} else if errors.Is(err, compute.ErrStale) {
			return err
		} else if e := p.core.HooksDone(ctx, i, err); e != nil {
			return e
		}
	}
	if rec.Type == allocate.PoolType {
		var due []compute.ID
		err := p.WithOpen(ctx, func(tx store.Tx) error {
			due = nil
			if err := p.core.CheckOwned(tx, i); err != nil {
				return err
			}
			j := *i
			return p.endPoolInstance(tx, &j, &due)
		})
		if err != nil {
			return err
		}
		p.core.Step("discard:recorded")
		return p.workOn(ctx, due)
	}
	err := p.destroy(ctx, i, rec)
	if ctx.Err() != nil && err != nil {
		return p.core.ReleaseClaim(ctx, i)
	}
	p.core.Step("discard:answered")
	ctx, cancel := state.CleanupContext(ctx)
	defer cancel()
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		if e := p.core.CheckOwned(tx, i); e != nil {
			return e
		}
		j := *i
		if wait := p.providers.Lingering(&j); err == nil && wait > 0 {
			j.Worker, j.Attempts, j.Retry = 0, j.Attempts+1, time.Now().Add(min(wait, lingerLook))
			return tx.SaveInstance(&j)
		} else if err == nil {
			return p.records.Remove(tx, &j, steps.Gone, j.Reason)
		}
		j.Attempts++
		j.Retry = time.Now().Add(min(state.RetryMost, retryFirst<<min(j.Attempts-1, 20)))
		j.Worker = 0
		if !sources.Lost(&j) {
			j.Failure = fault.Message(err)
		}
		if e := tx.SaveInstance(&j); e != nil {
			return e
		}
		_, e := tx.Append(&compute.Event{Kind: "discard-failed", Source: j.Source, Instance: j.ID, Text: fault.Message(err),
			Data: map[string]string{"attempt": fmt.Sprint(j.Attempts), "again": j.Retry.Format(time.RFC3339)}})
		return e
	})
	p.core.Step("discard:recorded")
	return err
}

// lingerLook is the time between two looks whether an instance exists by now.
const lingerLook = 5 * time.Second

// unanswered is the reason to discard an instance of which it is not known whether it was made.
func unanswered(why string) (r allocate.Reason) {
	r.Cause, r.Text = steps.Unanswered(why)
	return r
}

// destroy calls the provider's Destroy until it proves the end.
func (p *Disposal) destroy(ctx context.Context, i *compute.Instance, rec *store.SourceRecord) error {
	o := p.providers.Open(ctx, rec)
	if o.Err != nil {
		return o.Err
	}
	ctx, cancel := context.WithTimeout(ctx, destroyPatience)
	defer cancel()
	pause, asked := 5*time.Millisecond, time.Now()
	for {
		p.core.Step("discard:before")
		err := o.Leads(ctx, i)
		if err == nil {
			err = o.Provider.Destroy(ctx, i.ID)
		}
		switch {
		case errors.Is(err, compute.ErrNotFound):
			return nil
		case err != nil:
			return err
		}
		if time.Since(asked) >= state.YieldAfter {
			state.YieldWorker(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("asked, and still there after %v", destroyPatience)
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}
