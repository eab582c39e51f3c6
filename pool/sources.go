package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/text/nearest"
)

// find returns a configured source that is not broken.
func (p *core) find(name string) (*Source, error) {
	s, ok := p.sources[name]
	if !ok {
		return nil, &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no source of this name"),
			Hint: p.nearest(name),
		}
	}
	return s, s.Err
}

func (p *core) nearest(name string) string {
	best := nearest.Meant(name, slices.Collect(maps.Keys(p.sources)))
	if best == "" {
		return "`hostler source list` shows those that there are"
	}
	return fmt.Sprintf("did you mean %q? `hostler source list` shows all", best)
}

// opened is an open provider, with what the engine must know of it inside of transactions.
type opened struct {
	provider compute.Provider
	err      error // it could not be opened
	names    []string
	reuse    string // the best that it can: "clean", "as-is" or "no"
	stops    bool   // it can stop and start a computer
	// a machine that stays: its Clean removes hostler's files and the lease's processes, and no
	// more
	stays    bool
	checks   bool
	witness  compute.Witness  // may know the result of a check at once; nil: it is none
	overseer compute.Overseer // nil: it is none
	standing compute.Standing // its machines need no making; nil: they do
	reserver compute.Reserver // can keep computers standing ahead of need; nil: it cannot
	prices   bool             // it keeps to a price limit itself
	lingers  time.Duration    // how long after the call a Create may still take effect
}

// rebuilds reports whether its Clean makes a computer as if newly made, in the same place: reuse =
// rebuild.
func (o *opened) rebuilds() bool { return o.reuse == "clean" && !o.stays }

// open returns the provider of a source's record, opening it at first use.
func (p *providers) open(ctx context.Context, rec *store.SourceRecord) *opened {
	p.core.mu.Lock()
	o := p.opened[rec.Key]
	p.core.mu.Unlock()
	if o != nil {
		return o
	}
	o = &opened{reuse: "no"}
	if rec.Type == allocate.PoolType {
		o.err = &compute.Error{ID: compute.ID(rec.Name), Kind: compute.ErrInvalid, Err: errors.New("a pool has no provider of its own")}
	} else if o.provider, o.err = p.core.opt.Open(ctx, rec.Name, rec.Type, rec.Definition); o.err == nil {
		if f, ok := compute.As[compute.Fixed](o.provider); ok {
			o.names = f.Names()
		}
		priced, ok := compute.As[compute.Pricer](o.provider)
		o.prices = ok && priced.Prices()
		_, cleans := compute.As[compute.Cleaner](o.provider)
		asIs, ok := compute.As[compute.AsIs](o.provider)
		o.stays = ok && asIs.AsIs()
		switch {
		case cleans:
			o.reuse = "clean"
		case o.stays:
			o.reuse = "as-is"
		}
		_, o.checks = compute.As[compute.Checker](o.provider)
		o.witness, _ = compute.As[compute.Witness](o.provider)
		o.overseer, _ = compute.As[compute.Overseer](o.provider)
		_, stops := compute.As[compute.Stopper](o.provider)
		o.stops = stops && len(o.names) == 0 // machines that stay are not ours to switch off
		o.standing, _ = compute.As[compute.Standing](o.provider)
		o.reserver, _ = compute.As[compute.Reserver](o.provider)
		if l, ok := compute.As[compute.Lingerer](o.provider); ok {
			o.lingers = l.Lingers()
		}
	}
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	if first := p.opened[rec.Key]; first != nil {
		return first
	}
	if o.err == nil { // a failure is tried again by the next caller
		p.opened[rec.Key] = o
		if h, ok := compute.As[compute.Herald](o.provider); ok {
			l, key := &p.core.inflight.workers, rec.Key
			h.Heed(func() { l.heard(key) })
		}
	}
	return o
}

// ready returns an open provider without opening it.
func (p *providers) ready(key int64) *opened {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	return p.opened[key]
}

// isShut reports whether a transaction under way found that a provider does not open.
func (p *providers) isShut(key int64) bool {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	return p.shut[key] > 0
}

// configured returns the configured source that a record belongs to, or nil when its definition is
// not the one of today.
func (p *core) configured(rec *store.SourceRecord) *Source {
	if s := p.sources[rec.Name]; s != nil && s.Digest == rec.Digest {
		return s
	}
	return nil
}

// sourceOf returns the source that decides how a record's instances end: the configured one, or
// what was kept of it. The latter has only hooks and what becomes of failed instances.
func (p *core) sourceOf(rec *store.SourceRecord) *Source {
	if s := p.configured(rec); s != nil {
		return s
	}
	s := &Source{Name: rec.Name, Type: rec.Type, Digest: rec.Digest, Definition: rec.Definition, Record: rec.Key}
	if p.opt.Kept != nil {
		s.Hooks, s.OnFailure, s.ConfirmDead = p.opt.Kept(rec.Definition)
	}
	return s
}

// at returns what this engine knows of a source. The caller holds p.mu.
func (p *core) at(s *Source) *sourceState {
	if st := p.states[s]; st != nil {
		return st
	}
	return &sourceState{key: s.Record}
}

// keyOf returns the key of a source's record; 0: not known yet.
func (p *core) keyOf(s *Source) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at(s).key
}

// record returns a source's record and its provider. It makes the record if needed, and opens the
// provider.
func (p *providers) record(ctx context.Context, s *Source) (*store.SourceRecord, *opened, error) {
	p.core.mu.Lock()
	key := p.core.at(s).key
	o := p.opened[key]
	p.core.mu.Unlock()
	if key != 0 && (o != nil || s.Type == allocate.PoolType) {
		return &store.SourceRecord{Key: key, Name: s.Name, Digest: s.Digest, Type: s.Type, Definition: s.Definition}, o, nil
	}
	var rec *store.SourceRecord
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		rec, err = tx.Source(s.Name, s.Digest)
		return err
	})
	if errors.Is(err, compute.ErrNotFound) || err == nil && (!bytes.Equal(rec.Definition, s.Definition) || rec.Place != s.Place) {
		err = p.core.store.Update(ctx, func(tx store.Tx) error {
			if rec, err = tx.Source(s.Name, s.Digest); errors.Is(err, compute.ErrNotFound) {
				rec = &store.SourceRecord{Name: s.Name, Digest: s.Digest, Type: s.Type}
			} else if err != nil || bytes.Equal(rec.Definition, s.Definition) && rec.Place == s.Place {
				return err // another process was quicker
			}
			rec.Definition, rec.Place = s.Definition, s.Place
			return tx.SaveSource(rec)
		})
	}
	if err != nil {
		return nil, nil, err
	}
	p.core.mu.Lock()
	p.core.at(s).key = rec.Key
	p.core.mu.Unlock()
	if s.Type == allocate.PoolType {
		return rec, nil, nil
	}
	return rec, p.open(ctx, rec), nil
}

// prepare makes all sources below s known and open, before a transaction uses them. Children that
// cannot be opened are left: the transaction passes them over.
func (p *templates) prepare(ctx context.Context, s *Source) error {
	if err := p.providers.learn(ctx, s); err != nil {
		return err
	}
	reads := map[*Source]*templateReading{}
	for _, c := range s.All() {
		p.core.mu.Lock()
		noticed := p.core.at(c).noticed
		p.core.at(c).noticed = true
		p.core.mu.Unlock()
		if !noticed { // later changes are noticed where old instances are replaced
			reads[c] = p.read(c)
		}
	}
	for _, c := range s.All() {
		if r := reads[c]; r != nil {
			p.noticeTemplateOf(ctx, c, r)
		}
	}
	return nil
}

// learn opens the providers below a source, as its maximum depends on them. It writes only their
// records.
func (p *providers) learn(ctx context.Context, s *Source) error {
	for _, c := range s.All() {
		_, o, err := p.record(ctx, c)
		if err == nil && o != nil && o.err != nil && c == s {
			err = o.err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *records) maximum(s *Source) int { return p.view(nil).Maximum(s) }

// wanted returns how many instances a source should have, cached and in use together, when inUse
// are in use: as configured, or as the director aims.
func (p *records) wanted(s *Source, rec *store.SourceRecord, inUse int) int {
	w := max(s.Reserve, inUse+s.Spare)
	if rec != nil && rec.Aim.Until.After(time.Now()) {
		w = max(rec.Aim.Reserve, inUse+rec.Aim.Spare)
	}
	if m := p.maximum(s); m > 0 {
		w = min(w, m)
	}
	return w
}

// keeps returns how many instances a source may keep when inUse are in use: the wanted ones, and
// those that may be stopped.
func (p *records) keeps(s *Source, rec *store.SourceRecord, inUse int) int {
	w := p.wanted(s, rec, inUse)
	if s.Cold == 0 {
		return w
	}
	if o := p.providers.ready(rec.Key); o == nil || !o.stops {
		return w
	}
	if w += s.Cold; p.maximum(s) > 0 {
		w = min(w, p.maximum(s))
	}
	return w
}
