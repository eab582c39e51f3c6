package leasing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/store"
)

// backoffsBroken: after so many different wants have failed, for other reasons than lack of
// room, the source itself fails.
const backoffsBroken = 3

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

// Failed counts a failure to create or set up against the source, or against the want. It does not
// count if the instance is of what the source's instances were made of before.
func (p *Records) Failed(tx store.Tx, u *allocate.Grant, i *compute.Instance) error {
	w, cause := u.Beyond, u.Err
	if e := sources.AsUnreachable(cause); e != nil {
		return p.providers.SetUnreachable(tx, e.Key, e)
	}
	if p.templates.IsSuperseded(i.Source, u.Template) {
		return nil
	}
	if err := p.templates.RecordMakeFailure(tx, i.SourceKey, u.Template, w, cause); err != nil {
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

// Succeeded closes the breaker for a want, and for all wants that ask for less.
func (p *Records) Succeeded(tx store.Tx, i *compute.Instance, w demand.Demand) error {
	if err := p.templates.RecordProof(tx, i, w); err != nil {
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
		return p.providers.SetReached(tx, rec.Key)
	}
	rec.Failures, rec.Full, rec.Paused = 0, 0, time.Time{}
	return tx.SaveSource(rec)
}

// freed ends the pause of a source whose place was full, as an instance of it is gone. One that was
// never ready had no place.
func (p *Records) freed(tx store.Tx, i *compute.Instance) error {
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

// demandFailed counts a failure to make what a request wants beyond what the source gives anyway.
func (p *Records) demandFailed(tx store.Tx, rec *store.SourceRecord, w demand.Demand, cause error) error {
	all, err := allocate.ReadBackoffs(tx, rec.Key)
	if err != nil {
		return err
	}
	now := time.Now()
	n := slices.IndexFunc(all, func(h allocate.Backoff) bool { return h.Demand == w })
	if n < 0 {
		n, all = len(all), append(all, allocate.Backoff{Demand: w})
	}
	h := &all[n]
	switch {
	case errors.Is(cause, compute.ErrNoCapacity):
		if !noRoom(&h.Backoff, now, cause) {
			return nil
		}
	default:
		pause := failedOnce(&h.Backoff, now, cause)
		if pause == 0 {
			break
		}
		failing := func(h allocate.Backoff) bool { return h.Failures >= allocate.BreakAt }
		text, several := "for "+w.String()+": "+h.LastError, 0
		for _, o := range all {
			if failing(o) {
				several++
			}
		}
		if several >= backoffsBroken {
			rec.Backoff, rec.Unreachable, text = h.Backoff, time.Time{}, h.LastError
			if err := tx.SaveSource(rec); err != nil {
				return err
			}
			all = slices.DeleteFunc(all, failing)
		}
		if err := appendPaused(tx, rec.Name, text, now.Add(pause)); err != nil {
			return err
		}
	}
	return sources.SaveBackoffs(tx, rec.Key, all, now)
}

// demandMet removes backoffs that a success of w disproves.
func (p *Records) demandMet(tx store.Tx, key int64, w demand.Demand) error {
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(h allocate.Backoff) bool { return h.Demand.Within(w) })
	if len(left) == len(all) {
		return nil
	}
	return sources.SaveBackoffs(tx, key, left, time.Now())
}

// endFullPauses ends the pauses of wants that a source's place had no room for.
func (p *Records) endFullPauses(tx store.Tx, key int64) error {
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil || len(all) == 0 {
		return err
	}
	now, some := time.Now(), false
	for n := range all {
		if h := &all[n]; h.Full > 0 && h.Paused.After(now) {
			h.Paused, some = now, true
		}
	}
	if !some {
		return nil
	}
	return sources.SaveBackoffs(tx, key, all, now)
}

// InVainFor notes that what was made for a want did not do for it. For a while no ready instance
// goes for that want, and each request that asks for it is told at once.
func (p *Records) InVainFor(tx store.Tx, key int64, u *allocate.Grant) error {
	if !u.Fresh || u.Child != nil || u.Beyond == (demand.Demand{}) || u.Beyond.Price != 0 {
		return nil
	}
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	all = slices.DeleteFunc(all, func(h allocate.Backoff) bool { return h.Demand == u.Beyond })
	h := allocate.Backoff{Demand: u.Beyond, Backoff: compute.Backoff{Full: allocate.BreakAt, Paused: now,
		LastError: sources.CauseOf(u.Err)}}
	return sources.SaveBackoffs(tx, key, append(all, h), now)
}

// MakeWay discards ready instances that would do for no waiting request, as far as one waits for
// room. done says that there were some. It only records them: the work is done with what is due.
func (p *Records) MakeWay(ctx context.Context) (done bool, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.View(tx))
		done = len(ways) > 0
		return err
	})
	if err != nil || !done {
		return false, err
	}
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		ways, err := allocate.Victims(p.View(tx))
		if err != nil {
			return err
		}
		done = len(ways) > 0
		for _, w := range ways {
			if err := p.ToDiscarding(tx, w.Instance, w.Why); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !done {
		return false, err
	}
	p.core.Step("queue:way")
	p.core.Opt.Left()
	return true, nil
}
