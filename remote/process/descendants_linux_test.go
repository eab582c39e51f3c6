package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/process"
)

// cgroupDir makes a directory of a cgroup v2 for a test, or skips.
func cgroupDir(t testing.TB) *os.File {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(top, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(top, "hostler-test-")
		if err != nil {
			break
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Errorf("something is left in the cgroup: %v", err)
			}
		})
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	t.Skip("cgroup: no cgroup v2 that this user may make groups in")
	return nil
}

// built is the agent's program, which starts in a moment also where this one has the race detector
// in it.
var built = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "reaper")
	if err != nil {
		return ""
	}
	name := filepath.Join(dir, "hostler-agent")
	cmd := exec.Command("go", "build", "-o", name, "../../cmd/hostler-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	builtName.Store(name)
	if cmd.Run() != nil {
		return ""
	}
	return name
})

var builtName atomic.Value // where it is, for cleanUp

// reaper is the agent's, or where there is no compiler this test program, as TestMain has it.
func reaper(t testing.TB) []string {
	t.Helper()
	if name := built(); name != "" {
		return []string{name, "reap"}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "reap-for-a-test"}
}

// ways are the ways in which descendants are found.
func ways(t *testing.T, f func(*testing.T, process.Options)) {
	t.Run("cgroup", func(t *testing.T) { f(t, process.Options{Cgroup: cgroupDir(t)}) })
	t.Run("reaper", func(t *testing.T) { f(t, process.Options{Reaper: reaper(t)}) })
}

func TestConnKin(t *testing.T) {
	ways(t, func(t *testing.T, opt process.Options) {
		computetest.Conn(
			t,
			computetest.ConnOptions{Dir: t.TempDir(), Shell: true, New: func(*testing.T) compute.Conn { return process.New(opt) }},
		)
	})
}

// TestOwnDirectory: where no directory is asked for, a command starts in ours, whoever starts it
// for us.
func TestOwnDirectory(t *testing.T) {
	here, err := syscall.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	ways(t, func(t *testing.T, opt process.Options) {
		conn := process.New(opt)
		defer conn.Close()
		var out bytes.Buffer
		if exit, err := conn.Run(
			t.Context(), &compute.Command{Args: []string{"sh", "-c", "pwd -P"}, Stdout: &out},
		); err != nil || exit != (compute.Exit{}) {
			t.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
		}
		if got := strings.TrimSpace(out.String()); got != here {
			t.Errorf("it is in %s, and we are in %s", got, here)
		}
	})
}

// hiding starts a process that leaves the command's group, session and environment, and its
// parents, and writes its number to a file.
const hiding = `setsid sh -c 'env -i /bin/sh -c "(setsid /bin/sh -c \"echo \\\$\\\$ >$0; exec sleep 600\") & " & ' "$0" </dev/null >/dev/null 2>&1
while [ ! -s "$0" ]; do sleep 0.01; done`

// hidden returns the number in the file.
func hidden(t *testing.T, file string) int {
	t.Helper()
	b, _ := os.ReadFile(file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatalf("nothing was started: %q", b)
	}
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	return pid
}

// lives reports whether a process is there and is no zombie.
func lives(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func dies(t *testing.T, pid int) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); lives(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("what the command left behind lives on")
		}
	}
}

func TestDescendantsEnd(t *testing.T) {
	ways(t, func(t *testing.T, opt process.Options) {
		c := process.New(opt)
		defer func() { _ = c.Close() }()
		dir := t.TempDir()
		run := func(name, script string, cmd compute.Command) (compute.Exit, string) {
			t.Helper()
			file := filepath.Join(dir, name)
			cmd.Args = []string{"sh", "-c", script, file}
			exit, err := c.Run(t.Context(), &cmd)
			if err != nil {
				t.Fatal(err)
			}
			return exit, file
		}
		exit, file := run("end", hiding+"; exit 7", compute.Command{})
		if exit != (compute.Exit{Code: 7}) {
			t.Errorf("exit %v", exit)
		}
		if pid := hidden(t, file); lives(pid) {
			t.Error("what the command left behind lives on")
		}
		exit, file = run("signal", hiding+"; kill -USR1 $$", compute.Command{})
		if exit != (compute.Exit{Signal: "USR1"}) {
			t.Errorf("exit %v", exit)
		}
		dies(t, hidden(t, file))
		// Signals are the command's, and the reaper lives to see how that takes them.
		for _, name := range []string{"HUP", "INT", "QUIT", "ABRT", "TERM", "USR1", "ALRM", "XCPU", "IO"} {
			signals := make(chan string)
			var out bytes.Buffer
			script := `trap "echo got >&3" ` + name + `; exec 3>&1; : >"$0"; i=0; while [ $i -lt 400 ] && ! [ -s "$1" ]; do i=$((i+1)); sleep 0.01; done; exit 5`
			ready := filepath.Join(dir, name)
			go func() {
				for range 2000 {
					if _, err := os.Stat(ready); err == nil {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				signals <- name
				time.Sleep(50 * time.Millisecond)
				_ = os.WriteFile(ready+".end", []byte("x"), 0o600)
			}()
			exit, err := c.Run(
				t.Context(),
				&compute.Command{Args: []string{"sh", "-c", script, ready, ready + ".end"}, Signals: signals, Stdout: &out},
			)
			if err != nil || exit != (compute.Exit{Code: 5}) || out.String() != "got\n" {
				t.Errorf(
					"%s: exit = %v err = %v out = %q"+
						"; want no error and exit == (compute.Exit{Code: 5}) and out.String() == \"got\\n\"",
					name, exit, err, out.String(),
				)
			}
		}
		exit, file = run("terminal", hiding+"; tty >&2; exit 3", compute.Command{TTY: &compute.Size{Rows: 5, Cols: 40}})
		if exit != (compute.Exit{Code: 3}) {
			t.Errorf("exit %v", exit)
		}
		dies(t, hidden(t, file))
		_, file = run("stay", hiding, compute.Command{Stay: true})
		pid := hidden(t, file)
		if time.Sleep(100 * time.Millisecond); !lives(pid) {
			t.Error("what may stay was ended")
		}
		_ = unix.Kill(pid, unix.SIGKILL)
		dies(t, pid)

		ctx, cancel := context.WithCancel(t.Context())
		file = filepath.Join(dir, "cancel")
		go func() {
			for i := 0; i < 2000; i++ {
				if b, _ := os.ReadFile(file); len(b) > 1 {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			cancel()
		}()
		if _, err := c.Run(
			ctx, &compute.Command{Args: []string{"sh", "-c", hiding + "; sleep 600", file}},
		); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		dies(t, hidden(t, file))
		for name, want := range map[string]error{"/nonexistent": compute.ErrNoCommand, "/etc/passwd": compute.ErrNotExecutable} {
			if _, err := c.Run(t.Context(), &compute.Command{Args: []string{name}}); !errors.Is(err, want) {
				t.Errorf("%s: err = %v; want error want", name, err)
			}
		}
	})
}

// Without any of this they live on: that the tests above can fail.
func TestDescendantsLiveOn(t *testing.T) {
	c := process.New(process.Options{})
	defer func() { _ = c.Close() }()
	file := filepath.Join(t.TempDir(), "pid")
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", hiding, file}}); err != nil {
		t.Fatal(err)
	}
	if pid := hidden(t, file); !lives(pid) {
		t.Error("it has ended, who has ended it?")
	}
}

// An agent that buries orphans leaves its own commands to those who wait for them.
func TestOrphans(t *testing.T) {
	// in a process of its own, which has no other children
	if os.Getenv("HOSTLER_TEST_ORPHANS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOrphans$", "-test.v")
		cmd.Env = append(os.Environ(), "HOSTLER_TEST_ORPHANS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("err = %v\nout = %s; want no error", err, out)
		}
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	o := process.NewOrphans()
	ctx, cancel := context.WithCancel(t.Context())
	var burying sync.WaitGroup
	burying.Go(func() { o.Run(ctx) })
	c := process.New(process.Options{Orphans: o, NoWatch: true})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				want := (i + j) % 200
				cmd := compute.Command{Args: []string{
					"sh", "-c", fmt.Sprintf("setsid sh -c 'sleep 0.0%d & sleep 0.0%d &' & exit %d", i, j%10, want),
				}}
				if exit, err := c.Run(ctx, &cmd); err != nil || exit.Code != want {
					t.Errorf("want %d, got %v %v", want, exit, err)
				}
			}
		})
	}
	all.Wait()
	_ = c.Close()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err == syscall.ECHILD {
			break
		}
		if time.Now().After(late) {
			t.Fatal("orphans are left")
		}
	}
	cancel()
	burying.Wait()
}

// That a command was ended for want of memory is told.
func TestOutOfMemoryIsTold(t *testing.T) {
	kills := 0
	opt := process.Options{OOMKills: func() int { kills++; return kills }}
	c := process.New(opt)
	defer func() { _ = c.Close() }()
	for script, want := range map[string]compute.Exit{
		"kill -9 $$":                  {Signal: "KILL", Reason: "out of memory"},
		"sh -c 'kill -9 $$'; exit $?": {Code: 137, Reason: "out of memory"},
		"kill -15 $$":                 {Signal: "TERM"},
		"exit 1":                      {Code: 1},
	} {
		if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}}); err != nil || exit != want {
			t.Errorf("%s: exit = %v err = %v; want no error and exit == want", script, exit, err)
		}
	}
	file := filepath.Join(t.TempDir(), "memory.oom_control")
	if err := os.WriteFile(file, []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if n := process.OOMKills(f)(); n != 12 {
		t.Errorf("n = %d; want n == 12", n)
	}
}

func BenchmarkTrue(b *testing.B) {
	runtime.GC()
	cmd := compute.Command{Args: []string{"/bin/true"}}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	bench := func(name string, opt func() process.Options) {
		b.Run(name, func(b *testing.B) {
			c := process.New(opt())
			defer func() { _ = c.Close() }()
			for b.Loop() {
				if exit, err := c.Run(b.Context(), &cmd); err != nil || exit != (compute.Exit{}) {
					b.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
				}
			}
		})
	}
	bench("plain", func() process.Options { return process.Options{} })
	bench("unwatched", func() process.Options { return process.Options{NoWatch: true, KeepEnv: true} })
	bench("cgroup", func() process.Options { return process.Options{NoWatch: true, KeepEnv: true, Cgroup: cgroupDir(b)} })
	bench("reaper", func() process.Options { return process.Options{NoWatch: true, Reaper: reaper(b)} })
}

// cleanUp removes what was built; see TestMain.
func cleanUp() {
	if name, _ := builtName.Load().(string); name != "" {
		_ = os.RemoveAll(filepath.Dir(name))
	}
}

// Where processes can be started right into a cgroup it is known without starting one.
func TestIntoCgroup(t *testing.T) {
	f := cgroupDir(t)
	c := exec.Command("true")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	if err := c.Run(); process.IntoCgroup() != (err == nil) {
		t.Errorf("it says %v, and to do it gives %v", process.IntoCgroup(), err)
	}
}
