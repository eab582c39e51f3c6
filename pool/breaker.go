package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

const (
	pauseFirst = 10 * time.Second
	// The time between two tries for room at a place that was full doubles each time. A try may
	// make a computer in vain. A waiting request may learn this much later that there is room,
	// unless this engine freed it: that ends the pause.
	pauseFull     = 5 * time.Second
	pauseFullMost = time.Minute
)

// pauseAfter returns how long nothing is made after so many failures in a row.
func pauseAfter(failures int) time.Duration {
	switch n := failures - allocate.BreakAt; {
	case n < 0:
		return 0
	case n >= 6:
		return allocate.PauseMost
	default:
		return min(allocate.PauseMost, pauseFirst<<n)
	}
}

// noRoom counts an answer that there is no room. Of several answers to requests made at once one is
// enough: then it reports false.
func noRoom(b *compute.Backoff, now time.Time, cause error) bool {
	if b.Paused.After(now) && (b.Failures != 0 || b.Full != 0) {
		return false
	}
	b.LastError, b.Failures, b.Full = compute.Said(cause), 0, b.Full+1
	b.Paused = now.Add(min(pauseFullMost, pauseFull<<min(b.Full-1, 10)))
	return true
}

// failedOnce counts a failure to create, and returns for how long nothing is made.
func failedOnce(b *compute.Backoff, now time.Time, cause error) (pause time.Duration) {
	b.LastError, b.Failures, b.Full = compute.Said(cause), b.Failures+1, 0
	if pause = pauseAfter(b.Failures); pause > 0 {
		b.Paused = now.Add(pause)
	}
	return pause
}

// failed counts a failure to create or set up against the source, or against the want. It does not
// count if the instance is of what the source's instances were made of before.
func (p *records) failed(tx store.Tx, u *allocate.Grant, i *compute.Instance) error {
	w, cause := u.Beyond, u.Err
	if e := asUnreachable(cause); e != nil {
		return p.providers.setUnreachable(tx, e.key, e)
	}
	if p.templates.isSuperseded(i.Source, u.Template) {
		return nil
	}
	if err := p.templates.recordMakeFailure(tx, i.SourceKey, u.Template, w, cause); err != nil {
		return err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return err
	}
	if w != (demand.Demand{}) {
		return p.demandFailed(tx, rec, w, cause)
	}
	now := time.Now()
	// full is not broken: the waiting requests look again after a while
	if errors.Is(cause, compute.ErrNoCapacity) {
		if !noRoom(&rec.Backoff, now, cause) {
			return nil
		}
		rec.Unreachable = time.Time{} // it answers, at least
		return tx.SaveSource(rec)
	}
	rec.Unreachable = time.Time{}
	if failedOnce(&rec.Backoff, now, cause) > 0 {
		if err := appendPaused(tx, rec.Name, rec.LastError, rec.Paused); err != nil {
			return err
		}
	}
	return tx.SaveSource(rec)
}

func appendPaused(tx store.Tx, source, why string, until time.Time) error {
	_, err := tx.Append(&compute.Event{
		Kind: "paused", Source: source, Text: why, Data: map[string]string{"until": until.Format(time.RFC3339)},
	})
	return err
}

// succeeded closes the breaker for a want, and for all wants that ask for less.
func (p *records) succeeded(tx store.Tx, i *compute.Instance, w demand.Demand) error {
	if err := p.templates.recordProof(tx, i, w); err != nil {
		return err
	}
	if w != (demand.Demand{}) {
		if err := p.demandMet(tx, i.SourceKey, w); err != nil {
			return err
		}
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil || rec.None() {
		return err
	}
	if allocate.Unreachable(rec) {
		return p.providers.setReached(tx, rec.Key)
	}
	rec.Failures, rec.Full, rec.Paused = 0, 0, time.Time{}
	return tx.SaveSource(rec)
}

// freed ends the pause of a source whose place was full, as an instance of it is gone. One that was
// never ready had no place.
func (p *records) freed(tx store.Tx, i *compute.Instance) error {
	if i.ReadyAt.IsZero() || i.SourceKey == 0 {
		return nil
	}
	if err := p.endFullPauses(tx, i.SourceKey); err != nil {
		return err
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if now := time.Now(); err != nil || rec.Full == 0 || !rec.Paused.After(now) {
		return err
	}
	rec.Paused = time.Now()
	return tx.SaveSource(rec)
}

// fit checks a cached instance, and those behind it, before it is handed out.
func (p *creation) fit(ctx context.Context, u *allocate.Grant, tell func(phase, why string)) error {
	chain, err := p.core.behind(ctx, u.Instance)
	if err != nil {
		return err
	}
	for _, i := range chain {
		var err error
		if i.Cold {
			tell("start", "")
			err = p.startStopped(ctx, i)
		}
		if o := p.providers.ready(i.SourceKey); err == nil && o != nil && o.checks {
			tell("check", "")
			err = p.providers.healthy(ctx, o, i)
		}
		if s := p.core.sources[i.Source]; err == nil && s != nil && p.core.keyOf(s) == i.SourceKey && s.Has("check") {
			tell("check", "")
			err = p.providers.hooks(ctx, s, i, "check", u.Lease.ID)
		}
		if err != nil {
			return &compute.Error{Op: "check", ID: i.ID, Kind: compute.ErrFailed, Err: err}
		}
	}
	return nil
}

// onHandOut runs the acquire hooks, those of a child before those of the pool in front of it.
func (p *providers) onHandOut(ctx context.Context, u *allocate.Grant) error {
	chain := []*compute.Instance{u.Instance}
	// one that was drawn just now has run its own already
	if u.Child == nil && u.Instance.Child != "" {
		var err error
		if chain, err = p.core.behind(ctx, u.Instance); err != nil {
			return err
		}
	}
	for n := len(chain) - 1; n >= 0; n-- {
		s, err := p.core.of(ctx, chain[n])
		if err != nil {
			return err
		}
		if s.Has("acquire") {
			if err := p.hooksFor(ctx, s, u.Instance, hookView(u.Instance, chain[n]), 0, "acquire", u.Lease.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// stages is more than a source's hooks of one kind. Resume counts the hooks of each source of a
// chain from a multiple of it.
const stages = 1 << 16

// hooks runs a source's hooks of one kind for an instance. It records each that is done, so that a
// repetition goes on after it.
func (p *providers) hooks(ctx context.Context, s *Source, i *compute.Instance, event, lease string) error {
	return p.hooksFor(ctx, s, i, i, 0, event, lease)
}

// hooksFor runs the hooks of the source at a stage of a chain. They see the instance of their own
// source. Progress is recorded with the outermost instance, the one that is worked on.
func (p *providers) hooksFor(ctx context.Context, s *Source, i, seen *compute.Instance, stage int, event, lease string) error {
	if p.core.opt.Hooks == nil || i.Resume/stages > stage {
		return nil
	}
	resume := 0
	if i.Resume/stages == stage {
		resume = i.Resume % stages
	}
	p.core.step("hook:" + event)
	ctx, span := trace.Start(ctx, "hooks", append(about(seen), trace.Attr{Key: "hostler.hook", Value: event})...)
	err := p.core.opt.Hooks(ctx, HookCall{Event: event, Source: s.Name, Definition: s.Definition, Instance: *seen,
		Lease: lease, Resume: resume,
		Connect: func(ctx context.Context) (compute.Conn, error) { return p.into(ctx, seen) },
		Done: func(n int, name string) error {
			if event == "check" || event == "acquire" {
				return nil
			}
			return p.core.store.Update(ctx, func(tx store.Tx) error {
				if err := p.core.checkOwned(tx, i); err != nil {
					return err
				}
				i.Resume = stage*stages + n
				return tx.SaveInstance(i)
			})
		}})
	span.End(err)
	if err != nil && !errors.Is(err, compute.ErrStale) {
		return &compute.Error{Op: event + ".d", ID: seen.ID, Kind: compute.ErrFailed, Err: err}
	}
	return err
}

// bundlesAgain has a source's bundles applied to an instance that was made as new.
func (p *providers) bundlesAgain(ctx context.Context, s *Source, i *compute.Instance) error {
	if p.core.opt.Hooks == nil {
		return nil
	}
	p.core.step("hook:bundles")
	ctx, span := trace.Start(ctx, "bundles", about(i)...)
	err := p.core.opt.Hooks(ctx, HookCall{Event: "bundles", Source: s.Name, Definition: s.Definition, Instance: *i,
		Connect: func(ctx context.Context) (compute.Conn, error) { return p.into(ctx, i) },
		Done:    func(int, string) error { return nil }})
	span.End(err)
	return err
}
