package supervise

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cgroup"
	"github.com/hostler-project/hostler/compute"
)

// tree is where the groups of limits are: one tree for each supervisor's directory. It is looked for when a limit is first wanted.
func (s *Supervisor) tree() (*cgroup.Tree, error) {
	if s.limits != nil {
		return s.limits, nil
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s.mark)
	t, err := cgroup.Find("hostler-node-" + name)
	if err == nil {
		s.limits = t
	}
	return t, err
}

// confine is the control group in which a program is to be born, with its limits: that of its group of programs. nil: it has none, or none can be had here, of which the log tells.
// The caller closes it.
func (s *Supervisor) confine(p *program) *cgroup.Group {
	if p.Limits == nil {
		return nil
	}
	fail := func(err error) *cgroup.Group {
		s.o.Log.Warn("a program is not limited", "program", p.full(), "err", err)
		return nil
	}
	t, err := s.tree()
	if err != nil {
		return fail(err)
	}
	others := slices.ContainsFunc(p.g.progs, func(q *program) bool { return q.run != nil && q.Limits != nil })
	limits := cgroup.Limits{CPU: p.Limits.CPU, Memory: p.Limits.Memory, PIDs: p.Limits.PIDs}
	g, err := t.Make(context.Background(), p.g.name, limits)
	if errors.Is(err, compute.ErrConflict) {
		if !others { // it is there for what earlier programs left running, and may have other limits
			err = t.Limit(context.Background(), p.g.name, limits)
		} else {
			err = nil
		}
		if err == nil {
			g, err = t.Open(p.g.name)
		}
	}
	if err != nil {
		return fail(err)
	}
	return g
}

// unconfine takes a control group away, if nothing is in it when ctx ends.
func unconfine(ctx context.Context, t *cgroup.Tree, name string) {
	g, err := t.Open(name)
	if err != nil {
		return
	}
	defer g.Close()
	_ = g.Remove(ctx)
}
