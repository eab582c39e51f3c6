package supervise

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
)

const (
	treePrefix = "hostler-node-"  // prefix of all supervisors' trees
	unused     = 10 * time.Minute // age of a group without new processes at which it is unused
)

// cgroups are the control groups of a supervisor's programs.
type cgroups struct {
	mark  string // of the supervisor
	log   *slog.Logger
	found *cgroup.Tree // nil: not needed yet, or
	none  error        // why there are none
}

// tree is the tree of control groups: one for each supervisor's directory. The first use looks for
// it.
func (cg *cgroups) tree() (*cgroup.Tree, error) {
	if cg.found != nil || cg.none != nil {
		return cg.found, cg.none
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, cg.mark)
	cg.found, cg.none = cgroup.Find(treePrefix + name)
	return cg.found, cg.none
}

// cgroupName is what the control group of a group is called: as the group, unless that has a
// dot, which no control group of ours has.
func cgroupName(group string) string {
	if !strings.Contains(group, ".") {
		return group
	}
	return "-" + strings.NewReplacer("_", "_u", ".", "_d").Replace(group) // no group begins with -
}

// confine is the control group for a new process of a program: that of its group of programs, with
// their limits. All processes that they start are found by it, however hidden. nil: there is none
// here; if there are limits, that is logged. The caller closes it.
func (cg *cgroups) confine(p *program) *cgroup.Group {
	fail := func(err error) *cgroup.Group {
		if p.Limits != nil {
			cg.log.Warn("a program is not limited", "program", p.fullName(), "err", err)
		}
		return nil
	}
	t, err := cg.tree()
	if err != nil {
		return fail(err)
	}
	limits := cgroup.Limits{}
	if p.Limits != nil {
		limits = cgroup.Limits{CPU: p.Limits.CPU, Memory: p.Limits.Memory, PIDs: p.Limits.PIDs}
	} else if err := t.Can().Gather; err != nil {
		return fail(err)
	}
	name := cgroupName(p.g.name)
	others := slices.ContainsFunc(p.g.progs, func(q *program) bool { return q.run != nil })
	g, err := t.Make(context.Background(), name, limits)
	if errors.Is(err, compute.ErrConflict) {
		// it is there for what earlier programs left running, and may have other limits
		if !others {
			err = t.Limit(context.Background(), name, limits)
		} else {
			err = nil
		}
		if err == nil {
			g, err = t.Open(name)
		}
	}
	if err != nil {
		return fail(err)
	}
	return g
}

const (
	atOnce = 200 * time.Millisecond // how long the loop waits for killed processes to be gone
	dying  = 2 * time.Second        // how long the caller waits for that
)

// clear ends all processes left in the control group of a group without running programs, and
// removes it. false: a process of it is still dying. It runs in the loop, so nothing is started
// there meanwhile.
func (c *core) clear(name string) bool {
	if g := c.groups[name]; g != nil && slices.ContainsFunc(g.progs, func(p *program) bool { return p.run != nil }) {
		return true
	}
	t, err := c.cgroups.tree()
	if err != nil {
		return true
	}
	return c.cgroups.end(t, cgroupName(name))
}

// end kills what is left in a group and removes it. It reports whether the group is gone.
func (cg *cgroups) end(t *cgroup.Tree, id string) bool {
	g, err := t.Open(id)
	if err != nil {
		return true
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(context.Background(), atOnce)
	defer cancel()
	if left, err := g.Processes(); err == nil && len(left) > 0 {
		cg.log.Warn("what a group's programs left running is ended", "group", id, "processes", len(left))
	}
	if err := errors.Join(g.Kill(ctx), g.Remove(ctx)); err != nil {
		return false
	}
	_ = t.Remove(ctx) // there may be others
	return true
}

// cleared has groups of which no program runs be cleared, and returns when that is so, or when it
// has waited long enough.
func (s *Supervisor) cleared(ctx context.Context, op string, names []string) error {
	for end := time.Now().Add(dying); ; {
		err := s.call(ctx, op, func() error {
			names = slices.DeleteFunc(names, s.core.clear)
			return nil
		})
		if err != nil || len(names) == 0 {
			return err
		}
		if time.Now().After(end) {
			s.core.o.Log.Error("what a group's programs left running does not end", "groups", names)
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// removeStrays ends processes in control groups of removed groups, which a killed supervisor
// left. It also removes empty control groups of supervisors that are gone for good: no other
// process would.
func (c *core) removeStrays() {
	t, err := c.cgroups.tree()
	if err != nil {
		return
	}
	known := map[string]bool{}
	for name := range c.groups {
		known[cgroupName(name)] = true
	}
	for _, id := range t.List() {
		if !known[id] {
			c.cgroups.end(t, id)
		}
	}
	t.Sweep(treePrefix, unused)
}
