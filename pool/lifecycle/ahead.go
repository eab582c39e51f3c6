package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// Ahead has providers keep computers standing ahead of need.
type Ahead struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	said      map[int64]aheadCall // what they were told, by source key
}

func NewAhead(c *state.Core, p *sources.Providers, r *leasing.Records) *Ahead {
	return &Ahead{core: c, providers: p, records: r, said: map[int64]aheadCall{}}
}

// Computers that a provider keeps standing ahead of need are no instances, and have no records. The
// wanted number is noted in the store, with the source's record, before the provider is told it. So
// after a crash the next director says it again. Computers of a definition that is not in force any
// more are taken away.

const (
	aheadNote = "ahead"
	// how far back leases are counted where the source's strategy counts none
	AheadWindow = 10 * time.Minute
	// aheadPatience is how long a call of the provider may take.
	aheadPatience = time.Minute
	// aheadAgain is the time until leftovers are told to go again, while instances still need them.
	aheadAgain = time.Minute
)

// aheadRecord is the note for a source's record.
type aheadRecord struct {
	Source string `json:"source"`
	Count  int    `json:"count"`
	Place  string `json:"place"`
}

// aheadCall is what this process has told a provider.
type aheadCall struct {
	at     time.Time
	busy   bool
	failed bool
}

// ReadAhead returns the records of the work done ahead; the map is empty if there are none.
func ReadAhead(tx store.Tx) (map[int64]aheadRecord, error) {
	all := map[int64]aheadRecord{}
	text, err := tx.Note(aheadNote)
	if errors.Is(err, compute.ErrNotFound) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	return all, err
}

// saveAhead replaces all records; an empty map removes the note.
func saveAhead(tx store.Tx, all map[int64]aheadRecord) error {
	if len(all) == 0 {
		return tx.SaveNote(aheadNote, "")
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return tx.SaveNote(aheadNote, string(text))
}

// Prewarm returns how the provider of a source's record keeps computers ahead, and its
// configuration; ok is false if it does not, or is not open.
func (p *Ahead) Prewarm(key int64) (w provider.Prewarm, c provider.Prewarming, ok bool) {
	if o := p.providers.Ready(key); o != nil && o.Prewarm.Reserve != nil {
		c, ok = o.Prewarm.Reserves()
		return o.Prewarm, c, ok
	}
	return w, c, false
}

// AheadOf returns the state for a source's record.
func (p *Ahead) AheadOf(key int64, noted map[int64]aheadRecord) *plan.AheadState {
	_, a, ok := p.Prewarm(key)
	if !ok {
		return nil
	}
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	said := p.said[key]
	return &plan.AheadState{Prewarming: a, Count: noted[key].Count, Said: said.at, Busy: said.busy, Failed: said.failed}
}

// Left lists definitions that are not in force and whose computers are to go now. Where the
// definition in force keeps computers in the same place, Reserve for that one removes the others.
func (p *Ahead) Left(recs []*store.SourceRecord, noted map[int64]aheadRecord, now time.Time) (out []plan.Left) {
	for _, r := range recs {
		n, there := noted[r.Key]
		if s := p.core.Configured(r); !there || s != nil && s.Err != nil {
			continue
		} else if s != nil {
			if o := p.providers.Ready(r.Key); o == nil || o.Prewarm.Reserve == nil {
				continue
			} else if _, ok := o.Prewarm.Reserves(); ok {
				continue
			}
		} else if s := p.core.Sources[r.Name]; s != nil && s.Err != nil {
			continue // what the note means is not known now
		} else if s != nil && p.providers.Redefined(r) {
			if _, a, ok := p.Prewarm(p.core.KeyOf(s)); ok && a.Place == n.Place {
				continue // it goes as soon as something is said to that one
			}
		}
		p.core.Mu.Lock()
		said := p.said[r.Key]
		p.core.Mu.Unlock()
		if !said.busy && (now.Sub(said.at) >= aheadAgain || n.Count == 0 && r.Counts == (inventory.Counts{})) {
			out = append(out, plan.Left{Key: r.Key, Source: r.Name})
		}
	}
	return out
}

// DoAhead notes how many computers are to stand ahead of a source, and tells its provider.
func (p *Ahead) DoAhead(ctx context.Context, s *allocate.Source, d plan.Directive) (func(context.Context) error, error) {
	key := p.core.KeyOf(s)
	r, a, ok := p.Prewarm(key)
	if !ok {
		return nil, &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
			Err: errors.New("its type has nothing stand ahead of need"),
		}
	}
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		all, err := ReadAhead(tx)
		if err != nil {
			return err
		}
		changed := all[key].Count != d.Count
		before := len(all)
		for k, n := range all {
			// this one's provider takes that away
			if k != key && n.Source == s.Name && n.Place == a.Place {
				if rec, err := tx.SourceByKey(k); err == nil && p.providers.Redefined(rec) {
					delete(all, k)
				}
			}
		}
		if _, there := all[key]; there && !changed && before == len(all) {
			return nil // it is only repeated
		}
		all[key] = aheadRecord{s.Name, d.Count, a.Place}
		if changed {
			if err := Note(tx, d); err != nil {
				return err
			}
		}
		return saveAhead(tx, all)
	})
	if err != nil {
		return nil, err
	}
	return p.say(key, s.Name, func(ctx context.Context) error { return r.Reserve(ctx, d.Count) }), nil
}

// FillAhead reserves the configured least number, where there is room. More that a director wants
// stays.
func (p *Ahead) FillAhead(ctx context.Context, s *allocate.Source) error {
	key := p.core.KeyOf(s)
	_, a, ok := p.Prewarm(key)
	if !ok || a.Least == 0 {
		return nil
	}
	n := a.Least
	err := p.core.Store.View(ctx, func(tx store.Tx) error {
		n = a.Least
		rec, err := tx.SourceByKey(key)
		if err != nil {
			return err
		}
		n = min(n, allocate.Below(p.records.View(tx), s, rec))
		all, err := ReadAhead(tx)
		n = max(n, all[key].Count)
		return err
	})
	if err != nil {
		return err
	}
	finish, err := p.DoAhead(
		ctx, s,
		plan.Directive{Verb: plan.VerbAhead, Source: s.Name, Count: n, Reason: fmt.Sprintf("%d at least", a.Least)},
	)
	if err != nil {
		return err
	}
	return finish(ctx)
}

// DoLeft removes computers that stand ahead of a definition that is not in force any more.
func (p *Ahead) DoLeft(ctx context.Context, d plan.Directive) (func(context.Context) error, error) {
	rec, err := p.core.RecordOf(ctx, d.Key)
	if err != nil {
		return nil, err
	}
	known := false
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		all, err := ReadAhead(tx)
		n, there := all[d.Key]
		if known = there; err != nil || n.Count == 0 {
			return err
		}
		n.Count = 0
		all[d.Key] = n
		if err := Note(tx, d); err != nil {
			return err
		}
		return saveAhead(tx, all)
	})
	if err != nil || !known {
		return nil, err
	}
	return p.say(d.Key, rec.Name, func(ctx context.Context) error {
		o := p.providers.Open(ctx, rec)
		if o.Err != nil {
			return o.Err
		}
		if o.Prewarm.Reserve != nil {
			if _, ok := o.Prewarm.Reserves(); ok {
				if err := o.Prewarm.Reserve(ctx, 0); err != nil {
					return err
				}
			}
		}
		return p.core.Store.Update(ctx, func(tx store.Tx) error {
			now, err := tx.SourceByKey(d.Key)
			if err != nil || now.Counts != (inventory.Counts{}) {
				return err // they may need it, and it is asked to go again
			}
			all, err := ReadAhead(tx)
			if err != nil {
				return err
			}
			delete(all, d.Key)
			return saveAhead(tx, all)
		})
	}), nil
}

// say calls a provider's Reserve, one call at a time.
func (p *Ahead) say(key int64, name string, what func(context.Context) error) func(context.Context) error {
	set := func(v aheadCall) {
		p.core.Mu.Lock()
		defer p.core.Mu.Unlock()
		p.said[key] = v
	}
	set(aheadCall{time.Now(), true, false})
	p.core.Step("director:ahead")
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, aheadPatience)
		defer cancel()
		err := what(ctx)
		set(aheadCall{time.Now(), false, err != nil})
		if err != nil {
			return fmt.Errorf("what stands ahead of %s: %w", name, err)
		}
		return nil
	}
}
