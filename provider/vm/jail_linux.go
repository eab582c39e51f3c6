package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/jail"
)

// The user ids of root's qemus, behind those of sandboxes: one each, as long as it runs.
const (
	uidFirst = 0x7ffd0000
	uidCount = 1 << 16
	uidLock  = "/run/hostler/vm-uids"
)

// openFiles is how many descriptors a qemu may have: its network has one for each connection.
const openFiles = 4096

// cell is a qemu that is about to be started in a jail.
type cell struct {
	q       program
	mark    string
	handed  *handed
	scratch string // an empty directory
	args    []string
	network bool // it needs this machine's own network
	cores   int
	memory  int64
	out     *os.File // where it writes; nil: where log is
	log     *os.File
}

// jailer returns the words that start the agent's verb.
func (p *launcher) jailer() (path string, words []string, err error) {
	if p.p.o.Agent == nil {
		return "", nil, errors.New("there is no program that qemu could be started by")
	}
	a, err := p.p.o.Agent(runtime.GOARCH)
	if err != nil {
		return "", nil, err
	}
	return a.Path, append(append([]string{a.Path}, a.Args...), jail.Word), nil
}

// lockUp starts a qemu in its jail. With bare it does without the name spaces and the root that the
// kernel refuses, and keeps root's user: another user could not open what is in its directory.
func (p *launcher) lockUp(ctx context.Context, c *cell, bare bool) (*os.Process, error) {
	path, words, err := p.jailer()
	if err != nil {
		return nil, &compute.Error{Op: "vm.Create", Kind: compute.ErrUnavailable, Err: err, Hint: "build hostler with make"}
	}
	plan := jail.Plan{
		Program: c.q.Path, Args: append([]string{c.q.Path}, c.args...),
		Env:   []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=/", Mark + "=" + c.mark},
		Files: len(c.handed.files), OpenFiles: openFiles,
	}
	sys := &syscall.SysProcAttr{Setsid: true}
	var ids *os.File
	if !bare {
		plan.Scratch, plan.Hostname, plan.Shown = c.scratch, "vm", append(c.q.shown(), c.handed.shown...)
		sys.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if !c.network {
			sys.Cloneflags |= unix.CLONE_NEWNET
		}
		if os.Geteuid() != 0 {
			sys.Cloneflags |= unix.CLONE_NEWUSER
			sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		} else if plan.User, ids, err = takeUser(); err != nil {
			return nil, fmt.Errorf("take a user id for qemu: %w", err)
		}
	}
	if ids != nil {
		defer ids.Close()
	}
	if c.network {
		if err := p.wallIn(plan.User); err != nil {
			return nil, err
		}
	}
	if c.kvm() && exists("/dev/kvm") {
		plan.Devices = []string{"/dev/kvm"}
	}
	group, err := p.p.group(ctx, c)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	if fd := group.FD(); fd >= 0 {
		sys.UseCgroupFD, sys.CgroupFD = true, fd
	}
	var started *os.Process
	err = group.Start(func() (err error) {
		started, err = c.start(path, words, plan, sys, ids)
		return err
	})
	return started, err
}

// kvm reports whether it needs the device.
func (c *cell) kvm() bool {
	return slices.ContainsFunc(c.args, func(word string) bool { return word == "kvm" || strings.HasSuffix(word, "accel=kvm") })
}

// start starts the process that becomes qemu, in its control group.
func (c *cell) start(path string, words []string, plan jail.Plan, sys *syscall.SysProcAttr, ids *os.File) (*os.Process, error) {
	b, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	in, err := memory("plan", b)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out := c.log
	if c.out != nil {
		out = c.out
	}
	attr := &os.ProcAttr{Dir: "/", Env: plan.Env, Files: append([]*os.File{null, out, c.log, in}, c.handed.files...), Sys: sys}
	if ids != nil { // which keeps the number ours until the process has it
		attr.Files = append(attr.Files, ids)
	}
	started, err := os.StartProcess(path, words, attr)
	if err != nil && sys.Cloneflags != 0 {
		err = &spacesError{err}
	}
	return started, err
}

// spacesError is the error of a process that was to have name spaces of its own.
type spacesError struct{ error }

func (e *spacesError) Unwrap() error { return e.error }

// memory makes a file in memory with the given content.
func memory(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.Write(b); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// takeUser finds a user id of ours that no process has. The file keeps others from taking it until
// the process has it: close it then. 0: this machine gives us no such users.
func takeUser() (int, *os.File, error) {
	if !mapped(uidFirst, uidCount) {
		return 0, nil, nil
	}
	if err := os.MkdirAll(filepath.Dir(uidLock), 0o755); err != nil {
		return 0, nil, err
	}
	f, err := os.OpenFile(uidLock, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return 0, nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return 0, nil, err
	}
	used := map[int]bool{}
	pids, err := proc.PIDs()
	if err != nil {
		_ = f.Close()
		return 0, nil, err
	}
	for _, pid := range pids {
		for _, id := range users(pid) {
			used[id] = true
		}
	}
	for i, first := 0, rand.IntN(uidCount); i < uidCount; i++ {
		if id := uidFirst + (first+i)%uidCount; !used[id] {
			return id, f, nil
		}
	}
	_ = f.Close()
	return 0, nil, errors.New("there are 65536 virtual machines on this machine already, and no user ids for more")
}

// mapped reports whether user ids are ours to give: the root of a container often has but a few.
func mapped(first, count int64) bool {
	for _, name := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return false
		}
		covered := false
		for line := range strings.Lines(string(text)) {
			var from, outside, n int64
			if k, _ := fmt.Sscan(line, &from, &outside, &n); k == 3 {
				covered = covered || from <= first && from+n >= first+count
			}
		}
		if !covered {
			return false
		}
	}
	return true
}

// shown lists the files that qemu needs of this machine: itself, its libraries and modules, and its
// firmware.
func (q program) shown() (all []jail.Mount) {
	// qemu tests file locks on os.DevNull
	for _, path := range append([]string{q.Path, os.DevNull}, q.Needs...) {
		all = append(all, jail.Mount{Path: path})
	}
	return all
}

// needs finds what a program needs besides itself.
func needs(ctx context.Context, path string) ([]string, error) {
	loader, err := interpreter(path)
	if err != nil || loader == "" {
		return nil, err
	}
	seen, out := map[string]bool{}, []string{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	said, err := exec.CommandContext(ctx, path, "-L", "help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -L help: %w", path, err)
	}
	for line := range strings.Lines(string(said)) {
		if dir := filepath.Clean(strings.TrimSpace(line)); filepath.IsAbs(dir) && exists(dir) {
			add(dir)
		}
	}
	add(loader)
	if exists("/etc/ld.so.cache") {
		add("/etc/ld.so.cache")
	}
	objects := []string{path}
	libraries, err := linked(ctx, loader, path)
	if err != nil {
		return nil, err
	}
	for _, l := range libraries {
		modules := filepath.Join(filepath.Dir(l), "qemu")
		if more, _ := filepath.Glob(filepath.Join(modules, "accel-*.so")); len(more) > 0 && !seen[modules] {
			add(modules)
			// qemu has the one name, the loader the other
			if real, err := filepath.EvalSymlinks(modules); err == nil {
				add(real)
			}
			objects = append(objects, more...)
		}
	}
	for _, o := range objects {
		libraries, err := linked(ctx, loader, o)
		if err != nil {
			return nil, err
		}
		for _, l := range libraries {
			add(l)
		}
	}
	return out, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// linked lists the libraries of a program or a module.
func linked(ctx context.Context, loader, path string) (all []string, err error) {
	said, err := exec.CommandContext(ctx, loader, "--list", path).Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list %s: %w", loader, path, err)
	}
	for line := range strings.Lines(string(said)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			name, _, _ := strings.Cut(line[i:], " (")
			all = append(all, strings.TrimSpace(name))
		}
	}
	return all, nil
}

// interpreter is what loads a program's libraries; "": it has none.
func interpreter(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s is no program by itself: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			return string(bytes.TrimRight(b, "\x00")), err
		}
	}
	return "", nil
}
