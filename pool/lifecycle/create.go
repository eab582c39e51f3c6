package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/choice"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// Creation makes instances, sets them up and checks them, up to their hand-out or the cache.
type Creation struct {
	core      *state.Core
	providers *sources.Providers
	templates *sources.Templates
	records   *leasing.Records
	leases    *leasing.Leases
}

func NewCreation(c *state.Core, p *sources.Providers, t *sources.Templates, r *leasing.Records, l *leasing.Leases) *Creation {
	return &Creation{c, p, t, r, l}
}

// finish makes and checks grants and confirms them to their user, or gives all of them back. again
// says that another attempt may succeed: a cached instance was unfit, or a child of a pool, now in
// skip, could not make its part.
func (p *Handouts) finish(
	ctx context.Context, units []*allocate.Grant, req compute.Request, waited time.Duration, skip map[string]bool,
) (again bool, err error) {
	notify := req.Notify
	if notify != nil && len(units) > 1 {
		var mu sync.Mutex
		notify = func(p compute.Progress) {
			mu.Lock()
			defer mu.Unlock()
			req.Notify(p)
		}
	}
	var wg sync.WaitGroup
	for _, u := range units {
		wg.Go(func() { u.Err = p.creation.provision(ctx, u, notify, waited) })
	}
	wg.Wait()
	var errs []error
	cachedFailed := true
	for _, u := range units {
		if u.Err == nil {
			continue
		}
		errs = append(errs, u.Err)
		leaf := u
		for leaf.Child != nil {
			leaf = leaf.Child
		}
		if u.Fresh {
			cachedFailed = false
		}
		if leaf != u && leaf.Err != nil {
			skip[leaf.Source.Name] = true
			again = true
		}
	}
	if len(errs) == 0 {
		err = p.creation.confirm(ctx, units)
		if err == nil {
			p.core.Step("acquire:told")
			return false, nil
		}
		errs = append(errs, err)
		cachedFailed, again = false, false
	}
	rest, cancel := state.CleanupContext(ctx)
	defer cancel()
	errs = append(errs, p.disposal.undo(rest, units))
	return again || cachedFailed, errors.Join(errs...)
}

// provision brings a grant to where it may be handed out. Fresh instances are made and set up
// from the inside out; cached ones are checked.
func (p *Creation) provision(ctx context.Context, u *allocate.Grant, notify func(compute.Progress), waited time.Duration) error {
	if u.Joins {
		return nil // the others on it have had all this
	}
	if u.Child != nil {
		u.Child.Measured = u.Measured || u.Source.Share
		if u.Err = p.provision(ctx, u.Child, notify, waited); u.Err != nil {
			return u.Err
		}
	}
	tell := func(phase, why string) {
		if notify != nil {
			notify(compute.Progress{Phase: phase, Instance: u.Instance.ID, Reason: why})
		}
	}
	if !u.Fresh {
		if !u.Verify {
			return nil
		}
		if u.Err = p.fit(ctx, u, tell); u.Err == nil {
			u.Err = p.providers.OnHandOut(ctx, u)
		}
		return u.Err
	}
	u.Instance.Phases.Wait = waited
	defer p.sawMade(u, time.Now())
	if u.Child == nil {
		if u.Err = p.create(ctx, u, tell); u.Err == nil && (u.Source.Share || u.Measured) {
			u.Err = p.providers.Measure(ctx, u)
		}
	} else {
		u.Instance.Address, u.Instance.ProviderID = u.Child.Instance.Address, u.Child.Instance.ProviderID
	}
	if u.Err == nil {
		u.Err = p.setUp(ctx, u, tell)
	}
	if u.Err == nil && u.Lease != nil {
		u.Err = p.providers.OnHandOut(ctx, u)
	}
	return u.Err
}

// create asks the provider for the computer of a recorded instance.
func (p *Creation) create(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	o := p.providers.Ready(u.Instance.SourceKey)
	if o == nil {
		return &compute.Error{ID: u.Instance.ID, Kind: compute.ErrUnavailable, Err: errors.New("its provider is not open")}
	}
	if u.Source.Reuse == "rebuild" && !o.Rebuilds() {
		return provider.Unasked(&compute.Error{ID: u.Instance.ID, Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("reuse = rebuild, and type %s cannot make a used computer anew in place", u.Source.Type),
			Hint: "say reuse = no: it is discarded, and another one made"})
	}
	what := choice.Choice{}
	if u.Request != nil {
		what = choice.Of(*u.Request)
	}
	what, err := what.Resolve(ctx, u.Source.Name, o.Choice)
	if err != nil {
		return provider.Unasked(err)
	}
	image := what.Image
	if image == "" && len(o.Names) == 0 {
		if image, err = p.templates.ImageFor(ctx, u.Source); err != nil {
			return provider.Unasked(err)
		}
		u.Image = image
	}
	if err := p.providers.Identify(ctx, o, u.Instance); err != nil {
		err = p.providers.Reaches(ctx, o, u.Instance.SourceKey, err)
		return provider.Unasked(&compute.Error{Op: "create", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err})
	}
	identity := u.Instance.Facts[provider.FactIdentity]
	u.Template = p.templates.NoticeTemplate(ctx, u.Source)
	tell("create", "")
	p.core.Step("create:before")
	start := time.Now()
	asking, span := trace.Start(ctx, "create", sources.About(u.Instance)...)
	made, err := o.Provider.Create(asking, compute.Spec{ID: u.Instance.ID, Source: u.Source.Name,
		Installation: p.core.Store.Installation(), Image: cmp.Or(image, u.Source.Image),
		Flavor: cmp.Or(what.Flavor, u.Source.Flavor), Location: what.Location, UserData: []byte(what.UserData),
		Cores: int(math.Ceil(u.Demand.Cores)), Memory: u.Demand.Memory, Disk: u.Demand.Disk, GPUs: u.Demand.GPUs, MaxPrice: u.Demand.Price})
	p.core.Step("create:answered")
	u.Instance.Phases.Create = time.Since(start)
	span.End(err)
	if err != nil {
		err = p.providers.Reaches(ctx, o, u.Instance.SourceKey, err)
		return &compute.Error{Op: "create", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err}
	}
	u.Instance.ProviderID, u.Instance.Address, u.Instance.Facts = made.ProviderID, made.Address, made.Facts
	what.Record(u.Instance)
	markPromoted(u.Instance, u.Image)
	sources.Known(u.Instance, identity)
	p.providers.LearnSize(u)
	if why := allocate.Lacks(u.Demand.Amount(), u.Instance.Facts); why != "" {
		return &compute.Error{
			ID: u.Instance.ID, Kind: compute.ErrNoCapacity, Err: &allocate.TooSmallError{Why: why}, Hint: "ask for less, or another source",
		}
	}
	if len(o.Names) > 0 {
		return nil // it existed before, and is first connected to when it is used
	}
	if err := p.core.Progress(ctx, u, steps.SetUp); err != nil {
		return err
	}
	p.core.Step("create:recorded")
	tell("connect", "")
	start = time.Now()
	reaching, span := trace.Start(ctx, "connect", sources.About(u.Instance)...)
	told := ""
	err = sources.Await(reaching, state.BootPatience, u.Until, func(ctx context.Context) error {
		c, err := o.Provider.Connect(ctx, u.Instance.ID)
		if errors.Is(err, compute.ErrNoPlace) && !u.Until.IsZero() && !time.Now().Before(u.Until) {
			return &errLate{err}
		}
		if err == nil {
			return c.Close()
		}
		if why := sources.CauseOf(err); why != told && errors.Is(err, compute.ErrNotReady) {
			told = why
			tell("connect", why)
		}
		return err
	})
	u.Instance.Phases.Connect = time.Since(start)
	span.End(err)
	if err == nil {
		err = p.providers.Identify(ctx, o, u.Instance)
	}
	if err != nil {
		err = p.providers.Reaches(ctx, o, u.Instance.SourceKey, err)
		return &compute.Error{Op: "connect", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err}
	}
	return nil
}

// setUp runs the provision hooks.
func (p *Creation) setUp(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	if !u.Source.Has("provision") || p.core.Opt.Hooks == nil {
		return nil
	}
	if u.Instance.State != compute.SettingUp {
		if err := p.core.Progress(ctx, u, steps.SetUp); err != nil {
			return err
		}
	}
	tell("set-up", "")
	start := time.Now()
	ctx, span := trace.Start(ctx, "set-up", sources.About(u.Instance)...)
	err := p.providers.Hooks(ctx, u.Source, u.Instance, "provision", u.Instance.Wanted)
	u.Instance.Phases.SetUp = time.Since(start)
	span.End(err)
	return err
}

// confirm hands all grants to their user in one transaction.
func (p *Creation) confirm(ctx context.Context, units []*allocate.Grant) error {
	type saved struct {
		i compute.Instance
		l compute.Lease
	}
	was := map[*allocate.Grant]saved{}
	for _, u := range units {
		_ = u.Each(func(u *allocate.Grant) error { was[u] = saved{*u.Instance, *u.Lease}; return nil })
	}
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		for u, s := range was { // as fn may run twice
			*u.Instance, *u.Lease = s.i, s.l
		}
		now := time.Now()
		var booked compute.Capacity
		for _, u := range units {
			booked = booked.Add(u.Instance.Booked.Holds) // once each, as a hand-out ends it
			err := u.Each(func(u *allocate.Grant) error {
				if u.Joins {
					return p.confirmShare(tx, u, now)
				}
				if err := p.core.CheckOwned(tx, u.Instance); err != nil {
					return err
				}
				if u.Fresh {
					basis, err := tx.Append(&compute.Event{
						Time: now, Kind: "made", Source: u.Source.Name, Instance: u.Instance.ID, Data: madeData(u.Instance),
						Project: state.ProjectOf(u),
					})
					if err != nil {
						return err
					}
					u.Instance.Basis, u.Instance.ReadyAt = basis, now
					if err := p.records.Holds(tx, u); err != nil {
						return err
					}
					begin(u.Lease, now)
					if err := p.records.Hand(tx, u, false); err != nil {
						return err
					}
					return p.records.Succeeded(tx, u.Instance, u.Beyond)
				}
				if u.Lease.Worker == 0 {
					return nil
				}
				if u.Verify {
					if err := p.providers.RecordHealth(tx, u.Instance.SourceKey); err != nil {
						return err
					}
					u.Instance.ReadyAt, u.Instance.Reason, u.Instance.Cause, u.Instance.Retry = now, "", "", time.Time{}
					if err := tx.SaveInstance(u.Instance); err != nil {
						return err
					}
				}
				u.Lease.Worker, u.Lease.Used = 0, now
				return tx.SaveLease(u.Lease)
			})
			if err != nil {
				return err
			}
		}
		if err := allocate.KeepQuota(p.records.View(tx), units, booked); err != nil {
			return err
		}
		return p.records.Reroom(tx, units)
	})
	if err != nil {
		for u, s := range was {
			*u.Instance, *u.Lease = s.i, s.l
		}
	}
	return err
}

// undo gives back all grants of a request that failed. Good instances are cached or discarded as by
// a release; failed ones go.
func (p *Disposal) undo(ctx context.Context, units []*allocate.Grant) error {
	var due []compute.ID
	var elsewhere []*compute.Instance
	var gone *sources.UnreachableError // a place did not answer: no reason to lose ready instances
	for _, u := range units {
		for x := u; x != nil && gone == nil; x = x.Child {
			gone = sources.AsUnreachable(x.Err)
		}
	}
	err := p.WithOpen(ctx, func(tx store.Tx) error {
		due, elsewhere = nil, nil
		var back []leasing.Taken
		for _, u := range units {
			if u.Joins {
				if t, err := lies(tx, u); err != nil {
					return err
				} else if t != nil {
					back = append(back, *t)
				}
				continue
			}
			for x := u; x != nil; x = x.Child {
				i, err := tx.Instance(x.Instance.ID)
				if errors.Is(err, compute.ErrNotFound) {
					continue
				} else if err != nil {
					return err
				} else if i.Row != x.Instance.Row || i.Generation != x.Instance.Generation || !x.Fresh && i.State != compute.Leased {
					// its lease ran out meanwhile; it was taken back with all that is behind it
					break
				}
				if x.Fresh || x.Err != nil {
					due = append(due, i.ID)
				}
				// it stays the pool's, or comes back with the pool's
				behind := x.Child != nil && x.Child.Err == nil
				switch {
				case x.Fresh && i.Worker != p.core.Store.Worker():
					// Another worker took it for the work of a dead process.
				case x.Err != nil && x.Child != nil && x.Child.Err != nil:
					// the pool's own part was not begun
					err = p.creation.dropUnmade(tx, i, "what is behind it could not be made, or was not fit")
				case x.Fresh && x.Child != nil:
					// The pool may have done something to its child, so the child stays behind it
					// until it is discarded, and is then cleaned.
					if err = p.creation.settleChildren(tx, x); errors.Is(err, compute.ErrStale) || errors.Is(err, compute.ErrNotFound) {
						err = nil // the child was discarded meanwhile
					}
					if err == nil && x.Err != nil {
						err = p.creation.markFailed(tx, x, i)
					} else if err == nil {
						err = p.discardLeased(tx, i, compute.Event{Kind: "released"}, allocate.Because("not needed any more"), &due)
					}
				case x.Err != nil && !x.Fresh && i.State == compute.Leased && (sources.AsUnreachable(x.Err) != nil || isMisplaced(x.Err)):
					if err = p.unhand(tx, i, x.Err); isMisplaced(x.Err) {
						elsewhere = append(elsewhere, i)
					}
				case x.Err != nil:
					err = p.creation.markFailed(tx, x, i)
				case x.Fresh:
					err = p.creation.toReadyOrGone(tx, i, x)
				case x.Lease.Share != nil:
					var t *leasing.Taken
					if t, err = lies(tx, x); t != nil {
						back = append(back, *t)
					}
				case i.State == compute.Leased && gone != nil && untouched(x) && x.Child != nil:
					// what it drew goes back by itself
					err, behind = p.creation.dropUnmade(tx, i, "not needed any more"), false
				case i.State == compute.Leased && gone != nil && untouched(x):
					err = p.unhand(tx, i, gone)
				case i.State == compute.Leased:
					back = append(back, leasing.Taken{Instance: i})
				}
				if err != nil {
					return err
				}
				if behind {
					break
				}
			}
		}
		return p.GiveBack(tx, back, allocate.Because("not given: another part of the request failed"), false, &due)
	})
	p.core.Wake()
	if err != nil {
		return err
	}
	p.core.Step("acquire:undone")
	for _, i := range elsewhere {
		if err := p.providers.SpreadMisplaced(ctx, i); err != nil {
			return err
		}
	}
	return p.workOn(ctx, due)
}

// untouched reports whether nothing was done to an instance that was taken for a request, nor to
// those behind it: it is as it was when ready.
func untouched(u *allocate.Grant) bool {
	if u.Fresh || u.Lease == nil || u.Lease.Worker == 0 || u.Lease.Share != nil || u.Child != nil && !untouched(u.Child) {
		return false
	}
	return !u.Verify || !slices.ContainsFunc(u.Source.All(), func(s *allocate.Source) bool { return s.Has("acquire") })
}

// dropUnmade removes an instance of which nothing was made.
func (p *Creation) dropUnmade(tx store.Tx, i *compute.Instance, why string) error {
	if err := p.leases.EndAll(tx, i, allocate.Because("not given")); err != nil {
		return err
	}
	return p.records.Remove(tx, i, steps.Forget, why)
}

// markFailed records that making or checking an instance failed, and counts failures to create
// against its source.
func (p *Creation) markFailed(tx store.Tx, u *allocate.Grant, i *compute.Instance) error {
	why := fault.Message(u.Err)
	if i.State == compute.Leased {
		if err := p.leases.EndAll(tx, i, allocate.Because("not given: "+why)); err != nil {
			return err
		}
	}
	i.Phases = u.Instance.Phases
	if allocate.NeverFits(u.Err) != nil { // neither it nor its source is broken
		if err := p.records.InVainFor(tx, i.SourceKey, u); err != nil {
			return err
		}
		return p.records.ToDiscarding(tx, i, allocate.Because(why))
	}
	if u.Fresh && !errors.Is(u.Err, context.Canceled) && !errors.Is(u.Err, compute.ErrStale) && !isLate(u.Err) {
		if err := p.records.Failed(tx, u, i); err != nil {
			return err
		}
		if err := p.templates.RevertPromotion(tx, u.Source, u.Image, u.Err); err != nil {
			return err
		}
	}
	if u.Fresh && u.Child == nil && i.ProviderID == "" && provider.WasUnasked(u.Err) {
		return p.dropUnmade(tx, i, why) // the provider was never asked, so nothing was made
	}
	failed := allocate.Because(why)
	interrupted := fault.KindOf(u.Err) == compute.ErrTimeout || errors.Is(u.Err, context.Canceled)
	if u.Fresh && i.ProviderID == "" && u.Child == nil && interrupted {
		failed = unanswered(why)
	}
	src := u.Source
	if i.State == compute.Creating && i.ProviderID == "" {
		src = nil // there is nothing to look at
	}
	return p.core.ToFailed(tx, i, src, failed)
}

// toReadyOrGone decides about an instance that was made for a request that failed.
func (p *Creation) toReadyOrGone(tx store.Tx, i *compute.Instance, u *allocate.Grant) error {
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if u.Demand.Chosen() || rec.Counts.Cached()+rec.Counts.InUse() > p.records.Keeps(u.Source, rec, rec.Counts.InUse()) {
		return p.records.ToDiscarding(tx, i, allocate.Because("not needed any more"))
	}
	i.Phases, i.ProviderID, i.Address, i.Facts = u.Instance.Phases, u.Instance.ProviderID, u.Instance.Address, u.Instance.Facts
	return p.core.ToReady(tx, i, steps.Cache, compute.Event{Text: "made", Data: madeData(i)})
}

// madeData is what the journal says of an instance that was made: how long its phases took and,
// where an image may have stood ready for it, what came of that.
func madeData(i *compute.Instance) map[string]string {
	data := state.PhaseData(i.Phases)
	if i.Facts[provider.FactCached] == "" {
		return data
	}
	for _, fact := range []string{provider.FactCached, provider.FactImage, provider.FactNode} {
		if v := i.Facts[fact]; v != "" {
			data[fact] = v
		}
	}
	return data
}

// errLate says that an instance that was being made for a request still had no room when its wait
// was over. Its kind is ErrNoCapacity.
type errLate struct{ err error }

func (e *errLate) Error() string { return sources.CauseOf(e.err) }

func (e *errLate) Unwrap() error { return compute.ErrNoCapacity }

func isLate(err error) bool {
	var e *errLate
	return errors.As(err, &e)
}

// fit checks a cached instance, and those behind it, before it is handed out.
func (p *Creation) fit(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	chain, err := p.core.Behind(ctx, u.Instance)
	if err != nil {
		return err
	}
	for _, i := range chain {
		var err error
		if i.Cold {
			tell("start", "")
			err = p.startStopped(ctx, i)
		}
		if o := p.providers.Ready(i.SourceKey); err == nil && o != nil && o.Health.Checker != nil {
			tell("check", "")
			err = p.providers.Healthy(ctx, o, i)
		}
		if s := p.core.Sources[i.Source]; err == nil && s != nil && p.core.KeyOf(s) == i.SourceKey && s.Has("check") {
			tell("check", "")
			err = p.providers.Hooks(ctx, s, i, "check", u.Lease.ID)
		}
		if err != nil {
			return &compute.Error{Op: "check", ID: i.ID, Kind: compute.ErrFailed, Err: err}
		}
	}
	return nil
}

// confirmShare confirms a lease on a shared instance. The size of a new instance is known only now.
func (p *Creation) confirmShare(tx store.Tx, u *allocate.Grant, now time.Time) error {
	if u.Host == nil || !u.Host.Fresh {
		l, err := tx.Lease(u.Lease.ID)
		if err != nil {
			return err
		}
		if !l.Ended.IsZero() {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrStale, Err: fmt.Errorf("its lease has ended meanwhile: %s", l.Why)}
		}
		u.Lease.Worker, u.Lease.Used = 0, now
		return tx.SaveLease(u.Lease)
	}
	_, space, err := allocate.SpaceOf(tx, u.Instance)
	if err != nil {
		return err
	}
	if space == nil || !space.Has(*u.Lease.Share) {
		return &compute.Error{
			ID: u.Instance.ID, Kind: compute.ErrNoCapacity,
			Err: errors.New("it has less than those before it had, so not all that was asked for fits on it"),
		}
	}
	begin(u.Lease, now)
	return p.records.HandPart(tx, u, false)
}

// begin sets a lease's beginning to now.
func begin(l *compute.Lease, now time.Time) {
	l.Given, l.Used = now, now
	if l.TTL > 0 {
		l.Expires = now.Add(l.TTL)
	}
}
