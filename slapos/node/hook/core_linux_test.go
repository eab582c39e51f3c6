package hook

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node/runas"
)

// TestCore gives a partition's program a core that nobody else runs on, and takes it back. It is
// done with the kernel's own control groups, where it has those that it needs.
func TestCore(t *testing.T) {
	r := newRig(t, cpuSet)
	r.root()
	root, err := r.cgroups()
	if err != nil {
		t.Skipf("TestCore: %v (is cpuset one of version 1?)", err)
	}
	free, err := cores(root + "/cpuset.cpus.effective")
	if err != nil || len(free) < 2 {
		t.Skipf("TestCore: this machine has no two cores to share out: %v, %v", free, err)
	}
	r.o.PowerUsers = []string{fmt.Sprint(somebody)}
	started := make(chan error, 1)
	go func() {
		started <- runas.Run(
			t.Context(),
			runas.Command{
				Argv: []string{"/bin/sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 1000"}, Dir: r.dir,
				User: &runas.User{UID: somebody, GID: somebody},
			},
		)
	}()
	pid := ""
	for end := time.Now().Add(time.Minute); pid == ""; time.Sleep(time.Millisecond) {
		if text := r.text("pid"); !strings.Contains(text, "no such file") {
			pid = strings.TrimSpace(text)
		} else if time.Now().After(end) {
			t.Fatal(<-started)
		}
	}
	allowed := func(pid string) []int {
		t.Helper()
		text, err := os.ReadFile("/proc/" + pid + "/status")
		r.do(err)
		_, rest, _ := strings.Cut(string(text), "\nCpus_allowed_list:\t")
		line, _, _ := strings.Cut(rest, "\n")
		all, err := parseCores(line)
		r.do(err)
		return all
	}
	r.file(coreFile, "1", 0o644)
	t.Cleanup(func() { _ = os.Remove(root + "/" + corePrefix + r.p.ID) })
	r.do(r.Done(t.Context(), r.p, r.dir))
	last := free[len(free)-1]
	if got := allowed(pid); len(got) != 1 || got[0] != last {
		t.Errorf("it may run on %v, want %d alone", got, last)
	}
	if left, err := cores(root + "/cpuset.cpus.effective"); err != nil || len(left) != len(free)-1 {
		t.Errorf("the others have %v of %v: %v", left, free, err)
	}
	r.file(coreFile, "", 0o644)
	r.do(r.Done(t.Context(), r.p, r.dir))
	if got := allowed(pid); len(got) != len(free) {
		t.Errorf("afterwards it may run on %v, want %v", got, free)
	}
}
