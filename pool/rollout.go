package pool

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/provider"
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
	return p.rollouts.RollOut(ctx, name, tell)
}

// Rolling begins RollOut for all sources with instances to replace, each in its own goroutine,
// unless it is under way.
func (p *Pool) Rolling(ctx context.Context, with ReconcileOptions) error {
	all, err := p.rollouts.Rollable(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		name := s.Name
		old, by, err := p.rollouts.Others(ctx, s)
		if err != nil || len(old) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		p.core.Mu.Lock()
		busy := p.rollouts.Rolls[name]
		p.rollouts.Rolls[name] = true
		p.core.Mu.Unlock()
		if busy {
			continue
		}
		with.Go(func() {
			err := p.rollouts.RollOut(ctx, name, nil)
			if errors.Is(err, compute.ErrNoCapacity) && by.Source == "" {
				err = p.rollouts.Yield(ctx, s, by, old)
			}
			p.core.Mu.Lock()
			delete(p.rollouts.Rolls, name)
			p.core.Mu.Unlock()
			if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrNoCapacity) {
				p.core.Log.Warn("instances of "+by.Kind(), "source", name, "err", err)
			}
			if err == nil {
				with.Done()
			}
		})
	}
	return nil
}

// Promotions returns the promotions that count, by source.
func (p *Pool) Promotions(ctx context.Context) (map[string]Promotion, error) {
	return p.templates.Promotions(ctx)
}

// Promote makes a source's instances come from an image from now on. RollOut replaces the ready
// ones.
func (p *Pool) Promote(ctx context.Context, name, image string) (Promotion, error) {
	s, id, err := p.templates.Promotable(ctx, name, image)
	if err != nil {
		return Promotion{}, err
	}
	return p.templates.Promote(ctx, s, func(now Promotion) (Promotion, error) {
		if now.Image == id {
			now.Name = image
			return now, nil
		}
		return now.To(Promoted{Image: id, Name: image}), nil
	}, "promoted")
}

// PromoteBack makes a source's instances come from the image before the promoted one.
func (p *Pool) PromoteBack(ctx context.Context, name string) (Promotion, error) {
	s, err := p.core.Find(name)
	if err != nil {
		return Promotion{}, err
	}
	return p.templates.Promote(ctx, s, func(now Promotion) (Promotion, error) {
		if len(now.Before) == 0 {
			return now, &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrConflict,
				Err: errors.New("there is no image to go back to: none was promoted before"),
			}
		}
		return now.Back(), nil
	}, "promotion taken back")
}

// MadeOf returns the image that an instance was made from in place of its source's own, chosen or
// promoted; "": none.
func MadeOf(i compute.Instance) string {
	if i.Facts[provider.FactChosen] != "" && i.Facts["image"] != "" {
		return i.Facts["image"]
	}
	return i.Facts[lifecycle.FactPromoted]
}
