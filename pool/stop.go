package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// doReady starts, stops or discards an instance that is ready. One that is stopped or started
// passes through the state of those being cleaned: the process that takes up a dead process's work
// cleans it, or discards it where it cannot be cleaned.
func (p *background) doReady(ctx context.Context, s *Source, d compute.Directive) (func(context.Context) error, error) {
	var j job
	var taken []string
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		p.core.inflight.leave(taken...)
		j, taken = job{}, nil
		i, err := tx.Instance(d.Instance)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || i.State != compute.Ready || i.Source != s.Name ||
			i.Cold != (d.Verb == compute.VerbStart) && d.Verb != compute.VerbDiscard {
			return err
		}
		now, err := p.clock.inOrder(tx, time.Now())
		if err != nil || d.Verb != compute.VerbStart && !i.Cold && now.Sub(i.Since) < s.Idle {
			return err // it was used meanwhile
		}
		// a roll-out, or another director, may have taken one away since this was decided
		if d.Least > 0 && d.Verb != compute.VerbStart {
			if rec, err := tx.SourceByKey(i.SourceKey); err != nil || rec.Counts.Ready+rec.Counts.InUse() <= d.Least {
				return err
			}
		}
		if err := note(tx, d); err != nil {
			return err
		}
		if d.Verb == compute.VerbDiscard {
			if err = p.records.toDiscarding(tx, i, allocate.Because(d.Reason)); err == nil {
				j.inst, j.rec, err = p.disposal.claim(tx, i.ID)
			}
		} else {
			i.Worker, i.Cold, i.Reason, i.Cause = p.core.store.Worker(), true, "it is being stopped", compute.CauseStop
			if d.Verb == compute.VerbStart {
				i.Reason, i.Cause = "it is being started", compute.CauseStart
			}
			if _, err = p.core.set(tx, i, compute.Cleaning, compute.Event{Kind: string(d.Verb), Text: d.Reason}); err == nil {
				j.inst = i
				j.rec, err = tx.SourceByKey(i.SourceKey)
			}
		}
		if err == nil && j.inst != nil {
			taken = []string{string(i.ID)}
			p.core.inflight.take(taken...)
		}
		return err
	})
	if err != nil || j.inst == nil {
		p.core.inflight.leave(taken...)
		return nil, err
	}
	p.core.step("director:" + string(d.Verb))
	return func(ctx context.Context) error {
		defer p.core.inflight.leave(taken...)
		defer p.core.wake()
		if d.Verb == compute.VerbDiscard {
			return p.disposal.carryOne(ctx, j)
		}
		return p.creation.change(ctx, j, d.Verb)
	}, nil
}

// change stops or starts an instance that it has claimed.
func (p *creation) change(ctx context.Context, j job, verb compute.Verb) error {
	var err error
	if verb == compute.VerbStart {
		err = p.startStopped(ctx, j.inst)
	} else if o := p.providers.open(ctx, j.rec); o.err != nil {
		err = o.err
	} else if c, ok := compute.As[compute.Stopper](o.provider); !ok {
		err = &compute.Error{ID: j.inst.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
	} else {
		err = c.Stop(ctx, j.inst.ID, stopGrace)
	}
	if err != nil && ctx.Err() != nil {
		return p.core.releaseClaim(ctx, j.inst)
	}
	p.core.step("director:done")
	rest, cancel := cleanupContext(ctx)
	defer cancel()
	e := p.core.store.Update(rest, func(tx store.Tx) error {
		if e := p.core.checkOwned(tx, j.inst); e != nil {
			return e
		}
		i := *j.inst
		if err != nil {
			return p.core.toFailed(tx, &i, p.core.sourceOf(j.rec), allocate.Because(string(verb)+": "+compute.Said(err)))
		}
		i.Cold, i.Worker, i.Reason, i.Cause = verb == compute.VerbStop, 0, "", ""
		// the next hand-out rests on the same event as before
		_, e := p.core.set(tx, &i, compute.Ready, compute.Event{})
		return e
	})
	if errors.Is(e, compute.ErrStale) {
		e = nil // another worker went on with it
	}
	return errors.Join(err, e)
}

// startStopped starts a cold instance and waits until it answers.
func (p *creation) startStopped(ctx context.Context, i *compute.Instance) error {
	rec, err := p.core.recordOf(ctx, i.SourceKey)
	if err != nil {
		return err
	}
	o := p.providers.open(ctx, rec)
	if o.err != nil {
		return o.err
	}
	c, ok := compute.As[compute.Stopper](o.provider)
	if !ok {
		return &compute.Error{Op: "start", ID: i.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot start what is stopped")}
	}
	if err := c.Start(ctx, i.ID); err != nil {
		return &compute.Error{Op: "start", ID: i.ID, Kind: fault.KindOf(err), Err: err}
	}
	err = await(ctx, bootPatience, time.Time{}, func(ctx context.Context) error {
		c, err := o.provider.Connect(ctx, i.ID)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err == nil {
		i.Cold = false
	}
	return err
}
