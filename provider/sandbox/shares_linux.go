package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/text/units"
)

// Limits on what the machine has once for all, where no control group and no name space divides it.
// docs/budgets.md lists all of them.

// defaultPTYs is how many terminals a sandbox may have unless its source says.
const defaultPTYs = 64

// capped finds the control groups of an installation's sandboxes, and limits all of them together:
// a tenth of the machine's memory and a quarter of its process numbers stay free for its own
// programs.
func capped(name string) (*cgroup.Tree, error) {
	tree, err := cgroup.Find(name)
	if err == nil {
		tree.LimitAll(cgroup.Limits{Memory: installed() / 10 * 9, PIDs: numbers() / 4 * 3})
	}
	return tree, err
}

// numbers is how many processes and threads this machine can have.
func numbers() int {
	n := cmp.Or(machineNumber("/proc/sys/kernel/pid_max"), 32768) // the kernel's own default
	return min(n, cmp.Or(machineNumber("/proc/sys/kernel/threads-max"), n))
}

// machineNumber reads a file of the kernel with one number; 0: there is none.
func machineNumber(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// The needs of a sandbox itself, before anything runs in it.
const (
	ownThreads = 32      // with the reserved ones
	ownMemory  = 8 << 20 // bytes, with the kernel's
)

// room says why this machine cannot carry one more sandbox; nil: it can. It goes by what is really
// in use, by other sources' and installations' sandboxes and by all other programs. A tenth stays
// free for those.
func room() error {
	if all, used := numbers(), threadsNow(); used+ownThreads > all/10*9 {
		return full("this machine has numbers for %d processes and threads, and %d are in use", all, used,
			"end some programs or sandboxes, or raise kernel.pid_max and kernel.threads-max")
	}
	if all := installed(); all > 0 {
		keep := min(all/20, 1<<30)
		if free, ok := availableMemory(); ok && free < keep+ownMemory {
			return full(
				"%s of this machine's %s of memory are free", units.FormatSize(free), units.FormatSize(all),
				"end some programs or sandboxes",
			)
		}
	}
	all := machineNumber("/proc/sys/kernel/pty/max") - machineNumber("/proc/sys/kernel/pty/reserve")
	if used := machineNumber("/proc/sys/kernel/pty/nr"); all > 0 && used >= all/10*9 {
		return full("this machine has %d terminals for sandboxes, and %d are in use", all, used,
			"end some sessions or sandboxes, or raise kernel.pty.max")
	}
	return nil
}

// full returns the error of a machine that can carry no more. It counts the part that stays free.
func full(text string, of, used any, hint string) error {
	return &compute.Error{Kind: compute.ErrNoCapacity, Hint: hint,
		Err: errors.New(fmt.Sprintf(text, of, used) + ": the rest is kept for its own programs")}
}

// threadsNow is how many threads there are on this machine.
func threadsNow() int {
	b, err := os.ReadFile("/proc/loadavg") // 0.20 0.18 0.12 1/80 11206
	f := strings.Fields(string(b))
	if err != nil || len(f) < 4 {
		return 0
	}
	_, all, _ := strings.Cut(f[3], "/")
	n, _ := strconv.Atoi(all)
	return n
}

// availableMemory returns how many bytes are free for use without a kill.
func availableMemory() (int64, bool) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}
