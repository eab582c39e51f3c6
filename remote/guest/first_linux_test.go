package guest_test

import (
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
			script := `setsid env -i /bin/sh -c '(setsid /bin/sh -c "echo \$\$ >$1; exec sleep 300") & ' sh "$0" </dev/null >/dev/null 2>&1; while [ ! -s "$0" ]; do sleep 0.01; done`
			if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script, file}}); err != nil || exit != (compute.Exit{}) {
				t.Fatal(exit, err)
			}
			b, _ := os.ReadFile(file)
			var pid int
			if _, err := fmt.Sscan(string(b), &pid); err != nil {
				t.Fatalf("%q: %v", b, err)
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
