package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/store"
)

// Do records a directive, with an event that says why, and returns the rest of the work. finish may
// take long, and must be called once, also with a context that has ended. It is nil where nothing
// is left, or where things have changed since the directive was decided.
func (p *Pool) Do(ctx context.Context, d plan.Directive) (finish func(context.Context) error, err error) {
	if d.Verb == plan.VerbAhead && d.Key != 0 {
		return p.ahead.DoLeft(ctx, d)
	}
	s, err := p.core.Find(d.Source)
	if err != nil {
		return nil, err
	}
	if err := p.templates.Prepare(ctx, s); err != nil {
		return nil, err
	}
	switch d.Verb {
	case plan.VerbCreate:
		return p.background.DoCreate(ctx, s, d)
	case plan.VerbAhead:
		return p.ahead.DoAhead(ctx, s, d)
	case plan.VerbTarget:
		return nil, p.core.Store.Update(ctx, func(tx store.Tx) error {
			r, err := tx.Source(s.Name, s.Digest)
			if err != nil {
				return err
			}
			// otherwise it is only repeated
			if alive := r.Target.Until.After(time.Now()); !alive || r.Target.Reserve != d.Target.Reserve || r.Target.Spare != d.Target.Spare {
				if err := lifecycle.Note(tx, d); err != nil {
					return err
				}
			}
			r.Target = d.Target
			return tx.SaveSource(r)
		})
	case plan.VerbStop:
		p.core.Mu.Lock()
		o := p.providers.Opened[p.core.At(s).Key]
		p.core.Mu.Unlock()
		if o == nil || !o.Stops {
			return nil, &compute.Error{ID: d.Instance, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
		}
		return p.background.DoReady(ctx, s, d)
	case plan.VerbStart, plan.VerbDiscard:
		return p.background.DoReady(ctx, s, d)
	}
	return nil, &compute.Error{ID: compute.ID(d.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf("no directive is called %q", d.Verb)}
}
