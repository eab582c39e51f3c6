package cgroup_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/linux/cgroup"
)

// Of the trees of others those go in which nothing is, and no other.
func TestSweep(t *testing.T) {
	tr := tree(t)
	prefix := "hostler-sweep-" + strconv.Itoa(os.Getpid()) + "-"
	other := func(name string) *cgroup.Tree {
		o, err := cgroup.Find(prefix + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := o.Remove(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return o
	}
	group(t, other("empty"), cgroup.Limits{})
	limited := other("limited")
	group(t, limited, cgroup.Limits{PIDs: 10})
	used := group(t, other("used"), cgroup.Limits{})
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: used.FD() >= 0, CgroupFD: max(used.FD(), 0)}
	if err := used.Start(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if got := tr.Sweep(prefix, time.Hour); len(got) > 0 {
		t.Errorf("%q went, and are new", got)
	}
	if got := tr.Sweep(prefix, 0); !slices.Equal(got, []string{prefix + "empty", prefix + "limited"}) {
		t.Errorf("%q went", got)
	}
	for _, dir := range limited.Parents() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	if pids, err := used.Processes(); err != nil || len(pids) != 1 {
		t.Errorf("in use: %v, %v", pids, err)
	}
	group(t, limited, cgroup.Limits{PIDs: 10}) // it is made again
}
