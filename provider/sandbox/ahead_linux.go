package sandbox

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/proc"
	"github.com/hostler-project/hostler/provider/sandbox/cgroup"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// ahead is a first process that was started before anybody wants it. It is no sandbox: it has name spaces, a control group and nothing else, and has
// not been told what to become.
type ahead struct {
	wanted chan struct{} // told that it is not there, or no good
	mu     sync.Mutex
	spare  *first
	like   limits // what it was made with
	world  string // what was mounted when it was started
}

// take takes the process, if there is one and it is as one that is started now would be.
func (a *ahead) take(want limits, world string) (first, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spare == nil || a.like != want || a.world != world {
		return first{}, false
	}
	f := *a.spare
	a.spare = nil
	return f, true
}

// refill has another one started, if there is somebody to do that.
func (a *ahead) refill() {
	select {
	case a.wanted <- struct{}{}:
	default:
	}
}

// world is what is mounted where, if that matters: a first process sees what was when it was started. Root's gets all that it needs with its plan.
func (p *Provider) world() string {
	if p.root {
		return ""
	}
	text, _ := os.ReadFile("/proc/self/mountinfo") // empty where it cannot be read, then and now
	return string(text)
}

// courtesy is how long we wait before we start another one: who has just got a sandbox uses it now, and we are not to be in his way.
const courtesy = 10 * time.Millisecond

// stale is how long a process is kept ahead before it is started anew.
const stale = time.Minute

// Ahead keeps one first process started ahead of need until ctx ends, so that Create does not wait for that: for a program that makes sandboxes time and
// again. It takes a megabyte of memory. Call it once. The error is that of ctx.
func (p *Provider) Ahead(ctx context.Context) error {
	if tree, err := p.groups(); err == nil {
		sweepAhead(ctx, tree)
	}
	for {
		world, like := p.world(), p.limits(owner{})
		f, err := p.start(ctx, aheadName(), owner{}, enter.Ahead)
		if err != nil {
			p.log.Debug("no process can be started ahead", "source", p.o.Source, "err", err)
			_ = p.abandon(context.WithoutCancel(ctx), f)
		} else {
			p.ahead.mu.Lock()
			p.ahead.spare, p.ahead.like, p.ahead.world = &f, like, world
			p.ahead.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-p.ahead.wanted:
			select {
			case <-ctx.Done():
			case <-time.After(courtesy):
			}
		case <-time.After(stale):
		}
		p.ahead.mu.Lock()
		left := p.ahead.spare
		p.ahead.spare = nil
		p.ahead.mu.Unlock()
		if left != nil {
			left.close()
			if err := p.abandon(context.WithoutCancel(ctx), *left); err != nil {
				p.log.Warn("a process that was started ahead cannot be ended", "source", p.o.Source, "err", err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

const aheadPrefix = "ahead-"

// aheadName names a control group by who makes it, so that nobody else removes it as long as that one lives.
func aheadName() string {
	me, _ := proc.Of(os.Getpid())
	return aheadPrefix + strconv.Itoa(me.PID) + "-" + strconv.FormatUint(me.Start, 10) + "-" + strconv.FormatUint(rand.Uint64(), 36)
}

// sweepAhead removes the control groups that were made ahead by processes that are no more. One that became a sandbox's is not empty, and stays.
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
		if s, err := proc.Look(pid); err == nil && strconv.FormatUint(s.Start, 10) == parts[1] {
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
