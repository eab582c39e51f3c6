package agentcmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// namespaced has a program become the first process of a pid name space, or skips.
func namespaced(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Unshareflags: 0}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = cmd.SysProcAttr
	if err := probe.Run(); err != nil {
		t.Skipf("name spaces: %v", err)
	}
}

// The agent as a first process buries what is left to it, and knows how its own commands ended.
func TestFirstProcess(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "s")
	cmd := program(t, func(cmd *exec.Cmd) { namespaced(t, cmd) }, "serve", "--stay", "--cgroup=none", "unix:"+name)
	c := closing(t, agent.New(dialUnix(t, name)))
	for i := range 50 {
		script := fmt.Sprintf("setsid sh -c 'sleep 0.0%d & exit' & [ $$ != 1 ] && exit %d", i%10, i)
		exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}})
		if err != nil || exit.Code != i {
			t.Fatalf("want %d, got %v %v", i, exit, err)
		}
	}
	children := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(children)
		if err != nil {
			t.Skipf("children: %v", err)
		}
		if len(b) == 0 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("orphans are left: %s", b)
		}
	}
}

// What a run leaves behind ends with it, whichever way the agent has found to do that.
func TestRunsLeaveNothing(t *testing.T) {
	for _, how := range []string{"auto", "none"} {
		t.Run(how, func(t *testing.T) {
			c := overPipe(t, "--cgroup="+how)
			file := filepath.Join(t.TempDir(), "pid")
			script := `setsid env -i /bin/sh -c '(setsid /bin/sh -c "echo \$\$ >$1; exec sleep 300") & ' sh "$0" ` +
				`</dev/null >/dev/null 2>&1; while [ ! -s "$0" ]; do sleep 0.01; done`
			if exit, err := c.Run(
				t.Context(), &compute.Command{Args: []string{"sh", "-c", script, file}},
			); err != nil || exit != (compute.Exit{}) {
				t.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
			}
			b, _ := os.ReadFile(file)
			var pid int
			if _, err := fmt.Sscan(string(b), &pid); err != nil {
				t.Fatalf("%q: err = %v; want no error", b, err)
			}
			defer func() { _ = unix.Kill(pid, unix.SIGKILL) }()
			alive := func() bool {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				return err == nil && !strings.Contains(string(b), ") Z ")
			}
			if how == "none" { // that this can fail
				if !alive() {
					t.Error("who has ended it?")
				}
				return
			}
			for late := time.Now().Add(20 * time.Second); alive(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("it lives on")
				}
			}
		})
	}
}

func TestInit(t *testing.T) {
	run := func(args ...string) (*exec.Cmd, func() int) {
		cmd := program(t, nil, append([]string{"init"}, args...)...)
		return cmd, func() int {
			err := cmd.Wait()
			var ee *exec.ExitError
			if err != nil && !errors.As(err, &ee) {
				t.Fatal(err)
			}
			return cmd.ProcessState.ExitCode()
		}
	}
	for script, want := range map[string]int{"exit 7": 7, "kill -USR1 $$": 138, "sleep 0.01 & sleep 0.05; exit 3": 3} {
		if _, status := run("--", "sh", "-c", script); status() != want {
			t.Errorf("%s: want %d", script, want)
		}
	}
	if _, status := run("nothing-of-this-name"); status() != 127 {
		t.Error("a command that is not there")
	}
	file := filepath.Join(t.TempDir(), "f")
	cmd, status := run("sh", "-c", `trap "exit 9" TERM; echo >"$0"; while :; do sleep 0.05; done`, file)
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
	}
	_ = cmd.Process.Signal(unix.SIGTERM)
	if got := status(); got != 9 {
		t.Errorf("after TERM: %d", got)
	}
}

// As the first process of a name space with its own /proc the agent needs neither cgroup nor
// reaper, and tells a run's leavings from those of others that still run.
func TestAlone(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("unshare: it is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--user", "--map-root-user")
	}
	if out, err := exec.Command(unshare, append(flags, "true")...).CombinedOutput(); err != nil {
		t.Skipf("name spaces: %v: %s", err, out)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "s")
	cmd := program(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = unshare, append(append([]string{unshare}, flags...), append([]string{self}, cmd.Args[1:]...)...)
	}, "serve", "--stay", "--cgroup=alone", "unix:"+name)
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it hands nothing on but its own death
	c := closing(t, agent.New(dialUnix(t, name)))
	leave := func(file string, stay bool) int {
		t.Helper()
		script := `setsid env -i /bin/sh -c '(setsid /bin/sh -c "echo \$\$ >$1; exec sleep 300") & ' sh "$0" ` +
			`</dev/null >/dev/null 2>&1; while [ ! -s "$0" ]; do sleep 0.01; done`
		file = filepath.Join(dir, file)
		if exit, err := c.Run(
			t.Context(), &compute.Command{Args: []string{"sh", "-c", script, file}, Stay: stay},
		); err != nil || exit != (compute.Exit{}) {
			t.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
		}
		b, _ := os.ReadFile(file)
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err != nil {
			t.Fatalf("%q: err = %v; want no error", b, err)
		}
		return pid
	}
	alive := func(pid int) bool {
		exit, err := c.Run(
			t.Context(),
			&compute.Command{
				Args: []string{"sh", "-c", `read -r a b s rest </proc/$1/stat && [ "$s" != Z ]`, "sh", fmt.Sprint(pid)},
				Stay: false,
			},
		)
		return err == nil && exit.Code == 0
	}
	dead := func(pid int) bool { // soon: it was told to, and must get a turn
		for late := time.Now().Add(time.Minute); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(late) {
				return false
			}
		}
		return true
	}
	if pid := leave("one", false); alive(pid) {
		t.Error("what a run left lives on")
	}
	// While another runs that was there before, what a run leaves may be that one's: it waits, and
	// that one is not hurt.
	ctx, cancel := context.WithCancel(t.Context())
	other := make(chan error, 1)
	ready := filepath.Join(dir, "ready")
	go func() {
		_, err := c.Run(ctx, &compute.Command{Args: []string{"sh", "-c", `sh -c 'sleep 300 & echo $! >"$0"' "$0"; sleep 300; true`, ready}})
		other <- err
	}()
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		if fi, err := os.Stat(ready); err == nil && fi.Size() > 0 {
			break
		}
	}
	_ = leave("two", false)
	b, _ := os.ReadFile(ready)
	var theirs int
	_, _ = fmt.Sscan(string(b), &theirs)
	if !alive(theirs) {
		t.Error("what another command has left, and still runs itself, was ended")
	}
	cancel()
	if err := <-other; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !dead(theirs) {
		t.Error("what it had left lives on")
	}
	pid := leave("three", true)
	if !alive(pid) {
		t.Error("what may stay was ended")
	}
	if second := leave("four", false); !dead(second) {
		t.Error("what a run left lives on, after one that might leave something")
	}
	if !alive(pid) {
		t.Error("what may stay was ended by another run")
	}
}
