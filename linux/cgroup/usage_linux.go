package cgroup

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Usage returns the usage of the group's processes: time since the group was made, memory without
// files that can be dropped, and the number of processes (with threads, where processes are
// limited). Values that are not counted here are 0, as memory without a limit in version 1.
func (g *Group) Usage() (compute.Usage, error) {
	var u compute.Usage
	if d := g.time; d.v2 {
		n, err := field(d.dir+"/cpu.stat", "usage_usec")
		if err != nil {
			return u, g.error("Usage", kindOf(err), err)
		}
		u.CPU = time.Duration(n) * time.Microsecond
	} else if d.dir != "" {
		n, err := number(d.dir + "/cpuacct.usage")
		if err != nil {
			return u, g.error("Usage", kindOf(err), err)
		}
		u.CPU = time.Duration(n)
	}
	if d := g.memory; d.dir != "" {
		file, word := "/memory.usage_in_bytes", "total_inactive_file"
		if d.v2 {
			file, word = "/memory.current", "inactive_file"
		}
		n, err := number(d.dir + file)
		if err == nil {
			var idle int64
			if idle, err = field(d.dir+"/memory.stat", word); err == nil {
				u.Memory = max(n-idle, 0)
			}
		}
		// in version 2 the controller may not have been asked for
		if err != nil && !(d.v2 && gone(err)) {
			return u, g.error("Usage", kindOf(err), err)
		}
	}
	n, err := int64(0), error(nil)
	if g.pids.dir != "" {
		n, err = number(g.pids.dir + "/pids.current")
	}
	if g.pids.dir == "" || err != nil {
		var pids []int
		if pids, err = g.Processes(); err != nil {
			return u, g.error("Usage", kindOf(err), err)
		}
		n = int64(len(pids))
	}
	u.Processes = int(n)
	u.OOMKills, err = g.OOMKills()
	return u, err
}

// OOMKills returns how many processes were killed because the group's memory was used up. Without a
// limit of memory it is 0.
func (g *Group) OOMKills() (int, error) {
	d := g.memory
	if d.dir == "" {
		return 0, nil
	}
	file := d.dir + "/memory.oom_control"
	if d.v2 {
		file = d.dir + "/memory.events"
	}
	n, err := field(file, "oom_kill")
	if err != nil && !(d.v2 && gone(err)) {
		return 0, g.error("OOMKills", kindOf(err), err)
	}
	return int(n), nil
}

// kindOf returns ErrNotFound for a group that is gone.
func kindOf(err error) *compute.Kind {
	if gone(err) {
		return compute.ErrNotFound
	}
	return compute.ErrFailed
}
