package sandbox

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
)

// defaultPIDs is how many processes and threads a sandbox may have unless its source says: a tenth
// of the machine's process numbers, from 1024 to 16384.
var defaultPIDs = sync.OnceValue(func() int { return max(1024, min(16384, numbers()/10)) })

// limits are a sandbox's limits: its own, or defaults that leave room for reasonable work and still
// protect the machine.
type limits struct {
	cores  float64
	memory int64
	pids   int
	asked  bool // the source or the request asks for one of them
}

// groups are the control groups of a source's sandboxes, and the limits that they are to keep.
type groups struct {
	o    *Options
	find func() (*cgroup.Tree, error) // finds those of this installation, once
}

// limits returns the limits for a request. A request for more than the source's usual gets more.
func (gs *groups) limits(own instanceRecord) limits {
	l := limits{cores: gs.o.Cores, memory: max(gs.o.Memory, own.Memory), pids: gs.o.PIDs}
	if l.cores > 0 {
		l.cores = max(l.cores, float64(own.Cores))
	}
	l.asked = l.cores > 0 || l.memory > 0 || l.pids > 0
	if l.pids == 0 {
		l.pids = defaultPIDs()
	}
	if l.memory == 0 {
		l.memory = installed() / 4 * 3
	}
	l.memory = max(l.memory, leastMemory) // a request may ask for less than works
	return l
}

// disk returns how many bytes may be written; 0: no limit. Writes to memory count as memory, so by
// default they get no more than half of that: then programs see a full disk, and are not killed.
func (gs *groups) disk(own instanceRecord) int64 {
	if gs.o.without("limits") {
		return 0
	}
	if gs.o.Disk > 0 || gs.o.Upper == "disk" {
		if own.Disk > 0 {
			return max(gs.o.Disk, own.Disk, leastDisk)
		}
		return gs.o.Disk
	}
	return max(min(installed()/4, gs.limits(own).memory/2), own.Disk)
}

// ptys is how many terminals a sandbox may have; 0: as many as the machine has.
func (gs *groups) ptys() int64 {
	switch {
	case gs.o.without("ptys"):
		return 0
	case gs.o.PTYs > 0:
		return int64(gs.o.PTYs)
	}
	return defaultPTYs
}

// installed returns the bytes of memory of this machine.
func installed() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 4 << 30
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// label turns a name with any characters into a word. Different names give different words.
func label(name string) string {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	// this prefix is for the groups of processes that are kept ahead
	ours := strings.HasPrefix(name, aheadPrefix)
	if name != "" && len(name) <= 100 && !ours && !strings.ContainsFunc(name, bad) {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	short := strings.Map(func(r rune) rune {
		if bad(r) {
			return '_'
		}
		return r
	}, name[:min(len(name), 60)])
	if ours {
		short = "_" + short
	}
	return short + "_" + strconv.FormatUint(h.Sum64(), 36)
}

// make makes the control group of a sandbox. It first ends one that a crash left.
func (gs *groups) make(ctx context.Context, id string, own instanceRecord) (*cgroup.Group, limits, error) {
	l := gs.limits(own)
	if gs.o.without("limits") {
		l = limits{}
	}
	tree, err := gs.find()
	if err != nil {
		return nil, l, err
	}
	can := tree.Can()
	want := cgroup.Limits{CPU: l.cores, Memory: l.memory, PIDs: l.pids}
	if !l.asked { // limits that nobody asked for are left out where they do not work
		if can.Memory != nil {
			want.Memory = 0
		}
		if can.PIDs != nil {
			want.PIDs = 0
		}
	}
	g, err := tree.Make(ctx, id, want)
	// another source's last sandbox ended just now: see leave
	if errors.Is(err, fs.ErrNotExist) {
		g, err = tree.Make(ctx, id, want)
	}
	if errors.Is(err, compute.ErrConflict) {
		if err = endGroup(ctx, tree, id); err == nil {
			g, err = tree.Make(ctx, id, want)
		}
	}
	if can.PIDs == nil {
		l.pids = 0 // counted by the group
	}
	return g, l, err
}

// endGroup ends the processes in a group, and the group. It accepts a group that is not there.
func endGroup(ctx context.Context, tree *cgroup.Tree, id string) error {
	g, err := tree.Open(id)
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

// end ends a sandbox's control group.
func (gs *groups) end(ctx context.Context, name string) error {
	if gs.o.without("gather") {
		return nil
	}
	tree, err := gs.find()
	if err != nil {
		return err
	}
	return endGroup(ctx, tree, name)
}

// leave removes the directory above this installation's groups, when the source's last
// sandbox has ended and no other source has one.
func (gs *groups) leave(ctx context.Context) {
	dir, err := os.Open(filepath.Join(gs.o.Dir, "instances"))
	if err == nil {
		defer dir.Close()
		_, err = dir.Readdirnames(1) // one name is enough: this runs at each end
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if tree, err := gs.find(); err == nil {
		sweepAhead(ctx, tree)
		_ = tree.Remove(ctx) // fails while there are groups
	}
}

// oomKills counts the processes of a sandbox that were killed for lack of memory.
func (gs *groups) oomKills(name string) int {
	tree, err := gs.find()
	if err != nil {
		return 0
	}
	g, err := tree.Open(name)
	if err != nil {
		return 0
	}
	defer g.Close()
	n, _ := g.OOMKills() // zero where the kernel does not count them
	return n
}
