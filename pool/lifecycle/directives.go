package lifecycle

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// stopGrace is how long a computer has to stop.
const stopGrace = time.Minute

// Note writes a directive into the journal.
func Note(tx store.Tx, d plan.Directive) error {
	data := map[string]string{"do": string(d.Verb)}
	switch d.Verb {
	case plan.VerbCreate, plan.VerbAhead:
		data["count"] = strconv.Itoa(d.Count)
	case plan.VerbTarget:
		data["reserve"], data["spare"] = strconv.Itoa(d.Target.Reserve), strconv.Itoa(d.Target.Spare)
	}
	_, err := tx.Append(&compute.Event{
		Time: time.Now(), Kind: "directive", Source: d.Source, Instance: d.Instance, Text: d.Reason, Data: data,
	})
	return err
}

// DoCreate records the instances of a create directive. The function that it returns makes them.
func (p *Background) DoCreate(ctx context.Context, s *allocate.Source, d plan.Directive) (func(context.Context) error, error) {
	units, leave, err := p.handouts.recordMissing(ctx, s, func(tx store.Tx, r *store.SourceRecord) (int, error) {
		there := r.Counts.Cached() + r.Counts.InUse()
		if s.Cold > 0 {
			is, err := tx.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready, compute.Cleaning}})
			if err != nil {
				return 0, err
			}
			for _, i := range is {
				if i.Cold && i.Cause != inventory.CauseStart {
					there--
				}
			}
		}
		now := d
		if now.Count = min(d.Count, d.Total-there); now.Count <= 0 {
			return 0, nil
		}
		return now.Count, Note(tx, now)
	})
	if err != nil {
		return nil, err
	}
	if len(units) == 0 {
		leave()
		return nil, nil
	}
	p.core.Step("director:create")
	return func(ctx context.Context) error {
		defer leave()
		_, err := p.handouts.provisionAll(ctx, units)
		return err
	}, nil
}

// DoReady starts, stops or discards an instance that is ready. One that is stopped or started
// passes through the state of those being cleaned: the process that takes up a dead process's work
// cleans it, or discards it where it cannot be cleaned.
func (p *Background) DoReady(ctx context.Context, s *allocate.Source, d plan.Directive) (func(context.Context) error, error) {
	var j Job
	var taken []string
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		p.core.Inflight.Leave(taken...)
		j, taken = Job{}, nil
		i, err := tx.Instance(d.Instance)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || i.State != compute.Ready || i.Source != s.Name ||
			i.Cold != (d.Verb == plan.VerbStart) && d.Verb != plan.VerbDiscard {
			return err
		}
		now, err := p.clock.InOrder(tx, time.Now())
		if err != nil || d.Verb != plan.VerbStart && !i.Cold && now.Sub(i.Since) < s.Idle {
			return err // it was used meanwhile
		}
		// a roll-out, or another director, may have taken one away since this was decided
		if d.Least > 0 && d.Verb != plan.VerbStart {
			if rec, err := tx.SourceByKey(i.SourceKey); err != nil || rec.Counts.Ready+rec.Counts.InUse() <= d.Least {
				return err
			}
		}
		if err := Note(tx, d); err != nil {
			return err
		}
		if d.Verb == plan.VerbDiscard {
			if err = p.records.ToDiscarding(tx, i, allocate.Because(d.Reason)); err == nil {
				j.Instance, j.Record, err = p.disposal.Claim(tx, i.ID)
			}
		} else {
			step := steps.Stop
			i.Worker, i.Cold, i.Reason, i.Cause = p.core.Store.Worker(), true, "it is being stopped", inventory.CauseStop
			if d.Verb == plan.VerbStart {
				step, i.Reason, i.Cause = steps.Start, "it is being started", inventory.CauseStart
			}
			if _, err = p.core.Set(tx, i, step, compute.Event{Kind: string(d.Verb), Text: d.Reason}); err == nil {
				j.Instance = i
				j.Record, err = tx.SourceByKey(i.SourceKey)
			}
		}
		if err == nil && j.Instance != nil {
			taken = []string{string(i.ID)}
			p.core.Inflight.Take(taken...)
		}
		return err
	})
	if err != nil || j.Instance == nil {
		p.core.Inflight.Leave(taken...)
		return nil, err
	}
	p.core.Step("director:" + string(d.Verb))
	return func(ctx context.Context) error {
		defer p.core.Inflight.Leave(taken...)
		defer p.core.Wake()
		if d.Verb == plan.VerbDiscard {
			return p.disposal.carryOne(ctx, j)
		}
		return p.creation.change(ctx, j, d.Verb)
	}, nil
}

// change stops or starts an instance that it has claimed.
func (p *Creation) change(ctx context.Context, j Job, verb plan.Verb) error {
	var err error
	if verb == plan.VerbStart {
		err = p.startStopped(ctx, j.Instance)
	} else if o := p.providers.Open(ctx, j.Record); o.Err != nil {
		err = o.Err
	} else if o.Stopper == nil {
		err = &compute.Error{ID: j.Instance.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
	} else {
		err = o.Stopper.Stop(ctx, j.Instance.ID, stopGrace)
	}
	if err != nil && ctx.Err() != nil {
		return p.core.ReleaseClaim(ctx, j.Instance)
	}
	p.core.Step("director:done")
	rest, cancel := state.CleanupContext(ctx)
	defer cancel()
	e := p.core.Store.Update(rest, func(tx store.Tx) error {
		if e := p.core.CheckOwned(tx, j.Instance); e != nil {
			return e
		}
		i := *j.Instance
		if err != nil {
			return p.core.ToFailed(tx, &i, p.core.SourceOf(j.Record), allocate.Because(string(verb)+": "+fault.Message(err)))
		}
		step := steps.Started
		if i.Cold = verb == plan.VerbStop; i.Cold {
			step = steps.Stopped
		}
		i.Worker, i.Reason, i.Cause = 0, "", ""
		// the next hand-out rests on the same event as before
		_, e := p.core.Set(tx, &i, step, compute.Event{})
		return e
	})
	if errors.Is(e, compute.ErrStale) {
		e = nil // another worker went on with it
	}
	return errors.Join(err, e)
}

// startStopped starts a cold instance and waits until it answers.
func (p *Creation) startStopped(ctx context.Context, i *compute.Instance) error {
	rec, err := p.core.RecordOf(ctx, i.SourceKey)
	if err != nil {
		return err
	}
	o := p.providers.Open(ctx, rec)
	if o.Err != nil {
		return o.Err
	}
	if o.Stopper == nil {
		return &compute.Error{Op: "start", ID: i.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot start what is stopped")}
	}
	if err := o.Stopper.Start(ctx, i.ID); err != nil {
		return &compute.Error{Op: "start", ID: i.ID, Kind: fault.KindOf(err), Err: err}
	}
	err = sources.Await(ctx, state.BootPatience, time.Time{}, func(ctx context.Context) error {
		c, err := o.Provider.Connect(ctx, i.ID)
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
