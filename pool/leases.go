package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/lifecycle"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// Resolve finds an instance by its name, or by the name or id of a living lease. The lease is nil
// if the instance has none.
func (p *Pool) Resolve(ctx context.Context, name string) (compute.Instance, *compute.Lease, error) {
	var i *compute.Instance
	var l *compute.Lease
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		i, l, err = p.leases.LookUp(tx, compute.Who{}, name)
		return err
	})
	if err != nil {
		return compute.Instance{}, nil, err
	}
	return *i, l, nil
}

// Authorize returns the lease under which the caller may use an instance now, or an error if it may
// not.
func (p *Pool) Authorize(ctx context.Context, who compute.Who, name compute.ID) (compute.Lease, error) {
	var l *compute.Lease
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		_, l, err = p.leases.Authorize(tx, who, name)
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
	ls, err := p.leases.Renew(ctx, who, []compute.ID{name}, func(*compute.Lease, *Source) error { return nil })
	if err != nil {
		return compute.Lease{}, err
	}
	return ls[0], nil
}

// unused reports whether it is time to record that a lease is used.
func unused(l *compute.Lease) bool { return l.Idle > 0 && time.Since(l.Used) >= l.Idle/20 }

// Extend starts the ttl of leases again, or sets another one, up to their source's max-ttl from the
// time they were given. Either all are extended or none.
func (p *Pool) Extend(ctx context.Context, who compute.Who, ttl time.Duration, names ...compute.ID) ([]compute.Lease, error) {
	return p.leases.Renew(ctx, who, names, func(l *compute.Lease, s *Source) error {
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
	chain, err := p.core.Behind(ctx, &i)
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
	err := p.core.Store.View(ctx, func(tx store.Tx) error {
		i, l, err := p.leases.Authorize(tx, who, name)
		if err == nil && i.ID != name { // a hook's token, or the name of a lease
			i, _, err = p.leases.LookUp(tx, who, string(name))
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
			return state.NoComputer(i.ID)
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
	c, err := p.providers.Reach(ctx, rec, leaf)
	if err == nil {
		return c, nil
	}
	if o := p.providers.Ready(rec.Key); o != nil {
		// so that no request is given another one there
		if e := sources.AsUnreachable(p.providers.Reaches(ctx, o, rec.Key, err)); e != nil {
			return nil, errors.Join(err, p.core.Store.Update(ctx,
				func(tx store.Tx) error { return p.providers.SetUnreachable(tx, rec.Key, e) }))
		}
		err = hasEnded(o, err)
	}
	return nil, err
}

// Slot waits for one of the slots that `concurrency` gives an instance, and those behind it, and
// takes it. It is free again when free is called or this process ends. Commands that go on without
// a process count too: detached returns how many there are now; nil: none.
func (p *Pool) Slot(ctx context.Context, name compute.ID, detached func(context.Context) (int, error)) (free func(), err error) {
	i, _, err := p.Resolve(ctx, string(name))
	if err != nil {
		return nil, err
	}
	chain, err := p.core.Behind(ctx, &i)
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
		s := p.core.Sources[i.Source]
		if s == nil || s.Concurrency <= 0 {
			continue
		}
		f, err := p.leases.Slot(ctx, i, s.Concurrency, detached)
		if err != nil {
			free()
			return nil, err
		}
		taken = append(taken, f)
	}
	return free, nil
}

func keysOfJobs(jobs []lifecycle.Job) (keys []string) {
	for _, j := range jobs {
		keys = append(keys, string(j.Instance.ID))
	}
	return keys
}

// Release takes instances back. Wanted ones are kept and cleaned, the first named first; the others
// are discarded. If one name is wrong nothing changes.
func (p *Pool) Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error {
	var due []compute.ID
	var jobs []lifecycle.Job
	var free []int64
	defer func() { p.core.Inflight.Leave(keysOfJobs(jobs)...) }()
	err := p.disposal.WithOpen(ctx, func(tx store.Tx) error {
		p.core.Inflight.Leave(keysOfJobs(jobs)...)
		due, jobs, free = nil, nil, nil
		var back []leasing.Taken
		var other []*compute.Instance
		seen := map[string]bool{}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			i, l, err := p.disposal.Releasable(tx, who, opt, name)
			if err != nil {
				return err
			}
			if i == nil || seen[what(i, l)] {
				continue
			}
			seen[what(i, l)] = true
			if i.State == compute.Leased {
				back = append(back, leasing.Taken{Instance: i, Lease: l})
			} else {
				other = append(other, i)
			}
		}
		for _, i := range other { // only now are all names known to be good
			due = append(due, i.ID)
			if err := p.disposal.DiscardNow(tx, i); err != nil {
				return err
			}
		}
		why := allocate.Because("released")
		if opt.Ended != "" {
			why = lifecycle.EndedWith(strings.Join(strings.FieldsFunc(opt.Ended, func(r rune) bool { return !unicode.IsPrint(r) }), " "))
		}
		if err := p.disposal.GiveBack(tx, back, why, opt.Force || opt.Discard || opt.Ended != "", &due); err != nil {
			return err
		}
		for _, t := range back {
			if t.Instance.State == compute.Ready {
				free = append(free, t.Instance.SourceKey)
			}
		}
		for _, id := range due { // what is done here and now is claimed in the same transaction
			if now, err := p.disposal.Ours(tx, id); err != nil {
				return err
			} else if !now && !opt.Discard {
				continue
			}
			i, rec, err := p.disposal.Claim(tx, id)
			if err != nil {
				return err
			}
			if i != nil {
				jobs = append(jobs, lifecycle.Job{Instance: i, Record: rec})
			}
		}
		p.core.Inflight.Take(keysOfJobs(jobs)...)
		return nil
	})
	if err != nil {
		return err
	}
	p.core.Step("release:recorded")
	p.queue.WakeHeads(free)
	p.core.Wake()
	if len(jobs) < len(due) {
		p.core.Opt.Left()
	}
	return p.disposal.Carry(ctx, jobs)
}

// what names what a lease gives back: the instance, or the part of it.
func what(i *compute.Instance, l *compute.Lease) string {
	if l != nil && l.Share != nil {
		return l.ID
	}
	return string(i.ID)
}
