package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// reason is compute.Exit's reason for a process that the kernel killed for lack of memory.
const reason = "out of memory"

// kills returns how often the kernel killed a process in a container for lack of memory, by the
// control group of its first process. It is 0 too for an engine in a virtual machine, which cannot
// be seen from here. Engines report it of the first process only.
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

// starved reports whether the kernel killed a process in this container for lack of memory since
// the last call. The kernel counts before it kills.
func (c *conn) starved() bool {
	now := kills(c.pid)
	return c.oom.Swap(now) < now
}
