package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// RollOut replaces the ready instances of a source that came from another image than the promoted one, or from its template as it was before somebody changed it, in waves: of the first, one instance, and of each that follows,
// twice as many are made, and as many of the old ones are discarded when they have become ready. There are never fewer than the source wants, ready and in use
// together; what is in use stays, and is replaced when it has come back. It returns when none is left to be replaced. Several may be at it at once.
//
// When an instance does not become ready the source goes back to the image before, and the error says so; of a changed template the old ones stay. ErrNoCapacity: there is no
// room for new ones beside the old; then those are replaced one by one as they come back from use and go, and Rolling discards one of an old template at a time.
func (p *Pool) RollOut(ctx context.Context, name string, tell func(text string)) error {
	s, err := p.find(name)
	if err != nil {
		return err
	}
	if err := p.prepare(ctx, s); err != nil {
		return err
	}
	vain := 0
	for wave := 1; ; wave *= 2 {
		old, pr, err := p.others(ctx, s)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			return p.proved(ctx, s, pr)
		}
		spare, err := p.beyond(ctx, s)
		if err != nil {
			return err
		}
		if spare <= 0 {
			if err := p.surge(ctx, s, pr, min(wave, len(old))-spare, tell); err != nil { // and what is missing anyway
				return err
			}
			if spare, err = p.beyond(ctx, s); err != nil {
				return err
			}
		}
		n, err := p.replace(ctx, s, pr, old, min(spare, wave))
		if err != nil {
			return err
		}
		if n == 0 { // others took what was made, or the old ones
			if vain++; vain > rollTries {
				return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrConflict, Err: fmt.Errorf("what is made of %s is taken or discarded by others, so the old instances are not replaced", pr.kind()),
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

// templated is a source's provider as one that tells what instances would be made from; nil: it does not tell, or is not open.
func (p *Pool) templated(s *source) compute.Templated {
	o := p.ready(p.keyOf(s))
	if o == nil || o.err != nil {
		return nil
	}
	t, _ := compute.As[compute.Templated](o.provider)
	return t
}

// template says what instances of a source would be made from now; "": its provider does not tell, or is not open. It reads a file, whose place may hang, so it is
// not called in a transaction, which holds up all others.
func (p *Pool) template(s *source) string {
	t := p.templated(s)
	if t == nil {
		return ""
	}
	now, err := t.Template()
	if err != nil { // who makes one is told
		return ""
	}
	return now
}

// templateRead is a template as it was read for transactions under way.
type templateRead struct {
	now  string
	many int // such transactions
}

// errUnread asks for a source's template to be read outside of the transaction, and for another try.
type errUnread struct{ source *source }

func (e *errUnread) Error() string { return "template of " + e.source.Name + " is not read" }

// noteTemplate reads a source's template for a transaction, until forgetTemplate.
func (p *Pool) noteTemplate(s *source) {
	now, key := p.template(s), p.keyOf(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.templates[key] = templateRead{now, p.templates[key].many + 1}
}

// forgetTemplate is called with the lock held.
func (p *Pool) forgetTemplate(key int64) {
	if t := p.templates[key]; t.many > 1 {
		p.templates[key] = templateRead{t.now, t.many - 1}
	} else {
		delete(p.templates, key)
	}
}

// ofOldTemplate tells whether an instance, or what is behind it, was made from a template that has changed since: no cleaning makes it as one that is made now.
// The transaction is one of withOpen.
func (p *Pool) ofOldTemplate(tx compute.Tx, i *compute.Instance) (bool, error) {
	for {
		if s := p.sources[i.Source]; s != nil && p.keyOf(s) == i.SourceKey {
			if p.templated(s) != nil {
				p.mu.Lock()
				t, read := p.templates[i.SourceKey]
				p.mu.Unlock()
				if !read {
					return false, &errUnread{s}
				}
				if t.now != "" && i.Facts[compute.FactTemplate] != t.now {
					return true, nil
				}
			}
		}
		if i.Child == "" {
			return false, nil
		}
		var err error
		if i, err = tx.Instance(i.Child); errors.Is(err, compute.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
}

// others lists the ready instances of a source that are not of its promoted image, or not of its template, the oldest first.
func (p *Pool) others(ctx context.Context, s *source) (old []*compute.Instance, pr Promotion, err error) {
	template := p.template(s)
	err = p.store.View(ctx, func(tx compute.Tx) error {
		old = nil
		if pr, err = p.promoted(tx, s); err != nil || pr.Source == "" && template == "" {
			return err
		}
		rec, err := tx.Source(s.Name, s.Digest)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || rec.Counts.Ready == 0 {
			return err
		}
		ready, err := tx.Instances(compute.InstanceQuery{SourceKey: rec.Key, States: []compute.State{compute.Ready}})
		for _, i := range ready {
			if pr.Source != "" && i.Facts[factPromoted] != pr.Image || template != "" && i.Facts[compute.FactTemplate] != template {
				old = append(old, i)
			}
		}
		return err
	})
	return old, pr, err
}

// beyond is how many ready instances a source has beyond those that it wants.
func (p *Pool) beyond(ctx context.Context, s *source) (n int, err error) {
	err = p.store.View(ctx, func(tx compute.Tx) error {
		n, err = p.spared(tx, s)
		return err
	})
	return n, err
}

func (p *Pool) spared(tx compute.Tx, s *source) (int, error) {
	rec, err := tx.Source(s.Name, s.Digest)
	if err != nil {
		return 0, err
	}
	inUse := rec.Counts.InUse()
	return rec.Counts.Ready + inUse - p.wanted(s, rec, inUse), nil
}

// surge makes n more instances than the source wants, from the promoted image, as far as there is room.
func (p *Pool) surge(ctx context.Context, s *source, pr Promotion, n int, tell func(string)) error {
	units, leave, err := p.order(ctx, s, func(compute.Tx, *compute.SourceRecord) (int, error) { return n, nil })
	if errors.Is(err, compute.ErrNoCapacity) {
		return &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrNoCapacity, Err: fmt.Errorf("there is no room for instances of %s beside those that stand ready", pr.kind()),
			Hint: "raise `maximum` in its source.conf, or discard a ready one; those in use are replaced when they come back"}
	}
	if err != nil {
		return err
	}
	defer leave()
	if tell != nil {
		tell(fmt.Sprintf("%s: %d instances are made from %s", s.Name, len(units), pr.from()))
	}
	p.step("rollout:recorded")
	_, err = p.raiseAll(ctx, units)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if pr.Source == "" {
		return err
	}
	now, e := p.Promotions(context.WithoutCancel(ctx))
	if e != nil || now[s.Name].Failed != pr.Name {
		return errors.Join(err, e)
	}
	return &compute.Error{ID: compute.ID(s.Name), Kind: kindOf(err), Err: fmt.Errorf("an instance of %s did not become ready, and it is back to %s: %w", pr.title(), now[s.Name].title(), err)}
}

// replace discards up to n old ready instances, as long as that leaves what the source wants.
func (p *Pool) replace(ctx context.Context, s *source, pr Promotion, old []*compute.Instance, n int) (int, error) {
	var gone []compute.ID
	err := p.store.Update(ctx, func(tx compute.Tx) error {
		gone = nil
		if now, err := p.promoted(tx, s); err != nil || now.Image != pr.Image {
			return err // it was promoted otherwise meanwhile
		}
		for _, o := range old {
			if len(gone) == n {
				return nil
			}
			i, err := tx.Instance(o.ID)
			if errors.Is(err, compute.ErrNotFound) || err == nil && (i.Row != o.Row || i.State != compute.Ready || i.Generation != o.Generation) {
				continue // taken meanwhile
			} else if err != nil {
				return err
			}
			if more, err := p.spared(tx, s); err != nil || more <= 0 {
				return err
			}
			if err := p.toDiscarding(tx, i, "replaced: its source's instances come from "+pr.from()+" now"); err != nil {
				return err
			}
			gone = append(gone, i.ID)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	p.step("rollout:replaced")
	return len(gone), p.after(ctx, gone)
}

// proved records that all that stands ready came from the promoted image: from now on a failure is one of the source, not of the image.
func (p *Pool) proved(ctx context.Context, s *source, pr Promotion) error {
	if pr.Source == "" || pr.Proved {
		return nil
	}
	return p.store.Update(ctx, func(tx compute.Tx) error {
		all, err := readPromotions(tx)
		now := all[s.Name]
		if err != nil || now.Image != pr.Image || now.Proved {
			return err
		}
		rec, err := tx.Source(s.Name, s.Digest)
		if errors.Is(err, compute.ErrNotFound) || err == nil && rec.Counts.Ready == 0 {
			return nil // none has shown it yet
		} else if err != nil {
			return err
		}
		now.Proved = true
		return savePromotion(tx, all, now)
	})
}

// kind is what a roll-out is of, and from what instances are made by it.
func (pr Promotion) kind() string {
	if pr.Source == "" {
		return "the changed template"
	}
	return "the promoted image"
}

func (pr Promotion) from() string {
	if pr.Source == "" {
		return pr.kind()
	}
	return pr.title()
}

// yield discards one ready instance of an old template where there is no room for a new one beside it, unless one is being made: so the reserve lacks one at a time.
func (p *Pool) yield(ctx context.Context, s *source, old []*compute.Instance) error {
	var gone []compute.ID
	err := p.store.Update(ctx, func(tx compute.Tx) error {
		gone = nil
		rec, err := tx.Source(s.Name, s.Digest)
		if err != nil || rec.Paused.After(time.Now()) || rec.Counts.Creating+rec.Counts.SettingUp+rec.Counts.Discarding > 0 {
			return err
		}
		for _, o := range old {
			i, err := tx.Instance(o.ID)
			if errors.Is(err, compute.ErrNotFound) || err == nil && (i.Row != o.Row || i.State != compute.Ready || i.Generation != o.Generation) {
				continue // taken meanwhile
			} else if err != nil {
				return err
			}
			gone = []compute.ID{i.ID}
			return p.toDiscarding(tx, i, "replaced: its source's template has changed, and there is no room for another beside it")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.after(ctx, gone)
}

// rollable are the sources that may have something to replace.
func (p *Pool) rollable(ctx context.Context) (out []*source, err error) {
	all, err := p.Promotions(ctx)
	if err != nil {
		return nil, err
	}
	told := map[*source]bool{}
	for _, s := range p.ordered {
		if _, is := all[s.Name]; !is && s.Type != poolType && s.Err == nil {
			told[s] = p.template(s) != ""
		}
	}
	err = p.store.View(ctx, func(tx compute.Tx) error {
		out = nil
		for _, s := range p.ordered {
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
			if rec.Counts.Ready <= many || p.lookAgain(s) {
				out = append(out, s)
			}
		}
		return nil
	})
	return out, err
}

// lookAgain reports whether it is time to look at all the ready instances of a source that has many.
func (p *Pool) lookAgain(s *source) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(s.rolled) < manyEvery {
		return false
	}
	s.rolled = now
	return true
}

// Rolling begins RollOut for all sources that have something to replace, each by itself, unless it is under way.
func (p *Pool) Rolling(ctx context.Context, with Tending) error {
	all, err := p.rollable(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		name := s.Name
		old, pr, err := p.others(ctx, s)
		if err != nil || len(old) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		p.mu.Lock()
		busy := p.rolls[name]
		p.rolls[name] = true
		p.mu.Unlock()
		if busy {
			continue
		}
		with.Go(func() {
			err := p.RollOut(ctx, name, nil)
			if errors.Is(err, compute.ErrNoCapacity) && pr.Source == "" {
				err = p.yield(ctx, s, old)
			}
			p.mu.Lock()
			delete(p.rolls, name)
			p.mu.Unlock()
			if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrNoCapacity) {
				p.log.Warn("instances of "+pr.kind(), "source", name, "err", err)
			}
			if err == nil {
				with.Done()
			}
		})
	}
	return nil
}
