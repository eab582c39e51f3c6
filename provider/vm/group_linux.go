package vm

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
)

// What qemu itself needs beside the machine: half a processor for its disks, network and clocks,
// memory for translated code, devices and buffers, and threads.
const (
	ownCores   = 0.5
	ownMemory  = 512 << 20
	ownThreads = 256
)

// groups is where the control groups of this installation's qemus are.
func (p *Provider) groups() (*cgroup.Tree, error) {
	return cgroup.Find("hostler-" + word(p.o.Installation))
}

// word makes a plain word of a mark or an installation, which may have any characters.
func word(s string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return "vm-" + strconv.FormatUint(h.Sum64(), 36)
}

// group makes the control group of a qemu. Limits that this machine does not support are left out.
func (p *Provider) group(ctx context.Context, c *cell) (*cgroup.Group, error) {
	tree, err := p.groups()
	if err != nil {
		return nil, err
	}
	limits := cgroup.Limits{CPU: float64(c.cores) + ownCores, Memory: c.memory + ownMemory, PIDs: c.cores + ownThreads}
	can := tree.Can()
	if can.CPU != nil {
		limits.CPU = 0
	}
	if can.Memory != nil {
		limits.Memory = 0
	}
	if can.PIDs != nil {
		limits.PIDs = 0
	}
	g, err := tree.Make(ctx, word(c.mark), limits)
	if errors.Is(err, compute.ErrConflict) { // left by one that has ended
		if err = p.ungroup(ctx, c.mark); err == nil {
			g, err = tree.Make(ctx, word(c.mark), limits)
		}
	}
	return g, err
}

// ungroup ends the processes in a qemu's control group, and removes the group.
func (p *Provider) ungroup(ctx context.Context, mark string) error {
	tree, err := p.groups()
	if err != nil {
		return err
	}
	g, err := tree.Open(word(mark))
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer g.Close()
	if err := g.Kill(ctx); err != nil {
		return err
	}
	return g.Remove(ctx)
}

// leaveGroups removes the directory above this source's groups when no group is left.
func (p *Provider) leaveGroups(ctx context.Context) {
	if tree, err := p.groups(); err == nil {
		_ = tree.Remove(ctx) // fails while there are groups
	}
}
