package pool

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

const (
	backoffsMost = 16 // how many of a source are remembered
	// After so many different wants have failed, for other reasons than lack of room, the source
	// itself fails.
	backoffsBroken = 3
)

// saveBackoffs stores backoffs. It leaves out those that are long over and, if there are too many,
// those that end soonest.
func saveBackoffs(tx store.Tx, key int64, all []allocate.Backoff, now time.Time) error {
	all = slices.DeleteFunc(all, func(h allocate.Backoff) bool {
		return !h.Paused.IsZero() && now.Sub(h.Paused).Abs() > 2*allocate.PauseMost
	})
	if len(all) > backoffsMost {
		slices.SortStableFunc(all, func(a, b allocate.Backoff) int { return -a.Paused.Compare(b.Paused) })
		all = all[:backoffsMost]
	}
	if len(all) == 0 {
		return tx.SaveNote(allocate.BackoffsNote(key), "")
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return tx.SaveNote(allocate.BackoffsNote(key), string(text))
}

// demandFailed counts a failure to make what a request wants beyond what the source gives anyway.
func (p *records) demandFailed(tx store.Tx, rec *store.SourceRecord, w demand.Demand, cause error) error {
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
	return saveBackoffs(tx, rec.Key, all, now)
}

// demandMet removes backoffs that a success of w disproves.
func (p *records) demandMet(tx store.Tx, key int64, w demand.Demand) error {
	all, err := allocate.ReadBackoffs(tx, key)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(h allocate.Backoff) bool { return h.Demand.Within(w) })
	if len(left) == len(all) {
		return nil
	}
	return saveBackoffs(tx, key, left, time.Now())
}

// endFullPauses ends the pauses of wants that a source's place had no room for.
func (p *records) endFullPauses(tx store.Tx, key int64) error {
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
	return saveBackoffs(tx, key, all, now)
}
