package supervise_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// gather skips where no processes can be gathered.
func gather(t *testing.T) {
	t.Helper()
	tree, err := cgroup.Find("hostler-test-supervise")
	if err == nil {
		err = tree.Can().Gather
	}
	if err == nil && os.Getuid() != 0 {
		_, err = tree.Make(t.Context(), "try", cgroup.Limits{})
	}
	if err != nil {
		t.Skipf("%s: processes cannot be gathered here: %v", t.Name(), err)
	}
}

// running counts the processes that sleep with an argument that no others have, and not the shells
// that are about to be something else.
func running(t *testing.T, argument string) (n int) {
	t.Helper()
	all, err := proc.Find(func(pid int) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && string(line) == "/bin/sleep\x00"+argument+"\x00"
	})
	do(t, err)
	defer proc.Close(all)
	for _, h := range all {
		if !h.Ended() {
			n++
		}
	}
	return n
}

func none(t *testing.T, argument, when string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); running(t, argument) > 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s, %d processes %s still run", when, running(t, argument), argument)
		}
	}
}

// escapes is a script that leaves something in a session of its own, without a parent, an
// environment and open files, by which it would be known.
func escapes(argument string) string {
	return fmt.Sprintf("(env -i setsid -f /bin/sleep %s </dev/null >/dev/null 2>&1 &); echo left", argument)
}

// TestEscape ends what has hidden from its program when the last program of its group is stopped,
// and when the group is removed; what belongs to a group that goes on stays.
func TestEscape(t *testing.T) {
	gather(t)
	r := newRig(t)
	argument := func(n int) string { return fmt.Sprintf("1%07d.%d", os.Getpid(), n) }
	r.put(r.program("a", escapes(argument(1))+"; exec sleep 1000"), r.program("b", escapes(argument(2))+"; exec sleep 1000"))
	for _, name := range []string{"a", "b"} {
		r.says(name, "left")
	}
	for n := 1; n <= 2; n++ {
		r.waits(t, argument(n))
	}
	do(t, r.s.Stop(t.Context(), "g:a"))
	if running(t, argument(1)) != 1 || running(t, argument(2)) != 1 {
		t.Error("what runs beside a program that goes on was ended")
	}
	do(t, r.s.Stop(t.Context(), "g:b"))
	none(t, argument(1), "when the last one was stopped")
	none(t, argument(2), "when the last one was stopped")
	do(t, r.s.Start(t.Context(), "g"))
	r.until("g:a", is(supervise.Running))
	r.waits(t, argument(1))
	do(t, r.s.Remove(t.Context(), "g"))
	none(t, argument(1), "when its group was removed")
	none(t, argument(2), "when its group was removed")
	// A program that has ended by itself leaves what it likes, until its group goes.
	r.put(r.program("c", escapes(argument(3))))
	r.until("g:c", is(supervise.Exited))
	r.waits(t, argument(3))
	do(t, r.s.Remove(t.Context(), "g"))
	none(t, argument(3), "when its group was removed")
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/hostler-node-" + r.mark()); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

// waits returns when a process with that argument runs.
func (r *rig) waits(t *testing.T, argument string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); running(t, argument) == 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s never ran", argument)
		}
	}
}

func (r *rig) mark() string {
	id, err := os.ReadFile(filepath.Join(r.opt.Dir, "id"))
	do(r, err)
	return strings.TrimSpace(string(id))
}

// TestLeft ends what programs have left that ended by themselves, on machines without control
// groups too: with the program when it is stopped, and at once what would be in the way of one that
// must live.
func TestLeft(t *testing.T) {
	r := newRig(t)
	argument := func(n int) string { return fmt.Sprintf("2%07d.%d", os.Getpid(), n) }
	watched := r.program("watched", "/bin/sleep "+argument(1)+" & echo left")
	watched.Keep = supervise.Watched
	r.put(watched, r.program("once", "setsid /bin/sleep "+argument(2)+" & echo left"), r.program("stays", "exec sleep 1000"))
	r.until("g:watched", is(supervise.Exited))
	r.until("g:once", is(supervise.Exited))
	none(t, argument(1), "when its program had ended")
	r.waits(t, argument(2))
	do(t, r.s.Stop(t.Context(), "g:once"))
	none(t, argument(2), "when its program was stopped")
	do(t, r.s.Start(t.Context(), "g:once"))
	r.waits(t, argument(2))
	r.until("g:once", is(supervise.Exited))
	_, err := r.s.Put(t.Context(), supervise.Group{Name: "g", Programs: []supervise.Program{r.program("stays", "exec sleep 1000")}})
	do(t, err)
	none(t, argument(2), "when its program was no more")
}

// TestForks ends a program that does nothing but bear others, with all of them.
func TestForks(t *testing.T) {
	gather(t)
	r := newRig(t)
	argument := fmt.Sprintf("1%07d.9", os.Getpid())
	p := r.program("a", `trap '' TERM; while :; do env -i setsid -f /bin/sleep `+argument+` </dev/null >/dev/null 2>&1; echo more; done`)
	p.StopWait = 50 * time.Millisecond
	p.Limits = &supervise.Limits{PIDs: 100}
	if tree, err := cgroup.Find("hostler-test-supervise"); err != nil || tree.Can().PIDs != nil {
		p.Limits = nil
		p.Command[2] = strings.Replace(p.Command[2], "while :", "for i in 1 2 3 4 5 6 7 8 9", 1)
	}
	beside := r.program("b", "exec sleep 1000")
	_, err := r.s.Put(t.Context(), supervise.Group{Name: "other.one", Programs: []supervise.Program{beside}})
	do(t, err)
	do(t, r.s.Start(t.Context(), "other.one"))
	r.put(p)
	r.says("a", "more\nmore\nmore")
	do(t, r.s.Remove(t.Context(), "g"))
	none(t, argument, "when its group was removed")
	if s := r.status("other.one:b"); s.State != supervise.Running || s.Restarts != 0 {
		t.Errorf("another group: %+v", s)
	}
}

// TestStrays ends what a group left whose supervisor was killed when it had been removed and not
// all of it had been ended.
func TestStrays(t *testing.T) {
	gather(t)
	r := newRig(t)
	tree, err := cgroup.Find("hostler-node-" + r.mark())
	do(t, err)
	do(t, r.s.Close())
	g, err := tree.Make(t.Context(), "removed", cgroup.Limits{})
	do(t, err)
	defer g.Close()
	c := exec.Command("/bin/sleep", "1000")
	do(t, g.Start(c.Start)) // where there is version 1 alone
	if g.FD() >= 0 {
		do(t, os.WriteFile(fmt.Sprintf("/proc/self/fd/%d/cgroup.procs", g.FD()), []byte(fmt.Sprint(c.Process.Pid)), 0))
	}
	r.open()
	if err := c.Wait(); err == nil {
		t.Error("it was not ended")
	}
	if left := tree.List(); len(left) > 0 {
		t.Errorf("there are %v", left)
	}
}

// TestStartInBackoff starts what waits at once when somebody asks for it, and has it wait longer
// and longer all the same, so that who asks again and again has not it spin; that it does not stay
// is of weight again.
func TestStartInBackoff(t *testing.T) {
	r := newRig(t)
	r.opt.First, r.opt.Last = time.Hour, 3*time.Hour
	do(t, r.s.Close())
	r.open()
	p := r.program("a", "echo ran; exit 1")
	p.Keep = supervise.Again
	r.put(p)
	r.until("g:a", is(supervise.Backoff))
	for n := 1; n <= 3; n++ {
		do(t, r.s.Start(t.Context(), "g"))
		r.says("a", strings.Repeat("ran\n", 2+n))
		r.until("g:a", is(supervise.Backoff))
		if got := strings.Count(r.log("a"), "ran"); got != 2+n {
			t.Fatalf("asked for %d times, it ran %d times", n, got)
		}
	}
	weight := func() (n int) {
		for _, e := range r.seen() {
			if e.Weight {
				n++
			}
		}
		return n
	}
	if weight() != 1 {
		t.Errorf("%d events of weight", weight())
	}
	r.opt.First, r.opt.Last = time.Millisecond, time.Millisecond
	do(t, r.s.Close())
	r.open()
	do(t, r.s.Start(t.Context(), "g"))
	for end := time.Now().Add(time.Minute); weight() < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if weight() < 2 {
		t.Error("that it did not stay after it was asked for is of no weight")
	}
}
