package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Limits bound the processes of a group together; zero limits nothing.
type Limits struct {
	CPU    float64 // cores, at least 0.01
	Memory int64   // bytes, with files in memory; none may go to swap beyond it
	PIDs   int     // processes and threads
}

const period = 100000 // µs of the cpu quota, the kernel's default

// least is the memory below which no program starts.
const least = 512 << 10

// check refuses limits that are out of range. Zero means no limit.
func (l Limits) check() error {
	switch {
	case l.CPU != 0 && !(l.CPU >= 0.01 && l.CPU <= 1e6):
		return fmt.Errorf("%v cores is no limit: at least 0.01", l.CPU)
	case l.Memory != 0 && l.Memory < least:
		return fmt.Errorf("%d bytes of memory is no limit: at least %d", l.Memory, least)
	case l.PIDs < 0 || l.PIDs > 4194304:
		return fmt.Errorf("%d processes is no limit", l.PIDs)
	}
	return nil
}

// setting is a file to write in the group's directory in one place.
type setting struct {
	place      *place
	controller string
	file, text string
	optional   bool // not an error where the kernel lacks it
}

// settings lists the files that limits need, or fails for limits that do not work here.
func (t *Tree) settings(l Limits) ([]setting, error) {
	var out []setting
	if l.CPU != 0 {
		p, err := t.placeOf("cpu")
		if err != nil {
			return nil, fmt.Errorf("cores cannot be limited here: %w", err)
		}
		quota := strconv.FormatInt(int64(l.CPU*period), 10)
		if p.v2 {
			out = append(out, setting{p, "cpu", "cpu.max", quota + " " + strconv.Itoa(period), false})
		} else {
			out = append(out, setting{p, "cpu", "cpu.cfs_quota_us", quota, false})
		}
	}
	if l.Memory != 0 {
		p, err := t.placeOf("memory")
		if err != nil {
			return nil, fmt.Errorf("memory cannot be limited here: %w", err)
		}
		bytes := strconv.FormatInt(l.Memory, 10)
		if p.v2 {
			out = append(out, setting{p, "memory", "memory.max", bytes, false}, setting{p, "memory", "memory.swap.max", "0", true})
		} else {
			out = append(out, setting{p, "memory", "memory.limit_in_bytes", bytes, false},
				// the order matters: it may not be below the other
				setting{p, "memory", "memory.memsw.limit_in_bytes", bytes, true})
		}
	}
	if l.PIDs != 0 {
		p, err := t.placeOf("pids")
		if err != nil {
			return nil, fmt.Errorf("processes cannot be limited here: %w", err)
		}
		out = append(out, setting{p, "pids", "pids.max", strconv.Itoa(l.PIDs), false})
	}
	return out, nil
}

// Make makes a group with limits, or nothing. Without limits, and where none can be made, it
// returns a group without directories, whose methods all work but gather nothing. The error is
// ErrInvalid for the id or a limit, ErrConflict when the group exists, or ErrUnavailable, with the
// reason, when a limit cannot be enforced here. Close the group.
func (t *Tree) Make(ctx context.Context, id string, l Limits) (*Group, error) {
	if !valid(id) {
		return nil, t.error("Make", id, compute.ErrInvalid, fmt.Errorf("%q is no name for a group", id))
	}
	if err := l.check(); err != nil {
		return nil, t.error("Make", id, compute.ErrInvalid, err)
	}
	settings, err := t.settings(l)
	if err != nil {
		return nil, t.error("Make", id, compute.ErrUnavailable, err)
	}
	g := &Group{id: id, fd: -1}
	if err = t.fill(ctx, g, settings); err != nil {
		g.Close()
		_ = g.Remove(context.WithoutCancel(ctx)) // only what was made here
		kind := compute.ErrUnavailable
		if errors.Is(err, os.ErrExist) {
			kind = compute.ErrConflict
		}
		return nil, t.error("Make", id, kind, err)
	}
	return g, nil
}

// Limit gives an existing group other limits, and removes old ones of version 2 that are zero now.
// Its processes run on. The errors are Make's, and ErrNotFound.
func (t *Tree) Limit(ctx context.Context, id string, l Limits) error {
	g, err := t.Open(id)
	if err != nil {
		return err
	}
	defer g.Close()
	if err := l.check(); err != nil {
		return t.error("Limit", id, compute.ErrInvalid, err)
	}
	settings, err := t.settings(l)
	if err != nil {
		return t.error("Limit", id, compute.ErrUnavailable, err)
	}
	for file, none := range map[string]bool{"cpu.max": l.CPU == 0, "memory.max": l.Memory == 0, "pids.max": l.PIDs == 0} {
		if !none || g.v2 == "" {
			continue
		}
		if err := write(g.v2+"/"+file, "max"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return t.error("Limit", id, compute.ErrUnavailable, &os.PathError{Op: "write max to", Path: g.v2 + "/" + file, Err: err})
		}
	}
	if err := t.write(ctx, id, settings); err != nil {
		return t.error("Limit", id, compute.ErrUnavailable, err)
	}
	return nil
}

// fill makes the directories of a group and writes its settings.
func (t *Tree) fill(ctx context.Context, g *Group, settings []setting) error {
	for _, p := range t.needed(settings) {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := p.dir + "/" + t.name + "/" + g.id
		err := unix.Mkdir(dir, 0o755)
		for range 3 { // another process may remove the empty directory of the tree in between
			if err != unix.ENOENT {
				break
			}
			if err = unix.Mkdir(p.dir+"/"+t.name, 0o755); err == nil || err == unix.EEXIST {
				t.writeLimits(p)
				err = unix.Mkdir(dir, 0o755)
			}
		}
		if err != nil {
			return &os.PathError{Op: "mkdir", Path: dir, Err: err}
		}
		g.take(p, dir)
	}
	if err := g.open(); err != nil {
		return err
	}
	return t.write(ctx, g.id, settings)
}

// write writes the settings of a group.
func (t *Tree) write(ctx context.Context, id string, settings []setting) error {
	for _, s := range settings {
		if err := ctx.Err(); err != nil {
			return err
		}
		file := s.place.dir + "/" + t.name + "/" + id + "/" + s.file
		err := write(file, s.text)
		if err == unix.ENOENT && s.place.v2 && !s.optional {
			if err = t.enable(s.place, settings); err == nil {
				err = write(file, s.text)
			}
		}
		if err == unix.ENOENT && s.optional {
			continue // no swap, or the kernel does not count it
		}
		if err == unix.EINVAL && s.file == "cpu.cfs_quota_us" && lowerQuota(s.place.dir+"/"+t.name, s.text) {
			continue // version 1 refuses more than a group above has, which limits it already
		}
		if err != nil {
			return &os.PathError{Op: "write " + s.text + " to", Path: file, Err: err}
		}
	}
	return nil
}

// needed lists the places where a group needs a directory: of version 2 always, of version 1 where
// there is a setting. Without version 2 also those that end the group (freezer) and count its time
// (cpuacct).
func (t *Tree) needed(settings []setting) []*place {
	var out []*place
	add := func(p *place) {
		for _, q := range out {
			if q == p {
				return
			}
		}
		out = append(out, p)
	}
	if v2 := t.v2(); v2 != nil && v2.err == nil {
		add(v2)
	} else {
		for _, c := range []string{"freezer", "cpuacct"} {
			if p, err := t.placeOf(c); err == nil {
				add(p)
			}
		}
	}
	for _, s := range settings {
		add(s.place)
	}
	return out
}

// lowerQuota reports whether a group of version 1, or one above it, has a cpu quota of at most
// quota.
func lowerQuota(dir, quota string) bool {
	want, _ := strconv.ParseFloat(quota, 64)
	for ; strings.Count(dir, "/") > 1; dir = dir[:strings.LastIndexByte(dir, '/')] {
		has, err := number(dir + "/cpu.cfs_quota_us")
		if err != nil {
			return false
		}
		per, err := number(dir + "/cpu.cfs_period_us")
		if err == nil && has > 0 && per > 0 && float64(has)/float64(per) <= want/period {
			return true
		}
	}
	return false
}
