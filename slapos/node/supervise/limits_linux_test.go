package supervise_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// members are the processes of a control group.
func members(t *testing.T, dir string) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	do(t, err)
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		do(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// A group's programs share their limits, run under others once these were put, and leave no control
// group behind.
func TestLimits(t *testing.T) {
	tree, err := cgroup.Find("hostler-test-supervise")
	if err == nil {
		err = tree.Can().PIDs
	}
	if err != nil {
		t.Skip("processes cannot be limited here: ", err)
	}
	r := newRig(t)
	breed := func(name string, most int) supervise.Program {
		p := r.program(name, "cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all run; wait")
		p.Limits, p.StopWait = &supervise.Limits{PIDs: most}, 10*time.Second
		return p
	}
	r.put(breed("a", 6))
	r.until("g:a", func(s supervise.Status) bool { return s.State == supervise.Exited })
	if text := r.log("a"); strings.Contains(text, "all run") || !strings.Contains(strings.ToLower(text), "fork") {
		t.Errorf("8 processes more under a limit of 6: %q", text)
	}
	dir := ""
	for line := range strings.Lines(r.log("a")) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":/"); ok && strings.HasSuffix(path, "/g") {
			for _, root := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/unified/", "/sys/fs/cgroup/pids/"} {
				if _, err := os.Stat(filepath.Join(root, path)); err == nil {
					dir = filepath.Join(root, path)
				}
			}
		}
	}
	if dir == "" {
		t.Fatalf("its control group is not that of its group: %q", r.log("a"))
	}
	// of a, which left them running: b and c are in one group with them, and may be more
	left := members(t, dir)
	r.put(breed("b", 50), breed("c", 50))
	for _, name := range []string{"b", "c"} {
		r.until("g:"+name, func(supervise.Status) bool { return strings.Contains(r.log(name), "all run") })
	}
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for end := time.Now().Add(time.Minute); slices.ContainsFunc(
		members(t, dir), func(pid int) bool { return slices.Contains(left, pid) },
	) &&
		time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	do(t, r.s.Remove(t.Context(), "g"))
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	for _, l := range []supervise.Limits{{Memory: 5}, {CPU: -1}, {PIDs: -1}} {
		p := r.program("x", "true")
		p.Limits = &l
		if _, err := r.s.Put(
			t.Context(), supervise.Group{Name: "x", Programs: []supervise.Program{p}},
		); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%+v: err = %v; want error compute.ErrInvalid", l, err)
		}
	}
}
