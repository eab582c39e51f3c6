package cgroup_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
)

// tree returns a tree of the test's own, and looks after it that nothing is left.
func tree(t *testing.T) *cgroup.Tree {
	t.Helper()
	tr, err := cgroup.Find(
		"hostler-test-" + strconv.Itoa(os.Getpid()) + "-" + strings.NewReplacer("/", "-", "=", "-", " ", "-").Replace(t.Name()),
	)
	if err != nil {
		t.Fatal(err)
	}
	can := tr.Can()
	if err := errors.Join(can.CPU, can.Memory, can.PIDs, can.Gather); err != nil {
		t.Skipf("cgroup: groups cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		for _, id := range tr.List() {
			if g, err := tr.Open(id); err == nil {
				_ = g.Kill(context.Background())
				_ = g.Remove(context.Background())
				_ = g.Close()
			}
		}
		if err := tr.Remove(context.Background()); err != nil {
			t.Error(err)
		}
		for _, dir := range tr.Parents() {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
	return tr
}

func group(t *testing.T, tr *cgroup.Tree, l cgroup.Limits) *cgroup.Group {
	t.Helper()
	g, err := tr.Make(t.Context(), "one", l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(g.Kill(ctx), g.Remove(ctx), g.Close()); err != nil {
			t.Error(err)
		}
		for _, dir := range g.Dirs() {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
	return g
}

// each runs a test on all that the machine has, and on its version 1 alone.
func each(t *testing.T, f func(t *testing.T, tr *cgroup.Tree)) {
	t.Run("all", func(t *testing.T) { f(t, tree(t)) })
	t.Run("version 1", func(t *testing.T) {
		tr := tree(t).Only(1)
		can := tr.Can()
		if err := errors.Join(can.CPU, can.Memory, can.PIDs, can.Gather); err != nil {
			t.Skipf("cgroup: no version 1 here: %v", err)
		}
		t.Cleanup(func() { // the groups are removed before, by the cleanup of group
			if err := tr.Remove(context.Background()); err != nil {
				t.Error(err)
			}
		})
		f(t, tr)
	})
}

func TestMemory(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{Memory: 100 << 20})
		if out, err := run(g, "allocate", "20000000"); err != nil || !strings.Contains(out, "allocated") {
			t.Errorf("what fits: %v %s", err, out)
		}
		if n, err := g.OOMKills(); n != 0 || err != nil {
			t.Errorf("OOMKills before = %d, %v", n, err)
		}
		out, err := run(g, "allocate", "300000000")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Errorf("300 MB under a limit of 100 MiB: %v %s", err, out)
		}
		if n, err := g.OOMKills(); n != 1 || err != nil {
			t.Errorf("OOMKills = %d, %v", n, err)
		}
		u, err := g.Usage()
		if err != nil || u.OOMKills != 1 || u.CPU <= 0 || u.Memory > 100<<20 || u.Processes != 0 {
			t.Errorf("Usage = %+v, %v", u, err)
		}
	})
}

func TestNoLimitDoesNotKill(t *testing.T) {
	g := group(t, tree(t), cgroup.Limits{PIDs: 200})
	if out, err := run(g, "allocate", "300000000"); err != nil {
		t.Errorf("300 MB without a limit: %v %s", err, out)
	}
}

func TestPIDs(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{PIDs: 60})
		out, err := run(g, "breed", "100")
		if err != nil && !errors.Is(err, exec.ErrWaitDelay) || !strings.Contains(out, "refused after") {
			t.Errorf("100 processes under a limit of 60: %v %s", err, out)
		}
		u, err := g.Usage()
		if err != nil || u.Processes < 10 || u.Processes > 60 {
			t.Errorf("Usage = %+v, %v", u, err)
		}
		pids, err := g.Processes()
		if err != nil || len(pids) < 10 || len(pids) > 60 || !slices.IsSorted(pids) {
			t.Errorf("Processes = %v, %v", pids, err)
		}
	})
}

func TestCPU(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{CPU: 0.05})
		throttled := 0
		for range 20 { // on a busy machine it may not get what it is limited to
			if out, err := run(g, "spin", "300"); err != nil {
				t.Fatalf("err = %v, out = %s; want no error", err, out)
			}
			for _, dir := range g.Dirs() {
				b, _ := os.ReadFile(dir + "/cpu.stat")
				for line := range strings.Lines(string(b)) {
					if n, ok := strings.CutPrefix(strings.TrimSpace(line), "nr_throttled "); ok {
						i, _ := strconv.Atoi(n)
						throttled += i
					}
				}
			}
			if throttled > 0 {
				return
			}
		}
		t.Error("a busy process under a twentieth of a core was never throttled")
	})
}

// A fork bomb, stopped from growing without end by a limit that only the test sets.
func TestKill(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{PIDs: 300})
		cmd := command("bomb")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: g.FD() >= 0, CgroupFD: max(g.FD(), 0)}
		if err := g.Start(cmd.Start); err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(20 * time.Second)
		for {
			pids, err := g.Processes()
			if err != nil {
				t.Fatal(err)
			}
			if len(pids) > 100 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("only %d processes", len(pids))
			}
			time.Sleep(10 * time.Millisecond)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := g.Kill(ctx); err != nil {
			t.Error(err)
		}
		<-done
		if pids, err := g.Processes(); len(pids) != 0 || err != nil {
			t.Errorf("after Kill: %v, %v", pids, err)
		}
		if err := g.Remove(ctx); err != nil {
			t.Error(err)
		}
		if err := g.Kill(ctx); err != nil {
			t.Errorf("Kill of what is gone: %v", err)
		}
		if err := g.Remove(ctx); err != nil {
			t.Errorf("Remove of what is gone: %v", err)
		}
		if _, err := g.Usage(); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Usage of what is gone: %v", err)
		}
	})
}

// Start leaves the thread where it was, whatever happens, and a process started outside of it is
// not in the group.
func TestStart(t *testing.T) {
	g := group(t, tree(t), cgroup.Limits{CPU: 1, Memory: 100 << 20, PIDs: 100})
	before, _ := os.ReadFile("/proc/thread-self/cgroup")
	boom := errors.New("boom")
	if err := g.Start(func() error {
		if b, _ := os.ReadFile("/proc/thread-self/cgroup"); len(g.Dirs()) > 1 && !strings.Contains(string(b), "/one") {
			t.Errorf("inside: %s", b)
		}
		return boom
	}); err != boom {
		t.Errorf("Start = %v", err)
	}
	for range 20 {
		if b, _ := os.ReadFile("/proc/thread-self/cgroup"); string(b) != string(before) {
			t.Fatalf("after: %s", b)
		}
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		if b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/cgroup"); strings.Contains(string(b), "/one") {
			t.Errorf("thread %s is in %s", task.Name(), b)
		}
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if pids, _ := g.Processes(); slices.Contains(pids, cmd.Process.Pid) {
		t.Error("a process started outside is in the group")
	}
}

// Who is starting something in a group is not ended with it.
func TestKillSparesWhoStarts(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{Memory: 100 << 20, PIDs: 100})
		if len(g.Dirs()) < 2 {
			t.Skip("cgroup: nobody enters anything here")
		}
		inside, killed := make(chan struct{}), make(chan error, 1)
		go func() {
			<-inside
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			killed <- g.Kill(ctx)
		}()
		err := g.Start(func() error {
			close(inside)
			return <-killed
		})
		if !errors.Is(err, compute.ErrTimeout) {
			t.Errorf("Kill meanwhile = %v", err)
		}
		if err := g.Kill(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMakeAgainAndWrong(t *testing.T) {
	tr := tree(t)
	g := group(t, tr, cgroup.Limits{Memory: 64 << 20})
	if _, err := tr.Make(t.Context(), "one", cgroup.Limits{PIDs: 100, Memory: 64 << 20}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("Make again = %v", err)
	}
	for _, dir := range g.Dirs() {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("Make again took %v", err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "a.b", "a\n", strings.Repeat("a", 300)} {
		if _, err := tr.Make(t.Context(), id, cgroup.Limits{}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Make(%q) = %v", id, err)
		}
		if _, err := tr.Open(id); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Open(%q) = %v", id, err)
		}
		if _, err := cgroup.Find(id); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Find(%q) = %v", id, err)
		}
	}
	for _, l := range []cgroup.Limits{{CPU: 0.001}, {CPU: -1}, {Memory: 5}, {Memory: -1}, {PIDs: -1}} {
		if _, err := tr.Make(t.Context(), "two", l); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Make(%+v) = %v", l, err)
		}
	}
	if _, err := tr.Open("two"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Open = %v", err)
	}
	if err := tr.Remove(t.Context()); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("Remove with a group in it = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Make(ctx, "two", cgroup.Limits{PIDs: 100}); !errors.Is(err, context.Canceled) {
		t.Errorf("Make after the end = %v", err)
	}
	if ids := tr.List(); !slices.Equal(ids, []string{"one"}) {
		t.Errorf("List = %v", ids)
	}
}

// More cores than a group above has are no error: there they are limited already.
func TestNarrowerAbove(t *testing.T) {
	tr := tree(t)
	g := group(t, tr, cgroup.Limits{CPU: 1})
	parent := ""
	for _, dir := range g.Dirs() {
		if _, err := os.Stat(dir + "/cpu.cfs_quota_us"); err == nil {
			parent = filepath.Dir(dir)
		}
	}
	if parent == "" {
		t.Skip("cgroup: cpu is not in version 1 here")
	}
	if err := os.WriteFile(parent+"/cpu.cfs_quota_us", []byte("150000"), 0); err != nil {
		t.Fatal(err)
	}
	two, err := tr.Make(t.Context(), "two", cgroup.Limits{CPU: 2})
	if err != nil {
		t.Fatal(err)
	}
	_ = two.Close()
	if err := two.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

// kill -9 at each step of making: what is there is found and goes away.
func TestKilledWhileMaking(t *testing.T) {
	tree(t) // skips where none can be made
	made := false
	for step := 0; !made && step < 20; step++ {
		t.Run(strconv.Itoa(step), func(t *testing.T) {
			tr := tree(t)
			name := filepath.Base(tr.Parents()[0])
			out, err := command("crash", name, strconv.Itoa(step)).CombinedOutput()
			made = strings.Contains(string(out), "made <nil>")
			if !made && err == nil {
				t.Fatalf("out = %s; want made or an error", out)
			}
			ids := tr.List()
			if len(ids) == 0 {
				return // step 0: nothing yet
			}
			g, err := tr.Open("one")
			if err != nil || !slices.Equal(ids, []string{"one"}) {
				t.Fatalf("List = %v, Open = %v", ids, err)
			}
			if err := errors.Join(g.Kill(t.Context()), g.Remove(t.Context()), g.Close()); err != nil {
				t.Error(err)
			}
			if ids := tr.List(); len(ids) != 0 {
				t.Errorf("left: %v", ids)
			}
		})
	}
	if !made {
		t.Error("never got to the end")
	}
}

// What a sandbox makes in a group that was given to it is bounded, and is removed however deep it
// is and whatever the names.
func TestRemoveWhatTheSandboxMade(t *testing.T) {
	tr := tree(t)
	g := group(t, tr, cgroup.Limits{})
	if g.FD() < 0 {
		t.Skip("cgroup: no version 2 here")
	}
	dirs := g.Dirs()
	deep := dirs[len(dirs)-1]
	for range 40 {
		deep += "/" + strings.Repeat("d", 200)
		if len(deep) > 4000 {
			break
		}
		if err := os.Mkdir(deep, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDelegate(t *testing.T) {
	tr := tree(t)
	g := group(t, tr, cgroup.Limits{Memory: 100 << 20})
	if g.FD() < 0 {
		t.Skip("cgroup: no version 2 here")
	}
	if err := g.Delegate(12345, 12345); err != nil {
		t.Fatal(err)
	}
	dirs := g.Dirs()
	v2 := dirs[len(dirs)-1]
	sh := func(script string) (string, error) {
		cmd := exec.Command("sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.FD(), Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		cmd.Env = append(os.Environ(), "G="+v2, "V1="+strings.Join(dirs[:len(dirs)-1], " "))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := sh(`mkdir $G/run && echo $$ >$G/run/cgroup.procs && grep 0::.*/run$ /proc/self/cgroup`); err != nil {
		t.Errorf("a group of its own: %v %s", err, out)
	}
	if out, err := sh(`echo max >$G/cgroup.max.descendants`); err == nil {
		t.Errorf("lifted the bound on groups: %s", out)
	}
	for _, dir := range dirs[:len(dirs)-1] {
		if out, err := sh(
			`mkdir ` + dir + `/run || echo 1 >` + dir + `/notify_on_release || echo 5000000000 >` + dir + `/memory.limit_in_bytes`,
		); err == nil {
			t.Errorf("may change %s: %s", dir, out)
		}
	}
	out, err := sh(`d=$G/run; i=0; while mkdir $d/x 2>/dev/null; do d=$d/x; i=$((i+1)); [ $i -gt 50 ] && exit 1; done; echo $i`)
	if err != nil {
		t.Errorf("depth is not bounded: %v %s", err, out)
	}
}

func TestExamine(t *testing.T) {
	tree(t)
	found := cgroup.Examine(t.Context())
	if len(found) < 4 {
		t.Fatal(found)
	}
	for _, f := range found {
		if f.Result != "ok" || !strings.HasPrefix(f.What, "limits") || f.Detail == "" {
			t.Errorf(`f = %+v; want f.Result == "ok" and strings.HasPrefix(f.What, "limits") and f.Detail != ""`, f)
		}
	}
}

// A group that is there takes other limits, with what is in it.
func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, tr *cgroup.Tree) {
		g := group(t, tr, cgroup.Limits{PIDs: 40, Memory: 1 << 30})
		if out, err := run(g, "breed", "60"); err != nil && !errors.Is(err, exec.ErrWaitDelay) || !strings.Contains(out, "refused after") {
			t.Errorf("60 processes under a limit of 40: %v %s", err, out)
		}
		if err := tr.Limit(t.Context(), "one", cgroup.Limits{PIDs: 2000}); err != nil {
			t.Fatal(err)
		}
		if out, err := run(g, "breed", "60"); err != nil && !errors.Is(err, exec.ErrWaitDelay) || strings.Contains(out, "refused after") {
			t.Errorf("60 more under one of 2000: %v %s", err, out)
		}
		if err := tr.Limit(t.Context(), "one", cgroup.Limits{Memory: 5}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("5 bytes: %v", err)
		}
		if err := tr.Limit(t.Context(), "none", cgroup.Limits{PIDs: 5}); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("of a group that is not there: %v", err)
		}
	})
}
