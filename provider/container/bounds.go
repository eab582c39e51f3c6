package container

import (
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/text/units"
)

const (
	leastMemory = 6 << 20 // bytes; engines refuse less
	leastPIDs   = 32      // our own program's threads are among them
)

// bounds refuses limits that cannot be. The engine's machine is this one, or a virtual one on it.
func (o *options) bounds() error {
	cores := runtime.NumCPU()
	switch have := installed(); {
	case o.Cores < 0 || o.Cores > float64(cores):
		return provider.WrongKey("cores", "", "cores = %v: more than 0, up to the %d that this machine has", o.Cores, cores)
	case o.Memory != 0 && o.Memory < leastMemory:
		return provider.WrongKey("memory", "", "memory = %s: at least %s", units.FormatSize(o.Memory), units.FormatSize(leastMemory))
	case o.Memory > have:
		return provider.WrongKey(
			"memory", "", "memory = %s: at most the %s that this machine has", units.FormatSize(o.Memory), units.FormatSize(have),
		)
	case o.Disk < 0:
		return provider.WrongKey("disk", "", "disk = %s: it cannot be below 0", units.FormatSize(o.Disk))
	case o.PIDs != 0 && o.PIDs < leastPIDs:
		return provider.WrongKey(
			"pids", "", "pids = %d: at least %d, as the threads of hostler's own program in it are counted too", o.PIDs,
			leastPIDs,
		)
	}
	return nil
}

// installed returns the bytes of memory of this machine; 0: not known.
func installed() int64 {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return math.MaxInt64
}
