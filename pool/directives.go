package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
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

// The reasons of instances that are being stopped and started. Both pass through the state of those
// being cleaned: the process that takes up a dead process's work cleans them, and discards those
// that cannot be cleaned.
const (
	stopping = "it is being stopped"
	starting = "it is being started"
)

// Snapshot copies the state of the configured sources, with the ready instances of those for which
// idlers returns true. idlers may be nil. It is called inside of a transaction, and must be quick.
// Snapshot changes nothing, and extends no lease.
func (p *Pool) Snapshot(ctx context.Context, idlers func(compute.SourceState) bool) (compute.Snapshot, error) {
	windows := map[string]time.Duration{}
	for _, s := range p.ordered {
		if s.Window > 0 {
			windows[s.Name] = s.Window
		}
	}
	opened := map[string]error{}
	if err := p.acquaint(ctx, opened); err != nil {
		return compute.Snapshot{}, err
	}
	for _, s := range p.ordered {
		if r, _ := p.reserver(p.keyOf(s)); r != nil && s.Window == 0 {
			windows[s.Name] = aheadWindow
		}
	}
	query := p.recent.query()
	var snap compute.Snapshot
	var events []*compute.Event
	err := p.store.View(ctx, func(tx compute.Tx) (err error) {
		snap = compute.Snapshot{Time: time.Now()}
		if events = nil; len(windows) > 0 {
			if events, err = tx.Events(query); err != nil {
				return err
			}
			p.recent.take(windows, events) // reading an event twice does no harm
		}
		recs, err := tx.Sources()
		if err != nil {
			return err
		}
		noted, err := readAhead(tx)
		if err != nil {
			return err
		}
		vain, err := unready(tx)
		if err != nil {
			return err
		}
		snap.Left = p.left(recs, noted, snap.Time)
		m, booked, stirring, err := p.underWay(tx, recs)
		if err != nil {
			return err
		}
		own, others := map[string]*compute.SourceRecord{}, map[string]int{}
		for _, r := range recs {
			if p.configured(r) != nil {
				own[r.Name] = r
			} else if s := p.sources[r.Name]; s != nil && s.Place == r.Place {
				others[r.Name] += r.Counts.Present()
			}
		}
		for _, s := range p.ordered {
			st := compute.SourceState{Name: s.Name, Type: s.Type, Broken: cmp.Or(s.Err, opened[s.Name]),
				Reserve: s.Reserve, Spare: s.Spare, Idle: s.Idle,
				Waiting: m.plain[s.Name], Asked: m.own[s.Name], Present: others[s.Name]}
			if s.Err == nil {
				st.Maximum = p.maximum(s)
			}
			if w := windows[s.Name]; w > 0 {
				st.Demand = p.recent.of(s.Name, w, snap.Time)
			}
			r := own[s.Name]
			if r == nil {
				snap.Sources = append(snap.Sources, st)
				continue
			}
			st.Unready = vain[r.Key]
			st.Counts, st.Aim, st.Paused, st.Failures, st.LastError = r.Counts, r.Aim, r.Paused, max(0, r.Failures), r.LastError
			st.Present += r.Counts.Present()
			st.Ahead = p.aheadOf(r.Key, noted)
			st.Booked, st.Cold = booked[r.Key], stirring[r.Key]
			// how many ready ones run must always be known
			if o := p.ready(r.Key); o != nil && o.stops && s.Cold > 0 {
				st.ColdMost = s.Cold
				if err := p.seeAll(tx, r, &st, snap.Time); err != nil {
					return err
				}
			}
			snap.Sources = append(snap.Sources, st)
		}
		if idlers == nil {
			return nil
		}
		return p.see(tx, own, snap, idlers)
	})
	return snap, err
}

// acquaint opens the providers of sources that have instances or should have some: only then their
// maximum and abilities are known. It puts those that do not open into failed; the error is the
// store's.
func (p *Pool) acquaint(ctx context.Context, failed map[string]error) error {
	busy := map[string]bool{}
	err := p.store.View(ctx, func(tx compute.Tx) error {
		clear(busy)
		recs, err := tx.Sources()
		if err != nil {
			return err
		}
		for _, r := range recs {
			busy[r.Name] = busy[r.Name] || r.Counts != (compute.Counts{})
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
	for _, s := range p.ordered {
		if s.Err != nil || !(busy[s.Name] || s.Reserve > 0 || s.Spare > 0 || s.Window > 0 || s.Ahead) || p.isOpen(s) {
			continue
		}
		all.Go(func() {
			if err := p.learn(ctx, s); err != nil {
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
func (p *Pool) isOpen(s *source) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range s.all() {
		if c.key == 0 || c.Type != poolType && p.providers[c.key] == nil {
			return false
		}
	}
	return true
}

// underWay returns what waiting requests need. By record it returns how many instances being made
// belong to a request, and how many cold ones are being stopped.
func (p *Pool) underWay(tx compute.Tx, recs []*compute.SourceRecord) (m *demand, booked, stirring map[int64]int, err error) {
	booked, stirring = map[int64]int{}, map[int64]int{}
	if m, err = p.demandNow(tx); err != nil {
		return nil, nil, nil, err
	}
	for _, r := range recs {
		if r.Counts.Creating+r.Counts.SettingUp+r.Counts.Cleaning == 0 {
			continue
		}
		is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, Busy: true})
		if err != nil {
			return nil, nil, nil, err
		}
		for _, i := range is {
			switch i.State {
			case compute.Creating, compute.SettingUp:
				if i.Wanted != "" && !isForCache(i.Wanted) {
					booked[r.Key]++
				}
			case compute.Cleaning:
				if i.Reason == stopping {
					stirring[r.Key]++
				}
			}
		}
	}
	return m, booked, stirring, nil
}

func isForCache(token string) bool {
	return len(token) > len(forCache) && token[:len(forCache)] == forCache
}

// Do records a directive, with an event that says why, and returns the rest of the work. finish may
// take long, and must be called once, also with a context that has ended. It is nil where nothing
// is left, or where things have changed since the directive was decided.
func (p *Pool) Do(ctx context.Context, d compute.Directive) (finish func(context.Context) error, err error) {
	if d.Verb == compute.VerbAhead && d.Key != 0 {
		return p.doLeft(ctx, d)
	}
	s, err := p.find(d.Source)
	if err != nil {
		return nil, err
	}
	if err := p.prepare(ctx, s); err != nil {
		return nil, err
	}
	switch d.Verb {
	case compute.VerbCreate:
		return p.doCreate(ctx, s, d)
	case compute.VerbAhead:
		return p.doAhead(ctx, s, d)
	case compute.VerbAim:
		return nil, p.store.Update(ctx, func(tx compute.Tx) error {
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
		p.mu.Lock()
		o := p.providers[s.key]
		p.mu.Unlock()
		if o == nil || !o.stops {
			return nil, &compute.Error{ID: d.Instance, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
		}
		return p.doReady(ctx, s, d)
	case compute.VerbStart, compute.VerbDiscard:
		return p.doReady(ctx, s, d)
	}
	return nil, &compute.Error{ID: compute.ID(d.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf("no directive is called %q", d.Verb)}
}

// note writes a directive into the journal.
func note(tx compute.Tx, d compute.Directive) error {
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
func (p *Pool) doCreate(ctx context.Context, s *source, d compute.Directive) (func(context.Context) error, error) {
	units, leave, err := p.order(ctx, s, func(tx compute.Tx, r *compute.SourceRecord) (int, error) {
		there := r.Counts.Cached() + r.Counts.InUse()
		if s.Cold > 0 {
			is, err := tx.Instances(compute.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready, compute.Cleaning}})
			if err != nil {
				return 0, err
			}
			for _, i := range is {
				if i.Cold && i.Reason != starting {
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
	p.step("director:create")
	return func(ctx context.Context) error {
		defer leave()
		_, err := p.raiseAll(ctx, units)
		return err
	}, nil
}

// doReady starts, stops or discards an instance that is ready.
func (p *Pool) doReady(ctx context.Context, s *source, d compute.Directive) (func(context.Context) error, error) {
	var j job
	var taken []string
	err := p.store.Update(ctx, func(tx compute.Tx) error {
		p.desk.leave(taken...)
		j, taken = job{}, nil
		i, err := tx.Instance(d.Instance)
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		} else if err != nil || i.State != compute.Ready || i.Source != s.Name ||
			i.Cold != (d.Verb == compute.VerbStart) && d.Verb != compute.VerbDiscard {
			return err
		}
		now, err := p.inOrder(tx, time.Now())
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
			if err = p.toDiscarding(tx, i, d.Reason); err == nil {
				j.inst, j.rec, err = p.claim(tx, i.ID)
			}
		} else {
			i.Worker, i.Cold, i.Reason = p.store.Worker(), true, stopping
			if d.Verb == compute.VerbStart {
				i.Reason = starting
			}
			if _, err = p.set(tx, i, compute.Cleaning, compute.Event{Kind: string(d.Verb), Text: d.Reason}); err == nil {
				j.inst = i
				j.rec, err = tx.SourceByKey(i.SourceKey)
			}
		}
		if err == nil && j.inst != nil {
			taken = []string{string(i.ID)}
			p.desk.take(taken...)
		}
		return err
	})
	if err != nil || j.inst == nil {
		p.desk.leave(taken...)
		return nil, err
	}
	p.step("director:" + string(d.Verb))
	return func(ctx context.Context) error {
		defer p.desk.leave(taken...)
		defer p.ring()
		if d.Verb == compute.VerbDiscard {
			return p.carryOne(ctx, j)
		}
		return p.change(ctx, j, d.Verb)
	}, nil
}

// change stops or starts an instance that it has claimed.
func (p *Pool) change(ctx context.Context, j job, verb compute.Verb) error {
	var err error
	if verb == compute.VerbStart {
		err = p.wake(ctx, j.inst)
	} else if o := p.open(ctx, j.rec); o.err != nil {
		err = o.err
	} else if c, ok := compute.As[compute.Stopper](o.provider); !ok {
		err = &compute.Error{ID: j.inst.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot stop")}
	} else {
		err = c.Stop(ctx, j.inst.ID, stopGrace)
	}
	if err != nil && ctx.Err() != nil {
		return p.lay(ctx, j.inst)
	}
	p.step("director:done")
	rest, cancel := mend(ctx)
	defer cancel()
	e := p.store.Update(rest, func(tx compute.Tx) error {
		if e := p.mine(tx, j.inst); e != nil {
			return e
		}
		i := *j.inst
		if err != nil {
			return p.toFailed(tx, &i, p.sourceOf(j.rec), string(verb)+": "+compute.Said(err))
		}
		i.Cold, i.Worker, i.Reason = verb == compute.VerbStop, 0, ""
		// the next hand-out rests on the same event as before
		_, e := p.set(tx, &i, compute.Ready, compute.Event{})
		return e
	})
	if errors.Is(e, compute.ErrStale) {
		e = nil // another worker went on with it
	}
	return errors.Join(err, e)
}

// wake starts a cold instance and waits until it answers.
func (p *Pool) wake(ctx context.Context, i *compute.Instance) error {
	rec, err := p.recordOf(ctx, i.SourceKey)
	if err != nil {
		return err
	}
	o := p.open(ctx, rec)
	if o.err != nil {
		return o.err
	}
	c, ok := compute.As[compute.Stopper](o.provider)
	if !ok {
		return &compute.Error{Op: "start", ID: i.ID, Kind: compute.ErrInvalid, Err: errors.New("its type cannot start what is stopped")}
	}
	if err := c.Start(ctx, i.ID); err != nil {
		return &compute.Error{Op: "start", ID: i.ID, Kind: kindOf(err), Err: err}
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
