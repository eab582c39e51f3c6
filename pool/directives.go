package pool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

const (
	stopGrace = time.Minute
	// openPatience is how long a look waits for providers to open, all at once. One that hangs does
	// not hold up the others.
	openPatience = 5 * time.Second
	// openLong is how long a release waits for a provider to open. Then it has the instances
	// discarded when the provider opens again.
	openLong = 30 * time.Second
)

// Do records a directive, with an event that says why, and returns the rest of the work. finish may
// take long, and must be called once, also with a context that has ended. It is nil where nothing
// is left, or where things have changed since the directive was decided.
func (p *Pool) Do(ctx context.Context, d compute.Directive) (finish func(context.Context) error, err error) {
	if d.Verb == compute.VerbAhead && d.Key != 0 {
		return p.ahead.doLeft(ctx, d)
	}
	s, err := p.core.find(d.Source)
	if err != nil {
		return nil, err
	}
	if err := p.templates.prepare(ctx, s); err != nil {
		return nil, err
	}
	switch d.Verb {
	case compute.VerbCreate:
		return p.background.doCreate(ctx, s, d)
	case compute.VerbAhead:
		return p.ahead.doAhead(ctx, s, d)
	case compute.VerbAim:
		return nil, p.core.store.Update(ctx, func(tx store.Tx) error {
			r, err := tx.Source(s.Name, s.Digest)
			if err != nil {
				return err
			}
			// otherwise it is only repeated
			if alive := r.Aim.Until.After(time.Now()); !alive || r.Aim.Reserve != d.Aim.Reserve || r.Aim.Spare != d.Aim.Spare {
				if err := note(tx, d); err != nil {
					return err
				}
			}
			r.Aim = d.Aim
			return tx.SaveSource(r)
		})
	case compute.VerbStop:
		p.core.mu.Lock()
		o := p.providers.opened[p.core.at(s).key]
		p.core.mu.Unlock()
		if o == nil || !o.stops {
			return nil, &compute.Error{ID: d.Instance, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
		}
		return p.background.doReady(ctx, s, d)
	case compute.VerbStart, compute.VerbDiscard:
		return p.background.doReady(ctx, s, d)
	}
	return nil, &compute.Error{ID: compute.ID(d.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf("no directive is called %q", d.Verb)}
}

// note writes a directive into the journal.
func note(tx store.Tx, d compute.Directive) error {
	data := map[string]string{"do": string(d.Verb)}
	switch d.Verb {
	case compute.VerbCreate, compute.VerbAhead:
		data["count"] = strconv.Itoa(d.Count)
	case compute.VerbAim:
		data["reserve"], data["spare"] = strconv.Itoa(d.Aim.Reserve), strconv.Itoa(d.Aim.Spare)
	}
	_, err := tx.Append(&compute.Event{
		Time: time.Now(), Kind: "directive", Source: d.Source, Instance: d.Instance, Text: d.Reason, Data: data,
	})
	return err
}

// doCreate records the instances of a create directive. The function that it returns makes them.
func (p *background) doCreate(ctx context.Context, s *Source, d compute.Directive) (func(context.Context) error, error) {
	units, leave, err := p.handouts.recordMissing(ctx, s, func(tx store.Tx, r *store.SourceRecord) (int, error) {
		there := r.Counts.Cached() + r.Counts.InUse()
		if s.Cold > 0 {
			is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready, compute.Cleaning}})
			if err != nil {
				return 0, err
			}
			for _, i := range is {
				if i.Cold && i.Cause != compute.CauseStart {
					there--
				}
			}
		}
		now := d
		if now.Count = min(d.Count, d.Total-there); now.Count <= 0 {
			return 0, nil
		}
		return now.Count, note(tx, now)
	})
	if err != nil {
		return nil, err
	}
	if len(units) == 0 {
		leave()
		return nil, nil
	}
	p.core.step("director:create")
	return func(ctx context.Context) error {
		defer leave()
		_, err := p.handouts.provisionAll(ctx, units)
		return err
	}, nil
}
