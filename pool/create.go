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
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/store"
)

const (
	bootPatience = 15 * time.Minute // for a new instance to answer
	mendPatience = time.Minute      // for giving back what an interrupted request took
)

// finish makes and checks units and confirms them to their user, or gives all of them back. again
// says that another attempt may succeed: a cached instance was unfit, or a child of a pool, now in
// skip, could not make its part.
func (p *Pool) finish(
	ctx context.Context, units []*unit, req compute.Request, waited time.Duration, skip map[string]bool,
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
		wg.Go(func() { u.err = p.raise(ctx, u, notify, waited) })
	}
	wg.Wait()
	var errs []error
	cachedFailed := true
	for _, u := range units {
		if u.err == nil {
			continue
		}
		errs = append(errs, u.err)
		leaf := u
		for leaf.child != nil {
			leaf = leaf.child
		}
		if u.fresh {
			cachedFailed = false
		}
		if leaf != u && leaf.err != nil {
			skip[leaf.src.Name] = true
			again = true
		}
	}
	if len(errs) == 0 {
		err = p.confirm(ctx, units)
		if err == nil {
			p.step("acquire:told")
			return false, nil
		}
		errs = append(errs, err)
		cachedFailed, again = false, false
	}
	rest, cancel := mend(ctx)
	defer cancel()
	errs = append(errs, p.undo(rest, units))
	return again || cachedFailed, errors.Join(errs...)
}

// raise brings a unit to where it may be handed out. Fresh instances are made and set up from the
// inside out; cached ones are checked.
func (p *Pool) raise(ctx context.Context, u *unit, notify func(compute.Progress), waited time.Duration) error {
	if u.joins {
		return nil // the others on it have had all this
	}
	if u.child != nil {
		u.child.measured = u.measured || u.src.Share
		if u.err = p.raise(ctx, u.child, notify, waited); u.err != nil {
			return u.err
		}
	}
	tell := func(phase, why string) {
		if notify != nil {
			notify(compute.Progress{Phase: phase, Instance: u.inst.ID, Reason: why})
		}
	}
	if !u.fresh {
		if !u.look {
			return nil
		}
		if u.err = p.fit(ctx, u, tell); u.err == nil {
			u.err = p.onHandOut(ctx, u)
		}
		return u.err
	}
	u.inst.Phases.Wait = waited
	defer p.sawMade(u, time.Now())
	if u.child == nil {
		if u.err = p.create(ctx, u, tell); u.err == nil && (u.src.Share || u.measured) {
			u.err = p.measure(ctx, u)
		}
	} else {
		u.inst.Address, u.inst.ProviderID = u.child.inst.Address, u.child.inst.ProviderID
	}
	if u.err == nil {
		u.err = p.setUp(ctx, u, tell)
	}
	if u.err == nil && u.lease != nil {
		u.err = p.onHandOut(ctx, u)
	}
	return u.err
}

// create asks the provider for the computer of a recorded instance.
func (p *Pool) create(ctx context.Context, u *unit, tell func(phase, why string)) error {
	o := p.ready(u.inst.SourceKey)
	if o == nil {
		return &compute.Error{ID: u.inst.ID, Kind: compute.ErrUnavailable, Err: errors.New("its provider is not open")}
	}
	if u.src.Reuse == "rebuild" && !o.rebuilds() {
		return compute.Unasked(&compute.Error{ID: u.inst.ID, Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("reuse = rebuild, and type %s cannot make a used computer anew in place", u.src.Type),
			Hint: "say reuse = no: it is discarded, and another one made"})
	}
	what, err := u.choice.resolve(ctx, u.src.Name, o.provider)
	if err != nil {
		return compute.Unasked(err)
	}
	image := what.image
	if image == "" && len(o.names) == 0 {
		if image, err = p.imageFor(ctx, u.src); err != nil {
			return compute.Unasked(err)
		}
		u.image = image
	}
	if err := p.identify(ctx, o, u.inst); err != nil {
		err = p.reaches(ctx, o, u.inst.SourceKey, err)
		return compute.Unasked(&compute.Error{Op: "create", ID: u.inst.ID, Kind: kindOf(err), Err: err})
	}
	identity := u.inst.Facts[compute.FactIdentity]
	u.made = p.notice(ctx, u.src)
	tell("create", "")
	p.step("create:before")
	start := time.Now()
	asking, span := trace.Start(ctx, "create", about(u.inst)...)
	made, err := o.provider.Create(asking, compute.Spec{ID: u.inst.ID, Source: u.src.Name,
		Installation: p.store.Installation(), Image: cmp.Or(image, u.src.Image),
		Flavor: cmp.Or(what.flavor, u.src.Flavor), Location: what.location, UserData: []byte(what.userData),
		Cores: int(math.Ceil(u.least.Cores)), Memory: u.least.Memory, Disk: u.least.Disk, GPUs: u.least.GPUs, MaxPrice: u.most})
	p.step("create:answered")
	u.inst.Phases.Create = time.Since(start)
	span.End(err)
	if err != nil {
		err = p.reaches(ctx, o, u.inst.SourceKey, err)
		return &compute.Error{Op: "create", ID: u.inst.ID, Kind: kindOf(err), Err: err}
	}
	u.inst.ProviderID, u.inst.Address, u.inst.Facts = made.ProviderID, made.Address, made.Facts
	what.note(u.inst)
	mark(u.inst, u.image)
	known(u.inst, identity)
	p.learnSize(u)
	if why := u.least.lacks(u.inst.Facts); why != "" {
		return &compute.Error{ID: u.inst.ID, Kind: compute.ErrNoCapacity, Err: &errSmall{why}, Hint: "ask for less, or another source"}
	}
	if len(o.names) > 0 {
		return nil // it existed before, and is first connected to when it is used
	}
	if err := p.progress(ctx, u, compute.SettingUp); err != nil {
		return err
	}
	p.step("create:recorded")
	tell("connect", "")
	start = time.Now()
	reaching, span := trace.Start(ctx, "connect", about(u.inst)...)
	told := ""
	err = await(reaching, bootPatience, u.until, func(ctx context.Context) error {
		c, err := o.provider.Connect(ctx, u.inst.ID)
		if errors.Is(err, compute.ErrNoPlace) && !u.until.IsZero() && !time.Now().Before(u.until) {
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
	u.inst.Phases.Connect = time.Since(start)
	span.End(err)
	if err == nil {
		err = p.identify(ctx, o, u.inst)
	}
	if err != nil {
		err = p.reaches(ctx, o, u.inst.SourceKey, err)
		return &compute.Error{Op: "connect", ID: u.inst.ID, Kind: kindOf(err), Err: err}
	}
	return nil
}

// setUp runs the provision hooks.
func (p *Pool) setUp(ctx context.Context, u *unit, tell func(phase, why string)) error {
	if !u.src.has("provision") || p.opt.Hooks == nil {
		return nil
	}
	if u.inst.State != compute.SettingUp {
		if err := p.progress(ctx, u, compute.SettingUp); err != nil {
			return err
		}
	}
	tell("set-up", "")
	start := time.Now()
	ctx, span := trace.Start(ctx, "set-up", about(u.inst)...)
	err := p.hooks(ctx, u.src, u.inst, "provision", u.inst.Wanted)
	u.inst.Phases.SetUp = time.Since(start)
	span.End(err)
	return err
}

// progress records how far making an instance has come, and checks that it is still ours to make.
func (p *Pool) progress(ctx context.Context, u *unit, to compute.State) error {
	var i compute.Instance
	err := p.store.Update(ctx, func(tx store.Tx) error {
		if err := p.mine(tx, u.inst); err != nil {
			return err
		}
		i = *u.inst
		_, err := p.set(tx, &i, to, compute.Event{Data: phaseData(i.Phases), Project: u.project()})
		return err
	})
	if err == nil { // not before, as a transaction may be run again
		*u.inst = i
	}
	return err
}

// project returns the project that gets the instance, so that others do not see its events.
func (u *unit) project() string {
	if u.lease == nil {
		return ""
	}
	return u.lease.Project
}

// mine returns an error if a record is not as this worker left it.
func (p *Pool) mine(tx store.Tx, i *compute.Instance) error {
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

// confirm hands all units to their user in one transaction.
func (p *Pool) confirm(ctx context.Context, units []*unit) error {
	type saved struct {
		i compute.Instance
		l compute.Lease
	}
	was := map[*unit]saved{}
	for _, u := range units {
		_ = u.each(func(u *unit) error { was[u] = saved{*u.inst, *u.lease}; return nil })
	}
	err := p.store.Update(ctx, func(tx store.Tx) error {
		for u, s := range was { // as fn may run twice
			*u.inst, *u.lease = s.i, s.l
		}
		now := time.Now()
		var booked compute.Capacity
		for _, u := range units {
			booked = booked.Add(u.inst.Booked.Holds) // once each, as a hand-out ends it
			err := u.each(func(u *unit) error {
				if u.joins {
					return p.confirmShare(tx, u, now)
				}
				if err := p.mine(tx, u.inst); err != nil {
					return err
				}
				if u.fresh {
					basis, err := tx.Append(&compute.Event{
						Time: now, Kind: "made", Source: u.src.Name, Instance: u.inst.ID, Data: madeData(u.inst),
						Project: u.project(),
					})
					if err != nil {
						return err
					}
					u.inst.Basis, u.inst.ReadyAt = basis, now
					if err := p.holds(tx, u); err != nil {
						return err
					}
					begin(u.lease, now)
					if err := p.hand(tx, u, false); err != nil {
						return err
					}
					return p.succeeded(tx, u.inst, u.asks)
				}
				if u.lease.Worker == 0 {
					return nil
				}
				if u.look {
					if err := p.seen(tx, u.inst.SourceKey); err != nil {
						return err
					}
					u.inst.ReadyAt, u.inst.Reason, u.inst.Cause, u.inst.Retry = now, "", "", time.Time{}
					if err := tx.SaveInstance(u.inst); err != nil {
						return err
					}
				}
				u.lease.Worker, u.lease.Used = 0, now
				return tx.SaveLease(u.lease)
			})
			if err != nil {
				return err
			}
		}
		if err := p.keepQuota(tx, units, booked); err != nil {
			return err
		}
		return p.reroom(tx, units)
	})
	if err != nil {
		for u, s := range was {
			*u.inst, *u.lease = s.i, s.l
		}
	}
	return err
}

// undo gives back all units of a request that failed. Good instances are cached or discarded as by
// a release; failed ones go.
func (p *Pool) undo(ctx context.Context, units []*unit) error {
	var due []compute.ID
	var elsewhere []*compute.Instance
	var gone *errAway // a place did not answer: no reason to lose ready instances
	for _, u := range units {
		for x := u; x != nil && gone == nil; x = x.child {
			gone = isAway(x.err)
		}
	}
	err := p.withOpen(ctx, func(tx store.Tx) error {
		due, elsewhere = nil, nil
		var back []taken
		for _, u := range units {
			if u.joins {
				if t, err := lies(tx, u); err != nil {
					return err
				} else if t != nil {
					back = append(back, *t)
				}
				continue
			}
			for x := u; x != nil; x = x.child {
				i, err := tx.Instance(x.inst.ID)
				if errors.Is(err, compute.ErrNotFound) {
					continue
				} else if err != nil {
					return err
				} else if i.Row != x.inst.Row || i.Generation != x.inst.Generation || !x.fresh && i.State != compute.Leased {
					// its lease ran out meanwhile; it was taken back with all that is behind it
					break
				}
				if x.fresh || x.err != nil {
					due = append(due, i.ID)
				}
				// it stays the pool's, or comes back with the pool's
				behind := x.child != nil && x.child.err == nil
				switch {
				case x.fresh && i.Worker != p.store.Worker():
					// Another worker took it for the work of a dead process.
				case x.err != nil && x.child != nil && x.child.err != nil:
					// the pool's own part was not begun
					err = p.forgo(tx, i, "what is behind it could not be made, or was not fit")
				case x.fresh && x.child != nil:
					// The pool may have done something to its child, so the child stays behind it
					// until it is discarded, and is then cleaned.
					if err = p.settle(tx, x); errors.Is(err, compute.ErrStale) || errors.Is(err, compute.ErrNotFound) {
						err = nil // the child was discarded meanwhile
					}
					if err == nil && x.err != nil {
						err = p.spoil(tx, x, i)
					} else if err == nil {
						err = p.letGo(tx, i, compute.Event{Kind: "released"}, because("not needed any more"), &due)
					}
				case x.err != nil && !x.fresh && i.State == compute.Leased && (isAway(x.err) != nil || isElsewhere(x.err)):
					if err = p.unhand(tx, i, x.err); isElsewhere(x.err) {
						elsewhere = append(elsewhere, i)
					}
				case x.err != nil:
					err = p.spoil(tx, x, i)
				case x.fresh:
					err = p.toReadyOrGone(tx, i, x)
				case x.lease.Share != nil:
					var t *taken
					if t, err = lies(tx, x); t != nil {
						back = append(back, *t)
					}
				case i.State == compute.Leased && gone != nil && x.untouched() && x.child != nil:
					// what it drew goes back by itself
					err, behind = p.forgo(tx, i, "not needed any more"), false
				case i.State == compute.Leased && gone != nil && x.untouched():
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
		return p.giveBack(tx, back, because("not given: another part of the request failed"), false, &due)
	})
	p.ring()
	if err != nil {
		return err
	}
	p.step("acquire:undone")
	for _, i := range elsewhere {
		if err := p.spreadElsewhere(ctx, i); err != nil {
			return err
		}
	}
	return p.workOn(ctx, due)
}

// untouched reports whether nothing was done to an instance that was taken for a request, nor to
// those behind it: it is as it was when ready.
func (u *unit) untouched() bool {
	if u.fresh || u.lease == nil || u.lease.Worker == 0 || u.lease.Share != nil || u.child != nil && !u.child.untouched() {
		return false
	}
	return !u.look || !slices.ContainsFunc(u.src.all(), func(s *source) bool { return s.has("acquire") })
}

// forgo removes an instance of which nothing was made.
func (p *Pool) forgo(tx store.Tx, i *compute.Instance, why string) error {
	if err := p.endAll(tx, i, because("not given")); err != nil {
		return err
	}
	return p.gone(tx, i, why)
}

// spoil records that making or checking an instance failed, and counts failures to create against
// its source.
func (p *Pool) spoil(tx store.Tx, u *unit, i *compute.Instance) error {
	why := compute.Said(u.err)
	if i.State == compute.Leased {
		if err := p.endAll(tx, i, because("not given: "+why)); err != nil {
			return err
		}
	}
	i.Phases = u.inst.Phases
	if small(u.err) != nil { // neither it nor its source is broken
		if err := p.inVainFor(tx, i.SourceKey, u); err != nil {
			return err
		}
		return p.toDiscarding(tx, i, because(why))
	}
	if u.fresh && !errors.Is(u.err, context.Canceled) && !errors.Is(u.err, compute.ErrStale) && !isLate(u.err) {
		if err := p.failed(tx, u, i); err != nil {
			return err
		}
		if err := p.retreat(tx, u.src, u.image, u.err); err != nil {
			return err
		}
	}
	if u.fresh && u.child == nil && i.ProviderID == "" && compute.WasUnasked(u.err) {
		return p.forgo(tx, i, why) // the provider was never asked, so nothing was made
	}
	failed := because(why)
	if u.fresh && i.ProviderID == "" && u.child == nil && (kindOf(u.err) == compute.ErrTimeout || errors.Is(u.err, context.Canceled)) {
		failed = unanswered(why)
	}
	src := u.src
	if i.State == compute.Creating && i.ProviderID == "" {
		src = nil // there is nothing to look at
	}
	return p.toFailed(tx, i, src, failed)
}

// toReadyOrGone decides about an instance that was made for a request that failed.
func (p *Pool) toReadyOrGone(tx store.Tx, i *compute.Instance, u *unit) error {
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if u.choice != (choice{}) || rec.Counts.Cached()+rec.Counts.InUse() > p.keeps(u.src, rec, rec.Counts.InUse()) {
		return p.toDiscarding(tx, i, because("not needed any more"))
	}
	i.Phases, i.ProviderID, i.Address, i.Facts = u.inst.Phases, u.inst.ProviderID, u.inst.Address, u.inst.Facts
	return p.toReady(tx, i, compute.Event{Text: "made", Data: madeData(i)})
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

// await repeats f while it returns ErrNotReady, with growing pauses, and once more at a time,
// unless that is zero.
func await(ctx context.Context, patience time.Duration, at time.Time, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := 5 * time.Millisecond
	for {
		err := f(ctx)
		if err == nil || !errors.Is(err, compute.ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(untilNext(pause, at)):
		}
		pause = min(pause*2, 2*time.Second)
	}
}

// untilNext returns pause, or the time left until at if that is less.
func untilNext(pause time.Duration, at time.Time) time.Duration {
	if left := time.Until(at); left > 0 && left < pause {
		return left
	}
	return pause
}

// causeOf returns an error's text without its origin; "": nothing.
func causeOf(err error) string {
	var e *compute.Error
	for err != nil && errors.As(err, &e) {
		err = e.Err
	}
	if _, only := err.(*compute.Kind); err == nil || only {
		return ""
	}
	return compute.Said(err)
}

// kindOf returns the kind of an error: its own, or ErrTimeout where a context ended, or ErrFailed.
func kindOf(err error) error {
	var k *compute.Kind
	switch {
	case errors.As(err, &k):
		return k
	case errors.Is(err, context.DeadlineExceeded):
		return compute.ErrTimeout
	}
	return compute.ErrFailed
}
