package pooltest

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
	dice *rand.Rand // nil: does says all

	does []*Op // done so far, or to be done
	next int   // of does

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

func upTo(dice *rand.Rand, d time.Duration) Duration { return Duration(dice.Int64N(int64(d)) + 1) }

// tell notes what came of an operation.
func (u *user) tell(p *process, err error, format string, args ...any) {
	u.w.sched.yield(p, "answered") // also where the engine came back because time had passed
	u.w.sched.note(p.name, "%s %s: %v", u.name, fmt.Sprintf(format, args...), err)
	u.w.judge(err)
}

// op returns the next operation. A user with dice draws what it does as it goes.
func (u *user) op() *Op {
	if u.dice != nil {
		u.does = append(u.does, &Op{})
	}
	u.next++
	return u.does[u.next-1]
}

// act does one operation.
func (u *user) act(p *process) {
	op := u.op()
	ctx, cancel := context.WithCancel(context.Background())
	within := choose(u, &op.Within, func(dice *rand.Rand) Duration {
		if dice.IntN(8) == 0 {
			return upTo(dice, 6*time.Second)
		}
		return 0
	})
	if within > 0 {
		cancel()
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(within))
	}
	defer cancel()
	w, mine := u.w, u.mine()
	one := func(of []compute.ID) compute.ID {
		return choose(u, &op.Instance, func(dice *rand.Rand) compute.ID { return pick(dice, of...) })
	}
	switch choose(u, &op.Do, func(dice *rand.Rand) string { return drawVerb(dice, len(mine) > 0) }) {
	case "acquire":
		u.acquire(ctx, p, op)
	case "release":
		names := choose(u, &op.Names, func(dice *rand.Rand) []compute.ID {
			dice.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
			names := mine[:1+dice.IntN(len(mine))]
			if dice.IntN(6) == 0 {
				names = append(names, names[0])
			}
			return slices.Clone(names)
		})
		opt := compute.ReleaseOptions{Force: u.oneIn(&op.Force, 5), Discard: u.oneIn(&op.Discard, 8)}
		u.release(p, opt, names)
	case "stranger":
		u.stranger(ctx, p, op)
	case "use":
		u.use(ctx, p, one(mine), op)
	case "extend":
		u.extend(ctx, p, one(mine), op)
	case "hold":
		id := one(mine)
		for key, g := range w.grants {
			if g.user == u && g.lease.Instance == id {
				delete(w.grants, key)
			}
		}
		u.tell(p, p.pool.Hold(ctx, u.who(), "to look at", id), "held %s", id)
	case "discard":
		if ids := keys(w.insts); len(ids) > 0 || op.Instance != "" {
			if id := one(ids); u.grant(id) == nil {
				u.tell(p, p.pool.Release(ctx, u.who(), compute.ReleaseOptions{Discard: true}, id), "discarded %s", id)
			}
		}
	case "fill":
		names := u.some(op)
		made, err := p.pool.Fill(ctx, names...)
		u.tell(p, err, "filled %v: %v", names, made)
	case "work":
		names := u.some(op)
		if len(names) == 0 && u.oneIn(&op.Tend, 2) {
			u.tend(ctx, p, op)
			return
		}
		_, err := p.pool.RunDue(ctx, names...)
		u.tell(p, err, "did what is due for %v", names)
	case "reload":
		p.reload()
		u.tell(p, nil, "read the configuration anew")
	case "status":
		_, err := p.pool.Status(ctx)
		u.tell(p, err, "looked")
	case "test":
		name := u.source(op)
		_, err := p.pool.Test(ctx, name)
		u.tell(p, err, "tested %s", name)
	case "run":
		id := one(mine)
		var wg sync.WaitGroup
		n := choose(u, &op.Count, func(dice *rand.Rand) int { return 1 + dice.IntN(3) })
		if u.dice != nil {
			op.Runs = make([]Pause, n)
		}
		// their draws do not come in the order of their beginning, but in the scheduler's
		for k := range n {
			wg.Go(func() {
				w.sched.yield(p, u.name+" runs")
				u.runs(ctx, p, id, &op.Runs[k])
			})
		}
		wg.Wait()
	case "direct":
		u.direct(ctx, p, op)
	case "sleep":
		w.sleep(p, u.upTo(&op.For, 20*time.Second))
	default:
		w.sched.fail("a scenario says %q, which no user does", op.Do)
	}
}

// drawVerb draws what is done. has: the user has something.
func drawVerb(dice *rand.Rand, has bool) string {
	switch n := dice.IntN(100); {
	case n < 35, n < 50 && !has:
		return "acquire"
	case n < 50:
		return "release"
	case n < 54:
		return "stranger"
	case n < 64 && has:
		return "use"
	case n < 69 && has:
		return "extend"
	case n < 73 && has:
		return "hold"
	case n < 77:
		return "discard"
	case n < 82:
		return "fill"
	case n < 87:
		return "work"
	case n < 88:
		return "reload"
	case n < 89:
		return "status"
	case n < 90:
		return "test"
	case n < 94 && has:
		return "run"
	case n < 97:
		return "direct"
	}
	return "sleep"
}

// some are the sources of an operation; none: all.
func (u *user) some(op *Op) []string {
	if name := choose(u, &op.Source, func(dice *rand.Rand) string {
		if dice.IntN(2) == 0 {
			return pick(dice, u.w.sources...).Name
		}
		return ""
	}); name != "" {
		return []string{name}
	}
	return nil
}

// source is the source of an operation.
func (u *user) source(op *Op) string {
	return choose(u, &op.Source, func(dice *rand.Rand) string { return pick(dice, u.w.sources...).Name })
}

func (u *user) oneIn(at *bool, n int) bool {
	return choose(u, at, func(dice *rand.Rand) bool { return dice.IntN(n) == 0 })
}

func (u *user) upTo(at *Duration, most time.Duration) time.Duration {
	return time.Duration(choose(u, at, func(dice *rand.Rand) Duration { return upTo(dice, most) }))
}

// tend does what a controller does all the time, for a while: it looks, begins what is due, and
// looks again when something of it is done.
func (u *user) tend(ctx context.Context, p *process, op *Op) {
	ctx, cancel := context.WithTimeout(ctx, u.upTo(&op.For, 10*time.Second))
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
func (u *user) direct(ctx context.Context, p *process, op *Op) {
	snap, err := p.pool.Snapshot(ctx, func(plan.SourceState) bool { return true })
	u.tell(p, err, "looked at %d sources", len(snap.Sources))
	if err != nil {
		return
	}
	d := choose(u, &op.Directive, func(dice *rand.Rand) *Directive {
		s := pick(dice, snap.Sources...)
		d := &Directive{
			Source: s.Name,
			Verb:   pick(dice, plan.VerbCreate, plan.VerbDiscard, plan.VerbStop, plan.VerbStart, plan.VerbTarget),
		}
		switch {
		case d.Verb == plan.VerbCreate:
			d.Count, d.Total = 1+dice.IntN(3), 1+dice.IntN(5)
		case d.Verb == plan.VerbTarget:
			d.Reserve, d.Spare, op.For = dice.IntN(3), dice.IntN(3), upTo(dice, time.Minute)
		case len(s.Idlers) == 0:
			return nil
		default:
			d.Instance = pick(dice, s.Idlers...).ID
		}
		return d
	})
	if d == nil {
		return
	}
	do := plan.Directive{
		Verb: d.Verb, Source: d.Source, Instance: d.Instance, Count: d.Count, Total: d.Total, Reason: "to see",
	}
	if do.Verb == plan.VerbTarget {
		do.Target = inventory.Target{Reserve: d.Reserve, Spare: d.Spare, Until: snap.Time.Add(time.Duration(op.For))}
	}
	finish, err := p.pool.Do(ctx, do)
	if finish != nil {
		err = finish(ctx)
	}
	u.tell(p, err, "had done %s of %s %s", do.Verb, do.Source, do.Instance)
}

// drawRequest draws what is asked for, and the time in which that is done; 0: any.
func (u *user) drawRequest(dice *rand.Rand) (req *Request, within Duration) {
	req = &Request{Source: pick(dice, u.w.sources...).Name, Count: pick(dice, 1, 1, 1, 2, 3)}
	if dice.IntN(2) == 0 {
		req.Project = "red"
	}
	if dice.IntN(4) == 0 {
		req.Priority = -5
	}
	if u.w.greedy != 0 && dice.IntN(4) == 0 {
		req.Memory, req.GPUs = pick[int64](dice, 0, 1<<40, 1<<41), dice.IntN(3)
	}
	switch dice.IntN(10) {
	case 0:
		req.Wait = -1 // but not for ever: what it waits for may be held aside
		within = upTo(dice, time.Minute)
	case 1, 2, 3, 4:
		req.Wait = upTo(dice, 15*time.Second)
	}
	if dice.IntN(3) == 0 {
		req.TTL = upTo(dice, pick[time.Duration](dice, 2, 30)*time.Second)
	}
	if dice.IntN(3) == 0 {
		req.Idle = upTo(dice, pick[time.Duration](dice, 2, 30)*time.Second)
	}
	req.CachedOnly = dice.IntN(10) == 0
	if dice.IntN(12) == 0 && req.Count == 1 {
		req.Name = pick(dice, "anna", "otto")
	}
	if dice.IntN(20) == 0 {
		req.For = "dead"
	} else if dice.IntN(20) == 0 {
		req.For = "self"
	}
	return req, within
}

// request makes a request of what a scenario says.
func (u *user) request(of *Request) compute.Request {
	req := compute.Request{
		Source: of.Source, Count: of.Count, Owner: u.name, Purpose: "acquire " + u.name, Project: of.Project, Name: of.Name,
		Priority: of.Priority, Memory: of.Memory, GPUs: of.GPUs, Wait: time.Duration(of.Wait), TTL: time.Duration(of.TTL),
		Idle: time.Duration(of.Idle), CachedOnly: of.CachedOnly,
	}
	if of.CachedOnly {
		req.Purpose = "cached " + u.name
	}
	switch of.For {
	case "dead":
		req.For = compute.Process{PID: 1<<22 + 1, Start: 1} // above every pid_max
	case "self":
		req.For, _ = proc.Live(os.Getpid())
	}
	return req
}

func (u *user) acquire(ctx context.Context, p *process, op *Op) {
	if u.dice != nil {
		op.Request, op.For = u.drawRequest(u.dice)
	}
	if op.Request == nil {
		u.w.sched.fail("a scenario says acquire, and not what")
		return
	}
	if op.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(op.For))
		defer cancel()
	}
	req, dead := u.request(op.Request), op.Request.For == "dead"
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
func (u *user) stranger(ctx context.Context, p *process, op *Op) {
	var not []compute.ID
	for _, id := range keys(u.w.grants) {
		g := u.w.grants[id]
		if d := g.lease.Deadline(); g.user != u && g.calls == 0 && (d.IsZero() || time.Now().Add(time.Minute).Before(d)) {
			not = append(not, g.lease.Instance)
		}
	}
	not = append(not, "nobody-1")
	id := choose(u, &op.Instance, func(dice *rand.Rand) compute.ID { return pick(dice, not...) })
	if !slices.Contains(not, id) {
		return // in another version it is the user's
	}
	err := p.pool.Release(ctx, u.who(), compute.ReleaseOptions{Discard: u.oneIn(&op.Discard, 2)}, id)
	u.tell(p, err, "released as a stranger %s", id)
	if err == nil && id == "nobody-1" {
		u.w.sched.fail("%s released what never was", u.name)
	}
	if _, err := p.pool.Use(ctx, u.who(), "nobody-1"); err == nil {
		u.w.sched.fail("%s used what never was", u.name)
	}
}

// use says that an instance is used; a lease that is over must not let it.
func (u *user) use(ctx context.Context, p *process, id compute.ID, op *Op) {
	g := u.grant(id)
	if g == nil {
		return // in another version it was not given
	}
	began := time.Now()
	who := u.who()
	if u.oneIn(&op.ByLease, 2) {
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

func (u *user) extend(ctx context.Context, p *process, id compute.ID, op *Op) {
	g := u.grant(id)
	if g == nil {
		return // in another version it was not given
	}
	g.calls++
	by := choose(u, &op.For, func(dice *rand.Rand) Duration { return pick(dice, 0, 0, upTo(dice, 40*time.Second)) })
	ls, err := p.pool.Extend(ctx, u.who(), time.Duration(by), id)
	u.tell(p, err, "extended %s", id)
	g.calls--
	if err == nil && ls[0].ID == g.lease.ID {
		g.lease = ls[0]
	}
}

// runs takes a place on an instance, and runs a command there.
func (u *user) runs(ctx context.Context, p *process, id compute.ID, pause *Pause) {
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
	if u.oneIn(&pause.Does, 2) {
		w.sleep(p, u.upTo(&pause.For, 4*time.Second))
	}
	if g == nil {
		return // in another version it was not given
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
