package supervise

import (
	"context"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Put records a group, or changes one with other programs. Programs that are removed or different
// are stopped; unchanged ones run on. changed says whether anything differed. It starts nothing
// new: that is Start's.
func (s *Supervisor) Put(ctx context.Context, g Group) (changed bool, err error) {
	if err := g.check(); err != nil {
		return false, err
	}
	for {
		var wait []ending
		err = s.call(ctx, "Put", func() error {
			wait, changed = s.core.put(&g, changed)
			return s.core.flush(g.Name)
		})
		if err != nil || len(wait) == 0 {
			return changed, err
		}
		if err = s.await(ctx, "Put", wait); err != nil {
			return changed, err
		}
	}
}

// put takes a group over as far as that is possible, and returns what must end first.
func (c *core) put(g *Group, was bool) (wait []ending, changed bool) {
	old := c.groups[g.Name]
	if old == nil {
		old = &group{name: g.Name, dirty: true}
		c.groups[g.Name] = old
		was = true
	}
	old.gone = false
	next := make([]*program, 0, len(g.Programs))
	for _, want := range g.Programs {
		i := slices.IndexFunc(old.progs, func(p *program) bool { return p.Name == want.Name })
		if i >= 0 && (reflect.DeepEqual(old.progs[i].Program, want)) {
			next = append(next, old.progs[i])
			continue
		}
		was, old.dirty = true, true
		if i >= 0 && (old.progs[i].run != nil || len(old.progs[i].left) > 0) {
			wait = append(wait, c.drop(old.progs[i])...)
			continue
		}
		p := &program{Program: want, g: old, state: Stopped, since: time.Now()}
		if i >= 0 {
			p.exit = old.progs[i].exit
			old.progs[i] = p
		}
		next = append(next, p)
	}
	for _, p := range old.progs {
		if !slices.ContainsFunc(g.Programs, func(q Program) bool { return q.Name == p.Name }) {
			was, old.dirty = true, true
			wait = append(wait, c.drop(p)...)
		}
	}
	if len(wait) == 0 {
		if !slices.Equal(old.progs, next) {
			old.dirty = true
		}
		old.progs = next
	}
	return wait, was
}

// drop stops a program for good. It returns its process, if it has one, and earlier ones that have
// ended by themselves.
func (c *core) drop(p *program) (all []ending) {
	p.want, p.again = false, false
	c.stop(p)
	for _, run := range p.left {
		e := ending{run: run, end: make(chan struct{})}
		close(e.end)
		all = append(all, e)
	}
	p.left = nil
	if p.run == nil {
		return all
	}
	e := ending{run: p.run.generation(), end: make(chan struct{})}
	p.wait = append(p.wait, e.end)
	return append(all, e)
}

// Start starts programs by name (GROUP:NAME, GROUP, GROUP:*, all), and returns when they were
// started. Running ones go on.
func (s *Supervisor) Start(ctx context.Context, names ...string) error {
	return s.call(ctx, "Start", func() error {
		all, err := s.core.selectPrograms("Start", names)
		if err != nil {
			return err
		}
		for _, p := range all {
			if !p.want {
				p.want, p.g.dirty = true, true
			}
		}
		if err := s.core.flush(""); err != nil {
			return err
		}
		for _, p := range all {
			switch {
			case p.state == Stopping:
				p.again = true
			case p.run == nil:
				// else it is tried at once, and then its pauses go on growing: nothing has been
				// changed, that would be Put's
				if p.state != Backoff {
					p.fast = 0
				}
				p.ends, p.starts = 0, 0
				s.core.start(p)
			}
		}
		return s.core.flush("")
	})
}

// Stop ends programs, and returns when they have ended: a minute after they were asked to they are
// killed, with all that they have started in their groups of processes. When none of a group is
// left, all that they have started goes, wherever it hides, if the machine has control groups.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	var wait []ending
	var groups []string
	err := s.call(ctx, "Stop", func() error {
		all, err := s.core.selectPrograms("Stop", names)
		for _, p := range all {
			p.g.dirty = true
			wait = append(wait, s.core.drop(p)...)
			if len(groups) == 0 || groups[len(groups)-1] != p.g.name {
				groups = append(groups, p.g.name)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := s.await(ctx, "Stop", wait); err != nil {
		return err
	}
	return s.cleared(ctx, "Stop", groups)
}

// Restart stops programs and starts them.
func (s *Supervisor) Restart(ctx context.Context, names ...string) error {
	if err := s.Stop(ctx, names...); err != nil {
		return err
	}
	return s.Start(ctx, names...)
}

// Remove stops a group and forgets it, with all that its programs have started. One that is not
// there is no error.
func (s *Supervisor) Remove(ctx context.Context, name string) error {
	var wait []ending
	there := false
	err := s.call(ctx, "Remove", func() error {
		g := s.core.groups[name]
		if g == nil {
			return nil
		}
		there, g.gone, g.dirty = true, true, true
		for _, p := range g.progs {
			wait = append(wait, s.core.drop(p)...)
		}
		if err := s.core.flush(name); err != nil {
			return err
		}
		s.core.forgetDropped(g)
		return nil
	})
	if err == nil {
		err = s.await(ctx, "Remove", wait)
	}
	if err != nil || !there {
		return err
	}
	return s.cleared(ctx, "Remove", []string{name})
}

// Signal sends a signal to programs; those that do not run are left out.
func (s *Supervisor) Signal(ctx context.Context, sig unix.Signal, names ...string) error {
	return s.call(ctx, "Signal", func() error {
		all, err := s.core.selectPrograms("Signal", names)
		for _, p := range all {
			if p.run != nil {
				s.core.processes.signalLeader(p, sig)
			}
		}
		return err
	})
}

// Status says how programs are, by groups and in the order of each; no names: all of them.
func (s *Supervisor) Status(ctx context.Context, names ...string) (out []Status, err error) {
	if len(names) == 0 {
		names = []string{"all"}
	}
	err = s.call(ctx, "Status", func() error {
		all, err := s.core.selectPrograms("Status", names)
		for _, p := range all {
			out = append(out, p.status())
		}
		return err
	})
	return out, err
}

// Groups are the names of all groups.
func (s *Supervisor) Groups(ctx context.Context) (out []string, err error) {
	err = s.call(ctx, "Groups", func() error {
		for _, g := range s.core.sorted() {
			if !g.gone {
				out = append(out, g.name)
			}
		}
		return nil
	})
	return out, err
}
