package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// RollOut replaces the ready instances of a source that came from another image than the promoted
// one, or from its template or keys before a change. It works in waves. The first makes one
// instance, and each further wave twice as many. When they are ready, as many old ones are
// discarded. The source always has what it wants, ready and in use together. An instance in use is
// replaced when it has come back. RollOut returns when none is left to be replaced. It may run
// several times at once.
//
// When an instance does not become ready the source goes back to the image before, and RollOut
// returns an error. After a change of template or keys the old ones stay. ErrNoCapacity: there is
// no room for new ones beside the old. Then those are replaced one by one after use; after a change
// of template or keys Rolling also discards one at a time: see yield.
func (p *Pool) RollOut(ctx context.Context, name string, tell func(text string)) error {
	return p.rollouts.rollOut(ctx, name, tell)
}

// rollOut is RollOut.
func (p *rollouts) rollOut(ctx context.Context, name string, tell func(text string)) error {
	s, err := p.core.find(name)
	if err != nil {
		return err
	}
	if err := p.templates.prepare(ctx, s); err != nil {
		return err
	}
	vain := 0
	for wave := 1; ; wave *= 2 {
		old, by, err := p.others(ctx, s)
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
						by.kind(),
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

// renewal is why old instances are replaced: a promoted image, or else a change of what they are
// made of.
type renewal struct {
	Promotion
	now makeNote
}

// others lists the ready instances of a source that are not of its promoted image, or not of what
// its instances are made of now, the oldest first. It lists none where another engine has taken
// this one's place, or where the source was changed since this engine looked: what this one makes
// is out of date.
func (p *rollouts) others(ctx context.Context, s *Source) (old []*compute.Instance, by renewal, err error) {
	template, key := p.templates.noticeTemplate(ctx, s), p.core.keyOf(s)
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		old, by = nil, renewal{}
		if by.Promotion, err = p.templates.promoted(tx, s); err != nil || by.Source == "" && template == "" || p.core.successor() != nil {
			return err
		}
		if by.now, err = readMakeNote(tx, key); err != nil {
			return err
		}
		switch {
		case template == "": // not known now; the image can be compared all the same
		case by.now.Template == template:
			p.templates.remember(s, by.now)
		case by.now.Template != "":
			return nil
		}
		rec, err := tx.Source(s.Name, s.Digest)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || rec.Counts.Ready == 0 {
			return err
		}
		ready, err := tx.Instances(compute.InstanceQuery{SourceKey: rec.Key, States: []compute.State{compute.Ready}})
		for _, i := range ready {
			if by.Source != "" && i.Facts[factPromoted] != by.Image || template != "" && i.Facts[compute.FactTemplate] != template {
				old = append(old, i)
			}
		}
		return err
	})
	if err == nil && len(old) == 0 {
		err = p.templates.rolled(ctx, s, template)
	}
	return old, by, err
}

// beyond returns how many more ready instances a source has than it wants.
func (p *rollouts) beyond(ctx context.Context, s *Source) (n int, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		n, err = p.spared(tx, s)
		return err
	})
	return n, err
}

func (p *rollouts) spared(tx store.Tx, s *Source) (int, error) {
	rec, err := tx.Source(s.Name, s.Digest)
	if err != nil {
		return 0, err
	}
	inUse := rec.Counts.InUse()
	return rec.Counts.Ready + inUse - p.records.wanted(s, rec, inUse), nil
}

// surge makes n more instances than the source wants, from the promoted image, as far as there is
// room.
func (p *rollouts) surge(ctx context.Context, s *Source, by renewal, n int, tell func(string)) error {
	units, leave, err := p.handouts.recordMissing(ctx, s, func(store.Tx, *store.SourceRecord) (int, error) { return n, nil })
	if errors.Is(err, compute.ErrNoCapacity) {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("there is no room for instances of %s beside those that stand ready", by.kind()),
			Hint: "raise `maximum` in its source.conf, or discard a ready one; those in use are replaced when they come back"}
	}
	if err != nil {
		return err
	}
	defer leave()
	if tell != nil {
		tell(fmt.Sprintf("%s: %d instances are made from %s", s.Name, len(units), by.from()))
	}
	p.core.step("rollout:recorded")
	_, err = p.handouts.provisionAll(ctx, units)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if by.Source == "" {
		return err
	}
	now, e := p.templates.promotions(context.WithoutCancel(ctx))
	if e != nil || now[s.Name].Failed != by.Name {
		return errors.Join(err, e)
	}
	return &compute.Error{
		ID: compute.ID(s.Name), Kind: fault.KindOf(err),
		Err: fmt.Errorf("an instance of %s did not become ready, and it is back to %s: %w", by.title(), now[s.Name].title(), err),
	}
}

// replace discards up to n old ready instances, as long as that leaves what the source wants.
func (p *rollouts) replace(ctx context.Context, s *Source, by renewal, old []*compute.Instance, n int) (int, error) {
	var gone []compute.ID
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		gone = nil
		if now, err := p.templates.promoted(tx, s); err != nil || now.Image != by.Image {
			return err // another image was promoted meanwhile
		}
		if now, err := readMakeNote(tx, p.core.keyOf(s)); err != nil || now.Template != by.now.Template {
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
			if err := p.records.toDiscarding(tx, i,
				allocate.Because("replaced: its source's instances come from "+by.from()+" now")); err != nil {
				return err
			}
			gone = append(gone, i.ID)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.core.step("rollout:replaced")
	return len(gone), p.disposal.after(ctx, gone)
}

// proved records that all ready instances came from the promoted image. From now on a failure is
// the source's, not the image's.
func (p *rollouts) proved(ctx context.Context, s *Source, pr Promotion) error {
	if pr.Source == "" || pr.Proved {
		return nil
	}
	return p.core.store.Update(ctx, func(tx store.Tx) error {
		all, err := readPromotions(tx)
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
		return savePromotion(tx, all, now)
	})
}

// kind names the cause of a roll-out.
func (by renewal) kind() string {
	switch {
	case by.Source != "":
		return "the promoted image"
	case by.now.Changed == "": // an older hostler made them
		return "the configuration of now"
	}
	return "the changed " + by.now.Changed
}

func (by renewal) from() string {
	if by.Source == "" {
		return by.kind()
	}
	return by.title()
}

// yield discards one old ready instance where the maximum leaves no room for a new one beside it.
// All places must be taken by ready or leased instances, so that at most one is missing. If no new
// instance has become ready yet it discards only one. If the provider says that none would, it
// discards none.
func (p *rollouts) yield(ctx context.Context, s *Source, by renewal, old []*compute.Instance) error {
	may := func(tx store.Tx) (bool, error) {
		rec, err := tx.Source(s.Name, s.Digest)
		if err != nil {
			return false, err
		}
		m, c := p.records.maximum(s), rec.Counts
		return m > 0 && c.Present() >= m && c.Ready+c.InUse() == c.Present() && !rec.Paused.After(time.Now()), nil
	}
	if by.now.First == 0 {
		some := false
		err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
			some, err = may(tx)
			return err
		})
		if err != nil || !some {
			return err
		}
		if hopeless, err := p.templates.hopeless(ctx, s, by); err != nil || hopeless {
			return err
		}
	}
	var gone []compute.ID
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		gone = nil
		if now, err := readMakeNote(tx, p.core.keyOf(s)); err != nil || now.Template != by.now.Template {
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
			return p.records.toDiscarding(
				tx, i,
				allocate.Because(
					"replaced: its source's instances come from "+by.from()+" now, and there is no room for another beside it",
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

const (
	// how often a provider is asked whether it can make instances after it could not
	probeEvery    = time.Minute
	probePatience = 20 * time.Second
)

// hopeless asks a Prober whether it could make no instance of the present make, for another reason
// than a lack of room.
func (p *templates) hopeless(ctx context.Context, s *Source, by renewal) (bool, error) {
	o := p.providers.ready(p.core.keyOf(s))
	if o == nil || o.provider == nil {
		return true, nil
	}
	prober, ok := compute.As[compute.Prober](o.provider)
	if !ok {
		return false, nil
	}
	p.core.mu.Lock()
	early := time.Since(p.core.at(s).probed) < probeEvery
	if !early {
		p.core.at(s).probed = time.Now()
	}
	p.core.mu.Unlock()
	if early {
		return true, nil
	}
	asking, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	_, err := prober.Probe(asking, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor})
	switch {
	case err == nil, errors.Is(err, compute.ErrNoCapacity):
		// it can be known only after one has gone
		return false, nil
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.Is(err, compute.ErrUnavailable), errors.Is(err, compute.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		// that says nothing of the change
		return true, nil
	}
	return true, p.core.store.Update(ctx, func(tx store.Tx) error { return p.recordUnmakeable(tx, p.core.keyOf(s), by.now.Template, err) })
}

// rollable returns the sources that may have instances to replace.
func (p *rollouts) rollable(ctx context.Context) (out []*Source, err error) {
	all, err := p.templates.promotions(ctx)
	if err != nil {
		return nil, err
	}
	reads, told := map[*Source]*templateReading{}, map[*Source]bool{}
	for _, s := range p.core.ordered {
		if _, is := all[s.Name]; !is && s.Type != allocate.PoolType && s.Err == nil {
			reads[s] = p.templates.read(s)
		}
	}
	for _, s := range p.core.ordered {
		if r := reads[s]; r != nil {
			told[s] = p.templates.noticeTemplateOf(ctx, s, r) != ""
		}
	}
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		out = nil
		for _, s := range p.core.ordered {
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
func (p *rollouts) lookAgain(s *Source) bool {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	now := time.Now()
	if now.Sub(p.core.at(s).rolled) < manyEvery {
		return false
	}
	p.core.at(s).rolled = now
	return true
}

// Rolling begins RollOut for all sources with instances to replace, each in its own goroutine,
// unless it is under way.
func (p *Pool) Rolling(ctx context.Context, with ReconcileOptions) error {
	all, err := p.rollouts.rollable(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		name := s.Name
		old, by, err := p.rollouts.others(ctx, s)
		if err != nil || len(old) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		p.core.mu.Lock()
		busy := p.rollouts.rolls[name]
		p.rollouts.rolls[name] = true
		p.core.mu.Unlock()
		if busy {
			continue
		}
		with.Go(func() {
			err := p.rollouts.rollOut(ctx, name, nil)
			if errors.Is(err, compute.ErrNoCapacity) && by.Source == "" {
				err = p.rollouts.yield(ctx, s, by, old)
			}
			p.core.mu.Lock()
			delete(p.rollouts.rolls, name)
			p.core.mu.Unlock()
			if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrNoCapacity) {
				p.core.log.Warn("instances of "+by.kind(), "source", name, "err", err)
			}
			if err == nil {
				with.Done()
			}
		})
	}
	return nil
}
