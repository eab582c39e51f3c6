package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool"
)

// user runs a program of random operations, through one process after the other. What it was told
// it knows for ever.
type user struct {
	w    *world
	slot int
	name string
	left int // operations
	done bool
	dice *rand.Rand

	asks *compute.Request // that is being asked for
}

// live goes on with the program in a process.
func (u *user) live(p *process) {
	for u.w.sched.yield(p, u.name+" begins"); u.left > 0; {
		u.left--
		u.act(p)
		u.w.sched.yield(p, u.name+" goes on")
	}
	if ids := u.mine(); len(ids) > 0 {
		u.release(p, compute.ReleaseOptions{}, ids)
	}
	u.done = true
}

// mine are the instances that the user has, as far as it knows.
func (u *user) mine() (out []compute.ID) {
	for _, id := range keys(u.w.grants) {
		if g := u.w.grants[id]; g.user == u {
			out = append(out, g.lease.Instance)
		}
	}
	return out
}

// grant is what the user was last told of an instance: one that is always there may have been his
// before.
func (u *user) grant(inst compute.ID) (last *grant) {
	for _, g := range u.w.grants {
		if g.user == u && g.lease.Instance == inst && (last == nil || g.lease.Given.After(last.lease.Given)) {
			last = g
		}
	}
	return last
}

func (u *user) who() compute.Who { return compute.Who{Owner: u.name} }

func (u *user) upTo(d time.Duration) time.Duration { return time.Duration(u.dice.Int64N(int64(d))) + 1 }

func (u *user) ctx() (context.Context, context.CancelFunc) {
	if u.dice.IntN(8) == 0 {
		return context.WithTimeout(context.Background(), u.upTo(6*time.Second))
	}
	return context.WithCancel(context.Background())
}

// tell notes what came of an operation.
func (u *user) tell(p *process, err error, format string, args ...any) {
	u.w.sched.yield(p, "answered") // also where the engine came back because time had passed
	u.w.sched.note(p.name, "%s %s: %v", u.name, fmt.Sprintf(format, args...), err)
	u.w.judge(err)
}

// act does one operation.
func (u *user) act(p *process) {
	ctx, cancel := u.ctx()
	defer cancel()
	w, mine := u.w, u.mine()
	switch n := u.dice.IntN(100); {
	case n < 35:
		u.acquire(ctx, p)
	case n < 50:
		if len(mine) == 0 {
			u.acquire(ctx, p)
			return
		}
		u.dice.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		names := mine[:1+u.dice.IntN(len(mine))]
		if u.dice.IntN(6) == 0 {
			names = append(names, names[0])
		}
		u.release(p, compute.ReleaseOptions{Force: u.dice.IntN(5) == 0, Discard: u.dice.IntN(8) == 0}, names)
	case n < 54:
		u.stranger(ctx, p)
	case n < 64 && len(mine) > 0:
		u.use(ctx, p, pick(u.dice, mine...))
	case n < 69 && len(mine) > 0:
		u.extend(ctx, p, pick(u.dice, mine...))
	case n < 73 && len(mine) > 0:
		id := pick(u.dice, mine...)
		for key, g := range w.grants {
			if g.user == u && g.lease.Instance == id {
				delete(w.grants, key)
			}
		}
		u.tell(p, p.pool.Hold(ctx, u.who(), "to look at", id), "held %s", id)
	case n < 77:
		if ids := keys(w.insts); len(ids) > 0 {
			id := pick(u.dice, ids...)
			if u.grant(id) == nil {
				u.tell(p, p.pool.Release(ctx, u.who(), compute.ReleaseOptions{Discard: true}, id), "discarded %s", id)
			}
		}
	case n < 82:
		var names []string
		if u.dice.IntN(2) == 0 {
			names = append(names, pick(u.dice, w.sources...).Name)
		}
		made, err := p.pool.Fill(ctx, names...)
		u.tell(p, err, "filled %v: %v", names, made)
	case n < 87:
		var names []string
		if u.dice.IntN(2) == 0 {
			names = append(names, pick(u.dice, w.sources...).Name)
		}
		if len(names) == 0 && u.dice.IntN(2) == 0 {
			u.tend(ctx, p)
			return
		}
		_, err := p.pool.RunDue(ctx, names...)
		u.tell(p, err, "did what is due for %v", names)
	case n < 88:
		p.reload()
		u.tell(p, nil, "read the configuration anew")
	case n < 89:
		_, err := p.pool.Status(ctx)
		u.tell(p, err, "looked")
	case n < 90:
		name := pick(u.dice, w.sources...).Name
		_, err := p.pool.Test(ctx, name)
		u.tell(p, err, "tested %s", name)
	case n < 94 && len(mine) > 0:
		id := pick(u.dice, mine...)
		var wg sync.WaitGroup
		// their draws do not come in the order of their beginning, but in the scheduler's
		for range 1 + u.dice.IntN(3) {
			wg.Go(func() {
				w.sched.yield(p, u.name+" runs")
				u.runs(ctx, p, id)
			})
		}
		wg.Wait()
	case n < 97:
		u.direct(ctx, p)
	default:
		w.sleep(p, u.upTo(20*time.Second))
	}
}

// tend does what a controller does all the time, for a while: it looks, begins what is due, and
// looks again when something of it is done.
func (u *user) tend(ctx context.Context, p *process) {
	ctx, cancel := context.WithTimeout(ctx, u.upTo(10*time.Second))
	defer cancel()
	var all sync.WaitGroup
	bell := make(chan struct{}, 1)
	run := func(do func()) {
		all.Go(func() {
			u.w.sched.yield(p, u.name+" tends")
			do()
		})
	}
	for ctx.Err() == nil {
		next, err := p.pool.Reconcile(ctx, pool.ReconcileOptions{Go: run, Done: func() {
			select {
			case bell <- struct{}{}:
			default:
			}
		}})
		u.tell(p, err, "began what is due")
		wait := 5 * time.Second
		if !next.IsZero() {
			wait = min(wait, max(time.Millisecond, time.Until(next)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-bell:
		case <-timer.C:
		}
		timer.Stop()
		select { // where several had come, any one was taken, and the trace must not tell which
		case <-bell:
		default:
		}
		u.w.sched.yield(p, u.name+" looks again")
	}
	all.Wait()
	u.tell(p, nil, "tended")
}

// direct does what a director would: it looks, and has something done that may not fit any more
// when it is.
func (u *user) direct(ctx context.Context, p *process) {
	snap, err := p.pool.Snapshot(ctx, func(plan.SourceState) bool { return true })
	u.tell(p, err, "looked at %d sources", len(snap.Sources))
	if err != nil {
		return
	}
	s := pick(u.dice, snap.Sources...)
	d := plan.Directive{
		Source: s.Name,
		Verb:   pick(u.dice, plan.VerbCreate, plan.VerbDiscard, plan.VerbStop, plan.VerbStart, plan.VerbTarget),
		Reason: "to see",
	}
	switch {
	case d.Verb == plan.VerbCreate:
		d.Count, d.Total = 1+u.dice.IntN(3), 1+u.dice.IntN(5)
	case d.Verb == plan.VerbTarget:
		d.Target = inventory.Target{Reserve: u.dice.IntN(3), Spare: u.dice.IntN(3), Until: snap.Time.Add(u.upTo(time.Minute))}
	case len(s.Idlers) == 0:
		return
	default:
		d.Instance = pick(u.dice, s.Idlers...).ID
	}
	finish, err := p.pool.Do(ctx, d)
	if finish != nil {
		err = finish(ctx)
	}
	u.tell(p, err, "had done %s of %s %s", d.Verb, d.Source, d.Instance)
}

func (u *user) acquire(ctx context.Context, p *process) {
	req := compute.Request{
		Source: pick(u.dice, u.w.sources...).Name, Count: pick(u.dice, 1, 1, 1, 2, 3), Owner: u.name,
		Purpose: "acquire " + u.name,
	}
	if u.dice.IntN(2) == 0 {
		req.Project = "red"
	}
	if u.dice.IntN(4) == 0 {
		req.Priority = -5
	}
	u.greed(&req)
	switch u.dice.IntN(10) {
	case 0:
		req.Wait = -1 // but not for ever: what it waits for may be held aside
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, u.upTo(time.Minute))
		defer cancel()
	case 1, 2, 3, 4:
		req.Wait = u.upTo(15 * time.Second)
	}
	if u.dice.IntN(3) == 0 {
		req.TTL = u.upTo(pick[time.Duration](u.dice, 2, 30) * time.Second)
	}
	if u.dice.IntN(3) == 0 {
		req.Idle = u.upTo(pick[time.Duration](u.dice, 2, 30) * time.Second)
	}
	if u.dice.IntN(10) == 0 {
		req.CachedOnly, req.Purpose = true, "cached "+u.name
	}
	if u.dice.IntN(12) == 0 && req.Count == 1 {
		req.Name = pick(u.dice, "anna", "otto")
	}
	dead := u.dice.IntN(20) == 0
	if dead {
		req.For = compute.Process{PID: 1<<22 + 1, Start: 1} // above every pid_max
	} else if u.dice.IntN(20) == 0 {
		req.For, _ = proc.Live(os.Getpid())
	}
	began := time.Now()
	u.asks = &req
	ls, err := p.pool.Acquire(ctx, req)
	// where time ended the call of one that died, the user may ask elsewhere by now
	if !p.dead.Load() {
		u.asks = nil
	}
	u.tell(p, err, "asked for %d of %s, wait %v: %d", req.Count, req.Source, req.Wait, len(ls))
	switch {
	case err != nil && len(ls) > 0:
		u.w.sched.fail("leases and an error: %v", err)
	case err == nil && (len(ls) > req.Count || len(ls) < req.Count && !req.CachedOnly):
		u.w.sched.fail("%d leases for %d asked for", len(ls), req.Count)
	case err != nil && errors.Is(err, compute.ErrTimeout) && req.Wait > 0 && time.Since(began) < req.Wait &&
		ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
		u.w.sched.fail("timed out after %v of %v: %v", time.Since(began), req.Wait, err)
	}
	if dead { // then its leases are over already
		return
	}
	u.w.told(u, ls)
}

func (u *user) release(p *process, opt compute.ReleaseOptions, names []compute.ID) {
	for key, g := range u.w.grants {
		if g.user == u && slices.Contains(names, g.lease.Instance) {
			delete(u.w.grants, key)
		}
	}
	err := p.pool.Release(context.Background(), u.who(), opt, names...)
	u.tell(p, err, "released %v", names)
}

// stranger names what is not the user's: nothing may change.
func (u *user) stranger(ctx context.Context, p *process) {
	var not []compute.ID
	for _, id := range keys(u.w.grants) {
		g := u.w.grants[id]
		if d := g.lease.Deadline(); g.user != u && g.calls == 0 && (d.IsZero() || time.Now().Add(time.Minute).Before(d)) {
			not = append(not, g.lease.Instance)
		}
	}
	not = append(not, "nobody-1")
	id := pick(u.dice, not...)
	err := p.pool.Release(ctx, u.who(), compute.ReleaseOptions{Discard: u.dice.IntN(2) == 0}, id)
	u.tell(p, err, "released as a stranger %s", id)
	if err == nil && id == "nobody-1" {
		u.w.sched.fail("%s released what never was", u.name)
	}
	if _, err := p.pool.Use(ctx, u.who(), "nobody-1"); err == nil {
		u.w.sched.fail("%s used what never was", u.name)
	}
}

// use says that an instance is used; a lease that is over must not let it.
func (u *user) use(ctx context.Context, p *process, id compute.ID) {
	g := u.grant(id)
	began := time.Now()
	who := u.who()
	if u.dice.IntN(2) == 0 {
		who.Lease = g.lease.ID
	}
	d, unsure := g.lease.Deadline(), g.unsure || g.calls > 0
	g.unsure = true
	l, err := p.pool.Use(ctx, who, id)
	u.tell(p, err, "used %s", id)
	if g.unsure = unsure; err == nil && !unsure && !d.IsZero() && !began.Before(d) && l.ID == g.lease.ID {
		u.w.sched.fail("%s used %s, and the lease was over since %v", u.name, id, d.Sub(u.w.sched.start))
	}
	if err == nil {
		if who.Lease != "" && l.ID != who.Lease {
			u.w.sched.fail("%s presented lease %s for %s, and was let in under %s", u.name, who.Lease, id, l.ID)
		}
		if e, ok := u.w.ended[l.ID]; ok && e.Ended.Before(began) {
			u.w.sched.fail("%s used %s under lease %s, which had ended", u.name, id, l.ID)
		}
		if l.ID == g.lease.ID {
			g.lease = l
		}
	} else if d := g.lease.Deadline(); !errors.Is(err, errFull) && u.w.grants[g.lease.ID] == g && g.calls == 0 &&
		ctx.Err() == nil && (d.IsZero() || time.Now().Before(d)) {
		u.w.sched.fail("%s may not use %s, which it has: %v", u.name, id, err)
	}
}

func (u *user) extend(ctx context.Context, p *process, id compute.ID) {
	g := u.grant(id)
	g.calls++
	ls, err := p.pool.Extend(ctx, u.who(), pick(u.dice, 0, 0, u.upTo(40*time.Second)), id)
	u.tell(p, err, "extended %s", id)
	g.calls--
	if err == nil && ls[0].ID == g.lease.ID {
		g.lease = ls[0]
	}
}

// runs takes a place on an instance, and runs a command there.
func (u *user) runs(ctx context.Context, p *process, id compute.ID) {
	w, g := u.w, u.grant(id)
	i := w.insts[id]
	free, err := p.pool.Slot(ctx, id, nil)
	if u.tell(p, err, "entered %s", id); err != nil {
		return
	}
	if i == nil || w.insts[id] == nil || w.insts[id].Row != i.Row {
		free() // it went while the user waited
		return
	}
	w.enter(p, i)
	defer func() {
		if !p.dead.Load() { // else its places are free already
			w.slots[place{p, i.Row}]--
			free()
		}
	}()
	if u.dice.IntN(2) == 0 {
		w.sleep(p, u.upTo(4*time.Second))
	}
	g.unsure = true // connecting is use
	c, err := p.pool.Connect(ctx, u.who(), id)
	if u.tell(p, err, "connected to %s", id); err != nil {
		return
	}
	_, err = c.Run(ctx, &compute.Command{Args: []string{"true"}})
	if d := g.lease.Deadline(); err != nil && w.grants[g.lease.ID] == g && g.calls == 0 && ctx.Err() == nil &&
		(d.IsZero() || time.Now().Before(d)) {
		w.sched.fail("%s cannot run on %s: %v", u.name, id, err)
	}
	w.sched.yield(p, "ran")
	if err := c.Close(); err != nil {
		w.sched.fail("close: %v", err)
	}
}
