package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// Rollouts replaces instances that are made of what is not their source's any more.
type Rollouts struct {
	core      *state.Core
	templates *sources.Templates
	records   *leasing.Records
	disposal  *Disposal
	handouts  *Handouts
	Rolls     map[string]bool // sources whose instances are being replaced
}

func NewRollouts(c *state.Core, t *sources.Templates, r *leasing.Records, d *Disposal, h *Handouts) *Rollouts {
	return &Rollouts{c, t, r, d, h, map[string]bool{}}
}

// RollOut replaces all ready instances of a source that are made of something else than is
// wanted now.
func (p *Rollouts) RollOut(ctx context.Context, name string, tell func(text string)) error {
	s, err := p.core.Find(name)
	if err != nil {
		return err
	}
	if err := p.templates.Prepare(ctx, s); err != nil {
		return err
	}
	vain := 0
	for wave := 1; ; wave *= 2 {
		old, by, err := p.Others(ctx, s)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			return p.proved(ctx, s, by.Promotion)
		}
		spare, err := p.beyond(ctx, s)
		if err != nil {
			return err
		}
		if spare <= 0 {
			// and those that are missing anyway
			if err := p.surge(ctx, s, by, min(wave, len(old))-spare, tell); err != nil {
				return err
			}
			if spare, err = p.beyond(ctx, s); err != nil {
				return err
			}
		}
		n, err := p.replace(ctx, s, by, old, min(spare, wave))
		if err != nil {
			return err
		}
		if n == 0 { // other requests took the new ones, or the old ones
			if vain++; vain > rollTries {
				return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrConflict,
					Err: fmt.Errorf(
						"what is made of %s is taken or discarded by others, so the old instances are not replaced",
						by.Kind(),
					),
					Hint: "hostler fill " + s.Name + " goes on with it"}
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(rollPause):
			}
			continue
		}
		if tell != nil {
			tell(fmt.Sprintf("%s: %d of %d old instances are discarded", s.Name, n, len(old)))
		}
	}
}

const (
	rollTries = 20                     // waves in vain
	rollPause = 100 * time.Millisecond // after one
)

// Others lists the ready instances of a source that are not of its promoted image, or not of what
// its instances are made of now, the oldest first. It lists none where another engine has taken
// this one's place, or where the source was changed since this engine looked: what this one makes
// is out of date.
func (p *Rollouts) Others(ctx context.Context, s *allocate.Source) (old []*compute.Instance, by sources.Renewal, err error) {
	template, key := p.templates.NoticeTemplate(ctx, s), p.core.KeyOf(s)
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		old, by = nil, sources.Renewal{}
		if by.Promotion, err = p.templates.Promoted(tx, s); err != nil || by.Source == "" && template == "" || p.core.Successor() != nil {
			return err
		}
		if by.Now, err = sources.ReadMakeNote(tx, key); err != nil {
			return err
		}
		switch {
		case template == "": // not known now; the image can be compared all the same
		case by.Now.Template == template:
			p.templates.Remember(s, by.Now)
		case by.Now.Template != "":
			return nil
		}
		rec, err := tx.Source(s.Name, s.Digest)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || rec.Counts.Ready == 0 {
			return err
		}
		ready, err := tx.Instances(inventory.InstanceQuery{SourceKey: rec.Key, States: []compute.State{compute.Ready}})
		for _, i := range ready {
			if by.Source != "" && i.Facts[FactPromoted] != by.Image || template != "" && i.Facts[provider.FactTemplate] != template {
				old = append(old, i)
			}
		}
		return err
	})
	if err == nil && len(old) == 0 {
		err = p.templates.Rolled(ctx, s, template)
	}
	return old, by, err
}

// beyond returns how many more ready instances a source has than it wants.
func (p *Rollouts) beyond(ctx context.Context, s *allocate.Source) (n int, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		n, err = p.spared(tx, s)
		return err
	})
	return n, err
}

func (p *Rollouts) spared(tx store.Tx, s *allocate.Source) (int, error) {
	rec, err := tx.Source(s.Name, s.Digest)
	if err != nil {
		return 0, err
	}
	inUse := rec.Counts.InUse()
	return rec.Counts.Ready + inUse - p.records.Wanted(s, rec, inUse), nil
}

// surge makes n more instances than the source wants, from the promoted image, as far as there is
// room.
func (p *Rollouts) surge(ctx context.Context, s *allocate.Source, by sources.Renewal, n int, tell func(string)) error {
	units, leave, err := p.handouts.recordMissing(ctx, s, func(store.Tx, *store.SourceRecord) (int, error) { return n, nil })
	if errors.Is(err, compute.ErrNoCapacity) {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("there is no room for instances of %s beside those that stand ready", by.Kind()),
			Hint: "raise `maximum` in its source.conf, or discard a ready one; those in use are replaced when they come back"}
	}
	if err != nil {
		return err
	}
	defer leave()
	if tell != nil {
		tell(fmt.Sprintf("%s: %d instances are made from %s", s.Name, len(units), by.From()))
	}
	p.core.Step("rollout:recorded")
	_, err = p.handouts.provisionAll(ctx, units)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if by.Source == "" {
		return err
	}
	now, e := p.templates.Promotions(context.WithoutCancel(ctx))
	if e != nil || now[s.Name].Failed != by.Name {
		return errors.Join(err, e)
	}
	return &compute.Error{
		ID: compute.ID(s.Name), Kind: fault.KindOf(err),
		Err: fmt.Errorf("an instance of %s did not become ready, and it is back to %s: %w", by.Title(), now[s.Name].Title(), err),
	}
}

// replace discards up to n old ready instances, as long as that leaves what the source wants.
func (p *Rollouts) replace(ctx context.Context, s *allocate.Source, by sources.Renewal, old []*compute.Instance, n int) (int, error) {
	var gone []compute.ID
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		gone = nil
		if now, err := p.templates.Promoted(tx, s); err != nil || now.Image != by.Image {
			return err // another image was promoted meanwhile
		}
		if now, err := sources.ReadMakeNote(tx, p.core.KeyOf(s)); err != nil || now.Template != by.Now.Template {
			return err // likewise
		}
		for _, o := range old {
			if len(gone) == n {
				return nil
			}
			i, err := tx.Instance(o.ID)
			if errors.Is(err, compute.ErrNotFound) ||
				err == nil && (i.Row != o.Row || i.State != compute.Ready || i.Generation != o.Generation) {
				continue // taken meanwhile
			} else if err != nil {
				return err
			}
			if more, err := p.spared(tx, s); err != nil || more <= 0 {
				return err
			}
			if err := p.records.ToDiscarding(tx, i,
				allocate.Because("replaced: its source's instances come from "+by.From()+" now")); err != nil {
				return err
			}
			gone = append(gone, i.ID)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.core.Step("rollout:replaced")
	return len(gone), p.disposal.after(ctx, gone)
}

// proved records that all ready instances came from the promoted image. From now on a failure is
// the source's, not the image's.
func (p *Rollouts) proved(ctx context.Context, s *allocate.Source, pr sources.Promotion) error {
	if pr.Source == "" || pr.Proved {
		return nil
	}
	return p.core.Store.Update(ctx, func(tx store.Tx) error {
		all, err := sources.ReadPromotions(tx)
		now := all[s.Name]
		if err != nil || now.Image != pr.Image || now.Proved {
			return err
		}
		rec, err := tx.Source(s.Name, s.Digest)
		if errors.Is(err, compute.ErrNotFound) || err == nil && rec.Counts.Ready == 0 {
			return nil // no instance has shown it yet
		} else if err != nil {
			return err
		}
		now.Proved = true
		return sources.SavePromotion(tx, all, now)
	})
}

// Yield discards one old ready instance where the maximum leaves no room for a new one beside it.
// All places must be taken by ready or leased instances, so that at most one is missing. If no new
// instance has become ready yet it discards only one. If the provider says that none would, it
// discards none.
func (p *Rollouts) Yield(ctx context.Context, s *allocate.Source, by sources.Renewal, old []*compute.Instance) error {
	may := func(tx store.Tx) (bool, error) {
		rec, err := tx.Source(s.Name, s.Digest)
		if err != nil {
			return false, err
		}
		m, c := p.records.Maximum(s), rec.Counts
		return m > 0 && c.Present() >= m && c.Ready+c.InUse() == c.Present() && !rec.Paused.After(time.Now()), nil
	}
	if by.Now.First == 0 {
		some := false
		err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
			some, err = may(tx)
			return err
		})
		if err != nil || !some {
			return err
		}
		if hopeless, err := p.templates.Hopeless(ctx, s, by); err != nil || hopeless {
			return err
		}
	}
	var gone []compute.ID
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		gone = nil
		if now, err := sources.ReadMakeNote(tx, p.core.KeyOf(s)); err != nil || now.Template != by.Now.Template {
			return err
		}
		if some, err := may(tx); err != nil || !some {
			return err
		}
		for _, o := range old {
			i, err := tx.Instance(o.ID)
			if errors.Is(err, compute.ErrNotFound) ||
				err == nil && (i.Row != o.Row || i.State != compute.Ready || i.Generation != o.Generation) {
				continue // taken meanwhile
			} else if err != nil {
				return err
			}
			gone = []compute.ID{i.ID}
			return p.records.ToDiscarding(
				tx, i,
				allocate.Because(
					"replaced: its source's instances come from "+by.From()+" now, and there is no room for another beside it",
				),
			)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.disposal.after(ctx, gone)
}

// Rollable returns the sources that may have instances to replace.
func (p *Rollouts) Rollable(ctx context.Context) (out []*allocate.Source, err error) {
	all, err := p.templates.Promotions(ctx)
	if err != nil {
		return nil, err
	}
	reads, told := map[*allocate.Source]*sources.TemplateReading{}, map[*allocate.Source]bool{}
	for _, s := range p.core.Ordered {
		if _, is := all[s.Name]; !is && s.Type != allocate.PoolType && s.Err == nil {
			reads[s] = p.templates.Read(s)
		}
	}
	for _, s := range p.core.Ordered {
		if r := reads[s]; r != nil {
			told[s] = p.templates.NoticeTemplateOf(ctx, s, r) != ""
		}
	}
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		out = nil
		for _, s := range p.core.Ordered {
			if _, is := all[s.Name]; is {
				out = append(out, s)
				continue
			}
			if !told[s] {
				continue
			}
			rec, err := tx.Source(s.Name, s.Digest)
			if errors.Is(err, compute.ErrNotFound) {
				continue
			} else if err != nil {
				return err
			}
			if rec.Counts.Ready <= allocate.Many || p.lookAgain(s) {
				out = append(out, s)
			}
		}
		return nil
	})
	return out, err
}

// lookAgain reports whether it is time to look at all ready instances of a source that has many.
func (p *Rollouts) lookAgain(s *allocate.Source) bool {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	now := time.Now()
	if now.Sub(p.core.At(s).Rolled) < manyEvery {
		return false
	}
	p.core.At(s).Rolled = now
	return true
}

// FactPromoted is the fact of an instance from a promoted image: the image, as a Spec asks for it.
const FactPromoted = "promoted"

// markPromoted notes on a new instance which promoted image it came from.
func markPromoted(i *compute.Instance, image string) {
	if image == "" {
		return
	}
	facts := map[string]string{FactPromoted: image}
	maps.Copy(facts, i.Facts)
	i.Facts = facts
}

func isMisplaced(err error) bool {
	var e *sources.MisplacedError
	return errors.As(err, &e)
}
