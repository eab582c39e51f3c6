package leasing

import (
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/store"
)

// backoffsBroken: after so many different wants have failed, for other reasons than lack of
// room, the source itself fails.
const backoffsBroken = 3

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
		if !allocate.NoRoom(&rec.Backoff, now, cause) {
			return nil
		}
		rec.Unreachable = time.Time{} // it answers, at least
		return tx.SaveSource(rec)
	}
	rec.Unreachable = time.Time{}
	if allocate.FailedOnce(&rec.Backoff, now, cause) > 0 {
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
		if !allocate.NoRoom(&h.Backoff, now, cause) {
			return nil
		}
	default:
		pause := allocate.FailedOnce(&h.Backoff, now, cause)
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
// goes for that want, and each request that asks for it is told at once. A pool's request goes to
// other children meanwhile and may wait for them, so one is made for it less and less often.
func (p *Records) InVainFor(tx store.Tx, key int64, u *allocate.Grant) error {
	if !u.Fresh || u.Child != nil || u.Beyond == (demand.Demand{}) || u.Beyond.Price != 0 {
		return nil
	}
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil {
		return err
	}
	now := time.Now()
	h := allocate.Backoff{Demand: u.Beyond, Backoff: inventory.Backoff{Full: allocate.BreakAt - 1}}
	if n := slices.IndexFunc(all, func(h allocate.Backoff) bool { return h.Demand == u.Beyond }); n >= 0 {
		h.Full = max(h.Full, all[n].Full)
		all = slices.Delete(all, n, n+1)
	}
	allocate.NoRoom(&h.Backoff, now, u.Err)
	if u.Lease == nil || !allocate.OwnsAsPool(u.Lease.Owner) {
		h.Paused = now
	}
	h.LastError = sources.CauseOf(u.Err)
	return sources.SaveBackoffs(tx, key, append(all, h), now)
}
