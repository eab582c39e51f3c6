package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Examine finds out which limits work on this machine. It makes a group for each and starts a
// process in it.
func Examine(ctx context.Context) []compute.Finding {
	t, err := Find("hostler-doctor-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		return []compute.Finding{{Result: "fail", What: "limits", Detail: err.Error()}}
	}
	var out []compute.Finding
	for _, c := range []struct {
		what, controller string
		limits           Limits
	}{
		{"processes are gathered", "", Limits{}},
		{"cores", "cpu", Limits{CPU: 0.5}},
		{"memory", "memory", Limits{Memory: 64 << 20}},
		{"number of processes", "pids", Limits{PIDs: 64}},
	} {
		f := compute.Finding{Result: "ok", What: "limits: " + c.what}
		if err := t.tryController(ctx, c.controller, c.limits); err != nil {
			f.Result, f.Detail, f.Hint = "warn", err.Error(), t.advice(c.controller)
		} else {
			f.Detail = t.describe(c.controller)
		}
		out = append(out, f)
	}
	if swap := t.swap(); swap != "" {
		out = append(out, compute.Finding{Result: "warn", What: "limits: swap", Detail: swap,
			Hint: "start the kernel with swapaccount=1, or have no swap"})
	}
	if err := t.Remove(context.WithoutCancel(ctx)); err != nil {
		out = append(out, compute.Finding{Result: "warn", What: "limits", Detail: err.Error()})
	}
	return out
}

// tryController makes a group, starts a process in it, and checks that it is there.
func (t *Tree) tryController(ctx context.Context, controller string, l Limits) (err error) {
	if controller == "" {
		if err := t.Can().Gather; err != nil {
			return err
		}
	}
	id := "try-" + controller
	g, err := t.Make(ctx, id, l)
	if err != nil {
		return err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		for _, f := range []func(context.Context) error{g.Kill, g.Remove} {
			if e := f(clean); err == nil {
				err = e
			}
		}
		_ = g.Close()
	}()
	cmd := exec.CommandContext(ctx, "sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: g.fd >= 0, CgroupFD: g.fd}
	if err := g.Start(cmd.Start); err != nil {
		return fmt.Errorf("start a process in it: %w", err)
	}
	pids, err := g.Processes()
	if err == nil && !slices.Contains(pids, cmd.Process.Pid) {
		err = fmt.Errorf("process %d was started in group %s and is not in it", cmd.Process.Pid, id)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	if killed := g.Kill(ctx); err == nil {
		err = killed
	}
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
	}
	return err
}

// describe names the version and the directory where controller is had. An empty controller
// means the place for processes alone.
func (t *Tree) describe(controller string) string {
	p := t.v2()
	if controller != "" || p == nil || p.err != nil {
		if controller == "" {
			controller = "freezer"
		}
		p, _ = t.placeOf(controller)
	}
	version := "1"
	if p.v2 {
		version = "2"
	}
	return "control groups of version " + version + " in " + p.dir
}

// advice says how the user can get a limit that does not work.
func (t *Tree) advice(controller string) string {
	if controller == "" {
		controller = "freezer"
	}
	if os.Geteuid() != 0 {
		if unix.Access("/run/systemd/system", unix.F_OK) == nil {
			return "run hostler by `systemd-run --user --scope hostler ...`, or as root"
		}
		return "have root make a group for this user, give him its directory and its files cgroup.procs, tasks and " +
			"cgroup.subtree_control, " +
			"and start hostler in it; or run as root"
	}
	if p, err := t.placeOf(controller); err != nil && p != nil {
		return "start the container that this is with a writable /sys/fs/cgroup"
	}
	return "mount the " + controller + " controller, or start the kernel with it enabled"
}

// swap says whether memory can go around its limit into swap; "": it cannot.
func (t *Tree) swap() string {
	p, err := t.placeOf("memory")
	if err != nil || p.v2 || unix.Access(p.dir+"/memory.memsw.limit_in_bytes", unix.F_OK) == nil {
		return ""
	}
	s, err := read("/proc/swaps")
	if err != nil || strings.Count(s, "\n") < 2 {
		return ""
	}
	return "the kernel does not count swap: memory beyond a limit goes there"
}
