package sources

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// openPatience is how long a look waits for providers to open, all at once. One that hangs does not
// hold up the others.
const openPatience = 5 * time.Second

// Providers opens providers and notes whether their places answer. It runs hooks.
type Providers struct {
	core   *state.Core
	Opened map[int64]*Opened // by source key
	// how many transactions under way found that a provider does not open, by source key
	Shut  map[int64]int
	sizes map[int64]compute.Resources // of the last instance made without a choice, by source key
}

// Opened is an open provider, with what the engine must know of it inside of transactions.
type Opened struct {
	provider.Abilities

	Provider compute.Provider
	Err      error // it could not be opened
	Names    []string
	Reuse    string // the best that it can: "clean", "as-is" or "no"
	Stops    bool   // it can stop and start a computer
	// a machine that stays: its Clean removes hostler's files and the lease's processes, and no
	// more
	Stays bool
}

// Rebuilds reports whether its Clean makes a computer as if newly made, in the same place: reuse =
// rebuild.
func (o *Opened) Rebuilds() bool { return o.Reuse == "clean" && !o.Stays }

// Open returns the provider of a source's record, opening it at first use.
func (p *Providers) Open(ctx context.Context, rec *store.SourceRecord) *Opened {
	p.core.Mu.Lock()
	o := p.Opened[rec.Key]
	p.core.Mu.Unlock()
	if o != nil {
		return o
	}
	o = &Opened{Reuse: "no"}
	if rec.Type == allocate.PoolType {
		o.Err = &compute.Error{ID: compute.ID(rec.Name), Kind: compute.ErrInvalid, Err: errors.New("a pool has no provider of its own")}
	} else if o.Provider, o.Err = p.core.Opt.Open(ctx, rec.Name, rec.Type, rec.Definition); o.Err == nil {
		o.Abilities = provider.Of(o.Provider)
		if o.Static != nil {
			o.Names, o.Stays = o.Static.Names(), o.Static.AsIs()
		}
		switch {
		case o.Cleaner != nil:
			o.Reuse = "clean"
		case o.Stays:
			o.Reuse = "as-is"
		}
		// machines that stay are not ours to switch off
		o.Stops = o.Stopper != nil && len(o.Names) == 0
	}
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	if first := p.Opened[rec.Key]; first != nil {
		return first
	}
	if o.Err == nil { // a failure is tried again by the next caller
		p.Opened[rec.Key] = o
		if o.Health.Notify != nil {
			l, key := &p.core.Inflight.Workers, rec.Key
			o.Health.Notify(func() { l.Heard(key) })
		}
	}
	return o
}

// Ready returns an open provider without opening it.
func (p *Providers) Ready(key int64) *Opened {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	return p.Opened[key]
}

// IsShut reports whether a transaction under way found that a provider does not open.
func (p *Providers) IsShut(key int64) bool {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	return p.Shut[key] > 0
}

// Record returns a source's record and its provider. It makes the record if needed, and opens the
// provider.
func (p *Providers) Record(ctx context.Context, s *allocate.Source) (*store.SourceRecord, *Opened, error) {
	p.core.Mu.Lock()
	key := p.core.At(s).Key
	o := p.Opened[key]
	p.core.Mu.Unlock()
	if key != 0 && (o != nil || s.Type == allocate.PoolType) {
		return &store.SourceRecord{Key: key, Name: s.Name, Digest: s.Digest, Type: s.Type, Definition: s.Definition}, o, nil
	}
	var rec *store.SourceRecord
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		rec, err = tx.Source(s.Name, s.Digest)
		return err
	})
	if errors.Is(err, compute.ErrNotFound) || err == nil && (!bytes.Equal(rec.Definition, s.Definition) || rec.Place != s.Place) {
		err = p.core.Store.Update(ctx, func(tx store.Tx) error {
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
	p.core.Mu.Lock()
	p.core.At(s).Key = rec.Key
	p.core.Mu.Unlock()
	if s.Type == allocate.PoolType {
		return rec, nil, nil
	}
	return rec, p.Open(ctx, rec), nil
}

// Prepare makes all sources below s known and open, before a transaction uses them. Children that
// cannot be opened are left: the transaction passes them over.
func (p *Templates) Prepare(ctx context.Context, s *allocate.Source) error {
	if err := p.providers.Learn(ctx, s); err != nil {
		return err
	}
	reads := map[*allocate.Source]*TemplateReading{}
	for _, c := range s.All() {
		p.core.Mu.Lock()
		noticed := p.core.At(c).Noticed
		p.core.At(c).Noticed = true
		p.core.Mu.Unlock()
		if !noticed { // later changes are noticed where old instances are replaced
			reads[c] = p.Read(c)
		}
	}
	for _, c := range s.All() {
		if r := reads[c]; r != nil {
			p.NoticeTemplateOf(ctx, c, r)
		}
	}
	return nil
}

// Learn opens the providers below a source, as its maximum depends on them. It writes only their
// records.
func (p *Providers) Learn(ctx context.Context, s *allocate.Source) error {
	for _, c := range s.All() {
		_, o, err := p.Record(ctx, c)
		if err == nil && o != nil && o.Err != nil && c == s {
			err = o.Err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LooksAt reports whether hooks run when instances of a source are handed out, and whether cached
// ones can be checked before, and by hooks.
func (p *Providers) LooksAt(s *allocate.Source) (hooked, checked, byHooks bool) {
	for _, c := range s.All() {
		p.core.Mu.Lock()
		o := p.Opened[p.core.At(c).Key]
		p.core.Mu.Unlock()
		hooked = hooked || c.Has("acquire")
		byHooks = byHooks || c.Has("check")
		checked = checked || byHooks || o != nil && o.Health.Checker != nil
	}
	return hooked, checked, byHooks
}

// OpenAll opens the providers of sources that have instances or should have some: only then their
// maximum and abilities are known. It puts those that do not open into failed; the error is the
// store's.
func (p *Providers) OpenAll(ctx context.Context, failed map[string]error) error {
	busy := map[string]bool{}
	err := p.core.Store.View(ctx, func(tx store.Tx) error {
		clear(busy)
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		for _, r := range recs {
			busy[r.Name] = busy[r.Name] || r.Counts != (inventory.Counts{})
		}
		ws, err := tx.Waiters()
		for _, w := range ws {
			busy[w.Source] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, s := range p.core.Ordered {
		if s.Err != nil || !(busy[s.Name] || s.Reserve > 0 || s.Spare > 0 || s.Window > 0 || s.Ahead) || p.isOpen(s) {
			continue
		}
		all.Go(func() {
			if err := p.Learn(ctx, s); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[s.Name] = err
			}
		})
	}
	all.Wait()
	return nil
}

// isOpen reports whether all sources below a source are known and open.
func (p *Providers) isOpen(s *allocate.Source) bool {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	for _, c := range s.All() {
		if key := p.core.At(c).Key; key == 0 || c.Type != allocate.PoolType && p.Opened[key] == nil {
			return false
		}
	}
	return true
}

// Allowed returns what a source's provider is not permitted to do, if the provider can tell: all at
// once, and not only the first failure.
func (p *Providers) Allowed(ctx context.Context, s *allocate.Source) error {
	if s.Type == allocate.PoolType {
		return nil
	}
	o, err := p.OpenedOf(ctx, s.Name)
	if err != nil {
		return nil // the next acquire reports it
	}
	if o.Prober != nil {
		_, err := o.Prober.Probe(ctx, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor})
		if errors.Is(err, compute.ErrDenied) {
			return err
		}
	}
	return nil
}

// OpenedOf returns the open provider of a source.
func (p *Providers) OpenedOf(ctx context.Context, name string) (*Opened, error) {
	s, err := p.core.Find(name)
	if err != nil {
		return nil, err
	}
	rec, o, err := p.Record(ctx, s)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = p.Open(ctx, rec)
	}
	return o, o.Err
}

// LearnSize notes the size of an instance that was made as its source says. The next one is assumed
// to have it until it tells its own.
func (p *Providers) LearnSize(u *allocate.Grant) {
	has, known := share.SizeOf(u.Instance.Facts)
	if !known || u.Demand.Chosen() {
		return
	}
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	if p.sizes == nil {
		p.sizes = map[int64]compute.Resources{}
	}
	p.sizes[u.Instance.SourceKey] = has
}

// Learnt returns the size of what a source made last; known is false if no instance has told its
// size.
func (p *Providers) Learnt(key int64) (has compute.Resources, known bool) {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	has, known = p.sizes[key]
	return has, known
}

// Redefined reports whether a record is of an older definition of a source that is configured at
// the same place: its instances fit no request any more.
func (p *Providers) Redefined(rec *store.SourceRecord) bool {
	s := p.core.Sources[rec.Name]
	return s != nil && s.Err == nil && s.Digest != rec.Digest && s.Place == rec.Place
}

// Removed reports whether a record's source is not configured any more where it was.
func (p *Providers) Removed(rec *store.SourceRecord) bool {
	return p.core.Configured(rec) == nil && p.core.Opt.Gone != nil && p.core.Opt.Gone(rec.Name, rec.Place)
}

// Reach opens a connection to the computer of an instance with none behind it.
func (p *Providers) Reach(ctx context.Context, rec *store.SourceRecord, leaf *compute.Instance) (c compute.Conn, err error) {
	o := p.Open(ctx, rec)
	if o.Err != nil {
		return nil, o.Err
	}
	if err := o.Same(ctx, leaf); err != nil {
		return nil, err
	}
	err = Await(ctx, state.BootPatience, time.Time{}, func(ctx context.Context) (err error) {
		c, err = o.Provider.Connect(ctx, leaf.ID)
		return err
	})
	return c, err
}

// into opens a connection to an instance that this worker is at work on.
func (p *Providers) into(ctx context.Context, i *compute.Instance) (compute.Conn, error) {
	chain, err := p.core.Behind(ctx, i)
	if err != nil {
		return nil, err
	}
	leaf := chain[len(chain)-1]
	rec, err := p.core.RecordOf(ctx, leaf.SourceKey)
	if err != nil {
		return nil, err
	}
	return p.Reach(ctx, rec, leaf)
}

// HookView returns the instance that a hook of an inner source sees, while the outer record is
// worked on.
func HookView(outer, inner *compute.Instance) *compute.Instance {
	if outer.ID == inner.ID {
		return outer
	}
	v := *outer
	v.ID, v.Source = inner.ID, inner.Source
	return &v
}

func Lost(i *compute.Instance) bool { return i.Cause == inventory.CauseUnanswered }

// Lingering returns how long to keep looking for an instance that is not there, because its
// creation may still be on its way.
func (p *Providers) Lingering(i *compute.Instance) time.Duration {
	o := p.Ready(i.SourceKey)
	if o == nil || !Lost(i) || i.ProviderID != "" {
		return 0
	}
	return min(o.CreateLag, time.Until(i.Created.Add(o.CreateLag)))
}

func NewProviders(c *state.Core) *Providers {
	return &Providers{core: c, Opened: map[int64]*Opened{}, Shut: map[int64]int{}, sizes: map[int64]compute.Resources{}}
}
