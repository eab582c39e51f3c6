package hook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/linux/proc"
)

const (
	coreFile   = ".slapos-cpu-exclusive"
	corePrefix = "hostler-core-" // of the control groups, followed by the partition's name
)

// core gives a partition's processes a core that no others run on, by control groups of version 2.
func (h *Hooks) core(p *partition) error {
	text, err := p.home.Read(coreFile, maxAsk)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return h.share(p)
	}
	if p.user == nil {
		return nil
	}
	name := fmt.Sprint(p.user.UID)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if !slices.Contains(h.o.PowerUsers, name) {
		return errors.Join(fmt.Errorf("%s asks for a core, and power_user_list does not have %s", coreFile, name), h.share(p))
	}
	root, err := h.cgroups()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, corePrefix+p.ID)
	if _, err := os.Stat(dir); err != nil {
		if err := reserve(root, dir); err != nil {
			return err
		}
		h.logf("%s: it has a core of its own", p.ID)
	}
	all, err := proc.Find(func(pid int) bool { return owns(pid, p.user.UID) })
	if err != nil {
		return err
	}
	defer proc.Close(all)
	for _, one := range all {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(one.PID)), 0); err != nil && !one.Ended() {
			return err
		}
	}
	return nil
}

// share takes the core back.
func (h *Hooks) share(p *partition) error {
	root, err := h.cgroups()
	if err != nil {
		return nil // there is none
	}
	dir := filepath.Join(root, corePrefix+p.ID)
	pids, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil // it has none
	}
	for _, pid := range strings.Fields(string(pids)) {
		_ = os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(pid), 0) // it may have ended
	}
	return os.Remove(dir)
}

// reserve makes a control group with a core that no other has: the last ones first, and never the
// first.
func reserve(root, dir string) error {
	// It fails if it is enabled already and some group has processes; the next step checks that.
	_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpuset"), 0)
	free, err := cores(filepath.Join(root, "cpuset.cpus.effective"))
	if err != nil {
		return err
	}
	if len(free) < 2 {
		return errors.New("there is no core left: the machine keeps one for all the others")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, set := range [][2]string{{"cpuset.cpus", strconv.Itoa(free[len(free)-1])}, {"cpuset.cpus.partition", "root"}} {
		if err := os.WriteFile(filepath.Join(dir, set[0]), []byte(set[1]), 0); err != nil {
			_ = os.Remove(dir)
			return err
		}
	}
	state, err := os.ReadFile(filepath.Join(dir, "cpuset.cpus.partition"))
	if err == nil && strings.TrimSpace(string(state)) != "root" {
		err = fmt.Errorf("the kernel does not give a core to one group: %s", strings.TrimSpace(string(state)))
	}
	if err != nil {
		_ = os.Remove(dir)
	}
	return err
}

// cgroups is where control groups of version 2 have cpuset.
func (h *Hooks) cgroups() (string, error) {
	const root = "/sys/fs/cgroup"
	text, err := os.ReadFile(root + "/cgroup.controllers")
	if err != nil || !slices.Contains(strings.Fields(string(text)), "cpuset") {
		return "", errors.New("control groups of version 2 have no cpuset here, so no core can be given to one partition")
	}
	return root, nil
}

// cores reads a list as 0-3,5.
func cores(path string) (all []int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseCores(strings.TrimSpace(string(text)))
}

// parseCores reads the kernel's list of cores, such as 0-3,8.
func parseCores(text string) (all []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, more := strconv.Atoi(last)
		if err := errors.Join(err, more); err != nil || from < 0 || to < from || to > 1<<16 {
			return nil, fmt.Errorf("%q is no list of cores", text)
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all, nil
}

// owns reports whether a process is a user's.
func owns(pid int, uid uint32) bool {
	i, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil && ownerOf(i) == uid
}

func ownerOf(i fs.FileInfo) uint32 { return i.Sys().(*syscall.Stat_t).Uid }
