package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// alive reports whether the process that a lease is bound to still runs.
func alive(pr compute.Process) bool {
	now, err := proc.Live(pr.PID)
	if err != nil {
		return !errors.Is(err, compute.ErrNotFound)
	}
	return now.Start == pr.Start
}

// lookUp finds an instance by its name, or by the name or id of a living lease. The lease is nil if
// the instance has none. If several leases have parts of it, it returns the caller's own.
func (p *leases) lookUp(tx store.Tx, who compute.Who, name string) (*compute.Instance, *compute.Lease, error) {
	if name == "" { // the name of leases without one
		return nil, nil, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("an empty name"), Hint: "is a variable not set?"}
	}
	if isID(name) { // nearly always a lease's
		if l, err := tx.Lease(name); err == nil && l.Ended.IsZero() {
			i, err := tx.Instance(l.Instance)
			return i, l, err
		} else if err != nil && !errors.Is(err, compute.ErrNotFound) {
			return nil, nil, err
		}
	}
	i, err := tx.Instance(compute.ID(name))
	if errors.Is(err, compute.ErrNotFound) {
		l, e := leaseNamed(tx, who, name)
		if e != nil || l == nil {
			return nil, nil, errors.Join(e, p.unknown(name, e))
		}
		i, err = tx.Instance(l.Instance)
		return i, l, err
	} else if err != nil {
		return nil, nil, err
	}
	l, err := tx.LeaseOf(i.ID)
	if errors.Is(err, compute.ErrNotFound) {
		l, err = nil, nil
		if i.State == compute.Leased {
			l, err = p.shareOf(tx, who, i)
		}
	}
	return i, l, err
}

func (p *leases) unknown(name string, other error) error {
	if other != nil {
		return nil
	}
	hint := "`hostler status -v` shows those that there are"
	if _, ok := p.core.sources[name]; ok {
		hint = "there is a source of this name: `hostler acquire -s " + name + "` gets an instance of it"
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name"), Hint: hint}
}

// leaseNamed finds a living lease by its name or id; nil: there is none. Each project may have one
// of a name: meant chooses.
func leaseNamed(tx store.Tx, who compute.Who, name string) (*compute.Lease, error) {
	ls, err := tx.Leases(compute.LeaseQuery{Name: name})
	if err != nil {
		return nil, err
	}
	if len(ls) == 1 {
		return ls[0], nil
	}
	if len(ls) > 1 && who.Owner == "" && who.Within == nil { // no particular user asks
		return ls[0], nil
	}
	if len(ls) > 1 {
		return meant(who, compute.ID(name), ls, "leases of several projects have this name", "name the lease by its id")
	}
	l, err := tx.Lease(name)
	if errors.Is(err, compute.ErrNotFound) || err == nil && !l.Ended.IsZero() {
		return nil, nil
	}
	return l, err
}

// Resolve finds an instance by its name, or by the name or id of a living lease. The lease is nil
// if the instance has none.
func (p *Pool) Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	var i *compute.Instance
	var l *compute.Lease
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		i, l, err = p.leases.lookUp(tx, compute.Who{}, name)
		return err
	})
	if err != nil {
		return compute.Instance{}, nil, err
	}
	return *i, l, nil
}

// authorize is the check of every act under a lease: the lease lives, it is the caller's, and it is
// the newest.
func (p *leases) authorize(tx store.Tx, who compute.Who, name compute.ID) (*compute.Instance, *compute.Lease, error) {
	i, l, err := p.lookUp(tx, who, string(name))
	if _, source := p.core.sources[string(name)]; !source && errors.Is(err, compute.ErrNotFound) {
		err = p.isReportedEnded(tx, who, name, err) // reads all ended ones; `run SOURCE` needs none
	}
	if err != nil {
		return nil, nil, err
	}
	if who.Lease != "" && i.Wanted == who.Lease && who.Within == nil {
		switch i.State { // a hook's token
		case compute.Creating, compute.SettingUp, compute.Cleaning, compute.Discarding:
			// a machine that stays is never set up
			return i, &compute.Lease{ID: i.Wanted, Instance: i.ID, Source: i.Source, Owner: who.Owner, Generation: i.Generation}, nil
		}
	}
	if who.Lease != "" && l != nil && l.Pool != "" && l.ID != who.Lease {
		// A hook of an inner source names its own instance, but its token is for the pool's
		// instance in front.
		return p.authorize(tx, who, l.Pool)
	}
	if l == nil || i.State != compute.Leased {
		return nil, nil, p.isReportedEnded(tx, who, i.ID, &compute.Error{ID: i.ID, Kind: compute.ErrNotLeased,
			Err:  fmt.Errorf("it is %s", i.State),
			Hint: "`hostler acquire -s " + i.Source + "` gets one"})
	}
	if err := allowed(who, l); err != nil {
		return nil, nil, err
	}
	if why, err := p.clock.overBy(tx, l, time.Now()); err != nil {
		return nil, nil, err
	} else if why != "" {
		return nil, nil, &compute.Error{ID: i.ID, Kind: compute.ErrNotLeased, Err: fmt.Errorf("the lease has ended: %s", why),
			Hint: "`hostler acquire -s " + i.Source + "` gets another"}
	}
	if l.Generation != i.Generation {
		return nil, nil, &compute.Error{
			ID: i.ID, Kind: compute.ErrStale,
			Err: fmt.Errorf("generation %d, and the lease has %d", i.Generation, l.Generation),
		}
	}
	return i, l, nil
}

// Authorize returns the lease under which the caller may use an instance now, or an error if it may
// not.
func (p *Pool) Authorize(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	var l *compute.Lease
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		_, l, err = p.leases.authorize(tx, who, name)
		return err
	})
	if err != nil {
		return compute.Lease{}, err
	}
	return *l, nil
}

// Use records that an instance is used now under the caller's lease. The time is written when it
// matters: at most at every twentieth of the idle limit.
func (p *Pool) Use(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	l, err := p.Authorize(ctx, who, name)
	if err != nil || !unused(&l) {
		return l, err
	}
	ls, err := p.leases.renew(ctx, who, []compute.ID{name}, func(*compute.Lease, *Source) error { return nil })
	if err != nil {
		return compute.Lease{}, err
	}
	return ls[0], nil
}

// unused reports whether it is time to record that a lease is used.
func unused(l *compute.Lease) bool { return l.Idle > 0 && time.Since(l.Used) >= l.Idle/20 }

// renew counts leases as used now and changes them, all or none.
func (p *leases) renew(
	ctx context.Context, who compute.Who, names []compute.ID, change func(*compute.Lease, *Source) error,
) ([]compute.Lease, error) {
	var out []compute.Lease
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		out = nil
		var changed []*compute.Lease
		for _, name := range names {
			i, l, err := p.authorize(tx, who, name)
			if err != nil {
				return err
			}
			if i.State == compute.Leased { // a hook's token does not run out
				l.Used = time.Now()
				if err := change(l, p.core.sources[i.Source]); err != nil {
					return err
				}
				changed = append(changed, l)
			}
			out = append(out, *l)
		}
		for _, l := range changed {
			if err := tx.SaveLease(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Extend starts the ttl of leases again, or sets another one, up to their source's max-ttl from the
// time they were given. Either all are extended or none.
func (p *Pool) Extend(ctx context.Context, who compute.Who, ttl time.Duration, names ...compute.ID) ([]compute.Lease, error) {
	return p.leases.renew(ctx, who, names, func(l *compute.Lease, s *Source) error {
		if ttl > 0 {
			l.TTL = ttl
		} else if ttl < 0 {
			l.TTL, l.Expires = 0, time.Time{}
		}
		if l.TTL > 0 {
			l.Expires = l.Used.Add(l.TTL)
		}
		if s == nil || s.LongestTTL() == 0 {
			return nil
		}
		last := l.Given.Add(s.LongestTTL())
		if ttl > 0 && l.Expires.After(last.Add(time.Second)) {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrInvalid,
				Err: fmt.Errorf(
					"its source's max-ttl is %v from when it was given: it can be extended until %s", s.LongestTTL(),
					last.Format(time.DateTime),
				)}
		}
		if l.Expires.IsZero() || l.Expires.After(last) {
			l.Expires = last
		}
		return nil
	})
}

// Leaf returns the real instance behind a pool's, or the instance itself if it is no pool's.
func (p *Pool) Leaf(ctx context.Context, id compute.ID) (compute.Instance, error) {
	i, _, err := p.Resolve(ctx, string(id))
	if err != nil {
		return i, err
	}
	chain, err := p.core.behind(ctx, &i)
	if err != nil {
		return i, err
	}
	return *chain[len(chain)-1], nil
}

// Connect opens a connection to an instance under the caller's lease. If the lease ended because
// the computer did, the error is marked by compute.Ended.
func (p *Pool) Connect(ctx context.Context, who compute.Who, name compute.ID) (compute.Conn, error) {
	var leaf *compute.Instance
	var rec *store.SourceRecord
	var stale bool
	// all is read in one transaction, as a command waits for it
	err := p.core.store.View(ctx, func(tx store.Tx) error {
		i, l, err := p.leases.authorize(tx, who, name)
		if err == nil && i.ID != name { // a hook's token, or the name of a lease
			i, _, err = p.leases.lookUp(tx, who, string(name))
		}
		if err != nil {
			return err
		}
		stale = unused(l)
		inner, err := allocate.ChainOf(tx, i.Child)
		if err != nil {
			return err
		}
		if leaf = i; len(inner) > 0 {
			leaf = inner[len(inner)-1]
		}
		if leaf.Child != "" {
			return errHollow(i.ID)
		}
		rec, err = tx.SourceByKey(leaf.SourceKey)
		return err
	})
	if err == nil && stale {
		_, err = p.Use(ctx, who, name)
	}
	if err != nil {
		return nil, err
	}
	c, err := p.providers.reach(ctx, rec, leaf)
	if err == nil {
		return c, nil
	}
	if o := p.providers.ready(rec.Key); o != nil {
		// so that no request is given another one there
		if e := asUnreachable(p.providers.reaches(ctx, o, rec.Key, err)); e != nil {
			return nil, errors.Join(err, p.core.store.Update(ctx,
				func(tx store.Tx) error { return p.providers.setUnreachable(tx, rec.Key, e) }))
		}
		err = hasEnded(o, err)
	}
	return nil, err
}

// reach opens a connection to the computer of an instance with none behind it.
func (p *providers) reach(ctx context.Context, rec *store.SourceRecord, leaf *compute.Instance) (c compute.Conn, err error) {
	o := p.open(ctx, rec)
	if o.err != nil {
		return nil, o.err
	}
	if err := o.same(ctx, leaf); err != nil {
		return nil, err
	}
	err = await(ctx, bootPatience, time.Time{}, func(ctx context.Context) (err error) {
		c, err = o.provider.Connect(ctx, leaf.ID)
		return err
	})
	return c, err
}

// into opens a connection to an instance that this worker is at work on.
func (p *providers) into(ctx context.Context, i *compute.Instance) (compute.Conn, error) {
	chain, err := p.core.behind(ctx, i)
	if err != nil {
		return nil, err
	}
	leaf := chain[len(chain)-1]
	rec, err := p.core.recordOf(ctx, leaf.SourceKey)
	if err != nil {
		return nil, err
	}
	return p.reach(ctx, rec, leaf)
}

// Slot waits for one of the slots that `concurrency` gives an instance, and those behind it, and
// takes it. It is free again when free is called or this process ends. Commands that go on without
// a process count too: detached returns how many there are now; nil: none.
func (p *Pool) Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error) {
	i, _, err := p.Resolve(ctx, string(name))
	if err != nil {
		return nil, err
	}
	chain, err := p.core.behind(ctx, &i)
	if err != nil {
		return nil, err
	}
	var taken []func()
	free = func() {
		for _, f := range taken {
			f()
		}
	}
	// the outermost first, as all callers do, so that they cannot wait for each other
	for _, i := range chain {
		s := p.core.sources[i.Source]
		if s == nil || s.Concurrency <= 0 {
			continue
		}
		f, err := p.leases.slot(ctx, i, s.Concurrency, detached)
		if err != nil {
			free()
			return nil, err
		}
		taken = append(taken, f)
	}
	return free, nil
}

// How long a wait for a free slot pauses between tries at most, and how long where the instance
// itself has to be asked.
const (
	slotPause     = 50 * time.Millisecond
	detachedPause = 500 * time.Millisecond
)

// slot waits for one of the n slots of one instance, until ctx ends.
func (p *leases) slot(ctx context.Context, i *compute.Instance, n int, detached func(context.Context) (int,
	error)) (free func(), err error) {
	pause := time.Millisecond
	for {
		most := slotPause
		free, ok, err := p.core.store.Slot(i.Row, n)
		if ok && err == nil {
			// It asks with the slot in hand: a command is counted there before the caller that
			// detached it gives up its own.
			if ok, err = p.besides(ctx, i.Row, n, detached); ok && err == nil {
				return free, nil
			}
			free()
			most = detachedPause
		}
		if err != nil {
			return nil, err
		}
		wait := pause
		if detached != nil {
			// two callers that want several slots each must not block each other for ever
			wait = pause/2 + rand.N(pause)
		}
		select {
		case <-ctx.Done():
			return nil, &compute.Error{
				ID: i.ID, Kind: compute.ErrTimeout,
				Err: fmt.Errorf("%d runs at once are allowed on it, and as many go on", n),
			}
		case <-time.After(wait):
		}
		pause = min(2*pause, most)
	}
}

// besides reports whether there are slots for all detached commands beside the one that was taken:
// then as many more can be had.
func (p *leases) besides(ctx context.Context, row int64, n int, detached func(context.Context) (int, error)) (bool, error) {
	if detached == nil {
		return true, nil
	}
	left, err := detached(ctx)
	if err != nil || left >= n {
		return false, err
	}
	for range left {
		free, ok, err := p.core.store.Slot(row, n)
		if err != nil || !ok {
			return false, err
		}
		defer free()
	}
	return true, nil
}
