package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Processes returns the ids of the processes in the group and below it, sorted, as seen from our
// own process name space. A process that cannot be seen from there is 0.
func (g *Group) Processes() ([]int, error) {
	var out []int
	if g.v2 != "" {
		err := walk(g.v2, func(dir string) error {
			pids, err := processes(dir)
			out = append(out, pids...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, d := range g.v1 {
		pids, err := processes(d.dir)
		if err != nil && !gone(err) {
			return nil, err
		}
		out = append(out, pids...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// walk calls f for a directory and those below it. It passes over a directory that goes away
// meanwhile. Depth is bounded: a deeper one was made by a user that we gave no right to it.
func walk(dir string, f func(dir string) error) error {
	// a threaded group's processes are listed above it
	if err := f(dir); err != nil && !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if strings.Count(dir, "/") > 64 || len(dir) > unix.PathMax-256 {
		return nil
	}
	if n, err := field(dir+"/cgroup.stat", "nr_descendants"); err == nil && n == 0 {
		return nil // the usual case, and cheaper than listing the files
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := walk(dir+"/"+e.Name(), f); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone reports whether an error means that a group was removed meanwhile.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// Kill kills all processes of the group and of those below it, also those being born, and waits
// until they are gone or ctx ends.
func (g *Group) Kill(ctx context.Context) error {
	pause := 200 * time.Microsecond
	for round := 0; ; round++ {
		atOnce := g.v2 != "" && write(g.v2+"/cgroup.kill", "1") == nil // since Linux 5.14
		pids, err := g.Processes()
		if err != nil {
			return g.error("Kill", compute.ErrFailed, err)
		}
		if len(pids) == 0 {
			return nil
		}
		if !atOnce || round > 3 { // some are in version 1 alone
			g.killEach(pids)
		}
		select {
		case <-ctx.Done():
			return g.error("Kill", compute.ErrTimeout, fmt.Errorf("%d processes do not end: %w", len(pids), ctx.Err()))
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// killEach kills processes one by one, frozen meanwhile if possible, so that none can fork.
func (g *Group) killEach(pids []int) {
	if g.freezer.dir != "" {
		file, freeze, thaw := "/freezer.state", "FROZEN", "THAWED"
		if g.freezer.v2 {
			file, freeze, thaw = "/cgroup.freeze", "1", "0"
		}
		if write(g.freezer.dir+file, freeze) == nil {
			defer func() { _ = write(g.freezer.dir+file, thaw) }()
			if now, err := g.Processes(); err == nil {
				pids = now
			}
		}
	}
	handles := make(map[int]int, len(pids))
	for _, pid := range pids {
		// a thread of this or another hostler may be in there for a moment: see Start
		if pid <= 0 || !g.has(pid) {
			continue
		}
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			handles[pid] = fd
		} else if err == unix.ENOSYS { // before Linux 5.3
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	// A number may have gone to another process before it was opened: only those still listed are
	// ours.
	still, _ := g.Processes()
	for pid, fd := range handles {
		if slices.Contains(still, pid) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
	}
}

// has reports whether a process itself is in the group, and not only a thread of it. Version 1
// lists the process for its threads, such as another hostler that is starting something.
func (g *Group) has(pid int) bool {
	s, err := read("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return false
	}
	dir := g.v2
	if dir == "" && len(g.v1) > 0 {
		dir = g.v1[0].dir
	}
	// the tree's name and the id
	name := dir[strings.LastIndexByte(dir[:strings.LastIndexByte(dir, '/')], '/'):]
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, name) || strings.Contains(line, name+"/") ||
			strings.HasSuffix(line, name+" (deleted)") {
			return true
		}
	}
	return false
}

func (g *Group) error(op string, kind *compute.Kind, err error) error {
	return &compute.Error{Op: "cgroup." + op, ID: compute.ID(g.id), Kind: kind, Err: err}
}
