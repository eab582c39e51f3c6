package supervise_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SUPERVISE_DIR"); dir != "" {
		supervisor(dir)
		return
	}
	os.Exit(m.Run())
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a supervisor and a directory for its programs.
type rig struct {
	testing.TB
	s    *supervise.Supervisor
	opt  supervise.Options
	work string

	mu     sync.Mutex
	events []supervise.Event
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, work: t.TempDir()}
	r.opt = supervise.Options{Dir: filepath.Join(t.TempDir(), "state"), First: 20 * time.Millisecond,
		Last: 100 * time.Millisecond, Settled: time.Hour, Event: func(e supervise.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		}}
	r.open()
	t.Cleanup(func() {
		_ = r.s.Stop(context.Background(), "all")
		_ = r.s.Close()
	})
	return r
}

func (r *rig) open() {
	r.Helper()
	s, err := supervise.New(r.opt)
	do(r, err)
	r.s = s
}

// program is a shell script.
func (r *rig) program(name, script string) supervise.Program {
	return supervise.Program{
		Name: name, Command: []string{"/bin/sh", "-c", script}, Dir: r.work,
		Env: []string{"HOME=" + r.work, "PATH=/usr/bin:/bin"}, Log: name + ".log", StopWait: time.Minute,
	}
}

// put records programs as group g, and starts them.
func (r *rig) put(all ...supervise.Program) {
	r.Helper()
	_, err := r.s.Put(r.Context(), supervise.Group{Name: "g", Programs: all})
	do(r, err)
	do(r, r.s.Start(r.Context(), "g"))
}

func (r *rig) status(name string) supervise.Status {
	r.Helper()
	all, err := r.s.Status(r.Context(), name)
	do(r, err)
	if len(all) != 1 {
		r.Fatalf("%s: %+v", name, all)
	}
	return all[0]
}

// until waits for a program's state.
func (r *rig) until(name string, ok func(supervise.Status) bool) supervise.Status {
	r.Helper()
	var st supervise.Status
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if st = r.status(name); ok(st) {
			return st
		}
	}
	r.Fatalf("it never came; the last one was %+v, and the log %q", st, r.log(st.Name))
	return st
}

func (r *rig) log(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.work, name+".log"))
	return string(b)
}

// says waits until a program has written something.
func (r *rig) says(name, text string) {
	r.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(r.log(name), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("%s never said %q, but %q", name, text, r.log(name))
		}
	}
}

func (r *rig) seen() []supervise.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func is(state supervise.State) func(supervise.Status) bool {
	return func(s supervise.Status) bool { return s.State == state }
}

// TestLife starts two programs, sees what they write and how they end, and stops them.
func TestLife(t *testing.T) {
	r := newRig(t)
	r.put(r.program("one", `env | sort; echo here: $PWD; exec sleep 1000`), r.program("two", `echo no; exit 3`))
	st := r.until("g:two", is(supervise.Exited))
	if st.Exit != "exit status 3" || st.PID != 0 || st.Error != "" {
		t.Errorf(`st = %+v; want st.Exit == "exit status 3" and st.PID == 0 and st.Error == ""`, st)
	}
	r.says("one", "here: "+r.work)
	env := map[string]string{}
	for line := range strings.Lines(r.log("one")) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[k] = v
		}
	}
	delete(env, "_")
	delete(env, "PWD")
	delete(env, "SHLVL")
	delete(env, "OLDPWD")
	if !strings.HasSuffix(env["HOSTLER_SERVICE"], " g:one") {
		t.Errorf("its mark is %q", env["HOSTLER_SERVICE"])
	}
	delete(env, "HOSTLER_SERVICE")
	if want := map[string]string{"HOME": r.work, "PATH": "/usr/bin:/bin"}; !maps.Equal(env, want) {
		t.Errorf("its environment is %v, want %v", env, want)
	}
	one := r.status("g:one")
	if one.State != supervise.Running || one.Log != filepath.Join(r.work, "one.log") {
		t.Errorf(`one = %+v; want one.State == supervise.Running and one.Log == filepath.Join(r.work, "one.log")`, one)
	}
	do(t, r.s.Stop(t.Context(), "g:one"))
	if st := r.status("g:one"); st.State != supervise.Stopped || st.Exit != "signal: terminated" {
		t.Errorf(`st = %+v; want st.State == supervise.Stopped and st.Exit == "signal: terminated"`, st)
	}
	if p, err := proc.ReadStat(one.PID); err == nil && !p.Ended() {
		t.Errorf("it still runs: %+v", p)
	}
	if events := r.seen(); len(events) != 1 || events[0].Name != "two" || events[0].Weight {
		t.Errorf("events: %+v", events)
	}
	do(t, r.s.Remove(t.Context(), "g"))
	if all, err := r.s.Groups(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("there are still %v, %v", all, err)
	}
	if files, _ := filepath.Glob(filepath.Join(r.opt.Dir, "*.group")); len(files) != 0 {
		t.Errorf("%v stays", files)
	}
}

// TestAgain has a service started again at once, then after pauses, and said to be in trouble once.
func TestAgain(t *testing.T) {
	r := newRig(t)
	p := r.program("s", `echo began; exit 1`)
	p.Keep = supervise.Again
	r.put(p)
	st := r.until("g:s", func(s supervise.Status) bool { return s.Restarts >= 4 })
	if st.Exit != "exit status 1" {
		t.Errorf(`st = %+v; want st.Exit == "exit status 1"`, st)
	}
	weights := 0
	for i, e := range r.seen() {
		if e.Weight {
			weights++
			if i != 1 {
				t.Errorf("event %d has weight", i)
			}
		}
	}
	if weights != 1 {
		t.Errorf("%d events of weight: %+v", weights, r.seen())
	}
	do(t, r.s.Stop(t.Context(), "all"))
	n := strings.Count(r.log("s"), "began")
	time.Sleep(300 * time.Millisecond) // three of the longest pauses
	if m := strings.Count(r.log("s"), "began"); m != n {
		t.Errorf("stopped, it was started %d times more", m-n)
	}
}

// TestWatched tells of the end of what nobody starts again; and what cannot be started is told too.
func TestWatched(t *testing.T) {
	r := newRig(t)
	w := r.program("w", `exit 0`)
	w.Keep = supervise.Watched
	none := r.program("none", "")
	none.Command, none.Keep = []string{"/nowhere/to/be/found"}, supervise.Watched
	r.put(w, none)
	r.until("g:w", is(supervise.Exited))
	if st := r.until("g:none", is(supervise.Fatal)); !strings.Contains(st.Error, "/nowhere/to/be/found") {
		t.Errorf(`st = %+v; want st.Error with "/nowhere/to/be/found"`, st)
	}
	for end := time.Now().Add(time.Minute); len(r.seen()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("events: %+v", r.seen())
		}
	}
	for _, e := range r.seen() {
		if !e.Weight {
			t.Errorf("e = %+v; want e.Weight", e)
		}
	}
}

// TestStubborn ends what does not want to end, and what it has started in sessions of their own.
func TestStubborn(t *testing.T) {
	r := newRig(t)
	p := r.program("p", `trap '' TERM; setsid sleep 1001 & sleep 1002 & echo ready; while :; do sleep 0.1; done`)
	p.StopWait = 100 * time.Millisecond
	r.put(p)
	r.says("p", "ready")
	mark := markOf(t, r.status("g:p").PID)
	do(t, r.s.Stop(t.Context(), "g"))
	if st := r.status("g:p"); st.Exit != "signal: killed" {
		t.Errorf(`st = %+v; want st.Exit == "signal: killed"`, st)
	}
	gone(t, mark)
}

// markOf is the mark in a process's environment.
func markOf(t testing.TB, pid int) string {
	t.Helper()
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	do(t, err)
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.HasPrefix(entry, []byte("HOSTLER_SERVICE=")) {
			return string(entry)
		}
	}
	t.Fatalf("process %d has no mark: %q", pid, env)
	return ""
}

// with are the processes that have an entry in their environments.
func with(t testing.TB, entry string) (n int) {
	t.Helper()
	all, err := proc.Find(proc.Marked(entry))
	do(t, err)
	defer proc.Close(all)
	for _, h := range all {
		if !h.Ended() {
			n++
		}
	}
	return n
}

// gone waits until nothing has a mark.
func gone(t testing.TB, mark string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); with(t, mark) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d processes with %s run", with(t, mark), mark)
		}
	}
}

// TestAdopts goes on with what another supervisor started, which lost nothing of what was written
// meanwhile.
func TestAdopts(t *testing.T) {
	r := newRig(t)
	s := r.program("s", `i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done`)
	s.Keep = supervise.Again
	o := r.program("o", `read x < fifo; exit 7`)
	do(t, unix.Mkfifo(filepath.Join(r.work, "fifo"), 0o600))
	r.put(s, o)
	before := []int{r.status("g:s").PID, r.status("g:o").PID}
	if _, err := supervise.New(r.opt); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("a second one at once: %v", err)
	}
	do(t, r.s.Close())
	n := strings.Count(r.log("s"), "\n")
	for end := time.Now().Add(time.Minute); strings.Count(r.log("s"), "\n") < n+5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody writes while there is no supervisor")
		}
	}
	r.open()
	if after := []int{r.status("g:s").PID, r.status("g:o").PID}; !slices.Equal(before, after) {
		t.Errorf("processes %v, before %v", after, before)
	}
	do(t, os.WriteFile(filepath.Join(r.work, "fifo"), []byte("go\n"), 0))
	r.until("g:o", is(supervise.Exited))
	do(t, r.s.Signal(t.Context(), unix.SIGKILL, "g:s"))
	r.until("g:s", func(st supervise.Status) bool { return st.State == supervise.Running && st.PID != before[0] })
	lines := bufio.NewScanner(strings.NewReader(r.log("s")))
	for want := 1; lines.Scan(); want++ {
		if lines.Text() == "1" && want > 5 {
			break // it was started anew
		}
		if lines.Text() != fmt.Sprint(want) {
			t.Fatalf("line %d is %q", want, lines.Text())
		}
	}
}

// TestPut changes a group: what is the same runs on, what is another is stopped first, what has
// gone is stopped.
func TestPut(t *testing.T) {
	r := newRig(t)
	same, other, gone := r.program("same", "exec sleep 1000"), r.program("other", "exec sleep 1000"), r.program("gone", "exec sleep 1000")
	r.put(same, other, gone)
	before := map[string]int{}
	for _, name := range []string{"same", "other", "gone"} {
		before[name] = r.status("g:" + name).PID
	}
	if changed, err := r.s.Put(
		t.Context(), supervise.Group{Name: "g", Programs: []supervise.Program{same, other, gone}},
	); err != nil || changed {
		t.Errorf("the same again: %v, %v", changed, err)
	}
	other.Env = append(other.Env, "A=b")
	young := r.program("young", "exec sleep 1000")
	changed, err := r.s.Put(t.Context(), supervise.Group{Name: "g", Programs: []supervise.Program{young, same, other}})
	if err != nil || !changed {
		t.Errorf("changed = %v, err = %v; want no error and changed", changed, err)
	}
	all, err := r.s.Status(t.Context(), "g")
	do(t, err)
	got := []string{}
	for _, st := range all {
		got = append(got, fmt.Sprint(st.Name, " ", st.State))
	}
	if want := []string{"young STOPPED", "same RUNNING", "other STOPPED"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if r.status("g:same").PID != before["same"] {
		t.Error("what was the same was started again")
	}
	for _, name := range []string{"other", "gone"} {
		if st, err := proc.ReadStat(before[name]); err == nil && !st.Ended() {
			t.Errorf("%s of before still runs: %+v", name, st)
		}
	}
	do(t, r.s.Start(t.Context(), "g"))
	r.until("g:young", is(supervise.Running))
}

// TestRefuses what cannot be run, before anything is changed.
func TestRefuses(t *testing.T) {
	r := newRig(t)
	ok := r.program("p", "true")
	for why, change := range map[string]func(g *supervise.Group){
		"a path for a name":    func(g *supervise.Group) { g.Name = "../g" },
		"no name":              func(g *supervise.Group) { g.Name = "" },
		"a path for a program": func(g *supervise.Group) { g.Programs[0].Name = "../../x" },
		"a colon":              func(g *supervise.Group) { g.Programs[0].Name = "a:b" },
		"a line end":           func(g *supervise.Group) { g.Programs[0].Name = "a\nb" },
		"two of a name":        func(g *supervise.Group) { g.Programs = append(g.Programs, g.Programs[0]) },
		"a relative command":   func(g *supervise.Group) { g.Programs[0].Command = []string{"sh"} },
		"no command":           func(g *supervise.Group) { g.Programs[0].Command = nil },
		"a relative directory": func(g *supervise.Group) { g.Programs[0].Dir = "." },
		"a log elsewhere":      func(g *supervise.Group) { g.Programs[0].Log = "../log" },
		"a log below":          func(g *supervise.Group) { g.Programs[0].Log = "a/log" },
		"a zero byte":          func(g *supervise.Group) { g.Programs[0].Env = []string{"A=\x00"} },
		"another way":          func(g *supervise.Group) { g.Programs[0].Keep = "always" },
	} {
		g := supervise.Group{Name: "g", Programs: []supervise.Program{ok}}
		change(&g)
		if _, err := r.s.Put(t.Context(), g); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid", why, err)
		}
	}
	if all, err := r.s.Groups(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("there are %v, %v", all, err)
	}
	if err := r.s.Start(t.Context(), "g:none"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
}

// TestLogs opens no file that the program's user put where a log is to be, and turns one over that
// has grown.
func TestLogs(t *testing.T) {
	r := newRig(t)
	secret := filepath.Join(t.TempDir(), "secret")
	do(t, os.WriteFile(secret, []byte("kept\n"), 0o600))
	for why, place := range map[string]func(path string) error{
		"a link":          func(path string) error { return os.Symlink(secret, path) },
		"a second name":   func(path string) error { return os.Link(secret, path) },
		"a pipe":          func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to a dir": func(path string) error { return os.Symlink("/", path) },
	} {
		p := r.program("p", "echo written")
		path := filepath.Join(r.work, p.Log)
		do(t, os.RemoveAll(path))
		do(t, place(path))
		r.put(p)
		if st := r.status("g:p"); st.State != supervise.Fatal || !strings.Contains(st.Error, path) {
			t.Errorf("%s: st = %+v; want st.State == supervise.Fatal and st.Error with path", why, st)
		}
		do(t, os.RemoveAll(path))
		do(t, r.s.Remove(t.Context(), "g"))
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "kept\n" {
		t.Errorf("elsewhere: %q, %v", text, err)
	}
}

// TestTurns begins a log anew that has grown, while its program goes on adding to it.
func TestTurns(t *testing.T) {
	r := newRig(t)
	do(t, r.s.Close())
	r.opt.LogBytes, r.opt.LogEvery = 1000, 10*time.Millisecond
	r.open()
	do(t, os.Symlink("/etc/passwd", filepath.Join(r.work, "p.log.1")))
	do(t, os.Symlink("/etc/passwd", filepath.Join(r.work, "p.log.new")))
	r.put(r.program("p", `i=0; while :; do i=$((i+1)); echo line $i; sleep 0.001; done`))
	second := filepath.Join(r.work, "p.log.1")
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if st, err := os.Lstat(second); err == nil && st.Mode().IsRegular() && st.Size() > 1000 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it was never turned over")
		}
	}
	n := len(r.log("p"))
	for end := time.Now().Add(time.Minute); len(r.log("p")) == n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is added any more")
		}
	}
	if text := r.log("p"); strings.HasPrefix(text, "\x00") {
		t.Errorf("it has a hole: %q", text)
	}
}

// TestUser runs a program as somebody else, who owns its log and can not go back.
func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestUser: only root may run programs as others")
	}
	r := newRig(t)
	do(t, os.Chmod(r.work, 0o755))
	work, err := os.MkdirTemp("", "supervise")
	do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	do(t, os.Chmod(work, 0o750))
	do(t, os.Chown(work, 4321, 4322))
	r.work = work
	p := r.program(
		"p",
		`id -u; id -g; id -G; touch mine && echo made; ls /root || echo refused; setpriv --reuid 0 true || echo stays; exec sleep 1000`,
	)
	p.User = &supervise.User{UID: 4321, GID: 4322, Groups: []uint32{4323}}
	r.put(p)
	r.says("p", "stays")
	if text := r.log("p"); !strings.HasPrefix(text, "4321\n4322\n4322 4323\nmade\n") || !strings.Contains(text, "refused") {
		t.Errorf("text = %q; want strings.HasPrefix(text, \"4321\\n4322\\n4322 4323\\nmade\\n\") and text with \"refused\"", text)
	}
	var st unix.Stat_t
	do(t, unix.Stat(filepath.Join(work, "p.log"), &st))
	if st.Uid != 4321 || st.Gid != 4322 {
		t.Errorf("its log is of %d:%d", st.Uid, st.Gid)
	}
}

// TestSocket asks a supervisor over its socket.
func TestSocket(t *testing.T) {
	r := newRig(t)
	dir, err := os.MkdirTemp("", "sv")
	do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sv.sock")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.s.Serve(ctx, socket) }()
	c := supervise.NewClient(socket)
	defer c.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := c.Groups(ctx); err == nil {
			break
		} else if time.Now().After(end) || !errors.Is(err, compute.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", st.Mode(), err)
	}
	changed, err := c.Put(
		ctx,
		supervise.Group{
			Name:     "g",
			Programs: []supervise.Program{r.program("p", `echo one; trap 'echo two' HUP; while :; do sleep 0.01; done`)},
		},
	)
	if err != nil || !changed {
		t.Fatalf("changed = %v, err = %v; want no error and changed", changed, err)
	}
	do(t, c.Start(ctx, "g"))
	r.says("p", "one")
	var seen bytes.Buffer
	do(t, c.Tail(ctx, &seen, "g:p", 100, false))
	if seen.String() != "one\n" {
		t.Errorf("its log: %q", &seen)
	}
	do(t, c.Signal(ctx, "HUP", "g:p"))
	r.says("p", "two")
	for _, err := range []error{
		c.Signal(ctx, "NONE", "g:p"), c.Start(ctx, "none"), c.Tail(ctx, &seen, "g:x", 1, false),
		c.Tail(ctx, &seen, "", 1, false),
	} {
		if !errors.Is(err, compute.ErrInvalid) && !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("a wrong name: %v", err)
		}
	}
	all, err := c.Status(ctx)
	if err != nil || len(all) != 1 || all[0].State != supervise.Running || all[0].PID != r.status("g:p").PID {
		t.Errorf(
			"all = %+v, err = %v"+
				"; want no error and len(all) == 1 and all[0].State == supervise.Running and all[0].PID == "+
				`r.status("g:p").PID`,
			all, err,
		)
	}
	do(t, c.Restart(ctx, "g:*"))
	if now := r.status("g:p"); now.PID == all[0].PID {
		t.Errorf("it was not restarted: %+v", now)
	}
	do(t, c.Stop(ctx, "all"))
	do(t, c.Remove(ctx, "g"))
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := c.Groups(t.Context()); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("after its end: %v", err)
	}
}
