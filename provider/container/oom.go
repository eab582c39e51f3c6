package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// reason is compute.Exit's for what the kernel ended for want of memory.
const reason = "out of memory"

// kills returns how often the kernel ended something in a container for want of memory, by the
// control group of its first process; 0 too where that cannot be known from here, as the engine is
// in a virtual machine. Engines themselves tell it of the first process only.
func kills(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil || pid <= 0 {
		return 0
	}
	files := []string{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[1] == "memory" || strings.HasPrefix(f[1], "memory,") || strings.HasSuffix(f[1], ",memory"):
			files = append(files, filepath.Join("/sys/fs/cgroup/memory", f[2], "memory.oom_control"))
		case f[0] == "0" && f[1] == "":
			files = append(files, filepath.Join("/sys/fs/cgroup", f[2], "memory.events"))
		}
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				i, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
				return i
			}
		}
	}
	return 0
}

// starved reports whether the kernel ended something in this container for want of memory since it
// was last asked. It counts before it kills.
func (c *conn) starved() bool {
	now := kills(c.pid)
	return c.oom.Swap(now) < now
}
