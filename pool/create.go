package pool

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
	"github.com/hostler-project/hostler/store"
)

const (
	bootPatience    = 15 * time.Minute // for a new instance to answer
	cleanupPatience = time.Minute      // for giving back what an interrupted request took
)

// finish makes and checks grants and confirms them to their user, or gives all of them back. again
// says that another attempt may succeed: a cached instance was unfit, or a child of a pool, now in
// skip, could not make its part.
func (p *handouts) finish(
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
			p.core.step("acquire:told")
			return false, nil
		}
		errs = append(errs, err)
		cachedFailed, again = false, false
	}
	rest, cancel := cleanupContext(ctx)
	defer cancel()
	errs = append(errs, p.disposal.undo(rest, units))
	return again || cachedFailed, errors.Join(errs...)
}

// provision brings a grant to where it may be handed out. Fresh instances are made and set up
// from the inside out; cached ones are checked.
func (p *creation) provision(ctx context.Context, u *allocate.Grant, notify func(compute.Progress), waited time.Duration) error {
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
			u.Err = p.providers.onHandOut(ctx, u)
		}
		return u.Err
	}
	u.Instance.Phases.Wait = waited
	defer p.sawMade(u, time.Now())
	if u.Child == nil {
		if u.Err = p.create(ctx, u, tell); u.Err == nil && (u.Source.Share || u.Measured) {
			u.Err = p.providers.measure(ctx, u)
		}
	} else {
		u.Instance.Address, u.Instance.ProviderID = u.Child.Instance.Address, u.Child.Instance.ProviderID
	}
	if u.Err == nil {
		u.Err = p.setUp(ctx, u, tell)
	}
	if u.Err == nil && u.Lease != nil {
		u.Err = p.providers.onHandOut(ctx, u)
	}
	return u.Err
}

// create asks the provider for the computer of a recorded instance.
func (p *creation) create(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	o := p.providers.ready(u.Instance.SourceKey)
	if o == nil {
		return &compute.Error{ID: u.Instance.ID, Kind: compute.ErrUnavailable, Err: errors.New("its provider is not open")}
	}
	if u.Source.Reuse == "rebuild" && !o.rebuilds() {
		return compute.Unasked(&compute.Error{ID: u.Instance.ID, Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("reuse = rebuild, and type %s cannot make a used computer anew in place", u.Source.Type),
			Hint: "say reuse = no: it is discarded, and another one made"})
	}
	what := choice.Choice{}
	if u.Request != nil {
		what = choice.Of(*u.Request)
	}
	what, err := what.Resolve(ctx, u.Source.Name, o.provider)
	if err != nil {
		return compute.Unasked(err)
	}
	image := what.Image
	if image == "" && len(o.names) == 0 {
		if image, err = p.templates.imageFor(ctx, u.Source); err != nil {
			return compute.Unasked(err)
		}
		u.Image = image
	}
	if err := p.providers.identify(ctx, o, u.Instance); err != nil {
		err = p.providers.reaches(ctx, o, u.Instance.SourceKey, err)
		return compute.Unasked(&compute.Error{Op: "create", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err})
	}
	identity := u.Instance.Facts[compute.FactIdentity]
	u.Template = p.templates.noticeTemplate(ctx, u.Source)
	tell("create", "")
	p.core.step("create:before")
	start := time.Now()
	asking, span := trace.Start(ctx, "create", about(u.Instance)...)
	made, err := o.provider.Create(asking, compute.Spec{ID: u.Instance.ID, Source: u.Source.Name,
		Installation: p.core.store.Installation(), Image: cmp.Or(image, u.Source.Image),
		Flavor: cmp.Or(what.Flavor, u.Source.Flavor), Location: what.Location, UserData: []byte(what.UserData),
		Cores: int(math.Ceil(u.Demand.Cores)), Memory: u.Demand.Memory, Disk: u.Demand.Disk, GPUs: u.Demand.GPUs, MaxPrice: u.Demand.Price})
	p.core.step("create:answered")
	u.Instance.Phases.Create = time.Since(start)
	span.End(err)
	if err != nil {
		err = p.providers.reaches(ctx, o, u.Instance.SourceKey, err)
		return &compute.Error{Op: "create", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err}
	}
	u.Instance.ProviderID, u.Instance.Address, u.Instance.Facts = made.ProviderID, made.Address, made.Facts
	what.Record(u.Instance)
	markPromoted(u.Instance, u.Image)
	known(u.Instance, identity)
	p.providers.learnSize(u)
	if why := allocate.Lacks(u.Demand.Amount(), u.Instance.Facts); why != "" {
		return &compute.Error{
			ID: u.Instance.ID, Kind: compute.ErrNoCapacity, Err: &allocate.TooSmallError{Why: why}, Hint: "ask for less, or another source",
		}
	}
	if len(o.names) > 0 {
		return nil // it existed before, and is first connected to when it is used
	}
	if err := p.core.progress(ctx, u, compute.SettingUp); err != nil {
		return err
	}
	p.core.step("create:recorded")
	tell("connect", "")
	start = time.Now()
	reaching, span := trace.Start(ctx, "connect", about(u.Instance)...)
	told := ""
	err = await(reaching, bootPatience, u.Until, func(ctx context.Context) error {
		c, err := o.provider.Connect(ctx, u.Instance.ID)
		if errors.Is(err, compute.ErrNoPlace) && !u.Until.IsZero() && !time.Now().Before(u.Until) {
			return &errLate{err}
		}
		if err == nil {
			return c.Close()
		}
		if why := causeOf(err); why != told && errors.Is(err, compute.ErrNotReady) {
			told = why
			tell("connect", why)
		}
		return err
	})
	u.Instance.Phases.Connect = time.Since(start)
	span.End(err)
	if err == nil {
		err = p.providers.identify(ctx, o, u.Instance)
	}
	if err != nil {
		err = p.providers.reaches(ctx, o, u.Instance.SourceKey, err)
		return &compute.Error{Op: "connect", ID: u.Instance.ID, Kind: fault.KindOf(err), Err: err}
	}
	return nil
}

// setUp runs the provision hooks.
func (p *creation) setUp(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	if !u.Source.Has("provision") || p.core.opt.Hooks == nil {
		return nil
	}
	if u.Instance.State != compute.SettingUp {
		if err := p.core.progress(ctx, u, compute.SettingUp); err != nil {
			return err
		}
	}
	tell("set-up", "")
	start := time.Now()
	ctx, span := trace.Start(ctx, "set-up", about(u.Instance)...)
	err := p.providers.hooks(ctx, u.Source, u.Instance, "provision", u.Instance.Wanted)
	u.Instance.Phases.SetUp = time.Since(start)
	span.End(err)
	return err
}

// progress records how far making an instance has come, and checks that it is still ours to make.
func (p *core) progress(ctx context.Context, u *allocate.Grant, to compute.State) error {
	var i compute.Instance
	err := p.store.Update(ctx, func(tx store.Tx) error {
		if err := p.checkOwned(tx, u.Instance); err != nil {
			return err
		}
		i = *u.Instance
		_, err := p.set(tx, &i, to, compute.Event{Data: phaseData(i.Phases), Project: projectOf(u)})
		return err
	})
	if err == nil { // not before, as a transaction may be run again
		*u.Instance = i
	}
	return err
}

// projectOf returns the project that gets the instance, so that others do not see its events.
func projectOf(u *allocate.Grant) string {
	if u.Lease == nil {
		return ""
	}
	return u.Lease.Project
}

// checkOwned returns an error if a record is not as this worker left it.
func (p *core) checkOwned(tx store.Tx, i *compute.Instance) error {
	now, err := tx.Instance(i.ID)
	if err != nil {
		return err
	}
	if now.Row != i.Row || now.State != i.State || now.Worker != i.Worker || now.Generation != i.Generation {
		return &compute.Error{
			ID: i.ID, Kind: compute.ErrStale,
			Err: fmt.Errorf("it was taken over while it was worked on: it is %s now", now.State),
		}
	}
	return nil
}

// confirm hands all grants to their user in one transaction.
func (p *creation) confirm(ctx context.Context, units []*allocate.Grant) error {
	type saved struct {
		i compute.Instance
		l compute.Lease
	}
	was := map[*allocate.Grant]saved{}
	for _, u := range units {
		_ = u.Each(func(u *allocate.Grant) error { was[u] = saved{*u.Instance, *u.Lease}; return nil })
	}
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
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
				if err := p.core.checkOwned(tx, u.Instance); err != nil {
					return err
				}
				if u.Fresh {
					basis, err := tx.Append(&compute.Event{
						Time: now, Kind: "made", Source: u.Source.Name, Instance: u.Instance.ID, Data: madeData(u.Instance),
						Project: projectOf(u),
					})
					if err != nil {
						return err
					}
					u.Instance.Basis, u.Instance.ReadyAt = basis, now
					if err := p.records.holds(tx, u); err != nil {
						return err
					}
					begin(u.Lease, now)
					if err := p.records.hand(tx, u, false); err != nil {
						return err
					}
					return p.records.succeeded(tx, u.Instance, u.Beyond)
				}
				if u.Lease.Worker == 0 {
					return nil
				}
				if u.Verify {
					if err := p.providers.recordHealth(tx, u.Instance.SourceKey); err != nil {
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
		if err := allocate.KeepQuota(p.records.view(tx), units, booked); err != nil {
			return err
		}
		return p.records.reroom(tx, units)
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
func (p *disposal) undo(ctx context.Context, units []*allocate.Grant) error {
	var due []compute.ID
	var elsewhere []*compute.Instance
	var gone *unreachableError // a place did not answer: no reason to lose ready instances
	for _, u := range units {
		for x := u; x != nil && gone == nil; x = x.Child {
			gone = asUnreachable(x.Err)
		}
	}
	err := p.withOpen(ctx, func(tx store.Tx) error {
		due, elsewhere = nil, nil
		var back []taken
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
				case x.Fresh && i.Worker != p.core.store.Worker():
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
				case x.Err != nil && !x.Fresh && i.State == compute.Leased && (asUnreachable(x.Err) != nil || isMisplaced(x.Err)):
					if err = p.unhand(tx, i, x.Err); isMisplaced(x.Err) {
						elsewhere = append(elsewhere, i)
					}
				case x.Err != nil:
					err = p.creation.markFailed(tx, x, i)
				case x.Fresh:
					err = p.creation.toReadyOrGone(tx, i, x)
				case x.Lease.Share != nil:
					var t *taken
					if t, err = lies(tx, x); t != nil {
						back = append(back, *t)
					}
				case i.State == compute.Leased && gone != nil && untouched(x) && x.Child != nil:
					// what it drew goes back by itself
					err, behind = p.creation.dropUnmade(tx, i, "not needed any more"), false
				case i.State == compute.Leased && gone != nil && untouched(x):
					err = p.unhand(tx, i, gone)
				case i.State == compute.Leased:
					back = append(back, taken{inst: i})
				}
				if err != nil {
					return err
				}
				if behind {
					break
				}
			}
		}
		return p.giveBack(tx, back, allocate.Because("not given: another part of the request failed"), false, &due)
	})
	p.core.wake()
	if err != nil {
		return err
	}
	p.core.step("acquire:undone")
	for _, i := range elsewhere {
		if err := p.providers.spreadMisplaced(ctx, i); err != nil {
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
	return !u.Verify || !slices.ContainsFunc(u.Source.All(), func(s *Source) bool { return s.Has("acquire") })
}

// dropUnmade removes an instance of which nothing was made.
func (p *creation) dropUnmade(tx store.Tx, i *compute.Instance, why string) error {
	if err := p.leases.endAll(tx, i, allocate.Because("not given")); err != nil {
		return err
	}
	return p.records.gone(tx, i, why)
}

// markFailed records that making or checking an instance failed, and counts failures to create
// against its source.
func (p *creation) markFailed(tx store.Tx, u *allocate.Grant, i *compute.Instance) error {
	why := compute.Said(u.Err)
	if i.State == compute.Leased {
		if err := p.leases.endAll(tx, i, allocate.Because("not given: "+why)); err != nil {
			return err
		}
	}
	i.Phases = u.Instance.Phases
	if allocate.NeverFits(u.Err) != nil { // neither it nor its source is broken
		if err := p.records.inVainFor(tx, i.SourceKey, u); err != nil {
			return err
		}
		return p.records.toDiscarding(tx, i, allocate.Because(why))
	}
	if u.Fresh && !errors.Is(u.Err, context.Canceled) && !errors.Is(u.Err, compute.ErrStale) && !isLate(u.Err) {
		if err := p.records.failed(tx, u, i); err != nil {
			return err
		}
		if err := p.templates.revertPromotion(tx, u.Source, u.Image, u.Err); err != nil {
			return err
		}
	}
	if u.Fresh && u.Child == nil && i.ProviderID == "" && compute.WasUnasked(u.Err) {
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
	return p.core.toFailed(tx, i, src, failed)
}

// toReadyOrGone decides about an instance that was made for a request that failed.
func (p *creation) toReadyOrGone(tx store.Tx, i *compute.Instance, u *allocate.Grant) error {
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if u.Demand.Chosen() || rec.Counts.Cached()+rec.Counts.InUse() > p.records.keeps(u.Source, rec, rec.Counts.InUse()) {
		return p.records.toDiscarding(tx, i, allocate.Because("not needed any more"))
	}
	i.Phases, i.ProviderID, i.Address, i.Facts = u.Instance.Phases, u.Instance.ProviderID, u.Instance.Address, u.Instance.Facts
	return p.core.toReady(tx, i, compute.Event{Text: "made", Data: madeData(i)})
}

// madeData is what the journal says of an instance that was made: how long its phases took and,
// where an image may have stood ready for it, what came of that.
func madeData(i *compute.Instance) map[string]string {
	data := phaseData(i.Phases)
	if i.Facts[compute.FactCached] == "" {
		return data
	}
	for _, fact := range []string{compute.FactCached, compute.FactImage, compute.FactNode} {
		if v := i.Facts[fact]; v != "" {
			data[fact] = v
		}
	}
	return data
}

func phaseData(ph compute.Phases) map[string]string {
	data := map[string]string{}
	for name, d := range map[string]time.Duration{"wait": ph.Wait, "create": ph.Create, "connect": ph.Connect, "set_up": ph.SetUp} {
		if d > 0 {
			data[name] = d.Round(time.Microsecond).String()
		}
	}
	return data
}

// errLate says that an instance that was being made for a request still had no room when its wait
// was over. Its kind is ErrNoCapacity.
type errLate struct{ err error }

func (e *errLate) Error() string { return causeOf(e.err) }
func (e *errLate) Unwrap() error { return compute.ErrNoCapacity }

func isLate(err error) bool {
	var e *errLate
	return errors.As(err, &e)
}
