package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// ahead is a first process that was started before it is needed. It is no sandbox: it has name
// spaces, a control group and nothing else, and no plan yet.
type ahead struct {
	o       *Options
	log     *slog.Logger
	starter *starter

	kept   atomic.Bool   // an Ahead is running
	wanted chan struct{} // told that there is no process, or an unfit one
	mu     sync.Mutex
	spare  *first
	like   limits    // the limits it was made with
	world  string    // the mounts when it was started
	since  time.Time // when it was started
}

// take takes the process, if there is one that is as good as a new one.
func (a *ahead) take(want limits) (first, bool) {
	world := a.mounts()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.good(want, world) {
		return first{}, false
	}
	f := *a.spare
	a.spare = nil
	return f, true
}

// good reports whether the process is there and fit. It is called with mu held.
func (a *ahead) good(want limits, world string) bool {
	return a.spare != nil && a.like == want && a.world == world && !a.spare.handle.Ended()
}

// refill asks Ahead, if one runs, to start another process where this one is not fit.
func (a *ahead) refill() {
	select {
	case a.wanted <- struct{}{}:
	default:
	}
}

// mounts describes the mounts, where they matter: a first process has those of its start. It is
// empty for root, whose plan brings all that is needed.
func (a *ahead) mounts() string {
	if a.starter.root {
		return ""
	}
	text, _ := os.ReadFile("/proc/self/mountinfo") // empty where it cannot be read, then and now
	return string(text)
}

// courtesy is how long a new sandbox has the machine to itself before the next process is started
// ahead.
const courtesy = 10 * time.Millisecond

// stale is how long a process is kept ahead before it is replaced: until then it may keep a file
// system busy that the host unmounts.
const stale = time.Minute

// Ahead keeps one first process started ahead of need until ctx ends, so that Create does not wait
// for its start. It is for programs that make sandboxes often. The process takes a megabyte of
// memory. The error is that of ctx, or ErrConflict while another call does so.
func (p *Provider) Ahead(ctx context.Context) error { return p.ahead.keep(ctx) }

// keep is Provider.Ahead.
func (a *ahead) keep(ctx context.Context) error {
	if !a.kept.CompareAndSwap(false, true) {
		return &compute.Error{
			Op: "sandbox.Ahead", ID: compute.ID(a.o.Source), Kind: compute.ErrConflict,
			Err: errors.New("another call keeps one ahead"),
		}
	}
	defer a.kept.Store(false)
	ending := context.WithoutCancel(ctx)
	if tree, err := a.starter.groups.find(); err == nil {
		sweepAhead(ctx, tree)
	}
	defer a.starter.groups.leave(ending)
	defer a.putAway(ending)
	for {
		world, like := a.mounts(), a.starter.groups.limits(instanceRecord{})
		a.mu.Lock()
		good := a.good(like, world) && time.Since(a.since) < stale
		a.mu.Unlock()
		if !good {
			a.putAway(ending)
			a.putOut(ctx, world, like)
		}
		select {
		case <-ctx.Done():
		case <-a.wanted:
			select {
			case <-ctx.Done():
			case <-time.After(courtesy):
			}
		case <-time.After(stale):
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// putOut starts a process ahead.
func (a *ahead) putOut(ctx context.Context, world string, like limits) {
	f, err := a.starter.start(ctx, aheadName(), instanceRecord{}, enter.Ahead)
	if err != nil {
		a.log.Debug("no process can be started ahead", "source", a.o.Source, "err", err)
		_ = a.starter.abandon(context.WithoutCancel(ctx), f)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare, a.like, a.world, a.since = &f, like, world, time.Now()
}

// putAway ends the process, if there is one.
func (a *ahead) putAway(ctx context.Context) {
	a.mu.Lock()
	left := a.spare
	a.spare = nil
	a.mu.Unlock()
	if left == nil {
		return
	}
	left.close()
	if err := a.starter.abandon(ctx, *left); err != nil {
		a.log.Warn("a process that was started ahead cannot be ended", "source", a.o.Source, "err", err)
	}
}

const aheadPrefix = "ahead-"

// aheadName names a control group by the process that makes it, so that no other process removes it
// as long as that one lives.
func aheadName() string {
	me, _ := proc.Identify(os.Getpid())
	return aheadPrefix + strconv.Itoa(me.PID) + "-" + strconv.FormatUint(me.Start, 10) + "-" + strconv.FormatUint(rand.Uint64(), 36)
}

// sweepAhead removes the control groups that processes made ahead and left when they ended. A group
// that became a sandbox's is not empty, and stays.
func sweepAhead(ctx context.Context, tree *cgroup.Tree) {
	for _, name := range tree.List() {
		rest, ok := strings.CutPrefix(name, aheadPrefix)
		parts := strings.Split(rest, "-")
		if !ok || len(parts) != 3 {
			continue
		}
		pid, err := strconv.Atoi(parts[0])
		if err != nil {
			continue
		}
		if s, err := proc.ReadStat(pid); err == nil && strconv.FormatUint(s.Start, 10) == parts[1] {
			continue
		}
		g, err := tree.Open(name)
		if err != nil {
			continue
		}
		if all, err := g.Processes(); err == nil && len(all) == 0 {
			_ = g.Remove(ctx)
		}
		_ = g.Close()
	}
}
